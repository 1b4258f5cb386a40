"""How well incidents were answered: times against the targets, verdicts, escalations. Pure."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from actions.incidents.incident import Incident
from actions.incidents.response_plan import ResponsePlan
from actions.incidents.status import IncidentStatus, Verdict
from detectors.finding import Priority


class Times(msgspec.Struct, frozen=True):
    """A distribution of durations, ms; None where there was none."""

    count: int
    median_ms: int | None
    p90_ms: int | None


class Target(msgspec.Struct, frozen=True):
    """Of the incidents of one priority that people were told of: how many were acknowledged in time."""

    response_ms: int
    met: int
    missed: int
    """Acknowledged too late, or not yet although the time has passed."""
    waiting: int
    """Neither acknowledged nor late yet."""


class Judged(msgspec.Struct, frozen=True):
    """Of one rule: incidents with a verdict, and those that were false alarms."""

    judged: int
    false_positives: int

    @property
    def rate(self) -> float:
        """The share of false alarms, 0 to 1."""
        return self.false_positives / self.judged if self.judged else 0.0


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The incidents that were triggered in a period. Merged ones count with those that took them in."""

    opened: int
    merged: int
    by_severity: Mapping[str, int]
    by_priority: Mapping[str, int]
    by_status: Mapping[str, int]
    by_rule: Mapping[str, int]
    to_acknowledge: Times
    """From when people were told to the acknowledgement: MTTA, as a median."""
    to_resolve: Times
    """From the opening to the resolution: MTTR, as a median."""
    targets: Mapping[str, Target]
    """By priority, the worst first; those without an incident are left out."""
    judged: Mapping[str, Judged]
    """By rule."""
    escalated: Mapping[int, int]
    """Incidents by the highest level that was told; those that told none are left out."""


def statistics_of(incidents: Iterable[Incident], plan: ResponsePlan, from_ms: int, to_ms: int) -> Statistics:
    """Sums up the incidents triggered in [from, to), epoch ms; `to` is also the moment that is looked from."""
    found = [i for i in incidents if from_ms <= i.triggered_at < to_ms]
    own = [i for i in found if i.status != IncidentStatus.MERGED]
    targets: dict[str, Target] = {}
    for priority in Priority:
        told = [i for i in own if i.priority == priority and i.told_at is not None]
        if told:
            targets[priority.value] = _target(told, plan.grade(priority).response_ms, to_ms)
    judged: defaultdict[str, list[bool]] = defaultdict(list)
    for incident in own:
        if incident.verdict not in (None, Verdict.UNKNOWN, Verdict.DUPLICATE):
            judged[incident.rule].append(incident.verdict == Verdict.FALSE_POSITIVE)
    return Statistics(
        opened=len(own),
        merged=len(found) - len(own),
        by_severity=_counted(i.severity.value for i in own),
        by_priority=_counted(i.priority.value for i in own),
        by_status=_counted(i.status.value for i in own),
        by_rule=_counted(i.rule for i in own),
        to_acknowledge=_times(acknowledged_after(i) for i in own),
        to_resolve=_times(resolved_after(i) for i in own),
        targets=targets,
        judged={rule: Judged(len(said), sum(said)) for rule, said in sorted(judged.items())},
        escalated=dict(sorted(Counter(i.escalation_level for i in own if i.escalation_level).items())),
    )


def acknowledged_after(incident: Incident) -> int | None:
    """How long people took to acknowledge it, ms; None where they have not, or were not told."""
    if incident.acknowledged_at is None or incident.told_at is None:
        return None
    return max(0, incident.acknowledged_at - incident.told_at)


def resolved_after(incident: Incident) -> int | None:
    """How long it took from its opening to its resolution, ms; None where it is not resolved."""
    if incident.resolved_at is None:
        return None
    return max(0, incident.resolved_at - incident.triggered_at)


def _target(told: list[Incident], response_ms: int, now: int) -> Target:
    met = missed = waiting = 0
    for incident in told:
        after = acknowledged_after(incident)
        if after is not None and after <= response_ms and incident.ack_breached_at is None:
            met += 1
        elif after is not None or incident.ack_breached_at is not None:
            missed += 1
        elif not incident.is_open:
            met += 1  # over before anybody had to say so: resolved by itself, or dismissed in time
        elif incident.told_at is not None and now > incident.told_at + response_ms:
            missed += 1
        else:
            waiting += 1
    return Target(response_ms, met, missed, waiting)


def _times(values: Iterable[int | None]) -> Times:
    known = sorted(value for value in values if value is not None)
    if not known:
        return Times(0, None, None)
    at = max(0, -(-len(known) * 9 // 10) - 1)
    return Times(len(known), int(statistics.median(known)), known[at])


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
