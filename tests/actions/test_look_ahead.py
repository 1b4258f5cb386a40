"""A finding that blocks does not wait behind thousands that do not."""

import asyncio
from typing import Any

import msgspec
import pytest
from acting import IP, NOON, Clock, Ear
from redis.asyncio import Redis
from test_responder import put
from test_responder_holding import Watched

from actions.intake import BATCH, GROUP, LOOKED_AT, LOOKS
from actions.responder import Responder
from actions.world import World
from detectors.finding import Action, Mode, Severity, SubjectKind
from detectors.rule import Rule
from detectors.windows import findings_key, meta_of

QUIET = (Action.INVESTIGATE,)
LOUD = (Action.BLOCK_IP, Action.INVESTIGATE)


async def flood(redis: Redis, count: int, text: str = "token") -> None:
    """So many findings about made-up keys."""
    rule = Rule("api_key_exposure", 1, 60_000, QUIET, Severity.CRITICAL, group_by=(SubjectKind.KEY,))
    row = {"first_at": NOON, "at": NOON, "count": 1, "evidence": msgspec.msgpack.encode([])}
    async with redis.pipeline(transaction=False) as pipe:
        for number in range(count):
            pipe.xadd(findings_key(0), {"meta": meta_of(rule, f"{text}:v1:{number:06d}"), **row})  # type: ignore[dict-item]
        await pipe.execute()


@pytest.fixture
async def responder(world: World) -> Watched:
    responder = Watched(world)
    await responder.drain()
    return responder


async def turn(responder: Watched) -> None:
    """One turn of the loop that `run` goes through, with its look ahead."""
    await responder._handle_new(responder.intake, await responder.intake.urgent())
    await responder.turn()


async def test_one_that_blocks_is_handled_after_one_batch_of_ten_thousand(
    world: World, redis: Redis, responder: Watched
) -> None:
    await flood(redis, 10_000)
    await put(redis, actions=LOUD)
    await turn(responder)
    assert len(responder.acted) == BATCH
    await turn(responder)
    assert responder.acted[BATCH] == (IP, 10)
    assert await world.blocklist.find_active(IP) is not None
    assert await redis.xlen(findings_key(0)) == 10_000 - 2 * BATCH
    assert (await redis.xpending(findings_key(0), GROUP))["pending"] == 0


async def test_of_one_read_those_that_block_go_first_and_immediate_ones_next(
    redis: Redis, responder: Watched
) -> None:
    await put(redis, "192.0.2.1", actions=QUIET)
    await put(redis, "192.0.2.2", actions=LOUD)
    immediate = (Action.CREATE_INCIDENT_IMMEDIATE, Action.INVESTIGATE)
    rule = Rule("security_breach", 1, 60_000, immediate, Severity.CRITICAL)
    row: dict[Any, Any] = {"first_at": NOON, "at": NOON, "count": 1, "evidence": msgspec.msgpack.encode([])}
    await redis.xadd(findings_key(0), {"meta": meta_of(rule, "192.0.2.3"), **row})
    await turn(responder)
    assert [s for s, _ in responder.acted] == ["192.0.2.2", "192.0.2.3", "192.0.2.1"]


async def test_a_subject_cannot_pretend_to_be_urgent(redis: Redis, responder: Watched) -> None:
    await flood(redis, BATCH)
    await flood(redis, 3, '"block_ip" "create_incident_immediate"')
    await put(redis, "192.0.2.1", actions=LOUD, mode=Mode.OBSERVE)
    await responder.turn()
    assert await responder.intake.urgent() == []


async def test_nothing_is_looked_for_where_nothing_waits(redis: Redis, responder: Watched) -> None:
    await put(redis, actions=LOUD)
    assert await responder.intake.urgent() == []


async def test_what_was_taken_out_of_turn_is_not_handled_again_in_turn(
    world: World, redis: Redis, clock: Clock, responder: Watched
) -> None:
    await flood(redis, BATCH + 5)
    await put(redis, actions=LOUD)
    await put(redis, actions=LOUD)
    for _ in range(4):
        await turn(responder)
    assert responder.acted.count((IP, 10)) == 1, "the second one is held"
    clock.forward(1_000)
    await turn(responder)
    assert responder.acted.count((IP, 10)) == 2
    [incident] = [i for i in (await world.incidents.page(limit=200))[0] if i.subject == IP]
    assert (incident.event_count, incident.finding_count) == (20, 2)
    assert await redis.xlen(findings_key(0)) == 0
    assert (await redis.xpending(findings_key(0), GROUP))["pending"] == 0
    assert responder.intake.in_hand == set()


async def test_two_processes_do_not_take_the_same_out_of_turn(
    redis: Redis, world: World, clock: Clock
) -> None:
    other = World.make(redis, clock, consumer="two", channels=[Ear()])
    first, second = Watched(world), Watched(other, consumer="two")
    await first.drain()
    await second.drain()
    await flood(redis, 4 * BATCH)
    for number in range(100):
        await put(redis, f"192.0.2.{number}", actions=LOUD)
    await first.turn()
    await second.turn()
    taken = [await first.intake.urgent(), await second.intake.urgent(), await first.intake.urgent()]
    assert [len(entries) for entries in taken] == [BATCH, 100 - BATCH, 0]
    assert len({entry_id for entries in taken for entry_id, _ in entries}) == 100


async def test_a_crash_after_taking_out_of_turn_loses_nothing(
    world: World, redis: Redis, responder: Watched
) -> None:
    await flood(redis, 2 * BATCH)
    await put(redis, actions=LOUD)
    await responder.turn()
    assert len(await responder.intake.urgent()) == 1
    again = Watched(world)
    await again._prepare(again.intake)
    assert again.acted == [(IP, 10)], "the same consumer goes on with it"
    await put(redis, "192.0.2.1", actions=LOUD)
    await responder.turn()
    responder.intake._is_behind = True
    assert len(await responder.intake.urgent()) == 1
    other = Watched(world, consumer="two", claim_idle_ms=0)
    await other.drain()
    assert ("192.0.2.1", 10) in other.acted, "another consumer takes it over"
    assert await redis.xlen(findings_key(0)) == 0


async def test_a_longer_queue_is_looked_through_over_several_turns(redis: Redis, responder: Watched) -> None:
    await flood(redis, BATCH + LOOKS * LOOKED_AT)
    await put(redis, actions=LOUD)
    await responder.turn()
    assert await responder.intake.urgent() == []
    assert len(await responder.intake.urgent()) == 1


async def test_a_storm_of_those_that_block_leaves_turns_to_the_others(
    redis: Redis, responder: Watched
) -> None:
    await flood(redis, 2 * BATCH)
    for number in range(4 * BATCH):
        await put(redis, f"198.51.{100 + number // 200}.{number % 200}", actions=LOUD)
    for _ in range(2):
        await turn(responder)
    subjects = [s for s, _ in responder.acted]
    assert sum(s.startswith("198.51.") for s in subjects) == BATCH
    assert sum(s.startswith("token") for s in subjects) == 2 * BATCH


async def test_the_loop_itself_looks_ahead(redis: Redis, clock: Clock) -> None:

    stop = asyncio.Event()
    world = World.make(redis, clock, channels=[Ear()])
    await flood(redis, 3_000)
    await put(redis, actions=LOUD)

    class Stopping(Responder):
        async def handle(self, *findings: Any) -> None:
            await super().handle(*findings)
            if findings[0].subject == IP:
                stop.set()

    async with asyncio.timeout(20):
        await Stopping(world).run(stop)
    assert await world.blocklist.find_active(IP) is not None
    assert await redis.xlen(findings_key(0)) > 2_000
