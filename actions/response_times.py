"""How fast people answered, how often the rules were right: figures over the incidents of a period. Pure."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from actions.incident import Incident
from actions.incident_status import IncidentStatus, Verdict
from actions.response_plan import ResponsePlan
from detectors.finding import Priority

RESOLVED = frozenset({IncidentStatus.RESOLVED, IncidentStatus.CLOSED})


class Spread(msgspec.Struct, frozen=True):
    """How long something took, over many incidents, in milliseconds. None where there was none."""

    count: int
    median_ms: int | None
    p90_ms: int | None
    """Nine of ten took no longer than this (nearest rank)."""


class Hits(msgspec.Struct, frozen=True):
    """How many incidents of one priority were acknowledged within its response time."""

    met: int
    missed: int
    rate: float | None
    """Between 0 and 1; None where neither is known of any."""


class RuleRecord(msgspec.Struct, frozen=True):
    """How often a rule was right, as far as people said so."""

    incidents: int
    with_verdict: int
    """Those with a verdict other than `duplicate`, which speaks of another incident."""
    false_positives: int
    rate: float | None
    """False positives of all with a verdict, between 0 and 1; None where none has one."""


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the incidents that were triggered in one period. Epoch ms, the end excluded."""

    from_ms: int
    to_ms: int
    incidents: int
    still_open: int
    ended: int
    """Resolved, dismissed or merged within the period, whenever they were triggered."""
    by_severity: Mapping[str, int]
    by_priority: Mapping[str, int]
    by_status: Mapping[str, int]
    by_rule: Mapping[str, int]
    acknowledge: Spread
    """From when people were told to the acknowledgement; of those that nobody was told of, from the opening."""
    resolve: Spread
    """From the same time to the resolution; dismissed and merged ones do not count."""
    targets: Mapping[Priority, Hits]
    """By the priority that an incident has now; those that nobody was told of, or that wait within their time, are
    in neither."""
    rules: Mapping[str, RuleRecord]
    escalations: Mapping[int, int]
    """Level -> how many incidents were told to it, at least."""


def statistics_of(incidents: Iterable[Incident], plan: ResponsePlan, from_ms: int, to_ms: int) -> Statistics:
    """The figures of the period, from any incidents: those triggered at other times are left out.

    One that has not ended counts as it is; its response time is missed where it is over at `to_ms`.
    """
    known = list(incidents)
    found = [i for i in known if from_ms <= i.triggered_at < to_ms]
    single = [i for i in found if i.status != IncidentStatus.MERGED]
    levels = [level.number for level in plan.levels]
    return Statistics(
        from_ms=from_ms,
        to_ms=to_ms,
        incidents=len(found),
        still_open=sum(i.is_open for i in found),
        ended=sum(i.resolved_at is not None and from_ms <= i.resolved_at < to_ms for i in known),
        by_severity=_counted(i.severity.value for i in found),
        by_priority=_counted(i.priority.value for i in found),
        by_status=_counted(i.status.value for i in found),
        by_rule=_counted(i.rule for i in found),
        acknowledge=_spread([took for i in single if (took := acknowledge_ms(i)) is not None]),
        resolve=_spread([took for i in single if (took := resolve_ms(i)) is not None]),
        targets={p: _hits([i for i in single if i.priority == p], plan, to_ms) for p in Priority},
        rules={
            rule: _record([i for i in found if i.rule == rule]) for rule in sorted({i.rule for i in found})
        },
        escalations={n: sum(i.escalation_level >= n for i in found) for n in levels},
    )


def began_at(incident: Incident) -> int:
    """From when people are measured, epoch ms: when they were told; of what nobody was told of, its opening."""
    return incident.triggered_at if incident.told_at is None else incident.told_at


def acknowledge_ms(incident: Incident) -> int | None:
    """How long people took to acknowledge it; None where nobody has."""
    if incident.acknowledged_at is None:
        return None
    return max(0, incident.acknowledged_at - began_at(incident))


def resolve_ms(incident: Incident) -> int | None:
    """How long it took to resolve it; None where it is not resolved."""
    if incident.resolved_at is None or incident.status not in RESOLVED:
        return None
    return max(0, incident.resolved_at - began_at(incident))


def met_target(incident: Incident, plan: ResponsePlan, now: int) -> bool | None:
    """Whether its response time was kept, by the priority that it has now.

    None where that is open (it still waits within its time) or nobody was told of it. What ended before anybody
    acknowledged it (dismissed, resolved by itself) was answered when it ended.
    """
    if incident.told_at is None:
        return None
    if incident.ack_breached_at is not None:
        return False
    limit_ms = plan.grade(incident.priority).response_ms
    answered_at = incident.acknowledged_at
    if answered_at is None:
        answered_at = incident.resolved_at
    if answered_at is not None:
        return answered_at - incident.told_at <= limit_ms
    return False if now - incident.told_at > limit_ms else None


def _hits(incidents: Sequence[Incident], plan: ResponsePlan, now: int) -> Hits:
    answers = [met_target(incident, plan, now) for incident in incidents]
    met, missed = answers.count(True), answers.count(False)
    return Hits(met, missed, met / (met + missed) if met + missed else None)


def _record(incidents: Sequence[Incident]) -> RuleRecord:
    verdicts = [i.verdict for i in incidents if i.verdict not in (None, Verdict.DUPLICATE)]
    wrong = verdicts.count(Verdict.FALSE_POSITIVE)
    return RuleRecord(len(incidents), len(verdicts), wrong, wrong / len(verdicts) if verdicts else None)


def _spread(times_ms: list[int]) -> Spread:
    if not times_ms:
        return Spread(0, None, None)
    ninth = sorted(times_ms)[math.ceil(0.9 * len(times_ms)) - 1]
    return Spread(len(times_ms), round(statistics.median(times_ms)), ninth)


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
