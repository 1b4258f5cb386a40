"""From a finding to its effects: the actions its rule names, in the mode the rule says."""

import asyncio
from typing import Any

import msgspec
import pytest
from acting import IP, NOON, Clock, Ear, Tally, a_finding
from redis.asyncio import Redis

from actions.blocks.block import BlockStatus
from actions.chores import Chores
from actions.delivery.message import Letter
from actions.delivery.sending import Sender
from actions.incidents.incident import Incident
from actions.incidents.response_plan import Campaign, ResponsePlan
from actions.intake import GROUP, TAKEOVERS, Intake, attempts_key, dead_key
from actions.observed import observed_key
from actions.responder import ACTIONS, Responder
from actions.storage import DAY_MS, DONE_TTL_MS
from actions.world import World
from detectors.errors import StorageError
from detectors.finding import Action, Evidence, Finding, Mode, Priority, Severity
from detectors.rule import Rule
from detectors.windows import findings_key, meta_of


async def put(
    redis: Redis,
    subject: str = IP,
    *,
    shard: int = 0,
    mode: Mode = Mode.ENFORCE,
    actions: tuple[Action, ...] = (Action.BLOCK_IP, Action.ALERT_ADMIN),
) -> bytes:
    """Appends a finding as the windows do."""
    rule = Rule("auth_failures", 10, 60_000, actions, Severity.HIGH, mode=mode)
    evidence = msgspec.json.encode(Evidence(NOON, NOON, "status 401", client_ip=subject)).decode()
    entry: Any = await redis.xadd(
        findings_key(shard),
        {
            "meta": meta_of(rule, subject),
            "first_at": NOON - 59_000,
            "at": NOON,
            "count": 10,
            "evidence": msgspec.msgpack.encode([evidence]),
        },
    )
    assert isinstance(entry, bytes)
    return entry


async def test_a_finding_of_the_stream_is_acted_upon_and_gone(world: World, redis: Redis, ear: Ear) -> None:
    await put(redis)
    assert await Responder(world).drain() == 1
    block = await world.blocklist.find_active(IP)
    assert block is not None
    [incident] = (await world.incidents.page())[0]
    assert block.incident_id == incident.id
    assert [m.incident_id for m in ear.heard] == [incident.id]
    assert incident.evidence[0].matched == "status 401"
    assert await redis.xlen(findings_key(0)) == 0
    assert (await redis.xpending(findings_key(0), GROUP))["pending"] == 0
    assert await Responder(world).drain() == 0


async def test_every_shard_is_followed(world: World, redis: Redis) -> None:
    for shard in range(4):
        await put(redis, f"192.0.2.{shard}", shard=shard)
    assert await Responder(world, shards=4).drain() == 4
    assert (await world.blocklist.counts())["active"] == 4


@pytest.mark.parametrize(
    ("actions", "kinds", "messages", "priority"),
    [
        ((Action.BLOCK_IP,), ["created", "action_taken"], 0, Priority.P1),
        ((Action.ALERT_ADMIN,), ["created"], 1, Priority.P1),
        ((Action.INVESTIGATE,), ["created", "evidence_added"], 0, Priority.P1),
        ((Action.CREATE_INCIDENT,), ["created"], 1, Priority.P1),
        ((Action.CREATE_INCIDENT_IMMEDIATE,), ["created"], 1, Priority.P0),
        (tuple(Action), ["created", "action_taken", "evidence_added"], 1, Priority.P0),
    ],
)
async def test_each_action_does_its_part_once(
    world: World,
    ear: Ear,
    actions: tuple[Action, ...],
    kinds: list[str],
    messages: int,
    priority: Priority,
) -> None:
    responder, finding = Responder(world), a_finding(actions=actions)
    for _ in range(2):
        await responder.handle(finding)
    await responder.drain()
    [incident] = (await world.incidents.page())[0]
    assert [e.kind for e in (await world.timeline.page(incident.id))[0]] == kinds + ["notified"] * messages
    assert len(ear.heard) == messages
    assert (incident.priority, incident.finding_count) == (priority, 1)


async def test_a_rule_that_observes_only_records(world: World, redis: Redis, tally: Tally, ear: Ear) -> None:
    finding = a_finding(mode=Mode.OBSERVE, actions=tuple(Action))
    responder = Responder(world)
    for _ in range(2):
        await responder.handle(finding)
    await responder.drain()
    assert await world.observed.page() == ([finding], None)
    assert (await world.incidents.page())[0] == []
    assert (await world.blocklist.counts())["kept"] == 0
    assert ear.heard == []
    assert tally.counted["findings mode=observe rule=auth_failures"] == 2
    assert 0 < await redis.pttl(observed_key(finding.id)) <= DONE_TTL_MS


