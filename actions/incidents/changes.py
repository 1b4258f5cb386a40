"""How an incident changes: opened, joined, raised, moved, escalated. Pure; incidents.py and its neighbours keep it."""

import re
from typing import Any

import msgspec

from actions.errors import ConflictError
from actions.incidents.incident import ENTITIES_KEPT, EVIDENCE_KEPT, CheckItem, Entity, Incident
from actions.incidents.response_plan import TICKET_CREATED, ResponsePlan
from actions.incidents.status import IncidentStatus, Move, Verdict, allowed_actions, target_of
from detectors.finding import Finding, Severity, SubjectKind

_WORST_FIRST = list(Severity)
SYSTEM_NAME = "bartizan"


def target_status(incident: Incident, move: Move) -> IncidentStatus:
    """Where a move leads. Raises: ConflictError naming the legal moves where it is none."""
    target = target_of(incident.status, move)
    if target is None:
        allowed = allowed_actions(incident.status)
        raise ConflictError(
            f"{incident.id} is {incident.status}: cannot {move}; allowed: {', '.join(allowed) or 'nothing'}",
            allowed,
        )
    return target


def dedup_key_of(finding: Finding) -> str:
    """What findings of one incident have in common."""
    return ":".join(part for part in (finding.rule, finding.subject, finding.place) if part)


def title_of(finding: Finding) -> str:
    """`auth_failures: 203.0.113.9`, `api_key_exposure: github_token:v1:... in the URL`."""
    where = f" in the {finding.place}" if finding.place else ""
    return f"{finding.rule}: {finding.subject}{where}"[:200]


def entities_of(finding: Finding, known: tuple[Entity, ...] = ()) -> tuple[Entity, ...]:
    """Who and what a finding speaks of, after those already known; at most 20."""
    found = dict.fromkeys(known)
    found[Entity(finding.subject_kind.value, finding.subject)] = None
    for evidence in finding.evidence:
        if evidence.user:
            found[Entity(SubjectKind.USER.value, evidence.user)] = None
        if evidence.client_ip:
            found[Entity(SubjectKind.IP.value, evidence.client_ip)] = None
        if evidence.host:
            found[Entity(SubjectKind.HOST.value, evidence.host)] = None
    return tuple(found)[:ENTITIES_KEPT]


def _with(known: tuple[Entity, ...], others: tuple[Entity, ...]) -> tuple[Entity, ...]:
    return tuple(dict.fromkeys((*known, *others)))[:ENTITIES_KEPT]


def slug(text: str) -> str:
    """A checklist's line as an id: `Root cause identified` is `root-cause-identified`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def checklist_of(plan: ResponsePlan, now: int) -> tuple[CheckItem, ...]:
    """The plan's checklists with nothing ticked but what is done with the opening: the ticket."""
    return tuple(
        CheckItem(slug(text), phase, text, now if text == TICKET_CREATED else None, SYSTEM_NAME)
        if text == TICKET_CREATED
        else CheckItem(slug(text), phase, text)
        for phase, texts in plan.checklists.items()
        for text in texts
    )


def opened_by(
    finding: Finding,
    incident_id: str,
    now: int,
    merged: int = 1,
    *,
    plan: ResponsePlan,
    immediate: bool,
    entities: tuple[Entity, ...] | None,
) -> Incident:
    """The incident that a finding opens, merged of so many. `entities` None: those read from the finding."""
    severity = Severity.CRITICAL if immediate else finding.severity
    quiet_ms = plan.quiet_ms.get(finding.rule)
    return Incident(
        id=incident_id,
        rule=finding.rule,
        title=title_of(finding),
        why=finding.why,
        severity=severity,
        priority=plan.priority_of(severity),
        status=IncidentStatus.TRIGGERED,
        subject=finding.subject,
        entities=entities_of(finding) if entities is None else entities,
        event_count=finding.count,
        finding_count=merged,
        first_seen=finding.first_at,
        last_seen=finding.at,
        triggered_at=now,
        dedup_key=dedup_key_of(finding),
        evidence=finding.evidence[-EVIDENCE_KEPT:],
        immediate=immediate,
        references=finding.references,
        checklist=checklist_of(plan, now),
        quiet_at=None if quiet_ms is None else now + quiet_ms,
    )


