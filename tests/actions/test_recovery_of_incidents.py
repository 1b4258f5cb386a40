"""What is well again resolves its incident, a relapse reopens it, and flapping is not told of each time."""

import asyncio

import msgspec
import pytest
from acting import ALICE, MINUTE, NOON, Clock, Ear, Tally, a_finding
from redis.asyncio import Redis

from actions.audit import SYSTEM
from actions.chores import Chores
from actions.delivery.message import Message
from actions.delivery.routing import Routes
from actions.errors import ConflictError
from actions.incidents import recovery
from actions.incidents.filters import IncidentFilter
from actions.incidents.incident import Incident
from actions.incidents.recovery import LASTING_MS, RELAPSE_MS, REOPENED_AT_MOST, due_key, recovered_key
from actions.incidents.response_plan import Campaign, Level, ResponsePlan
from actions.incidents.status import IncidentStatus, Move, Verdict
from actions.responder import Responder
from actions.world import World
from detectors.defaults import DEFAULTS
from detectors.engine import Engine
from detectors.event import Batch, Event
from detectors.finding import Action, Finding, Mode, Severity, SubjectKind
from detectors.rule import Kind, Rule
from detectors.windows import Group, Windows, findings_key, meta_of

HOST = "api.example"
RULE = Rule(
    "health_check_failure",
    3,
    24 * 60 * MINUTE,
    (Action.CREATE_INCIDENT,),
    Severity.HIGH,
    Kind.STREAK,
    (SubjectKind.HOST,),
    recovers=2,
)


def failing(number: int, at: int = NOON, **fields: object) -> Finding:
    base = a_finding(
        number,
        at=at,
        rule="health_check_failure",
        subject=HOST,
        subject_kind=SubjectKind.HOST,
        actions=(Action.CREATE_INCIDENT,),
        count=3,
        threshold=3,
        why=f"{HOST} failed its health check 3 times in a row",
        phrase="",
        evidence=(),
    )
    return msgspec.structs.replace(base, **fields)


def well(number: int, at: int, **fields: object) -> Finding:
    why = f"{HOST} is well again: 2 checks passed in a row in 1 min"
    return failing(number, at, count=2, recovered=True, why=why, **fields)


class Desk:
    """A responder, the findings it is given, and what became of them."""

    def __init__(self, world: World, clock: Clock, ear: Ear) -> None:
        self.world, self.clock, self.ear = world, clock, ear
        self.responder = Responder(world)
        self.number = 0

    async def fails(self, at: int | None = None, **fields: object) -> Finding:
        self.number += 1
        finding = failing(self.number, self.clock() if at is None else at, **fields)
        await self.responder.handle(finding)
        return finding

    async def recovers(self, at: int | None = None, **fields: object) -> Finding:
        self.number += 1
        finding = well(self.number, self.clock() if at is None else at, **fields)
        await self.responder.handle(finding)
        return finding

    async def all(self) -> list[Incident]:
        return (await self.world.incidents.page(IncidentFilter()))[0]

    async def one(self) -> Incident:
        [incident] = await self.all()
        return incident

    async def messages(self) -> list[Message]:
        """What was written for the ear, in order, whether it left or was overtaken by what came after it."""
        await self.world.deliver()
        found, _ = await self.world.outbox.notifications(limit=200)
        return [n.message for n in reversed(found) if n.channel == "ear"]

    async def told(self) -> list[str]:
        return [message.kind.value for message in await self.messages()]

    async def kinds(self) -> list[str]:
        entries = (await self.world.timeline.page((await self.one()).id))[0]
        return [e.kind for e in entries if e.kind not in ("notified", "not_notified")]


@pytest.fixture
def desk(world: World, clock: Clock, ear: Ear) -> Desk:
    return Desk(world, clock, ear)


async def test_an_incident_is_resolved_when_its_subject_is_well_again(desk: Desk, tally: Tally) -> None:
    await desk.fails()
    desk.clock.forward(5 * MINUTE)
    over = await desk.recovers()
    incident = await desk.one()
    assert (incident.status, incident.verdict, incident.resolved_at) == ("resolved", None, desk.clock())
    assert await desk.kinds() == ["created", "resolved"]
    last = (await desk.world.timeline.page(incident.id))[0][-1]
    assert (last.actor, last.text, last.at) == (SYSTEM.name, over.why, over.at)
    assert await desk.told() == ["opened", "resolved"]
    assert (await desk.messages())[-1].text == over.why
    assert tally.counted["incidents result=recovered rule=health_check_failure"] == 1
    assert await desk.world.redis.ttl(recovered_key("health_check_failure:api.example")) > 0


