"""What an investigation found out, kept with its incident.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:dossier:ID` | string, JSON | 400 days | one per incident, each list in it at most 50 long |
"""

import msgspec

from actions.neighbours import Neighbour
from actions.storage import Client, act_key, short, storage_errors
from actions.timeline import INCIDENT_TTL_MS
from detectors.finding import Evidence
from detectors.geo import Place


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


class Dossier(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an incident's subject at the time of asking. Everything in it is redacted already."""

    incident_id: str
    finding_id: str
    made_at: int
    subject: str
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


def dossier_key(incident_id: str) -> str:
    """One incident's dossier."""
    return act_key("dossier", short(incident_id))


class Dossiers:
    """Keeps the newest dossier of each incident."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def put(self, dossier: Dossier) -> None:
        """Keeps a dossier in the place of the incident's earlier one. Raises: StorageError."""
        with storage_errors("keeping a dossier"):
            await self._redis.set(
                dossier_key(dossier.incident_id), msgspec.json.encode(dossier), px=INCIDENT_TTL_MS
            )

    async def find(self, incident_id: str) -> Dossier | None:
        """The dossier of an incident, or None. Raises: StorageError."""
        with storage_errors("reading a dossier"):
            item = await self._redis.get(dossier_key(incident_id))
        return msgspec.json.decode(item, type=Dossier) if item else None
