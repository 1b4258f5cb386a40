"""The figures over the incidents of a period."""

from typing import Any

import msgspec
from acting import HOUR, MINUTE, NOON, a_finding

from actions.incident import Incident
from actions.incident_changes import opened_by
from actions.incident_status import IncidentStatus, Verdict
from actions.response_plan import ResponsePlan
from actions.response_times import Hits, RuleRecord, Spread, met_target, statistics_of
from detectors.finding import Priority

PLAN = ResponsePlan()


def an_incident(number: int = 1, **fields: Any) -> Incident:
    """A P1 that people were told of at noon, unless told otherwise."""
    opened = opened_by(a_finding(), f"INC-2026-{number:04d}", NOON, plan=PLAN, immediate=False, entities=None)
    return msgspec.structs.replace(opened, **({"told_at": NOON} | fields))


def ended(number: int, ack: int, end: int, verdict: Verdict, **fields: Any) -> Incident:
    times = {"acknowledged_at": NOON + ack * MINUTE, "resolved_at": NOON + end * MINUTE}
    return an_incident(number, status=IncidentStatus.RESOLVED, verdict=verdict, **(times | fields))


def figures(*incidents: Incident, end: int = NOON + 24 * HOUR) -> Any:
    return statistics_of(incidents, PLAN, NOON, end)


def test_nothing_has_no_times_and_no_rates():
    found = figures()
    assert (found.incidents, found.acknowledge, found.resolve) == (
        0,
        Spread(0, None, None),
        Spread(0, None, None),
    )
    assert found.targets == dict.fromkeys(Priority, Hits(0, 0, None))
    assert found.escalations == {1: 0, 2: 0, 3: 0, 4: 0}


def test_the_median_and_the_ninth_of_ten_are_told():
    many = [ended(n, n, 10 * n, Verdict.TRUE_POSITIVE) for n in range(1, 11)]
    found = figures(*many)
    assert found.acknowledge == Spread(10, 330_000, 9 * MINUTE)
    assert found.resolve == Spread(10, 55 * MINUTE, 90 * MINUTE)


def test_the_end_of_the_period_is_not_part_of_it():
    found = figures(an_incident(1), an_incident(2, triggered_at=NOON + HOUR), end=NOON + HOUR)
    assert (found.incidents, found.by_severity, found.by_status) == (1, {"high": 1}, {"triggered": 1})


def test_what_ended_in_the_period_counts_whenever_it_began():
    found = figures(ended(1, 5, 60, Verdict.BENIGN, triggered_at=NOON - HOUR))
    assert (found.incidents, found.ended) == (0, 1)


def test_targets_are_met_missed_or_open():
    found = figures(
        ended(1, 60, 90, Verdict.TRUE_POSITIVE),
        ended(2, 61, 90, Verdict.TRUE_POSITIVE),
        an_incident(3, ack_breached_at=NOON + HOUR),
        an_incident(4, told_at=None),
        end=NOON + 2 * HOUR,
    )
    assert found.targets[Priority.P1] == Hits(1, 2, 1 / 3)


def test_one_that_waits_is_missed_only_once_its_time_is_over():
    assert met_target(an_incident(), PLAN, NOON + HOUR) is None
    assert met_target(an_incident(), PLAN, NOON + HOUR + 1) is False


def test_one_that_ended_before_anybody_acknowledged_it_was_answered_then():
    gone = an_incident(status=IncidentStatus.DISMISSED, resolved_at=NOON + MINUTE, verdict=Verdict.BENIGN)
    assert met_target(gone, PLAN, NOON + 9 * HOUR) is True
    assert figures(gone).resolve.count == 0


def test_a_rule_is_wrong_in_a_share_of_the_verdicts_without_duplicates():
    found = figures(
        ended(1, 1, 2, Verdict.FALSE_POSITIVE),
        ended(2, 1, 2, Verdict.TRUE_POSITIVE),
        an_incident(3, status=IncidentStatus.MERGED, verdict=Verdict.DUPLICATE, resolved_at=NOON),
        an_incident(4),
        an_incident(5, rule="breach"),
    )
    assert found.rules == {
        "auth_failures": RuleRecord(4, 2, 1, 0.5),
        "breach": RuleRecord(1, 0, 0, None),
    }


def test_an_incident_at_level_three_was_told_to_the_two_below():
    found = figures(an_incident(1, escalation_level=3), an_incident(2, escalation_level=1))
    assert found.escalations == {1: 2, 2: 1, 3: 1, 4: 0}