@pytest.mark.parametrize("move", [Move.ACKNOWLEDGE, Move.MITIGATE])
async def test_one_that_somebody_works_on_is_resolved_too(desk: Desk, move: Move) -> None:
    await desk.fails()
    incident = await desk.one()
    await desk.world.moves.move(incident.id, Move.ACKNOWLEDGE, ALICE)
    if move is Move.MITIGATE:
        await desk.world.moves.move(incident.id, Move.MITIGATE, ALICE)
    await desk.recovers()
    assert (await desk.one()).status == IncidentStatus.RESOLVED


async def test_the_same_recovery_twice_is_once(desk: Desk) -> None:
    await desk.fails()
    over = await desk.recovers()
    for _ in range(2):
        await desk.responder.handle(over)
    assert await desk.kinds() == ["created", "resolved"]
    assert await desk.told() == ["opened", "resolved"]


async def test_at_once_by_many_processes_it_is_resolved_once(desk: Desk, redis: Redis, clock: Clock) -> None:
    await desk.fails()
    over = well(9, NOON + 1)
    others = [World.make(redis, clock, consumer=str(n), channels=[desk.ear]) for n in range(8)]
    await asyncio.gather(*(recovery.resolve_recovered(other, over) for other in others))
    assert await desk.told() == ["opened", "resolved"]


async def test_it_never_opens_one(desk: Desk) -> None:
    await desk.recovers()
    assert await desk.all() == []
    assert await desk.told() == []


async def test_a_rule_about_attackers_resolves_nothing(desk: Desk) -> None:
    attack = a_finding(1)
    await desk.responder.handle(attack)
    await desk.responder.handle(a_finding(2, at=NOON + 1, recovered=True))
    assert (await desk.one()).status == IncidentStatus.TRIGGERED


async def test_one_that_many_subjects_share_is_not_resolved_by_one_of_them(desk: Desk) -> None:
    hosts = [f"h{number}.example" for number in range(Campaign().subjects + 2)]
    for host in hosts:
        await desk.fails(subject=host)
    for host in hosts:
        await desk.recovers(NOON + 1, subject=host)
    left, _ = await desk.world.incidents.page(IncidentFilter(), limit=200)
    assert [i.members for i in left if i.status == IncidentStatus.TRIGGERED] == [len(hosts)]
    assert sum(i.status == IncidentStatus.MERGED for i in left) == Campaign().subjects - 1


async def test_what_only_observes_neither_opens_nor_resolves(desk: Desk) -> None:
    await desk.fails()
    await desk.recovers(mode=Mode.OBSERVE)
    assert (await desk.one()).status == IncidentStatus.TRIGGERED


async def test_nobody_is_told_of_the_end_who_was_not_told_of_the_beginning(desk: Desk) -> None:
    await desk.fails(actions=(Action.INVESTIGATE,))
    await desk.recovers(actions=(Action.INVESTIGATE,))
    assert (await desk.one()).status == IncidentStatus.RESOLVED
    assert "resolved" not in await desk.told()


async def test_a_relapse_within_ten_minutes_reopens_the_same_incident(desk: Desk) -> None:
    await desk.fails()
    await desk.world.moves.move((await desk.one()).id, Move.ACKNOWLEDGE, ALICE)
    desk.clock.forward(MINUTE)
    await desk.recovers()
    desk.clock.forward(RELAPSE_MS)
    again = await desk.fails()
    incident = await desk.one()
    assert (incident.status, incident.finding_count, incident.resolved_at) == ("acknowledged", 2, None)
    assert await desk.told() == ["opened", "acknowledged", "resolved", "reopened"]
    assert again.why in (await desk.messages())[-1].text
    assert [m.episode for m in await desk.messages()] == [0, 0, 0, 1]
    desk.clock.forward(MINUTE)
    await desk.recovers()
    assert (await desk.one()).status == IncidentStatus.RESOLVED


async def test_a_relapse_later_opens_another(desk: Desk) -> None:
    await desk.fails()
    await desk.recovers(NOON + 1)
    desk.clock.forward(RELAPSE_MS + 1)
    await desk.fails()
    assert [i.status.value for i in await desk.all()] == ["triggered", "resolved"]