async def test_observations_are_paged_from_the_newest(world: World) -> None:
    for n in range(5):
        await world.observed.record(a_finding(n))
    first, cursor = await world.observed.page(limit=3)
    second, end = await world.observed.page(cursor=cursor, limit=3)
    assert [f.id[-1] for f in first + second] == ["4", "3", "2", "1", "0"]
    assert end is None
    with pytest.raises(ValueError, match="cursor"):
        await world.observed.page(cursor="x")


async def test_a_rule_that_proposes_leaves_the_block_to_a_person(world: World, ear: Ear) -> None:
    responder = Responder(world)
    await responder.handle(a_finding(mode=Mode.PROPOSE, actions=(Action.BLOCK_IP, Action.ALERT_ADMIN)))
    await responder.drain()
    [block] = (await world.blocklist.page())[0]
    assert block.status == BlockStatus.PROPOSED
    assert len(ear.heard) == 1


async def test_an_action_that_fails_is_counted_and_noted_and_the_others_go_on(
    world: World, tally: Tally, ear: Ear
) -> None:
    async def broken(finding: Finding, incident: Incident, world: World) -> None:
        raise ZeroDivisionError("secret text")

    responder = Responder(world, actions={**ACTIONS, Action.INVESTIGATE: broken})
    finding = a_finding(actions=(Action.INVESTIGATE, Action.BLOCK_IP))
    for _ in range(2):
        await responder.handle(finding)
    assert await world.blocklist.find_active(IP) is not None
    entries = (await world.timeline.page("INC-2026-0001"))[0]
    assert [e.kind for e in entries] == ["created", "action_failed", "action_taken"]
    assert entries[1].text == "investigate failed: ZeroDivisionError"
    assert tally.counted["action_failures action=investigate"] == 2


async def test_a_storage_error_in_an_action_leaves_the_finding_on_the_stream(
    world: World, redis: Redis
) -> None:
    async def away(finding: Finding, incident: Incident, world: World) -> None:
        raise StorageError("Redis is away")

    await put(redis)
    with pytest.raises(StorageError):
        await Responder(world, actions={**ACTIONS, Action.BLOCK_IP: away}).drain()
    assert await redis.xlen(findings_key(0)) == 1
    assert await Responder(world).drain() == 0, "its own unfinished finding is resumed, not taken anew"
    assert await world.blocklist.find_active(IP) is not None
    assert await redis.xlen(findings_key(0)) == 0


async def test_what_another_process_left_behind_is_taken_over(world: World, redis: Redis) -> None:
    await put(redis)
    await redis.xgroup_create(findings_key(0), GROUP, id="0")
    await redis.xreadgroup(GROUP, "dead", {findings_key(0): ">"})
    assert await Responder(world, consumer="two").drain() == 0, "not before its time"
    assert await Responder(world, consumer="two", claim_idle_ms=0).drain() == 1
    assert await world.blocklist.find_active(IP) is not None


async def test_a_finding_that_kills_its_takers_is_set_aside(world: World, redis: Redis, tally: Tally) -> None:
    async def deadly(finding: Finding, incident: Incident, world: World) -> None:
        raise asyncio.CancelledError

    entry = await put(redis)
    await put(redis, "192.0.2.1")
    await redis.xgroup_create(findings_key(0), GROUP, id="0")
    await redis.xreadgroup(GROUP, "dead", {findings_key(0): ">"}, count=1)
    for n in range(TAKEOVERS):
        responder = Responder(
            world, consumer=str(n), claim_idle_ms=0, actions={**ACTIONS, Action.BLOCK_IP: deadly}
        )
        with pytest.raises(asyncio.CancelledError):
            await responder.drain()
    await Responder(world, consumer="last", claim_idle_ms=0).drain()
    [(_, row)] = await redis.xrange(dead_key())
    assert (row[b"entry"], row[b"why"]) == (entry, b"taken over more than 5 times")
    assert await world.blocklist.find_active("192.0.2.1") is not None
    assert await redis.xlen(findings_key(0)) == 0
    assert tally.counted["findings_dead"] == 1
    assert 0 < await redis.pttl(attempts_key(f"0:{entry.decode()}")) <= DAY_MS


