"""How well incidents were answered, against hand-counted ones."""

import msgspec
from acting import HOUR, MINUTE, NOON

from actions.incidents.incident import Incident
from actions.incidents.response_plan import ResponsePlan
from actions.incidents.response_times import Judged, Target, Times, statistics_of
from actions.incidents.status import IncidentStatus, Verdict
from detectors.finding import Priority, Severity

S, V = IncidentStatus, Verdict
PLAN = ResponsePlan()


def an_incident(number: int, **fields: object) -> Incident:
    base = Incident(
        id=f"INC-2026-{number:04d}",
        rule="auth_failures",
        title="t",
        why="w",
        severity=Severity.CRITICAL,
        priority=Priority.P0,
        status=S.TRIGGERED,
        subject=f"192.0.2.{number}",
        entities=(),
        event_count=10,
        finding_count=1,
        first_seen=NOON,
        last_seen=NOON,
        triggered_at=NOON + number,
        told_at=NOON + number,
        dedup_key=str(number),
    )
    return msgspec.structs.replace(base, **fields)


def told(number: int, acknowledged: int | None, resolved: int | None = None, **fields: object) -> Incident:
    at = NOON + number
    known: dict[str, object] = {"status": S.RESOLVED if resolved else S.ACKNOWLEDGED}
    known |= {"acknowledged_at": None if acknowledged is None else at + acknowledged}
    known |= {"resolved_at": None if resolved is None else at + resolved}
    return an_incident(number, **{**known, **fields})


def test_times_targets_and_verdicts_are_summed_up() -> None:
    late = {"ack_breached_at": NOON + 15 * MINUTE}
    incidents = [
        told(1, 5 * MINUTE, HOUR, verdict=V.TRUE_POSITIVE),
        told(2, 10 * MINUTE, 2 * HOUR, verdict=V.FALSE_POSITIVE, escalation_level=2),
        told(3, 40 * MINUTE, 3 * HOUR, verdict=V.UNKNOWN, escalation_level=4, **late),
        an_incident(4),
        an_incident(5, status=S.MERGED, resolved_at=NOON + 6, verdict=V.DUPLICATE),
        an_incident(6, told_at=None, priority=Priority.P1, rule="scan"),
        an_incident(7, triggered_at=NOON - 1),
        an_incident(8, triggered_at=NOON + 24 * HOUR),
        told(9, None, HOUR, verdict=V.BENIGN, rule="scan"),
    ]
    found = statistics_of(incidents, PLAN, NOON, NOON + 24 * HOUR)
    assert (found.opened, found.merged) == (6, 1)
    assert found.by_severity == {"critical": 6}
    assert found.by_priority == {"P0": 5, "P1": 1}
    assert found.by_status == {"resolved": 4, "triggered": 2}
    assert found.by_rule == {"auth_failures": 4, "scan": 2}
    assert found.to_acknowledge == Times(3, 10 * MINUTE, 40 * MINUTE)
    assert found.to_resolve == Times(4, 90 * MINUTE, 3 * HOUR)
    assert found.targets == {"P0": Target(15 * MINUTE, met=3, missed=2, waiting=0)}
    assert found.judged == {"auth_failures": Judged(2, 1), "scan": Judged(1, 0)}
    assert found.judged["auth_failures"].rate == 0.5
    assert found.escalated == {2: 1, 4: 1}


def test_one_that_still_has_time_waits() -> None:
    found = statistics_of([an_incident(1)], PLAN, NOON, NOON + 10 * MINUTE)
    assert found.targets["P0"] == Target(15 * MINUTE, met=0, missed=0, waiting=1)


def test_nothing_is_nothing() -> None:
    found = statistics_of([], PLAN, NOON, NOON + HOUR)
    assert (found.opened, found.to_acknowledge, found.targets) == (0, Times(0, None, None), {})


def test_the_ninth_of_ten_is_the_ninetieth_percentile() -> None:
    incidents = [told(n, n * MINUTE) for n in range(1, 11)]
    assert statistics_of(incidents, PLAN, NOON, NOON + HOUR).to_acknowledge == Times(10, 330_000, 9 * MINUTE)
