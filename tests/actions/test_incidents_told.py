"""Whoever was told of an incident hears how it ends, however it was told."""

from collections.abc import Awaitable, Callable

from acting import ALICE, MINUTE, Clock, Ear, a_finding
from delivering import a_world, lines, opened
from redis.asyncio import Redis

from actions.delivery.message import Letter, MessageKind
from actions.delivery.routing import Route, Routes
from actions.incidents.incident import Entity, Incident
from actions.incidents.reported import report
from actions.incidents.response_plan import Level, ResponsePlan
from actions.incidents.status import Move, Verdict
from actions.world import World
from detectors.finding import Severity


class Slow(Ear):
    """While it sends for the first time, something else happens."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def send(self, letter: Letter) -> str:
        first, self.meanwhile = self.meanwhile, None
        if first is not None:
            await first()
        return await super().send(letter)


def heard(ear: Ear) -> list[tuple[MessageKind, str]]:
    return [(message.kind, message.incident_id) for message in ear.heard]


async def quiet(world: World, number: int = 1, **fields: object) -> Incident:
    finding = a_finding(number, **fields)
    return (await world.incidents.open_or_join(finding)).incident


async def test_what_was_told_of_only_after_somebody_had_it_in_hand_ends_for_those_told(
    world: World, ear: Ear
) -> None:
    incident = await quiet(world)
    await world.moves.move(incident.id, Move.ACKNOWLEDGE, ALICE)
    joined = (await world.incidents.open_or_join(a_finding(2), tell=True)).incident
    assert (joined.ack_due_at, joined.escalate_at) == (None, None)
    await world.deliver()
    await world.moves.move(incident.id, Move.RESOLVE, ALICE, verdict=Verdict.TRUE_POSITIVE)
    await world.deliver()
    assert heard(ear) == [(MessageKind.UPDATE, incident.id), (MessageKind.RESOLVED, incident.id)]


async def test_a_level_that_the_routes_do_not_name_hears_that_it_is_over(redis: Redis, clock: Clock) -> None:
    chat, pager, other = Ear("chat"), Ear("pager"), Ear("other")
    world = a_world(redis, clock, chat, pager, other)
    world.take_routes(
        Routes(
            routes=(Route(channels=("chat",)),),
            types={"chat": "slack", "pager": "pagerduty", "other": "pagerduty"},
        ),
        world.dispatcher.timing,
    )
    levels = (Level(1, "On-call engineer", 15 * MINUTE, ("pager",)), Level(2, "CTO", 30 * MINUTE, ("other",)))
    world.incidents.plan = ResponsePlan(levels=levels)
    [incident] = await opened(world)
    await world.deliver()
    clock.forward(30 * MINUTE)
    await world.clocks.strike()
    await world.deliver()
    await world.moves.move(incident.id, Move.ACKNOWLEDGE, ALICE)
    await world.deliver()
    await world.moves.move(incident.id, Move.RESOLVE, ALICE, verdict=Verdict.TRUE_POSITIVE)
    await world.deliver()
    assert [kind for kind, _ in heard(pager)] == ["escalated", "acknowledged", "resolved"]
    assert [kind for kind, _ in heard(chat)] == ["opened", "acknowledged", "resolved"]
    assert heard(other) == []
    assert not [text for _, text in await lines(world, incident.id) if "other" in text]


async def test_a_pager_that_was_told_hears_the_end_of_what_was_graded_down(
    redis: Redis, clock: Clock
) -> None:
    pager = Ear("pager")
    world = a_world(redis, clock, pager, types={"pager": "pagerduty"})
    [incident] = await opened(world)
    await world.deliver()
    await world.work.edit(incident.id, ALICE, {}, severity=Severity.LOW)
    await world.moves.move(incident.id, Move.DISMISS, ALICE, verdict=Verdict.FALSE_POSITIVE)
    await world.deliver()
    assert [kind for kind, _ in heard(pager)] == ["opened", "dismissed"]


async def test_a_pager_whose_page_is_on_its_way_hears_the_end_after_it(redis: Redis, clock: Clock) -> None:
    pager = Slow("pager")
    world = a_world(redis, clock, pager, types={"pager": "pagerduty"})
    [incident] = await opened(world)
    await world.work.edit(incident.id, ALICE, {}, severity=Severity.LOW)

    async def meanwhile() -> None:
        await world.moves.move(incident.id, Move.DISMISS, ALICE, verdict=Verdict.FALSE_POSITIVE)
        await world.dispatcher.step()

    pager.meanwhile = meanwhile
    await world.deliver()
    assert [kind for kind, _ in heard(pager)] == ["opened", "dismissed"]


async def test_the_first_that_people_are_told_is_an_opening_however_many_findings_were_quiet(
    redis: Redis, clock: Clock
) -> None:
    ear = Ear()
    world = a_world(redis, clock, ear)
    findings = [a_finding(n) for n in range(3)]
    incident = (await world.incidents.open_or_join(*findings)).incident
    assert await world.incidents.tell(findings[0], incident.id)
    await world.deliver()
    assert heard(ear) == [(MessageKind.OPENED, incident.id)]


async def test_what_is_to_be_told_of_a_merged_incident_is_told_of_the_other(world: World, ear: Ear) -> None:
    old, other = await quiet(world), await quiet(world, 2, subject="192.0.2.2")
    await world.moves.merge(old.id, other.id, ALICE)
    assert await world.incidents.tell(a_finding(), old.id)
    raised = await world.incidents.make_immediate(old.id)
    assert (raised.id, raised.immediate) == (other.id, True)
    await world.deliver()
    assert heard(ear) == [(MessageKind.OPENED, other.id)]


async def test_findings_follow_from_merge_to_merge(world: World) -> None:
    first, second, third = [await quiet(world, n, subject=f"192.0.2.{n}") for n in range(3)]
    await world.moves.merge(first.id, second.id, ALICE)
    await world.moves.merge(second.id, third.id, ALICE)
    joined = await world.incidents.open_or_join(a_finding(9, subject="192.0.2.0"))
    assert (joined.opened, joined.incident.id) == (False, third.id)


async def test_who_was_told_of_a_merged_incident_is_told_of_the_one_that_goes_on(
    world: World, ear: Ear
) -> None:
    [told] = await opened(world)
    other = await quiet(world, 9, subject="192.0.2.99")
    await world.moves.merge(told.id, other.id, ALICE)
    waiting = await world.incidents.get(other.id)
    assert waiting.ack_due_at is not None
    await world.deliver()
    assert (MessageKind.OPENED, other.id) in heard(ear)


async def test_a_quiet_incident_that_is_told_of_now_opens_for_its_levels(redis: Redis, clock: Clock) -> None:
    ear, phone = Ear(), Ear("phone")
    world = a_world(redis, clock, ear, phone)
    world.take_routes(
        Routes(routes=(Route(channels=("ear",)),), types={"ear": "x", "phone": "x"}), world.dispatcher.timing
    )
    world.incidents.plan = ResponsePlan(levels=(Level(1, "On-call engineer", 15 * MINUTE, ("phone",)),))
    incident = await quiet(world, severity=Severity.CRITICAL)
    await world.incidents.open_or_join(a_finding(2, severity=Severity.CRITICAL), tell=True)
    await world.deliver()
    assert heard(ear) == heard(phone) == [(MessageKind.OPENED, incident.id)]


async def test_what_becomes_critical_is_told_at_once_to_those_whom_a_critical_one_tells(
    redis: Redis, clock: Clock
) -> None:
    ear, phone = Ear(), Ear("phone")
    world = a_world(redis, clock, ear, phone)
    world.take_routes(
        Routes(routes=(Route(channels=("ear",)),), types={"ear": "x", "phone": "x"}), world.dispatcher.timing
    )
    world.incidents.plan = ResponsePlan(levels=(Level(1, "On-call engineer", 15 * MINUTE, ("phone",)),))
    incident = (await world.incidents.open_or_join(a_finding(), tell=True)).incident
    await world.incidents.open_or_join(a_finding(2), tell=True)
    await world.deliver()
    assert heard(phone) == []
    await world.incidents.open_or_join(a_finding(3, severity=Severity.CRITICAL), tell=True)
    clock.forward(MINUTE)
    await world.deliver()
    assert heard(phone) == [(MessageKind.UPDATE, incident.id)]
    assert [message.severity for message in ear.heard][-1] == Severity.CRITICAL


async def test_a_report_that_joins_brings_the_entities_it_names(world: World) -> None:
    first, second = Entity("ip", "192.0.2.1"), Entity("user", "mallory")
    for at, entity in enumerate((first, second)):
        found = await report(world.incidents, ALICE, "a call", "odd", Severity.LOW, entities=(entity,), at=at)
    assert found.incident.entities == (first, second)
