"""Response times and escalation: driven by the test's clock, a P0 goes through all its levels in milliseconds."""

import asyncio

import msgspec
import pytest
from acting import ALICE, HOUR, MINUTE, NOON, Clock, Ear, a_finding
from crashes import Fault, crash_at_each_step
from redis.asyncio import Redis

from actions.delivery.message import Message
from actions.delivery.outbox import outbox_key
from actions.incidents.incident import Incident
from actions.incidents.keys import incidents_key
from actions.incidents.response_plan import Grade, Level, ResponsePlan, Step
from actions.incidents.status import IncidentStatus, Move, Verdict
from actions.world import World
from detectors.finding import Priority, Severity

PLAN = ResponsePlan()


async def triggered(world: World, severity: Severity = Severity.CRITICAL, number: int = 1) -> Incident:
    finding = a_finding(number, severity=severity, subject=f"192.0.2.{number}")
    return (await world.incidents.open_or_join(finding, tell=True)).incident


async def kinds(world: World, incident_id: str) -> list[tuple[str, int]]:
    """What the clocks wrote on the timeline, with minutes since noon."""
    entries = (await world.timeline.page(incident_id))[0]
    wanted = ("escalated", "sla_breached", "resolved")
    return [(e.kind, (e.recorded_at - NOON) // MINUTE) for e in entries if e.kind in wanted]


async def written(world: World) -> list[Message]:
    """The messages that wait to be dispatched."""
    rows = await world.redis.xrange(outbox_key())
    return [msgspec.json.decode(fields[b"m"], type=Message) for _, fields in rows]


def test_the_steps_are_those_of_the_operators_matrix() -> None:
    assert PLAN.steps(Priority.P0) == (Step(30 * MINUTE, 2), Step(HOUR, 3), Step(2 * HOUR, 4))
    assert PLAN.told_at_opening(Priority.P0) == 2
    assert PLAN.steps(Priority.P1) == (
        Step(30 * MINUTE, 1),
        Step(45 * MINUTE, 2),
        Step(75 * MINUTE, 3),
        Step(135 * MINUTE, 4),
    )
    assert [s.after_ms // MINUTE for s in PLAN.steps(Priority.P2)] == [120, 135, 165, 225]
    assert [s.after_ms // MINUTE for s in PLAN.steps(Priority.P3)] == [480, 495, 525, 585]
    assert [PLAN.grade(p).response_ms // MINUTE for p in Priority] == [15, 60, 240, 1440]


async def test_a_p0_that_nobody_acknowledges_goes_through_level_4(
    world: World, clock: Clock, ear: Ear
) -> None:
    incident = await triggered(world)
    assert (incident.escalation_level, incident.ack_due_at, incident.escalate_at) == (
        2,
        NOON + 15 * MINUTE,
        NOON + 30 * MINUTE,
    )
    for _ in range(200):
        clock.forward(MINUTE)
        await world.clocks.strike()
    assert await kinds(world, incident.id) == [
        ("sla_breached", 15),
        ("escalated", 30),
        ("escalated", 60),
        ("escalated", 120),
    ]
    assert [(m.kind.value, m.level) for m in await written(world)] == [
        ("opened", 2),
        ("overdue", 2),
        ("escalated", 2),
        ("escalated", 3),
        ("escalated", 4),
    ]
    after = await world.incidents.get(incident.id)
    assert (after.escalation_level, after.escalate_at, after.ack_due_at) == (4, None, None)
    assert after.ack_breached_at == NOON + 15 * MINUTE
    assert after.status == IncidentStatus.TRIGGERED
    assert await world.clocks.next_at() is None


@pytest.mark.parametrize(
    ("severity", "levels", "breach"),
    [
        (Severity.HIGH, [30, 45, 75, 135], 60),
        (Severity.MEDIUM, [120, 135, 165, 225], 240),
        (Severity.LOW, [480, 495, 525, 585], 1440),
    ],
)
async def test_others_begin_at_their_own_time_and_keep_the_distances(
    world: World, clock: Clock, severity: Severity, levels: list[int], breach: int
) -> None:
    incident = await triggered(world, severity)
    while (at := await world.clocks.next_at()) is not None:
        clock.ms = at - 1
        assert await world.clocks.strike() == 0
        clock.ms = at
        assert await world.clocks.strike() == 1
    written = await kinds(world, incident.id)
    assert [at for kind, at in written if kind == "escalated"] == levels
    assert [at for kind, at in written if kind == "sla_breached"] == [breach]


@pytest.mark.parametrize("after_minutes", [1, 20, 40])
async def test_an_acknowledgement_stops_both_clocks(world: World, clock: Clock, after_minutes: int) -> None:
    incident = await triggered(world)
    for _ in range(after_minutes):
        clock.forward(MINUTE)
        await world.clocks.strike()
    before = await kinds(world, incident.id)
    moved = await world.moves.move(incident.id, Move.ACKNOWLEDGE, ALICE)
    assert (moved.ack_due_at, moved.escalate_at, moved.lead) == (None, None, "alice")
    assert await world.clocks.next_at() is None
    clock.forward(90 * 24 * HOUR)
    assert await world.clocks.strike() == 0
    assert await kinds(world, incident.id) == before


async def test_a_stroke_reads_the_incident_again_and_leaves_one_that_is_in_hand(
    world: World, clock: Clock, redis: Redis, ear: Ear
) -> None:
    incident = await triggered(world)
    await world.moves.move(incident.id, Move.ACKNOWLEDGE, ALICE)
    await redis.zadd(incidents_key("due"), {incident.id: NOON, "INC-1999-0001": NOON})
    clock.forward(HOUR)
    assert await world.clocks.strike() == 0
    assert await redis.zcard(incidents_key("due")) == 0
    assert [m.kind.value for m in await written(world)] == ["opened", "acknowledged"]


async def test_a_reopened_incident_has_somebody_and_pages_nobody(world: World, clock: Clock) -> None:
    incident = await triggered(world)
    await world.moves.move(incident.id, Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    clock.forward(4 * 30 * 24 * HOUR)
    reopened = await world.moves.move(incident.id, Move.REOPEN, ALICE)
    assert (reopened.status, reopened.reopened) == (IncidentStatus.ACKNOWLEDGED, 1)
    assert await world.clocks.next_at() is None


async def test_an_incident_that_nobody_was_told_of_waits_for_nobody(world: World, clock: Clock) -> None:
    quiet = (await world.incidents.open_or_join(a_finding(severity=Severity.CRITICAL))).incident
    assert (quiet.told_at, quiet.ack_due_at, quiet.escalate_at) == (None, None, None)
    clock.forward(HOUR)
    later = (await world.incidents.open_or_join(a_finding(2), tell=True)).incident
    assert later.ack_due_at == clock() + 15 * MINUTE


async def test_a_worse_finding_sets_the_clocks_anew_from_when_people_were_told(
    world: World, clock: Clock, ear: Ear
) -> None:
    incident = await triggered(world, Severity.MEDIUM)
    clock.forward(50 * MINUTE)
    worse = a_finding(2, severity=Severity.CRITICAL, subject="192.0.2.1")
    raised = (await world.incidents.open_or_join(worse, tell=True)).incident
    assert (raised.priority, raised.ack_due_at) == (Priority.P0, NOON + 15 * MINUTE)
    await world.clocks.strike()
    assert await kinds(world, incident.id) == [("sla_breached", 50), ("escalated", 50)]
    clock.forward(10 * MINUTE)
    await world.clocks.strike()
    assert (await world.incidents.get(incident.id)).escalation_level == 3


async def test_the_levels_have_channels_of_their_own(redis: Redis, clock: Clock, ear: Ear) -> None:
    levels = (
        Level(1, "On-call engineer", 15 * MINUTE, ("pager",)),
        Level(2, "Senior engineer", 30 * MINUTE, ("phone",)),
        Level(3, "Engineering manager", HOUR, ("mail",)),
        Level(4, "CTO", 2 * HOUR),
    )
    world = World.make(redis, clock, channels=[ear], plan=ResponsePlan(levels=levels))
    await triggered(world)
    while (at := await world.clocks.next_at()) is not None:
        clock.ms = at
        await world.clocks.strike()
    messages = await written(world)
    assert [(m.kind.value, m.channels, m.also) for m in messages] == [
        ("opened", (), ("pager", "phone")),
        ("overdue", (), ("pager",)),
        ("escalated", ("phone",), ()),
        ("escalated", ("mail",), ()),
        ("escalated", (), ()),
    ]
    assert "Senior engineer" in messages[2].text


async def test_a_person_escalates_at_once_and_the_next_level_comes_at_its_time(
    world: World, clock: Clock
) -> None:
    incident = await triggered(world, Severity.HIGH)
    clock.forward(MINUTE)
    for level in (1, 2):
        moved = await world.moves.move(incident.id, Move.ESCALATE, ALICE, "need help")
        assert (moved.escalation_level, moved.status) == (level, IncidentStatus.TRIGGERED)
    assert moved.escalate_at == NOON + 75 * MINUTE
    entries = (await world.timeline.page(incident.id))[0]
    assert (entries[-1].kind, entries[-1].text) == (
        "escalated",
        "escalated to level 2, Senior engineer: need help",
    )


async def test_of_many_processes_one_strikes(redis: Redis, clock: Clock) -> None:
    worlds = [World.make(redis, clock) for _ in range(8)]
    for number in range(5):
        await triggered(worlds[0], number=number)
    clock.forward(15 * MINUTE)
    assert sum(await asyncio.gather(*(w.clocks.strike() for w in worlds))) == 5
    for number in range(1, 6):
        assert await kinds(worlds[0], f"INC-2026-000{number}") == [("sla_breached", 15)]


async def test_a_quiet_incident_ends_by_itself_where_the_policy_says_so(
    redis: Redis, clock: Clock, ear: Ear
) -> None:
    plan = ResponsePlan(quiet_ms={"auth_failures": 2 * HOUR})
    world = World.make(redis, clock, channels=[ear], plan=plan)
    incident = await triggered(world, Severity.LOW)
    clock.forward(HOUR)
    await world.incidents.open_or_join(a_finding(2, subject="192.0.2.1", at=clock(), severity=Severity.LOW))
    clock.forward(2 * HOUR - 1)
    assert await world.clocks.strike() == 0
    clock.forward(1)
    assert await world.clocks.strike() == 1
    ended = await world.incidents.get(incident.id)
    assert (ended.status, ended.verdict) == (IncidentStatus.RESOLVED, None)
    assert [m.kind.value for m in await written(world)] == ["opened", "resolved"]
    assert (await world.incidents.open_or_join(a_finding(3, subject="192.0.2.1"))).opened


async def test_a_policy_with_fewer_levels_ends_the_escalation(redis: Redis, clock: Clock) -> None:
    world = World.make(redis, clock)
    incident = await triggered(world)
    world.incidents.plan = msgspec.structs.replace(PLAN, levels=PLAN.levels[:1])
    clock.forward(3 * HOUR)
    await world.clocks.strike()
    assert await kinds(world, incident.id) == [("sla_breached", 180)]
    assert await world.clocks.next_at() is None


async def test_the_table_of_the_policy_says_which_priority_a_severity_has(redis: Redis, clock: Clock) -> None:
    grades = tuple(
        Grade(p, s, g.response_ms, g.escalation_ms, g.name, g.means)
        for p, s, g in zip(Priority, reversed(Severity), PLAN.grades, strict=True)
    )
    world = World.make(redis, clock, plan=ResponsePlan(grades=grades))
    assert (await triggered(world, Severity.LOW)).priority == Priority.P0


@pytest.mark.parametrize("way", ["never arrives", "answer lost"])
async def test_a_crash_at_any_step_of_a_stroke_tells_once(
    redis: Redis, frail: Redis, clock: Clock, fault: Fault, way: str
) -> None:
    async def prepare() -> None:
        await redis.flushall()
        clock.ms = NOON
        await triggered(World.make(redis, clock))
        clock.forward(30 * MINUTE)

    async def run() -> None:
        await World.make(frail, clock).clocks.strike()

    async def take_over() -> None:
        world = World.make(redis, clock)
        await world.clocks.strike()
        assert await kinds(world, "INC-2026-0001") == [("sla_breached", 30), ("escalated", 30)]
        assert await world.outbox.waiting() == 2

    assert await crash_at_each_step(fault, frail, prepare=prepare, run=run, take_over=take_over, way=way) > 3
    await take_over()