async def test_one_that_a_person_has_judged_is_not_reopened(desk: Desk) -> None:
    await desk.fails()
    incident = await desk.one()
    await desk.world.moves.move(incident.id, Move.ACKNOWLEDGE, ALICE)
    await desk.world.moves.move(incident.id, Move.RESOLVE, ALICE, verdict=Verdict.BENIGN)
    await desk.recovers(NOON + 1)
    desk.clock.forward(MINUTE)
    await desk.fails()
    assert [i.status.value for i in await desk.all()] == ["triggered", "resolved"]


async def test_flapping_makes_a_bounded_number_of_messages_and_ends_when_it_lasts(desk: Desk) -> None:
    for _ in range(40):
        await desk.fails()
        desk.clock.forward(MINUTE)
        await desk.recovers()
        await Chores(desk.world).sweep()
        desk.clock.forward(MINUTE)
    assert (await desk.one()).status == IncidentStatus.TRIGGERED
    told = await desk.told()
    assert told.count("opened") == 1
    assert told.count("resolved") == told.count("reopened") == REOPENED_AT_MOST
    assert told.count("update") <= 40 * 2 // 10
    desk.clock.forward(LASTING_MS - MINUTE)
    await Chores(desk.world).sweep()
    assert (await desk.one()).status == IncidentStatus.RESOLVED
    assert (await desk.told())[-1] == "resolved"
    assert not await desk.world.redis.exists(due_key())
    assert "recovering" in await desk.kinds()


