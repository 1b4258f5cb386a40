"""Where incidents are kept, and how one is written: its record and its clock change together.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:incident:ID` | string, JSON | 400 days after the last change | |
| `bartizan:{act}:incidents:index` | sorted set, `TIME:ID` by text | none | those opened in the last 800 days |
| `bartizan:{act}:incidents:open:DEDUP` | string, id | 400 days, gone when resolved | one per open incident |
| `bartizan:{act}:incidents:seen:FINDING` | string, ids | 7 days | one per finding |
| `bartizan:{act}:incidents:told:FINDING` | string | 7 days | one per finding that tells people |
| `bartizan:{act}:incidents:count:YEAR` | string, count | none | one per year |
| `bartizan:{act}:incidents:due` | sorted set, id by time | none | the incidents with a clock that runs |
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.errors import StaleError, UnknownError
from actions.incidents.incident import Incident
from actions.incidents.status import IncidentStatus
from actions.incidents.timeline import INCIDENT_TTL_MS
from actions.storage import act_key, short, text_of

encode_incident = msgspec.json.Encoder().encode
decode_incident = msgspec.json.Decoder(Incident).decode


def incident_key(incident_id: str) -> str:
    """One incident."""
    return act_key("incident", short(incident_id))


def incidents_key(*parts: str) -> str:
    """One of the keys about all incidents, a dedup key, a finding or a year."""
    return act_key("incidents", *(short(part) for part in parts))


def due_at(incident: Incident) -> int | None:
    """When the next of its clocks strikes, epoch ms; None where none runs."""
    times = (incident.ack_due_at, incident.escalate_at, incident.quiet_at if incident.is_open else None)
    return min((time for time in times if time is not None), default=None)


def stage_incident(pipe: Pipeline, incident: Incident) -> None:
    """Writes an incident and its clock, in the MULTI of the change."""
    pipe.set(incident_key(incident.id), encode_incident(incident), px=INCIDENT_TTL_MS)
    due = due_at(incident)
    if due is None:
        pipe.zrem(incidents_key("due"), incident.id)
    else:
        pipe.zadd(incidents_key("due"), {incident.id: due})


async def watched(pipe: Pipeline, incident_id: str) -> Incident:
    """One incident, read within an optimistic change. Raises: UnknownError."""
    await pipe.watch(incident_key(incident_id))
    item = await pipe.get(incident_key(incident_id))
    if item is None:
        raise UnknownError(f"incident {incident_id!r} is not known")
    return decode_incident(item)


async def watched_successor(pipe: Pipeline, incident_id: str) -> Incident:
    """The same, or where it was merged the one that speaks of it now. Raises: UnknownError."""
    incident = await watched(pipe, incident_id)
    passed = {incident_id}
    while incident.status == IncidentStatus.MERGED and incident.merged_into not in (None, *passed):
        passed.add(incident.merged_into or "")
        incident = await watched(pipe, incident.merged_into or "")
    return incident


async def watched_at(pipe: Pipeline, incident_id: str, version: int | None) -> Incident:
    """The same at the version that somebody saw; None: whichever it is at.

    Raises: StaleError for another version; UnknownError.
    """
    incident = await watched(pipe, incident_id)
    if version is not None and incident.version != version:
        raise StaleError(f"{incident_id} is at version {incident.version}, not {version}")
    return incident


async def watched_if_open(pipe: Pipeline, holder: Any) -> Incident | None:
    """The incident of this id, or the one that it was merged into, if that is open. `holder` None: None."""
    if holder is None:
        return None
    try:
        incident = await watched_successor(pipe, text_of(holder))
    except UnknownError:
        return None
    return incident if incident.is_open else None


def if_open(item: Any) -> Incident | None:
    """A stored incident if it is there and open."""
    incident = decode_incident(item) if item else None
    return incident if incident and incident.is_open else None


async def next_id(pipe: Pipeline, now: Callable[[], int]) -> str:
    """Counted before the MULTI, so that many may open at once; one that is done again leaves a gap."""
    year = datetime.fromtimestamp(now() / 1000, UTC).year
    count: int = await pipe.incr(incidents_key("count", str(year)))
    return f"INC-{year}-{count:04d}"