def joined_by(
    old: Incident,
    finding: Finding,
    now: int,
    merged: int = 1,
    *,
    plan: ResponsePlan,
    immediate: bool,
    entities: tuple[Entity, ...] | None,
) -> Incident:
    """The incident after one more finding, merged of so many."""
    severity = Severity.CRITICAL if immediate else finding.severity
    quiet_ms = plan.quiet_ms.get(old.rule)
    return msgspec.structs.replace(
        raised(old, severity, plan=plan, immediate=immediate or old.immediate),
        entities=entities_of(finding, old.entities) if entities is None else _with(old.entities, entities),
        event_count=old.event_count + finding.count,
        finding_count=old.finding_count + merged,
        first_seen=min(old.first_seen, finding.first_at),
        last_seen=max(old.last_seen, finding.at),
        evidence=(*old.evidence, *finding.evidence)[:EVIDENCE_KEPT],
        references=finding.references or old.references,
        quiet_at=None if quiet_ms is None else now + quiet_ms,
    )


def absorbing(old: Incident, other: Incident, plan: ResponsePlan) -> Incident:
    """The incident with all that another one speaks of; one version further."""
    return msgspec.structs.replace(
        raised(old, other.severity, plan=plan, immediate=other.immediate or old.immediate),
        entities=_with(old.entities, other.entities),
        event_count=old.event_count + other.event_count,
        finding_count=old.finding_count + other.finding_count,
        first_seen=min(old.first_seen, other.first_seen),
        last_seen=max(old.last_seen, other.last_seen),
        evidence=(*old.evidence, *other.evidence)[:EVIDENCE_KEPT],
    )


def raised(old: Incident, severity: Severity, *, plan: ResponsePlan, immediate: bool) -> Incident:
    """The incident at this severity, if that is worse and no person has graded it; one version further."""
    worst = min(old.severity, severity, key=_WORST_FIRST.index)
    if old.graded_by is not None and not (immediate and not old.immediate):
        return msgspec.structs.replace(old, immediate=immediate, version=old.version + 1)
    return msgspec.structs.replace(
        old,
        severity=worst,
        priority=plan.priority_of(worst),
        immediate=immediate,
        version=old.version + 1,
    )


def moved(old: Incident, status: IncidentStatus, who: str, verdict: Verdict | None, now: int) -> Incident:
    """The incident in another status, its clocks stopped where somebody is on it; one version further."""
    fields: dict[str, Any] = {"status": status, "version": old.version + 1}
    if status != IncidentStatus.TRIGGERED:
        fields |= {"ack_due_at": None, "escalate_at": None}
    if status == IncidentStatus.ACKNOWLEDGED:
        if old.acknowledged_at is None:
            fields |= {"acknowledged_at": now, "acknowledged_by": who, "lead": old.lead or who}
        if not old.is_open:
            fields |= {
                "resolved_at": None,
                "verdict": None,
                "merged_into": None,
                "reopened": old.reopened + 1,
            }
    elif status == IncidentStatus.MITIGATED:
        fields["mitigated_at"] = now
    elif status in (IncidentStatus.RESOLVED, IncidentStatus.DISMISSED, IncidentStatus.MERGED):
        fields |= {"resolved_at": now, "verdict": verdict, "quiet_at": None}
    elif status == IncidentStatus.CLOSED:
        fields["closed_at"] = now
    return msgspec.structs.replace(old, **fields)


def with_clocks(incident: Incident, plan: ResponsePlan, now: int) -> Incident:
    """The incident as one that people were told of, with both its clocks set where nobody has acknowledged it.

    They count from when people were told. Steps that have passed already are taken at the next look, one after the
    other, so that a raised priority catches up.
    """
    told_at = now if incident.told_at is None else incident.told_at
    if incident.status != IncidentStatus.TRIGGERED:
        return msgspec.structs.replace(incident, told_at=told_at)
    steps = plan.steps(incident.priority)
    level = max(incident.escalation_level, plan.told_at_opening(incident.priority))
    step = next((n for n, s in enumerate(steps) if s.level > incident.escalation_level), len(steps))
    breached = incident.ack_breached_at is not None
    return msgspec.structs.replace(
        incident,
        told_at=told_at,
        escalation_level=level,
        escalation_step=step,
        escalate_at=told_at + steps[step].after_ms if step < len(steps) else None,
        ack_due_at=None if breached else told_at + plan.grade(incident.priority).response_ms,
    )
