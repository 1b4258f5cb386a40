"""An incident, its evidence and its timeline on the wire, and what people send to move one."""

from typing import Any

from actions.incidents.incident import Incident
from actions.incidents.runbook import runbook_of
from actions.incidents.status import IncidentStatus, Verdict, allowed_actions
from actions.investigations.dossiers import Dossier
from app.admin.models import Data, Moment, Output
from detectors.finding import Evidence, Priority, Severity


def etag_of(incident: Incident) -> str:
    """The ETag of an incident: its version."""
    return f'"{incident.version}"'


class EntityModel(Output):
    """Somebody or something in an incident."""

    type: str
    value: str


class EvidenceModel(Output):
    """One counted event, redacted, as it was copied when the incident took it in. Text is an attacker's."""

    at: Moment
    received_at: Moment
    matched: str
    client_ip: str | None
    method: str | None
    path: str | None
    status: int | None
    user: str | None
    user_agent: str | None
    host: str | None
    request_id: str | None
    flags: tuple[str, ...]
    record: str


class CheckItemModel(Output):
    """One line of a checklist."""

    id: str
    phase: str
    text: str
    done_at: Moment | None
    done_by: str
    note: str


class FollowUpModel(Output):
    """What is left to do when the incident is over."""

    id: str
    text: str
    owner: str
    due: Moment
    created_at: Moment
    done_at: Moment | None
    done_by: str


class PublicUpdateModel(Output):
    """What the public status page says from this time on."""

    at: Moment
    state: str
    text: str


class PublicationModel(Output):
    """The incident as the public may see it."""

    title: str
    component: str
    updates: tuple[PublicUpdateModel, ...]
    until: Moment | None
    """When it was taken off the page."""


class MemberModel(Output):
    """One subject of a campaign."""

    subject: str
    last_seen: Moment


class IncidentModel(Output):
    """One problem, however many findings speak of it."""

    id: str
    rule: str
    title: str
    why: str
    severity: Severity
    priority: Priority
    status: IncidentStatus
    subject: str
    entities: tuple[EntityModel, ...]
    event_count: int
    finding_count: int
    first_seen: Moment
    last_seen: Moment
    triggered_at: Moment
    acknowledged_at: Moment | None
    acknowledged_by: str | None
    resolved_at: Moment | None
    closed_at: Moment | None
    mitigated_at: Moment | None
    verdict: Verdict | None
    members: int
    """Of a campaign: how many subjects; 0: it is about one."""
    merged_into: str | None
    reopened: int
    graded_by: str | None
    lead: str | None
    impact: str
    root_cause: str
    lessons: str
    checklist: tuple[CheckItemModel, ...]
    follow_ups: tuple[FollowUpModel, ...]
    public: PublicationModel | None
    told_at: Moment | None
    ack_due_at: Moment | None
    """Until when somebody should acknowledge it; null when its clock does not run."""
    ack_breached_at: Moment | None
    escalate_at: Moment | None
    """When the next level is told; null when its clock does not run."""
    escalation_level: int
    references: tuple[str, ...]
    """ATT&CK, OWASP and CWE ids of its rule."""
    version: int
    allowed_actions: tuple[str, ...]


class PlaceModel(Output):
    """Where an address is, and whose it is, by the databases that are configured."""

    country: str | None
    city: str | None
    asn: int | None
    organization: str | None


class NeighbourModel(Output):
    """Another subject of the same vicinity or provider, and what it was found for."""

    subject: str
    rule: str
    at: Moment


class EarlierBlockModel(Output):
    """A block of the subject, made before the investigation or by it."""

    id: str
    rule: str | None
    reason: str
    status: str
    strikes: int
    created_at: Moment
    until: Moment | None
    note: str


class StepModel(Output):
    """One thing to do next; its text is an attacker's in part."""

    id: str
    urgent: bool
    text: str
    runbook: str


class DossierModel(Output):
    """What the investigation found out about the subject."""

    made_at: Moment
    place: PlaceModel | None
    earlier_blocks: tuple[EarlierBlockModel, ...]
    accounts: tuple[str, ...]
    vicinity: str | None
    blocked_nearby: tuple[str, ...]
    found_nearby: tuple[NeighbourModel, ...]
    steps: tuple[StepModel, ...]
    """What to do next, the urgent ones first; the whole dossier is at `/dossier`."""


class RunbookModel(Output):
    """What the rule's incidents mean, how to tell whether this one is real, what to do, and when it is wrong."""

    what: str
    check: str
    act: str
    wrong: str


class IncidentWhyModel(IncidentModel):
    """An incident with its runbook and evidence, and what the investigation found."""

    runbook: RunbookModel
    evidence: list[EvidenceModel]
    dossier: DossierModel | None


class EntryModel(Output):
    """One line of a timeline. `at` is when it happened, `recorded_at` when it was known here."""

    id: str
    incident_id: str
    at: Moment
    recorded_at: Moment
    actor: str
    kind: str
    text: str
    data: Data
    pinned: bool


def _fields(incident: Incident) -> dict[str, Any]:
    fields = {
        name: getattr(incident, name) for name in IncidentModel.model_fields if name != "allowed_actions"
    }
    fields["entities"] = [EntityModel.model_validate(entity) for entity in incident.entities]
    fields["checklist"] = [CheckItemModel.model_validate(item) for item in incident.checklist]
    fields["follow_ups"] = [FollowUpModel.model_validate(item) for item in incident.follow_ups]
    fields["public"] = incident.public and PublicationModel.model_validate(incident.public)
    fields["allowed_actions"] = allowed_actions(incident.status)
    return fields


def incident_model(incident: Incident) -> IncidentModel:
    """An incident as lists show it."""
    return IncidentModel(**_fields(incident))


def incident_why_model(incident: Incident, dossier: Dossier | None, rule_title: str = "") -> IncidentWhyModel:
    """An incident with everything that is known of it. `rule_title`: of a rule of the operator's own."""
    return IncidentWhyModel(
        **_fields(incident),
        runbook=RunbookModel.model_validate(runbook_of(incident.rule, rule_title)),
        evidence=[evidence_model(item) for item in incident.evidence],
        dossier=None if dossier is None else DossierModel.model_validate(dossier),
    )


def evidence_model(evidence: Evidence) -> EvidenceModel:
    """One counted event."""
    return EvidenceModel.model_validate(evidence)
