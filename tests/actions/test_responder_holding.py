"""A flood about known subjects is merged, and delays nobody's first finding."""

import asyncio
from typing import Any

import pytest
from acting import IP, Clock, Ear, Tally
from redis.asyncio import Redis
from test_responder import put

from actions.held import HOLD_MS
from actions.incidents.incident import Incident
from actions.intake import BATCH, GROUP, Intake
from actions.observed import observed_key
from actions.responder import ACTIONS, CLAIM_EVERY_MS, Responder
from actions.world import World
from detectors.errors import StorageError
from detectors.finding import Action, Finding, Mode
from detectors.windows import findings_key


class Watched(Responder):
    """Remembers on whom it acted, and how much at once."""

    def __init__(self, world: World, **named: Any) -> None:
        self.acted: list[tuple[str, int]] = []
        super().__init__(world, actions={**ACTIONS, Action.INVESTIGATE: self.remember}, **named)
        [self.intake] = self._intakes

    async def remember(self, finding: Finding, incident: Incident, world: World) -> None:
        self.acted.append((finding.subject, finding.count))

    async def turn(self) -> int:
        """One turn of the loop that `run` goes through."""
        await self._resume_in_turn(self.intake)
        taken = await self._take(self.intake, block_ms=0)
        await self._handle_due(self.intake)
        return taken


@pytest.fixture
async def responder(world: World) -> Watched:
    responder = Watched(world)
    await responder.drain()
    return responder


BOTH = (Action.BLOCK_IP, Action.INVESTIGATE)


async def pending(redis: Redis) -> int:
    count: int = (await redis.xpending(findings_key(0), GROUP))["pending"]
    return count


async def test_the_first_is_handled_at_once_and_those_within_a_second_as_one(
    world: World, redis: Redis, clock: Clock, tally: Tally, responder: Watched
) -> None:
    for _ in range(6):
        await put(redis, actions=BOTH)
        await responder.turn()
    assert responder.acted == [(IP, 10)]
    assert await pending(redis) == await redis.xlen(findings_key(0)) == 5
    clock.forward(HOLD_MS - 1)
    await responder.turn()
    assert responder.acted == [(IP, 10)]
    clock.forward(1)
    await responder.turn()
    assert responder.acted == [(IP, 10), (IP, 50)]
    assert await pending(redis) == await redis.xlen(findings_key(0)) == 0
    [incident] = (await world.incidents.page())[0]
    assert (incident.event_count, incident.finding_count) == (60, 6)
    kinds = [e.kind for e in (await world.timeline.page(incident.id))[0]]
    assert kinds == ["created", "action_taken", "event_attached", "action_skipped"]
    assert tally.counted["findings mode=enforce rule=auth_failures"] == 6
    assert tally.counted["incidents result=opened rule=auth_failures"] == 1
    assert tally.counted["incidents result=joined rule=auth_failures"] == 5


async def test_after_each_merger_the_subject_waits_again_and_at_rest_is_forgotten(
    redis: Redis, clock: Clock, responder: Watched
) -> None:
    for _ in range(30):
        await put(redis, actions=BOTH)
        await responder.turn()
        clock.forward(100)
    assert responder.acted == [(IP, 10), (IP, 100), (IP, 100)]
    clock.forward(HOLD_MS)
    await responder.turn()
    clock.forward(HOLD_MS)
    await put(redis, actions=BOTH)
    await responder.turn()
    assert responder.acted[3:] == [(IP, 90), (IP, 10)]


async def test_the_first_of_each_subject_goes_before_the_rest_of_a_read(
    redis: Redis, responder: Watched
) -> None:
    await put(redis, actions=BOTH)
    await put(redis, "192.0.2.0", actions=BOTH)
    await responder.turn()
    for subject in (IP, IP, "192.0.2.0", "192.0.2.1", "192.0.2.1", IP, "192.0.2.2"):
        await put(redis, subject, actions=BOTH)
    await responder.turn()
    assert [s for s, _ in responder.acted] == [IP, "192.0.2.0", "192.0.2.1", "192.0.2.2"]
    await responder._handle_held(responder.intake)
    assert responder.acted[4:] == [(IP, 30), ("192.0.2.0", 10), ("192.0.2.1", 10)]


