"""Checklists, follow-ups, grades and the public page: what people write into an incident."""

import msgspec
import pytest
from acting import ALICE, DAY, HOUR, MINUTE, NOON, Clock, a_finding
from redis.asyncio import Redis

from actions.delivery.message import Message
from actions.delivery.outbox import outbox_key
from actions.errors import ConflictError, StaleError, UnknownError
from actions.incidents.incident import FOLLOW_UPS_KEPT, Incident
from actions.incidents.response_plan import Level, ResponsePlan
from actions.incidents.status import IncidentStatus, Move, Verdict
from actions.world import World
from detectors.finding import Priority, Severity


async def opened(world: World, **fields: object) -> Incident:
    return (await world.incidents.open_or_join(a_finding(**fields), tell=True)).incident  # type: ignore[arg-type]


async def last(world: World, incident_id: str) -> tuple[str, str, str]:
    entry = (await world.timeline.page(incident_id))[0][-1]
    return entry.kind, entry.actor, entry.text


async def test_an_incident_begins_with_the_operators_two_checklists(world: World) -> None:
    items = (await opened(world)).checklist
    assert [(i.phase, i.text) for i in items] == [
        ("initial_response", "Incident ticket created"),
        ("initial_response", "Impact assessment completed"),
        ("initial_response", "Mitigation steps implemented"),
        ("initial_response", "Stakeholders notified"),
        ("initial_response", "Status page updated"),
        ("resolution", "Root cause identified"),
        ("resolution", "Fix implemented"),
        ("resolution", "Testing completed"),
        ("resolution", "Monitoring restored"),
        ("resolution", "Documentation updated"),
    ]
    assert [i.id for i in items if i.done_at is not None] == ["incident-ticket-created"]


async def test_a_line_is_ticked_and_the_tick_taken_back(world: World, clock: Clock) -> None:
    incident = await opened(world)
    clock.forward(MINUTE)
    ticked = await world.work.check(incident.id, "root-cause-identified", ALICE, done=True, note="a script")
    [item] = [i for i in ticked.checklist if i.id == "root-cause-identified"]
    assert (item.done_at, item.done_by, item.note) == (NOON + MINUTE, "alice", "a script")
    assert ticked.version == incident.version + 1
    assert await last(world, incident.id) == ("checklist", "alice", "Root cause identified: done (a script)")
    back = await world.work.check(incident.id, "root-cause-identified", ALICE, done=False)
    assert [i.id for i in back.checklist if i.done_at is not None] == ["incident-ticket-created"]
    with pytest.raises(UnknownError, match="there are incident-ticket-created, impact-assessment"):
        await world.work.check(incident.id, "x", ALICE, done=True)


async def test_a_follow_up_has_an_owner_and_a_date_and_gets_done(world: World, clock: Clock) -> None:
    incident = await opened(world)
    noted = await world.work.add_follow_up(incident.id, ALICE, "rotate the key", "bob", NOON + 7 * DAY)
    [follow_up] = noted.follow_ups
    assert (follow_up.text, follow_up.owner, follow_up.due) == ("rotate the key", "bob", NOON + 7 * DAY)
    assert (await last(world, incident.id))[0] == "followup_added"
    clock.forward(DAY)
    done = await world.work.finish_follow_up(incident.id, follow_up.id, ALICE)
    assert (done.follow_ups[0].done_at, done.follow_ups[0].done_by) == (NOON + DAY, "alice")
    with pytest.raises(UnknownError):
        await world.work.finish_follow_up(incident.id, "nope", ALICE)
    with pytest.raises(ValueError, match="owner: is empty"):
        await world.work.add_follow_up(incident.id, ALICE, "x", " ", NOON)
    for _ in range(FOLLOW_UPS_KEPT - 1):
        await world.work.add_follow_up(incident.id, ALICE, "x", "bob", NOON)
    with pytest.raises(ConflictError):
        await world.work.add_follow_up(incident.id, ALICE, "one more", "bob", NOON)


async def test_a_grade_by_hand_wins_over_findings_and_sets_the_clocks(world: World) -> None:
    incident = await opened(world, severity=Severity.MEDIUM)
    graded = await world.work.edit(incident.id, ALICE, {}, severity=Severity.CRITICAL)
    assert (graded.priority, graded.graded_by) == (Priority.P0, "alice")
    assert graded.ack_due_at == NOON + 15 * MINUTE
    lower = await world.work.edit(incident.id, ALICE, {}, severity=Severity.LOW)
    # Levels 1 and 2 were told while it was a P0: the next is level 3, at its time in a P3.
    assert (lower.priority, lower.escalate_at) == (Priority.P3, NOON + 525 * MINUTE)
    joined = await world.incidents.open_or_join(a_finding(2, severity=Severity.HIGH))
    assert joined.incident.priority == Priority.P3
    breach = await world.incidents.open_or_join(a_finding(3), immediate=True)
    assert (breach.incident.priority, breach.incident.immediate) == (Priority.P0, True)


