"""What an incident is, and which moves lead where. Types and the state machine only; incidents.py keeps them."""

import enum
from collections.abc import Mapping
from typing import Any

import msgspec

from actions.errors import ConflictError
from detectors.finding import PRIORITY_OF, Evidence, Finding, Priority, Severity, SubjectKind

EVIDENCE_KEPT = 30
ENTITIES_KEPT = 20


class IncidentStatus(enum.StrEnum):
    """triggered -> acknowledged -> mitigated -> resolved -> closed, with the side exits dismissed and merged."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"
    DISMISSED = "dismissed"
    MERGED = "merged"


OPEN = frozenset({IncidentStatus.TRIGGERED, IncidentStatus.ACKNOWLEDGED, IncidentStatus.MITIGATED})
"""While an incident is one of these, findings of the same rule and subject join it."""


class Verdict(enum.StrEnum):
    """What it was in the end. Source: the verdicts of DFIR-IRIS and TheHive."""

    TRUE_POSITIVE = "true_positive"
    FALSE_POSITIVE = "false_positive"
    BENIGN = "benign"
    """It did happen, and it was allowed: a test, a customer's script."""
    UNKNOWN = "unknown"


class Move(enum.StrEnum):
    """What a person can do with an incident."""

    ACKNOWLEDGE = "acknowledge"
    MITIGATE = "mitigate"
    RESOLVE = "resolve"
    DISMISS = "dismiss"
    REOPEN = "reopen"
    CLOSE = "close"


_TO: Mapping[Move, tuple[frozenset[IncidentStatus], IncidentStatus]] = {
    Move.ACKNOWLEDGE: (frozenset({IncidentStatus.TRIGGERED}), IncidentStatus.ACKNOWLEDGED),
    Move.MITIGATE: (frozenset({IncidentStatus.ACKNOWLEDGED}), IncidentStatus.MITIGATED),
    Move.RESOLVE: (
        frozenset({IncidentStatus.ACKNOWLEDGED, IncidentStatus.MITIGATED}),
        IncidentStatus.RESOLVED,
    ),
    Move.DISMISS: (OPEN, IncidentStatus.DISMISSED),
    Move.REOPEN: (
        frozenset({IncidentStatus.RESOLVED, IncidentStatus.DISMISSED}),
        IncidentStatus.ACKNOWLEDGED,
    ),
    Move.CLOSE: (frozenset({IncidentStatus.RESOLVED}), IncidentStatus.CLOSED),
}
"""Move -> (from which statuses, to which)."""


class Entity(msgspec.Struct, frozen=True):
    """Somebody or something in an incident: `ip`, `user`, `key`, `host` or `rule`, and its value."""

    type: str
    value: str


_WORST_FIRST = list(Severity)


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One problem, however many findings speak of it. Times are epoch ms."""

    id: str
    """`INC-2026-0001`; the year and a count within it, which may have gaps."""
    rule: str
    title: str
    why: str
    """The sentence of the finding that opened it."""
    severity: Severity
    priority: Priority
    status: IncidentStatus
    subject: str
    entities: tuple[Entity, ...]
    event_count: int
    finding_count: int
    first_seen: int
    last_seen: int
    triggered_at: int
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None
    mitigated_at: int | None = None
    resolved_at: int | None = None
    closed_at: int | None = None
    verdict: Verdict | None = None
    dedup_key: str
    evidence: tuple[Evidence, ...] = ()
    """Copied when findings come, at most 30, the opening ones first: the windows expire, this must not."""
    immediate: bool = False
    updates: int = 0
    """How many messages said "it goes on"."""
    updated_at: int | None = None
    """When the last of them was written."""
    joins_noted_at: int | None = None
    references: tuple[str, ...] = ()
    """ATT&CK, OWASP and CWE ids of its rule."""
    version: int = 1
    """Counts every change; for If-Match."""


class Entry(msgspec.Struct, frozen=True):
    """One line of an incident's timeline. Never changed; a correction is another entry."""

    id: str
    incident_id: str
    at: int
    """When it happened, which may be before it was known."""
    recorded_at: int
    actor: str
    kind: str
    """created, event_attached, severity_changed, acknowledged, mitigated, resolved, dismissed, reopened,
    closed, action_taken, action_failed, action_skipped, evidence_added, notified, comment."""
    text: str
    data: Any = None


class Opened(msgspec.Struct, frozen=True):
    """What findings did: opened this incident, joined it, or had all been counted before (`repeated`)."""

    incident: Incident
    opened: bool
    repeated: bool = False
    finding_id: str = ""
    """The finding under whose id their actions run: of those that were once counted together, the first."""
    counted: int = 0
    """How many of them had not been counted before."""


def allowed_actions(status: IncidentStatus) -> tuple[str, ...]:
    """The moves that are legal in this status, in the order of the state machine."""
    return tuple(move.value for move, (sources, _) in _TO.items() if status in sources)


def target_of(incident: Incident, move: Move) -> IncidentStatus:
    """Where a move leads. Raises: ConflictError naming the legal moves where it is none."""
    sources, target = _TO[move]
    if incident.status not in sources:
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


def opened_by(
    finding: Finding,
    incident_id: str,
    now: int,
    merged: int = 1,
    *,
    immediate: bool,
    entities: tuple[Entity, ...] | None,
) -> Incident:
    """The incident that a finding opens, merged of so many. `entities` None: those read from the finding."""
    severity = Severity.CRITICAL if immediate else finding.severity
    return Incident(
        id=incident_id,
        rule=finding.rule,
        title=title_of(finding),
        why=finding.why,
        severity=severity,
        priority=PRIORITY_OF[severity],
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
    )


def joined_by(
    old: Incident,
    finding: Finding,
    merged: int = 1,
    *,
    immediate: bool,
    entities: tuple[Entity, ...] | None,
) -> Incident:
    """The incident after one more finding, merged of so many."""
    severity = Severity.CRITICAL if immediate else finding.severity
    return msgspec.structs.replace(
        raised(old, severity, immediate=immediate or old.immediate),
        entities=entities_of(finding, old.entities) if entities is None else old.entities,
        event_count=old.event_count + finding.count,
        finding_count=old.finding_count + merged,
        first_seen=min(old.first_seen, finding.first_at),
        last_seen=max(old.last_seen, finding.at),
        evidence=(*old.evidence, *finding.evidence)[:EVIDENCE_KEPT],
        references=finding.references or old.references,
    )


def raised(old: Incident, severity: Severity, *, immediate: bool) -> Incident:
    """The incident at this severity, if that is worse; one version further."""
    worst = min(old.severity, severity, key=_WORST_FIRST.index)
    return msgspec.structs.replace(
        old,
        severity=worst,
        priority=PRIORITY_OF[worst],
        immediate=immediate,
        version=old.version + 1,
    )


def moved(old: Incident, status: IncidentStatus, who: str, verdict: Verdict | None, now: int) -> Incident:
    """The incident in another status; one version further."""
    fields: dict[str, Any] = {"status": status, "version": old.version + 1}
    if status == IncidentStatus.ACKNOWLEDGED:
        if old.acknowledged_at is None:
            fields |= {"acknowledged_at": now, "acknowledged_by": who}
        fields |= {"resolved_at": None, "verdict": None}
    elif status == IncidentStatus.MITIGATED:
        fields["mitigated_at"] = now
    elif status in (IncidentStatus.RESOLVED, IncidentStatus.DISMISSED):
        fields |= {"resolved_at": now, "verdict": verdict}
    elif status == IncidentStatus.CLOSED:
        fields["closed_at"] = now
    return msgspec.structs.replace(old, **fields)