async def test_a_first_about_somebody_new_passes_a_backlog_about_known_ones(
    redis: Redis, clock: Clock, responder: Watched
) -> None:
    known = [f"203.0.113.{n}" for n in range(40)]
    for subject in known:
        await put(redis, subject, actions=BOTH)
    await responder.turn()
    for n in range(600):
        await put(redis, known[n % 40], actions=BOTH)
    await put(redis, "192.0.2.1", actions=BOTH)
    responder.acted.clear()
    for _ in range(600 // BATCH + 1):
        clock.forward(150)  # so that what is held falls due meanwhile
        await responder.turn()
    before = [s for s, _ in responder.acted].index("192.0.2.1")
    assert before <= 40, "each of those known was handled once at most"
    await responder._handle_held(responder.intake)
    assert sum(count for _, count in responder.acted) == 6_010


async def test_what_only_observes_is_recorded_at_once_after_those_that_act(
    world: World, redis: Redis
) -> None:
    recorded: list[int] = []

    async def act(finding: Finding, incident: Incident, world: World) -> None:
        recorded.append(await redis.xlen(observed_key()))

    responder = Responder(world, actions={Action.INVESTIGATE: act})
    [intake] = responder._intakes
    await responder._prepare(intake)
    for subject, mode in [(IP, Mode.ENFORCE), *[(IP, Mode.OBSERVE)] * 5, ("192.0.2.1", Mode.ENFORCE)]:
        await put(redis, subject, mode=mode, actions=(Action.INVESTIGATE,))
    assert await responder._take(intake, block_ms=0) == 7
    assert recorded == [0, 0]
    assert await redis.xlen(observed_key()) == 5
    assert await pending(redis) == 0


async def test_a_drain_leaves_nothing_held(world: World, redis: Redis, responder: Watched) -> None:
    for n in range(300):
        await put(redis, f"192.0.2.{n % 3}", actions=BOTH)
    assert await responder.drain() == 300
    assert await redis.xlen(findings_key(0)) == 0
    incidents = (await world.incidents.page())[0]
    assert {(i.event_count, i.finding_count) for i in incidents} == {(1000, 100)}
    assert len(responder.acted) == 6


async def test_a_clean_stop_handles_what_is_held(world: World, redis: Redis) -> None:
    stop = asyncio.Event()

    async def last(finding: Finding, incident: Incident, world: World) -> None:
        stop.set()

    for _ in range(5):
        await put(redis, actions=(Action.INVESTIGATE,))
    async with asyncio.timeout(10):
        await Responder(world, actions={Action.INVESTIGATE: last}).run(stop)
    [incident] = (await world.incidents.page())[0]
    assert (incident.event_count, incident.finding_count) == (50, 5)
    assert await redis.xlen(findings_key(0)) == 0


async def test_a_stop_while_redis_is_away_leaves_what_is_held_for_the_next_start(
    world: World, redis: Redis, tally: Tally
) -> None:
    stop = asyncio.Event()

    async def away_at_last(finding: Finding, incident: Incident, world: World) -> None:
        if stop.is_set():
            raise StorageError("Redis is away")
        stop.set()

    for _ in range(5):
        await put(redis, actions=(Action.INVESTIGATE,))
    async with asyncio.timeout(10):
        await Responder(world, actions={Action.INVESTIGATE: away_at_last}).run(stop)
    assert tally.counted["storage_errors where=responder"] == 1
    assert await redis.xlen(findings_key(0)) == 4
    responder = Watched(world)
    await responder.drain()
    assert responder.acted == [(IP, 10)] * 4
    assert (await world.incidents.page())[0][0].event_count == 50
    assert await redis.xlen(findings_key(0)) == 0


async def test_what_it_holds_itself_is_not_taken_over(world: World, redis: Redis, clock: Clock) -> None:
    responder = Watched(world, claim_idle_ms=0)
    await responder.drain()
    for _ in range(4):
        await put(redis, actions=BOTH)
    await responder.turn()
    clock.forward(CLAIM_EVERY_MS // 2)
    assert await responder._resume(responder.intake) == 0
    assert responder.acted == [(IP, 10)]
    clock.forward(HOLD_MS)
    await responder.turn()
    assert responder.acted == [(IP, 10), (IP, 30)]


async def test_what_is_left_over_or_taken_over_is_not_held(world: World, redis: Redis) -> None:
    first = Watched(world)
    await first.drain()
    for _ in range(4):
        await put(redis, actions=BOTH)
    await first.turn()
    same = Watched(world)
    await same.drain()
    assert same.acted == [(IP, 10)] * 3
    for _ in range(4):
        await put(redis, actions=BOTH)
    await first.turn()
    other = Watched(world, consumer="two", claim_idle_ms=0)
    await other.drain()
    assert other.acted == [(IP, 10)] * 4
    await first._handle_held(first.intake)
    [incident] = (await world.incidents.page())[0]
    assert (incident.event_count, incident.finding_count) == (80, 8)
    assert await redis.xlen(findings_key(0)) == 0


async def test_what_comes_again_after_an_outage_is_held_no_longer(redis: Redis, responder: Watched) -> None:
    for _ in range(4):
        await put(redis, actions=BOTH)
    await responder.turn()
    await responder._prepare(responder.intake)
    assert responder.acted == [(IP, 10)] * 4
    assert responder.intake.held.entries() == set()


async def test_what_others_left_is_looked_for_at_the_start_and_once_a_second(
    world: World, redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    real = Intake.left_behind

    async def left_behind(self: Intake) -> Any:
        looked.append(clock())
        return await real(self)

    monkeypatch.setattr(Intake, "left_behind", left_behind)
    responder = Watched(world)
    await responder._prepare(responder.intake)
    start = clock()
    for _ in range(35):
        await responder.turn()
        clock.forward(100)
    assert [at - start for at in looked] == [0, 1000, 2000, 3000]
    clock.forward(-60_000)
    await responder.turn()
    assert len(looked) == 5, "a clock that was set back does not stop it"


async def test_much_that_others_left_is_taken_over_without_a_pause(
    world: World, redis: Redis, clock: Clock
) -> None:
    for n in range(2 * BATCH + 5):
        await put(redis, f"192.0.2.{n}", actions=(Action.INVESTIGATE,))
    await redis.xgroup_create(findings_key(0), GROUP, id="0")
    await redis.xreadgroup(GROUP, "dead", {findings_key(0): ">"})
    responder = Watched(world, consumer="two", claim_idle_ms=0)
    await responder._prepare(responder.intake)
    for _ in range(3):
        await responder.turn()
    assert len(responder.acted) == 2 * BATCH + 5


async def test_an_outage_while_something_is_held_loses_and_repeats_nothing(
    world: World, redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = asyncio.Event()
    calls: list[int] = []

    async def flaky(finding: Finding, incident: Incident, world: World) -> None:
        calls.append(finding.count)
        if len(calls) == 1:
            for _ in range(9):
                await put(redis, actions=(Action.INVESTIGATE,))
            clock.forward(10)
        elif len(calls) == 2:
            raise StorageError("Redis is away")
        elif await redis.xlen(findings_key(0)) == 1:
            stop.set()

    async def pause(stop: asyncio.Event, seconds: float) -> None:
        await asyncio.sleep(0)

    real = Responder._take

    async def take(self: Responder, intake: Intake, block_ms: int) -> int:
        taken = await real(self, intake, min(block_ms, 1))
        clock.forward(400)
        return taken

    monkeypatch.setattr("actions.responder.pause", pause)
    monkeypatch.setattr(Responder, "_take", take)
    await put(redis, actions=(Action.INVESTIGATE,))
    async with asyncio.timeout(10):
        await Responder(world, actions={Action.INVESTIGATE: flaky}).run(stop)
    assert calls[:2] == [10, 90]
    [incident] = (await world.incidents.page())[0]
    assert (incident.event_count, incident.finding_count) == (100, 10)
    assert await redis.xlen(findings_key(0)) == 0


async def test_a_flood_is_told_as_little_as_without_holding(
    world: World, redis: Redis, clock: Clock, ear: Ear
) -> None:
    responder = Responder(world)
    for _ in range(20):
        for _ in range(10):
            await put(redis)
        await responder.drain()
        clock.forward(30_000)
    assert [m.kind.value for m in ear.heard] == ["opened", "update"]