async def test_texts_are_written_audited_and_locked(world: World) -> None:
    incident = await opened(world)
    texts = {"impact": "12 accounts", "root_cause": "no rate limit", "lessons": "add one", "lead": "bob"}
    written = await world.work.edit(incident.id, ALICE, texts, expected_version=incident.version)
    assert {name: getattr(written, name) for name in texts} == texts
    [entry, *_] = (await world.audit.page(target=f"incident:{incident.id}"))[0]
    assert (entry.action, entry.before["impact"], entry.after["impact"]) == (
        "incident.edit",
        "",
        "12 accounts",
    )
    with pytest.raises(StaleError, match="version 2, not 1"):
        await world.work.edit(incident.id, ALICE, {"impact": "none"}, expected_version=incident.version)
    for wrong in ({}, {"status": "closed"}, {"title": "  "}):
        with pytest.raises(ValueError, match=r"body|status|title"):
            await world.work.edit(incident.id, ALICE, wrong)


async def test_only_what_a_person_wrote_is_published(world: World, clock: Clock) -> None:
    incident = await opened(world)
    with pytest.raises(ValueError, match="title"):
        await world.work.publish(incident.id, ALICE, state="investigating", text="we look into it")
    with pytest.raises(ValueError, match="state"):
        await world.work.publish(incident.id, ALICE, state="broken", text="x", title="Logins")
    shown = await world.work.publish(
        incident.id,
        ALICE,
        state="investigating",
        text="we look into it",
        title="Logins fail",
        component="API",
    )
    assert shown.public is not None
    assert (shown.public.title, shown.public.component) == ("Logins fail", "API")
    assert [i.id for i in shown.checklist if i.done_at][1:] == ["status-page-updated"]
    clock.forward(HOUR)
    later = await world.work.publish(incident.id, ALICE, state="resolved", text="it works again")
    assert later.public is not None
    assert [(u.state, u.at) for u in later.public.updates] == [
        ("investigating", NOON),
        ("resolved", NOON + HOUR),
    ]
    gone = await world.work.unpublish(incident.id, ALICE)
    assert gone.public is not None
    assert gone.public.until == NOON + HOUR
    with pytest.raises(ConflictError):
        await world.work.unpublish(incident.id, ALICE)


async def test_a_merged_incident_hands_over_what_it_knows_and_its_further_findings(
    world: World, redis: Redis
) -> None:
    one = await opened(world, subject="192.0.2.1", severity=Severity.LOW)
    two = (await world.incidents.open_or_join(a_finding(2, subject="192.0.2.2"), tell=True)).incident
    merged = await world.moves.merge(two.id, one.id, ALICE, "the same scanner")
    assert (merged.status, merged.merged_into, merged.verdict) == (
        IncidentStatus.MERGED,
        one.id,
        Verdict.DUPLICATE,
    )
    target = await world.incidents.get(one.id)
    assert (target.event_count, target.finding_count, target.priority) == (20, 2, Priority.P1)
    assert await last(world, one.id) == ("merged", "alice", f"takes in {two.id}: {two.title}")
    joined = await world.incidents.open_or_join(a_finding(3, subject="192.0.2.2"))
    assert joined.incident.id == one.id
    with pytest.raises(ConflictError, match="itself"):
        await world.moves.merge(one.id, one.id, ALICE)
    await world.moves.move(one.id, Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    three = (await world.incidents.open_or_join(a_finding(4, subject="192.0.2.3"))).incident
    with pytest.raises(ConflictError, match="only an open incident"):
        await world.moves.merge(three.id, one.id, ALICE)
    with pytest.raises(UnknownError):
        await world.moves.merge(three.id, "INC-1999-0001", ALICE)


async def test_a_grade_by_hand_that_is_more_urgent_is_told_to_the_levels_it_reaches(
    redis: Redis, clock: Clock
) -> None:
    levels = (Level(1, "On-call", 15 * MINUTE, ("pager",)), Level(2, "Senior", 30 * MINUTE, ("phone",)))
    world = World.make(redis, clock, plan=ResponsePlan(levels=levels))
    incident = await opened(world, severity=Severity.MEDIUM)
    await world.work.edit(incident.id, ALICE, {}, severity=Severity.LOW)
    await world.work.edit(incident.id, ALICE, {}, severity=Severity.CRITICAL)
    rows = [msgspec.json.decode(f[b"m"], type=Message) for _, f in await redis.xrange(outbox_key())]
    assert [(m.kind.value, m.priority.value, m.also) for m in rows] == [
        ("opened", "P2", ()),
        ("update", "P0", ("pager", "phone")),
    ]


async def test_one_that_took_in_another_does_not_end_by_itself(redis: Redis, clock: Clock) -> None:
    world = World.make(redis, clock, plan=ResponsePlan(quiet_ms={"one": HOUR, "two": HOUR}))
    one = await opened(world, rule="one")
    two = (await world.incidents.open_or_join(a_finding(2, rule="two"), tell=True)).incident
    await world.moves.merge(two.id, one.id, ALICE)
    clock.forward(2 * HOUR)
    await world.clocks.strike()
    found = await world.incidents.get(one.id)
    assert (found.is_open, found.took_in, found.quiet_at) == (True, 1, None)
