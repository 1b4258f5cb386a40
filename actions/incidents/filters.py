"""Which incidents a list shows."""

import msgspec

from actions.incidents.incident import Incident
from actions.incidents.status import OPEN, IncidentStatus
from detectors.finding import Severity


class IncidentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which incidents a list shows; what is None does not narrow it."""

    status: IncidentStatus | None = None
    is_open: bool | None = None
    severity: Severity | None = None
    rule: str | None = None
    entity: str | None = None
    """A value (`203.0.113.9`) or type and value (`user=alice`) among the entities."""
    since: int | None = None
    """Triggered at or after this, epoch ms."""
    q: str | None = None
    """Text that id, title, why or subject contain, any case."""


def fits(incident: Incident, wanted: IncidentFilter) -> bool:
    """Whether a list of what is wanted shows this incident."""
    if wanted.entity is not None:
        names = {e.value for e in incident.entities} | {f"{e.type}={e.value}" for e in incident.entities}
        if wanted.entity not in names:
            return False
    if wanted.q is not None:
        texts = (incident.id, incident.title, incident.why, incident.subject)
        if not any(wanted.q.lower() in text.lower() for text in texts):
            return False
    return (
        (wanted.status is None or incident.status == wanted.status)
        and (wanted.is_open is None or (incident.status in OPEN) == wanted.is_open)
        and (wanted.severity is None or incident.severity == wanted.severity)
        and (wanted.rule is None or incident.rule == wanted.rule)
        and (wanted.since is None or incident.triggered_at >= wanted.since)
    )
