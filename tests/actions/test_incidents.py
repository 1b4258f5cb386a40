"""One incident per problem, whoever and however many speak of it."""

import asyncio
import itertools
from typing import Any

import msgspec
import pytest
from acting import ALICE, HOUR, IP, MINUTE, NOON, Clock, Tally, a_finding
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from actions.delivery.message import Message, MessageKind
from actions.delivery.outbox import outbox_key
from actions.errors import ConflictError, StaleError, UnknownError
from actions.incidents.filters import IncidentFilter
from actions.incidents.incident import Entity, Incident
from actions.incidents.keys import incident_key, incidents_key
from actions.incidents.record import JOINS_NOTED
from actions.incidents.status import OPEN, IncidentStatus, Move, Verdict, allowed_actions
from actions.incidents.timeline import INCIDENT_TTL_MS, timeline_key
from actions.storage import DONE_TTL_MS
from actions.world import World
from detectors.finding import Priority, Severity, SubjectKind


async def messages(redis: Redis) -> list[Message]:
    rows = await redis.xrange(outbox_key())
    return [msgspec.json.decode(fields[b"m"], type=Message) for _, fields in rows]


async def kinds(world: World, incident_id: str) -> list[str]:
    return [e.kind for e in (await world.timeline.page(incident_id))[0]]


async def test_a_finding_opens_an_incident_with_all_that_is_known(world: World, tally: Tally) -> None:
    finding = a_finding(at=NOON - MINUTE)
    opened = await world.incidents.open_or_join(finding)
    incident = opened.incident
    assert opened.opened
    assert not opened.repeated
    assert (incident.id, incident.rule, incident.subject) == ("INC-2026-0001", "auth_failures", IP)
    assert (incident.severity, incident.priority) == (Severity.HIGH, Priority.P1)
    assert (incident.status, incident.event_count) == (IncidentStatus.TRIGGERED, 10)
    assert (incident.first_seen, incident.last_seen) == (finding.first_at, finding.at)
    assert incident.triggered_at == NOON
    assert incident.evidence == finding.evidence
    assert incident.entities == (Entity("ip", IP), Entity("user", "root"), Entity("user", "admin"))
    assert incident.title == f"auth_failures: {IP}"
    assert await world.incidents.get(incident.id) == incident
    [entry] = (await world.timeline.page(incident.id))[0]
    assert (entry.kind, entry.text, entry.actor) == ("created", finding.why, "bartizan")
    assert (entry.at, entry.recorded_at) == (NOON - MINUTE, NOON)
    assert tally.counted == {"incidents result=opened rule=auth_failures": 1}


@pytest.mark.parametrize(
    ("severity", "priority"),
    [
        (Severity.CRITICAL, Priority.P0),
        (Severity.HIGH, Priority.P1),
        (Severity.MEDIUM, Priority.P2),
        (Severity.LOW, Priority.P3),
    ],
)
async def test_severity_gives_the_priority(world: World, severity: Severity, priority: Priority) -> None:
    opened = await world.incidents.open_or_join(a_finding(severity=severity))
    assert opened.incident.priority == priority


async def test_an_immediate_incident_is_p0_and_critical_and_so_is_its_message(
    world: World, redis: Redis
) -> None:
    finding = a_finding(severity=Severity.LOW)
    incident = (await world.incidents.open_or_join(finding, tell=True, immediate=True)).incident
    assert (incident.severity, incident.priority, incident.immediate) == (
        Severity.CRITICAL,
        Priority.P0,
        True,
    )
    [message] = await messages(redis)
    assert (message.immediate, message.priority, message.kind) == (True, Priority.P0, MessageKind.OPENED)


async def test_findings_of_the_same_rule_and_subject_join(world: World) -> None:
    first = (await world.incidents.open_or_join(a_finding(1))).incident
    second = await world.incidents.open_or_join(a_finding(2, at=NOON + MINUTE))
    assert not second.opened
    assert second.incident.id == first.id
    assert (second.incident.event_count, second.incident.finding_count) == (20, 2)
    assert (second.incident.first_seen, second.incident.last_seen) == (first.first_seen, NOON + MINUTE)
    assert len(second.incident.evidence) == 4
    assert second.incident.version == first.version + 1
    assert await kinds(world, first.id) == ["created", "event_attached"]
    other_rule = await world.incidents.open_or_join(a_finding(3, rule="suspicious_activity"))
    other_subject = await world.incidents.open_or_join(a_finding(4, subject="203.0.113.10"))
    assert {other_rule.opened, other_subject.opened} == {True}