async def test_one_that_flaps_and_is_resolved_by_a_person_is_left_alone(desk: Desk) -> None:
    for _ in range(REOPENED_AT_MOST + 1):
        await desk.fails()
        desk.clock.forward(MINUTE)
        await desk.recovers()
        desk.clock.forward(MINUTE)
    incident = await desk.one()
    await desk.world.moves.move(incident.id, Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    desk.clock.forward(LASTING_MS)
    await Chores(desk.world).sweep()
    assert (await desk.one()).status == IncidentStatus.DISMISSED
    assert not await desk.world.redis.exists(due_key())


async def test_a_firing_handled_after_its_recovery_is_resolved_with_it(desk: Desk) -> None:
    await desk.recovers(NOON + MINUTE)
    await desk.fails(NOON)
    assert (await desk.one()).status == IncidentStatus.RESOLVED
    assert await desk.told() == ["opened", "resolved"]


async def test_a_belated_firing_is_noted_and_reopens_nothing(desk: Desk) -> None:
    await desk.fails(NOON)
    await desk.recovers(NOON + MINUTE)
    late = await desk.fails(NOON + 1)
    await desk.responder.handle(late)
    assert (await desk.one()).status == IncidentStatus.RESOLVED
    assert await desk.kinds() == ["created", "resolved", "event_attached"]
    assert await desk.told() == ["opened", "resolved"]


async def test_a_firing_that_comes_again_after_the_recovery_changes_nothing(desk: Desk) -> None:
    first = await desk.fails(NOON)
    await desk.recovers(NOON + MINUTE)
    await desk.responder.handle(first)
    assert await desk.kinds() == ["created", "resolved"]


async def test_a_recovery_handled_after_the_next_firing_leaves_it_open(desk: Desk) -> None:
    await desk.fails(NOON)
    await desk.fails(NOON + 2 * MINUTE)
    await desk.recovers(NOON + MINUTE)
    assert (await desk.one()).status == IncidentStatus.TRIGGERED
    await desk.recovers(NOON + 3 * MINUTE)
    assert (await desk.one()).status == IncidentStatus.RESOLVED


async def test_open_recovered_resolved_from_the_windows_to_the_message(desk: Desk, redis: Redis) -> None:
    """The whole way, in one batch: nine failures (of which six are held) and two good checks."""
    goods = [0] * 9 + [1, 1]
    group = Group(RULE, HOST, RULE.name, meta_of(RULE, HOST), [NOON + i for i in range(11)], goods, [])
    await Windows(redis).apply([group], None)
    assert await redis.xlen(findings_key(0)) == 3
    await desk.responder.drain()
    incident = await desk.one()
    assert (incident.status, incident.event_count) == ("resolved", 9)
    assert await desk.kinds() == ["created", "event_attached", "resolved"]
    assert await desk.told() == ["opened", "update", "resolved"]
    assert await redis.xlen(findings_key(0)) == 0


def requests(start: int, of: int, **fields: object) -> Batch:
    """Ten minutes of traffic: a request a second, of which every so many is as told."""
    plain = {"host": HOST, "path": "/orders", "status": 200, "duration_ms": 80.0}
    events = [
        Event(timestamp=(start + 1000 * n) / 1000, **{**plain, **(fields if of and n % of == 0 else {})})
        for n in range(600)
    ]
    return Batch(events, [msgspec.json.encode(e) for e in events], start + 600_000, "test")


@pytest.mark.parametrize(
    ("rule", "of", "fields"),
    [
        ("high_error_rate", 10, {"status": 502}),
        ("elevated_error_rate", 20, {"status": 502}),
        ("slow_responses", 15, {"duration_ms": 4000.0}),
    ],
)
async def test_from_the_log_to_the_resolved_incident(
    desk: Desk, redis: Redis, clock: Clock, rule: str, of: int, fields: dict[str, object]
) -> None:
    engine = Engine([DEFAULTS[rule]], Windows(redis), fingerprint_key=b"k" * 32)
    for start, every in (0, 0), (1, of), (2, of):
        await engine.process(requests(NOON + start * 600_000, every, **fields))
        clock.forward(600_000)
        await desk.responder.drain()
    incident = await desk.one()
    assert (incident.rule, incident.status.value, incident.subject) == (rule, "triggered", HOST)
    await engine.process(requests(NOON + 3 * 600_000, 0))
    clock.forward(600_000)
    await desk.responder.drain()
    assert (await desk.one()).status == IncidentStatus.RESOLVED
    entries = (await desk.world.timeline.page(incident.id))[0]
    last = next(entry for entry in entries if entry.kind == "resolved")
    assert last.text.startswith(f"{HOST} is well again: ")
    assert (await desk.told())[-1] == "resolved"


async def test_a_rate_below_ten_per_cent_opens_no_incident_of_high_error_rate(
    desk: Desk, redis: Redis
) -> None:
    engine = Engine([DEFAULTS["high_error_rate"]], Windows(redis), fingerprint_key=b"k" * 32)
    for start in range(3):
        await engine.process(requests(NOON + start * 600_000, 12, status=500))
    await desk.responder.drain()
    assert await desk.all() == []


async def test_a_relapse_that_nobody_has_in_hand_starts_the_clocks_anew(desk: Desk) -> None:
    await desk.fails()
    desk.clock.forward(3 * MINUTE)
    await desk.recovers()
    assert await desk.world.clocks.next_at() is None
    desk.clock.forward(MINUTE)
    await desk.fails()
    incident = await desk.one()
    assert (incident.status, incident.reopened) == (IncidentStatus.TRIGGERED, 1)
    assert incident.escalate_at == desk.clock() + 30 * MINUTE
    assert incident.ack_due_at == desk.clock() + 60 * MINUTE


async def test_a_relapse_of_what_is_critical_is_told_to_the_levels_that_its_opening_told(
    redis: Redis, clock: Clock
) -> None:
    ear, phone = Ear(), Ear("phone")
    world = World.make(
        redis, clock, channels=[ear, phone], routes=Routes(routes=(), types={"ear": "x", "phone": "x"})
    )
    world.incidents.plan = ResponsePlan(levels=(Level(1, "On-call engineer", 15 * MINUTE, ("phone",)),))
    responder = Responder(world)
    await responder.handle(failing(1, severity=Severity.CRITICAL))
    await world.deliver()
    await responder.handle(well(2, NOON + MINUTE))
    await world.deliver()
    await responder.handle(failing(3, at=NOON + 2 * MINUTE, severity=Severity.CRITICAL))
    await world.deliver()
    assert [m.kind.value for m in phone.heard] == ["opened", "resolved", "reopened"]


async def test_an_attack_is_not_merged_into_what_is_resolved_by_itself(world: World) -> None:
    await Responder(world).handle(failing(1))
    attack = (await world.incidents.open_or_join(a_finding(9))).incident
    [service] = [i for i in (await world.incidents.page())[0] if i.rule == RULE.name]
    with pytest.raises(ConflictError, match="resolved by itself"):
        await world.moves.merge(attack.id, service.id, ALICE)
    await world.moves.merge(service.id, attack.id, ALICE)
    await Responder(world).handle(well(2, NOON + MINUTE))
    assert (await world.incidents.get(attack.id)).is_open
