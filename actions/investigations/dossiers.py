"""What an investigation found out, kept with its incident.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:dossier:ID` | string, JSON | 400 days | one per incident, 200 KB: its lists are cut |
"""

from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.blocks.block import AllowEntry
from actions.incidents.timeline import INCIDENT_TTL_MS
from actions.investigations.investigation import EventSummary, Step
from actions.investigations.neighbours import Alike, Neighbour
from actions.storage import Client, act_key, short, storage_errors
from detectors.finding import Evidence
from detectors.geo import Place

LARGEST_BYTES = 200_000
"""Of one dossier as JSON."""
_CUT = ("minutes", "notable", "paths", "agents", "addresses", "accounts", "keys")
"""Lists of the summary that are halved, in turn, while a dossier is too large."""


class EarlierBlock(msgspec.Struct, frozen=True):
    """One earlier (or present) block of the subject."""

    id: str
    rule: str | None
    reason: str
    status: str
    strikes: int
    created_at: int
    until: int | None
    note: str
    review: str = ""
    changed_by: str | None = None
    """Who lifted, extended or reviewed it last."""


class EarlierIncident(msgspec.Struct, frozen=True):
    """Another incident in which the subject stands."""

    id: str
    rule: str
    title: str
    status: str
    verdict: str | None
    triggered_at: int
    event_count: int


class Dossier(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an incident's subject at the time of asking. Everything in it is redacted already."""

    incident_id: str
    """Empty where somebody asked about an entity without an incident."""
    finding_id: str
    made_at: int
    subject: str
    subject_kind: str = ""
    rule: str = ""
    evidence: tuple[Evidence, ...]
    place: Place | None = None
    """None where no database is configured or it says nothing."""
    earlier_blocks: tuple[EarlierBlock, ...] = ()
    accounts: tuple[str, ...] = ()
    """The accounts it tried, in the order of the evidence."""
    vicinity: str | None = None
    """The /24 (IPv6: /48) that `blocked_nearby` and `found_nearby` look at."""
    blocked_nearby: tuple[str, ...] = ()
    """Addresses of the same vicinity or provider that are blocked now."""
    found_nearby: tuple[Neighbour, ...] = ()
    """Subjects of the same vicinity or provider that were found out within seven days."""
    allowed_by: AllowEntry | None = None
    """The allowlist entry that holds the subject."""
    spared: tuple[str, ...] = ()
    """Why a rule's block of it was not made, from the incident's timeline."""
    shared_users: int = 0
    earlier_incidents: tuple[EarlierIncident, ...] = ()
    alike: tuple[Alike, ...] = ()
    """Other subjects found lately with the same user agent or paths."""
    events: EventSummary | None = None
    """None in the first quick dossier: the events are still to be read."""
    places: dict[str, Place] = {}
    """Of the addresses that an account, a key or a host was used from, where they are known."""
    steps: tuple[Step, ...] = ()
    """What to do next, the most urgent first."""
    left_out: int = 0
    """Entries that were cut from the lists to keep the size."""


def dossier_key(incident_id: str) -> str:
    """One incident's dossier."""
    return act_key("dossier", short(incident_id))


def encoded(dossier: Dossier) -> bytes:
    """The dossier as JSON, its lists halved until it fits."""
    raw = msgspec.json.encode(dossier)
    for turn in range(200):
        if len(raw) <= LARGEST_BYTES:
            break
        dossier = _cut(dossier, turn)
        raw = msgspec.json.encode(dossier)
    return raw


def _cut(dossier: Dossier, turn: int) -> Dossier:
    """The dossier with one of its lists halved."""
    if dossier.events is not None and turn % 3 < 2:
        name = max(_CUT, key=lambda name: len(msgspec.json.encode(getattr(dossier.events, name))))
        rows: Any = getattr(dossier.events, name)
        events = msgspec.structs.replace(dossier.events, **{name: rows[: len(rows) // 2]})
        gone = len(rows) - len(rows) // 2
        return msgspec.structs.replace(dossier, events=events, left_out=dossier.left_out + gone)
    names = ("evidence", "earlier_blocks", "earlier_incidents", "alike", "found_nearby", "accounts", "spared")
    name = max(names, key=lambda name: len(msgspec.json.encode(getattr(dossier, name))))
    rows = getattr(dossier, name)
    gone = len(rows) - len(rows) // 2
    cut: dict[str, Any] = {name: rows[: len(rows) // 2], "left_out": dossier.left_out + gone}
    return msgspec.structs.replace(dossier, **cut)


class Dossiers:
    """Keeps the newest dossier of each incident."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    def stage(self, pipe: Pipeline, dossier: Dossier) -> None:
        """Queues keeping a dossier in the place of the incident's earlier one, on a MULTI that is being built."""
        pipe.set(dossier_key(dossier.incident_id), encoded(dossier), px=INCIDENT_TTL_MS)

    async def put(self, dossier: Dossier) -> None:
        """Keeps a dossier in the place of the incident's earlier one. Raises: StorageError."""
        with storage_errors("keeping a dossier"):
            await self._redis.set(dossier_key(dossier.incident_id), encoded(dossier), px=INCIDENT_TTL_MS)

    async def find(self, incident_id: str) -> Dossier | None:
        """The dossier of an incident, or None. Raises: StorageError."""
        with storage_errors("reading a dossier"):
            item = await self._redis.get(dossier_key(incident_id))
        return msgspec.json.decode(item, type=Dossier) if item else None