@pytest.mark.parametrize(
    "fields",
    [
        {"x": "y"},
        {"meta": "{", "first_at": "1", "at": "1", "count": "1", "evidence": b"\x90"},
        {"meta": "{}", "first_at": "1", "at": "1", "count": "1", "evidence": b"\x90"},
        {"meta": "[]", "first_at": "1", "at": "1", "count": "1", "evidence": b"\x90"},
        {"meta": "{}", "first_at": "x", "at": "1", "count": "1", "evidence": b"\x01"},
    ],
)
async def test_an_entry_that_is_no_finding_is_set_aside_and_its_neighbours_handled(
    world: World, redis: Redis, fields: dict[str, Any]
) -> None:
    await redis.xadd(findings_key(0), fields)
    await put(redis)
    assert await Responder(world).drain() == 2
    assert await redis.xlen(dead_key()) == 1
    assert await world.blocklist.find_active(IP) is not None


async def test_several_responders_handle_each_finding_once(redis: Redis, clock: Clock, ear: Ear) -> None:
    for n in range(60):
        await put(redis, f"192.0.2.{n}")
    plan = ResponsePlan(campaign=Campaign(subjects=1_000))
    worlds = [World.make(redis, clock, consumer=str(n), channels=[ear], plan=plan) for n in range(4)]
    responders = [Responder(w, consumer=str(n)) for n, w in enumerate(worlds)]
    handled = await asyncio.gather(*(r.drain() for r in responders))
    assert sum(handled) == 60
    assert (await worlds[0].blocklist.counts())["active"] == 60
    incidents, _ = await worlds[0].incidents.page(limit=100)
    assert {i.finding_count for i in incidents} == {1}
    assert len(incidents) == len(ear.heard) == 60


async def test_it_runs_until_stopped(redis: Redis, clock: Clock) -> None:
    stop = asyncio.Event()

    class Stopper(Ear):
        async def send(self, letter: Letter) -> str:
            stop.set()
            return ""

    world = World.make(redis, clock, channels=[Stopper()])
    await put(redis)
    async with asyncio.timeout(10):
        await Responder(world).run(stop)
    assert await world.blocklist.find_active(IP) is not None


async def test_the_sweeper_ends_what_is_over(world: World, clock: Clock, tally: Tally) -> None:
    responder = Responder(world)
    await responder.handle(a_finding())
    clock.forward(4 * 3_600_000)
    await Chores(world).sweep()
    assert tally.counted["blocks_expired"] == 1
    assert (await world.feed.snapshot()).decisions == []


async def test_an_outage_only_delays(redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = asyncio.Event()
    waits: list[float] = []
    outage = {"left": 3}
    real = Responder._prepare

    async def prepare(self: Responder, intake: Intake) -> None:
        if outage["left"]:
            outage["left"] -= 1
            raise StorageError("Redis is away")
        await real(self, intake)

    async def pause(stop: asyncio.Event, seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    class Stopper(Ear):
        async def send(self, letter: Letter) -> str:
            stop.set()
            return ""

    monkeypatch.setattr(Responder, "_prepare", prepare)
    monkeypatch.setattr("actions.responder.pause", pause)
    tally = Tally()
    world = World.make(redis, clock, channels=[Stopper()], counters=tally)
    await put(redis)
    async with asyncio.timeout(10):
        await Responder(world).run(stop)
    assert [w for w in waits if w != 1.0][:3] == [0.1, 0.2, 0.4]
    assert tally.counted["storage_errors where=responder"] == 3
    assert await world.blocklist.find_active(IP) is not None


async def test_a_finding_that_cannot_be_handled_is_counted_and_set_aside_and_the_others_go_on(
    world: World, redis: Redis, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Responder.handle

    async def handle(self: Responder, finding: Finding, *others: Finding) -> None:
        if finding.subject == IP:
            raise ZeroDivisionError
        await real(self, finding, *others)

    monkeypatch.setattr(Responder, "handle", handle)
    entry = await put(redis)
    await put(redis, "192.0.2.1")
    await Responder(world, claim_idle_ms=0).drain()
    assert await world.blocklist.find_active("192.0.2.1") is not None
    assert tally.counted["action_failures action=block_ip"] == 1
    assert await redis.xlen(findings_key(0)) == 1
    await Responder(world, consumer="next", claim_idle_ms=0).drain()
    assert tally.counted["action_failures action=block_ip"] == TAKEOVERS + 1
    [(_, row)] = await redis.xrange(dead_key())
    assert row[b"entry"] == entry
    assert await redis.xlen(findings_key(0)) == 0


async def test_a_task_that_fails_ends_all_of_them(
    redis: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: object, name: str) -> None:
        raise RuntimeError("an error of ours")

    monkeypatch.setattr(Sender, "_take", fail)
    world = World.make(redis, clock, channels=[Ear()])
    async with asyncio.timeout(10):
        with pytest.raises(ExceptionGroup) as caught:
            await Responder(world).run(asyncio.Event())
    assert caught.value.subgroup(RuntimeError) is not None