async def test_one_key_at_one_place_is_one_incident_and_one_message_and_then_counts(
    world: World, redis: Redis
) -> None:
    key = {
        "rule": "api_key_exposure",
        "subject": "github_token:v1:abc",
        "subject_kind": SubjectKind.KEY,
        "count": 1,
    }
    in_url = [a_finding(id=f"0:{n}-0", place="URL", **key) for n in range(5)]
    for finding in in_url:
        opened = await world.incidents.open_or_join(finding, tell=True)
    assert (opened.incident.event_count, opened.incident.finding_count) == (5, 5)
    assert opened.incident.title == "api_key_exposure: github_token:v1:abc in the URL"
    assert [m.kind for m in await messages(redis)] == [MessageKind.OPENED, MessageKind.UPDATE]
    elsewhere = await world.incidents.open_or_join(a_finding(id="0:9-0", place="referer", **key), tell=True)
    assert elsewhere.opened


async def test_the_same_finding_twice_changes_nothing(world: World, redis: Redis) -> None:
    first = await world.incidents.open_or_join(a_finding(), tell=True)
    await world.moves.move(first.incident.id, Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    again = await world.incidents.open_or_join(a_finding(), tell=True)
    assert again.repeated
    assert again.incident.id == first.incident.id
    assert again.incident.event_count == 10
    assert [m.kind for m in await messages(redis)] == [MessageKind.OPENED, MessageKind.DISMISSED]


async def test_a_worse_finding_raises_the_incident_and_a_milder_one_does_not_lower_it(world: World) -> None:
    await world.incidents.open_or_join(a_finding(1, severity=Severity.MEDIUM))
    raised = (await world.incidents.open_or_join(a_finding(2, severity=Severity.CRITICAL))).incident
    assert (raised.severity, raised.priority) == (Severity.CRITICAL, Priority.P0)
    same = (await world.incidents.open_or_join(a_finding(3, severity=Severity.LOW))).incident
    assert same.severity == Severity.CRITICAL
    assert "severity_changed" in await kinds(world, raised.id)


async def test_after_it_is_resolved_the_next_finding_opens_a_new_one(world: World) -> None:
    first = (await world.incidents.open_or_join(a_finding(1))).incident
    await world.moves.move(first.id, Move.ACKNOWLEDGE, ALICE)
    joined = await world.incidents.open_or_join(a_finding(2))
    assert joined.incident.id == first.id
    await world.moves.move(first.id, Move.RESOLVE, ALICE, verdict=Verdict.TRUE_POSITIVE)
    second = await world.incidents.open_or_join(a_finding(3))
    assert second.opened
    assert second.incident.id == "INC-2026-0002"


async def test_a_flood_of_findings_is_not_a_flood_of_messages(
    world: World, redis: Redis, clock: Clock
) -> None:
    for n in range(200):
        await world.incidents.open_or_join(a_finding(n), tell=True)
        clock.forward(MINUTE // 2)
    told = await messages(redis)
    assert [m.kind for m in told] == [MessageKind.OPENED] + [MessageKind.UPDATE] * 10
    assert all(b.at - a.at >= 10 * MINUTE for a, b in itertools.pairwise(told[1:]))
    noted = (await kinds(world, "INC-2026-0001")).count("event_attached")
    assert JOINS_NOTED <= noted <= JOINS_NOTED + 10
    assert (await world.incidents.get("INC-2026-0001")).event_count == 2000


async def test_telling_later_writes_the_message_once(world: World, redis: Redis) -> None:
    incident = (await world.incidents.open_or_join(a_finding(1))).incident
    assert await messages(redis) == []
    assert await world.incidents.tell(a_finding(1), incident.id)
    assert not await world.incidents.tell(a_finding(1), incident.id)
    assert [m.kind for m in await messages(redis)] == [MessageKind.OPENED]
    for n in (2, 3):
        await world.incidents.open_or_join(a_finding(n))
        await world.incidents.tell(a_finding(n), incident.id)
    assert [m.kind for m in await messages(redis)] == [MessageKind.OPENED, MessageKind.UPDATE]


async def test_a_hundred_findings_at_once_open_exactly_one_incident(world: World, redis: Redis) -> None:
    results: list[Incident] = []

    async def one(n: int) -> bool:
        opened = await world.incidents.open_or_join(a_finding(n), tell=True)
        results.append(opened.incident)
        return opened.opened

    opened = await asyncio.gather(*(one(n) for n in range(100)))
    assert opened.count(True) == 1
    [incident_id] = {i.id for i in results}
    assert (await world.incidents.get(incident_id)).event_count == 1000
    assert len(await messages(redis)) == 2


async def test_one_finding_taken_by_many_at_once_counts_once(world: World, redis: Redis) -> None:
    results = await asyncio.gather(
        *(world.incidents.open_or_join(a_finding(), tell=True) for _ in range(100))
    )
    assert sum(r.opened for r in results) == 1
    assert sum(r.repeated for r in results) == 99
    assert (await world.incidents.get(results[0].incident.id)).event_count == 10
    assert len(await messages(redis)) == 1


async def test_several_findings_are_counted_once_however_they_are_cut(world: World, tally: Tally) -> None:
    f = [a_finding(n, count=2**n) for n in range(8)]
    opened = await world.incidents.open_or_join(f[0])
    assert (opened.finding_id, opened.counted) == (f[0].id, 1)
    joined = await world.incidents.open_or_join(f[1], f[2], f[3])
    assert (joined.finding_id, joined.counted, joined.incident.event_count) == (f[1].id, 3, 15)
    assert joined.incident.version == opened.incident.version + 1
    mixed = await world.incidents.open_or_join(f[3], f[4], f[1], f[5])
    assert (mixed.finding_id, mixed.counted, mixed.incident.event_count) == (f[1].id, 2, 63)
    for again in (f[4], f[2]):
        repeated = await world.incidents.open_or_join(again)
        assert (repeated.repeated, repeated.finding_id) == (True, f[1].id), "it acts under the id it acted"
    everything = (await world.incidents.open_or_join(*f, tell=True)).incident
    assert (everything.event_count, everything.finding_count) == (255, 8)
    assert await kinds(world, everything.id) == ["created", *["event_attached"] * 3]
    assert tally.counted["incidents result=joined rule=auth_failures"] == 7


async def test_an_incident_names_the_public_standards_of_its_rule(world: World, redis: Redis) -> None:
    finding = a_finding(references=("T1110", "API2:2023"))
    incident = (await world.incidents.open_or_join(finding)).incident
    assert incident.references == ("T1110", "API2:2023")
    stored = msgspec.json.decode(await redis.get(incident_key(incident.id)))
    del stored["references"]
    await redis.set(incident_key(incident.id), msgspec.json.encode(stored))
    assert (await world.incidents.get(incident.id)).references == ()
    later = a_finding(2, references=("T1110", "API2:2023"))
    assert (await world.incidents.open_or_join(later)).incident.references == ("T1110", "API2:2023")


async def test_several_findings_open_one_incident(world: World, redis: Redis, tally: Tally) -> None:
    findings = [a_finding(n, at=NOON + n) for n in range(3)]
    opened = await world.incidents.open_or_join(*findings, tell=True)
    incident = opened.incident
    assert (opened.opened, incident.event_count, incident.finding_count) == (True, 30, 3)
    assert (incident.first_seen, incident.last_seen) == (NOON - 59_000, NOON + 2)
    assert incident.why.startswith("203.0.113.9 failed to log in 30 times in 59 s ")
    assert [m.kind for m in await messages(redis)] == [MessageKind.OPENED]
    assert not await world.incidents.tell(findings[0], incident.id)
    counts = {
        "incidents result=opened rule=auth_failures": 1,
        "incidents result=joined rule=auth_failures": 2,
    }
    assert tally.counted == counts


async def test_overlapping_cuts_at_once_count_each_finding_once(world: World, redis: Redis) -> None:
    findings = [a_finding(n, count=1) for n in range(60)]
    cuts = [findings[n : n + 1 + n % 7] for n in range(60)]
    results = await asyncio.gather(*(world.incidents.open_or_join(*cut, tell=True) for cut in cuts))
    assert sum(r.opened for r in results) == 1
    assert sum(r.counted for r in results) == 60
    incident = await world.incidents.get(results[0].incident.id)
    assert (incident.event_count, incident.finding_count) == (60, 60)
    assert len(await messages(redis)) <= 2


async def test_findings_that_come_while_people_resolve_are_counted_once(world: World, clock: Clock) -> None:
    async def resolve() -> None:
        for incident in (await world.incidents.page(IncidentFilter(is_open=True)))[0]:
            await world.moves.move(incident.id, Move.DISMISS, ALICE, verdict=Verdict.BENIGN)

    for n in range(0, 60, 3):
        some = [a_finding(n + k, count=1) for k in range(3)]
        joins = (world.incidents.open_or_join(*some[k:]) for k in range(3))
        await asyncio.gather(resolve(), *joins)
    incidents = (await world.incidents.page(limit=100))[0]
    assert sum(i.event_count for i in incidents) == 60
    assert sum(i.status in OPEN for i in incidents) <= 1


async def test_joining_takes_few_round_trips(
    world: World, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0
    real = AbstractConnection.send_packed_command

    async def send(self: AbstractConnection, *args: Any, **kwargs: Any) -> None:
        nonlocal sent
        sent += 1
        await real(self, *args, **kwargs)

    opened = await world.incidents.open_or_join(a_finding(0), tell=True, immediate=True)
    monkeypatch.setattr(AbstractConnection, "send_packed_command", send)
    await world.incidents.open_or_join(*(a_finding(n) for n in range(1, 100)), tell=True, immediate=True)
    assert sent == 4
    await world.incidents.make_immediate(opened.incident.id)
    await world.incidents.tell(a_finding(1), opened.incident.id)
    assert sent == 6


async def test_a_long_subject_is_hashed_in_keys(world: World, redis: Redis) -> None:
    subject = "é" * 5000
    finding = a_finding(subject=subject, subject_kind=SubjectKind.USER)
    await world.incidents.open_or_join(finding, tell=True)
    assert max(len(key) for key in await redis.keys("*")) < 250
    assert not (await world.incidents.open_or_join(a_finding(2, subject=subject))).opened


async def test_every_key_of_an_incident_has_its_ttl(world: World, redis: Redis) -> None:
    await world.incidents.open_or_join(a_finding(), tell=True)
    slack = 60_000
    for key, ttl in [
        (incident_key("INC-2026-0001"), INCIDENT_TTL_MS),
        (timeline_key("INC-2026-0001"), INCIDENT_TTL_MS),
        (incidents_key("open", f"auth_failures:{IP}"), INCIDENT_TTL_MS),
        (incidents_key("seen", a_finding().id), DONE_TTL_MS),
        (incidents_key("told", a_finding().id), DONE_TTL_MS),
    ]:
        assert ttl - slack < await redis.pttl(key) <= ttl, key


S = IncidentStatus
LEGAL = {
    S.TRIGGERED: ("acknowledge", "escalate", "dismiss", "merge"),
    S.ACKNOWLEDGED: ("escalate", "mitigate", "resolve", "dismiss", "merge"),
    S.MITIGATED: ("escalate", "resolve", "dismiss", "merge"),
    S.RESOLVED: ("reopen", "close"),
    S.DISMISSED: ("reopen",),
    S.MERGED: ("reopen",),
    S.CLOSED: (),
}
WAYS = {
    S.TRIGGERED: [],
    S.ACKNOWLEDGED: [Move.ACKNOWLEDGE],
    S.MITIGATED: [Move.ACKNOWLEDGE, Move.MITIGATE],
    S.RESOLVED: [Move.ACKNOWLEDGE, Move.RESOLVE],
    S.DISMISSED: [Move.DISMISS],
    S.MERGED: [Move.MERGE],
    S.CLOSED: [Move.ACKNOWLEDGE, Move.RESOLVE, Move.CLOSE],
}


async def take(world: World, incident_id: str, move: Move, other: str) -> Incident:
    if move == Move.MERGE:
        return await world.moves.merge(incident_id, other, ALICE)
    return await world.moves.move(incident_id, move, ALICE, verdict=Verdict.UNKNOWN)


@pytest.mark.parametrize("status", list(WAYS))
async def test_only_legal_moves_are_made_and_an_illegal_one_names_them(world: World, status: S) -> None:
    assert allowed_actions(status) == LEGAL[status]
    other = (await world.incidents.open_or_join(a_finding(99, rule="other"))).incident.id
    for n, move in enumerate(Move):
        subject = f"203.0.113.{n}"
        incident = (await world.incidents.open_or_join(a_finding(n, subject=subject))).incident
        for step in WAYS[status]:
            incident = await take(world, incident.id, step, other)
        assert incident.status == status
        if move.value in LEGAL[status]:
            await take(world, incident.id, move, other)
            continue
        with pytest.raises(ConflictError) as caught:
            await take(world, incident.id, move, other)
        assert caught.value.allowed == LEGAL[status]
        assert await world.incidents.get(incident.id) == incident


async def test_a_move_is_on_the_timeline_and_in_the_audit_trail(world: World, clock: Clock) -> None:
    incident = (await world.incidents.open_or_join(a_finding())).incident
    clock.forward(MINUTE)
    moved = await world.moves.move(incident.id, Move.ACKNOWLEDGE, ALICE, "looking")
    assert (moved.acknowledged_at, moved.acknowledged_by) == (NOON + MINUTE, "alice")
    resolved = await world.moves.move(incident.id, Move.RESOLVE, ALICE, "gone", verdict=Verdict.TRUE_POSITIVE)
    assert (resolved.verdict, resolved.resolved_at) == (Verdict.TRUE_POSITIVE, NOON + MINUTE)
    entries = (await world.timeline.page(incident.id))[0]
    assert [(e.kind, e.text, e.actor) for e in entries[1:]] == [
        ("acknowledged", "looking", "alice"),
        ("resolved", "gone", "alice"),
    ]
    assert entries[-1].data == {"verdict": "true_positive"}
    trail = (await world.audit.page())[0]
    assert [(e.action, e.target) for e in trail] == [
        ("incident.resolve", f"incident:{incident.id}"),
        ("incident.acknowledge", f"incident:{incident.id}"),
    ]
    assert (trail[0].before["status"], trail[0].after["status"]) == ("acknowledged", "resolved")


@pytest.mark.parametrize("move", [Move.RESOLVE, Move.DISMISS])
async def test_the_end_of_an_incident_needs_a_verdict(world: World, move: Move) -> None:
    incident = (await world.incidents.open_or_join(a_finding())).incident
    with pytest.raises(ValueError, match="verdict"):
        await world.moves.move(incident.id, move, ALICE)


async def test_a_reopened_incident_takes_findings_again_unless_another_does(world: World) -> None:
    first = (await world.incidents.open_or_join(a_finding(1))).incident
    await world.moves.move(first.id, Move.DISMISS, ALICE, verdict=Verdict.FALSE_POSITIVE)
    reopened = await world.moves.move(first.id, Move.REOPEN, ALICE)
    assert (reopened.status, reopened.verdict, reopened.resolved_at) == (S.ACKNOWLEDGED, None, None)
    assert (await world.incidents.open_or_join(a_finding(2))).incident.id == first.id
    await world.moves.move(first.id, Move.DISMISS, ALICE, verdict=Verdict.FALSE_POSITIVE)
    second = (await world.incidents.open_or_join(a_finding(3))).incident
    await world.moves.move(first.id, Move.REOPEN, ALICE)
    assert (await world.incidents.open_or_join(a_finding(4))).incident.id == second.id


async def test_a_move_from_an_old_version_is_refused(world: World) -> None:
    incident = (await world.incidents.open_or_join(a_finding())).incident
    await world.moves.move(incident.id, Move.ACKNOWLEDGE, ALICE, expected_version=incident.version)
    with pytest.raises(StaleError, match="version"):
        await world.moves.move(incident.id, Move.MITIGATE, ALICE, expected_version=incident.version)


async def test_a_hundred_acknowledgements_at_once_are_one(world: World) -> None:
    incident = (await world.incidents.open_or_join(a_finding())).incident
    moves = [world.moves.move(incident.id, Move.ACKNOWLEDGE, ALICE) for _ in range(100)]
    results = await asyncio.gather(*moves, return_exceptions=True)
    assert sum(isinstance(r, Incident) for r in results) == 1
    assert sum(isinstance(r, ConflictError) for r in results) == 99


async def test_a_comment_may_tell_of_an_earlier_time(world: World) -> None:
    incident = (await world.incidents.open_or_join(a_finding())).incident
    await world.moves.comment(incident.id, ALICE, "they called us", at=NOON - HOUR)
    entry = (await world.timeline.page(incident.id))[0][-1]
    assert (entry.kind, entry.at, entry.recorded_at) == ("comment", NOON - HOUR, NOON)
    with pytest.raises(ValueError, match="empty"):
        await world.moves.comment(incident.id, ALICE, "  ")
    with pytest.raises(UnknownError):
        await world.moves.comment("INC-2026-9999", ALICE, "?")


async def test_an_unknown_incident_says_so(world: World) -> None:
    with pytest.raises(UnknownError):
        await world.incidents.get("INC-1999-0001")
    with pytest.raises(UnknownError):
        await world.moves.move("INC-1999-0001", Move.ACKNOWLEDGE, ALICE)


async def test_incidents_are_listed_by_page_and_filter(world: World, clock: Clock) -> None:
    for n in range(5):
        severity = Severity.LOW if n % 2 else Severity.HIGH
        await world.incidents.open_or_join(a_finding(n, subject=f"192.0.2.{n}", severity=severity))
        clock.forward(n)
    await world.moves.move("INC-2026-0001", Move.DISMISS, ALICE, verdict=Verdict.BENIGN)
    first, cursor = await world.incidents.page(limit=3)
    rest, end = await world.incidents.page(cursor=cursor, limit=3)
    assert [i.id[-1] for i in first + rest] == ["5", "4", "3", "2", "1"]
    assert end is None
    for wanted, ids in [
        (IncidentFilter(status=S.DISMISSED), "1"),
        (IncidentFilter(is_open=True), "5432"),
        (IncidentFilter(severity=Severity.LOW), "42"),
        (IncidentFilter(rule="other"), ""),
        (IncidentFilter(entity="192.0.2.2"), "3"),
        (IncidentFilter(entity="ip=192.0.2.2"), "3"),
        (IncidentFilter(entity="user=192.0.2.2"), ""),
        (IncidentFilter(since=NOON + 1), "543"),
        (IncidentFilter(q="192.0.2.4"), "5"),
    ]:
        found, _ = await world.incidents.page(wanted)
        assert "".join(i.id[-1] for i in found) == ids, wanted
    assert await world.incidents.counts() == {
        "status": {"triggered": 4, "dismissed": 1},
        "severity": {"high": 2, "low": 2},
    }


async def test_a_timeline_is_paged_in_order(world: World) -> None:
    incident = (await world.incidents.open_or_join(a_finding())).incident
    for n in range(4):
        await world.moves.comment(incident.id, ALICE, f"note {n}")
    first, cursor = await world.timeline.page(incident.id, limit=2)
    second, cursor = await world.timeline.page(incident.id, cursor=cursor, limit=2)
    third, end = await world.timeline.page(incident.id, cursor=cursor, limit=2)
    assert [e.text for e in first + second + third][1:] == [f"note {n}" for n in range(4)]
    assert end is None


async def test_an_entry_marked_once_is_written_once(world: World) -> None:
    tries = [world.timeline.note_once("INC-1", "f1 block", "action_taken", "x") for _ in range(50)]
    assert (await asyncio.gather(*tries)).count(True) == 1
    assert await kinds(world, "INC-1") == ["action_taken"]
