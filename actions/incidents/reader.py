"""Reads incidents: one, a page of them, their counts, a campaign's members. Keys: incidents/keys.py."""

from collections import Counter
from typing import Any

from actions.errors import UnknownError
from actions.incidents.campaigns import MEMBERS_READ, Member, members_key
from actions.incidents.filters import IncidentFilter, fits
from actions.incidents.incident import Incident
from actions.incidents.keys import decode_incident, incident_key, incidents_key
from actions.storage import Client, cursor_of, member_of, storage_errors, text_of

SCAN_LIMIT = 5_000


class IncidentReader:
    """The stored incidents, to look at."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def get(self, incident_id: str) -> Incident:
        """One incident. Raises: UnknownError, StorageError."""
        with storage_errors("reading an incident"):
            item = await self._redis.get(incident_key(incident_id))
        if item is None:
            raise UnknownError(f"incident {incident_id!r} is not known")
        return decode_incident(item)

    async def page(
        self, wanted: IncidentFilter | None = None, *, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Incident], str | None]:
        """Incidents newest first, and the cursor of the next page or None.

        One call looks at no more than 5,000: a page may be short although its cursor says that there is more.
        Raises: ValueError where the cursor is not one of ours; StorageError.
        """
        wanted = wanted or IncidentFilter()
        floor = f"[{wanted.since:013d}" if wanted.since else "-"
        last = member_of(cursor) if cursor else None
        found: list[Incident] = []
        for _ in range(SCAN_LIMIT // 250):
            with storage_errors("reading incidents"):
                members = await self._redis.zrevrangebylex(
                    incidents_key("index"), f"({last}" if last else "+", floor, start=0, num=250
                )
                names = [text_of(m).partition(":")[2] for m in members]
                items = await self._redis.mget([incident_key(n) for n in names]) if names else []
            for member, item in zip(members, items, strict=True):
                last = text_of(member)
                if item is not None and fits(incident := decode_incident(item), wanted):
                    found.append(incident)
                    if len(found) == limit:
                        return found, cursor_of(last)
            if len(members) < 250:
                return found, None
        return found, cursor_of(last or "")

    async def counts(self) -> dict[str, dict[str, int]]:
        """How many of the newest 5,000, by status and, for those open, by severity. Raises: StorageError."""
        incidents, _ = await self.page(limit=SCAN_LIMIT)
        by_severity = Counter(i.severity.value for i in incidents if i.is_open)
        return {"status": dict(Counter(i.status.value for i in incidents)), "severity": dict(by_severity)}

    async def members(self, incident_id: str, limit: int = MEMBERS_READ) -> list[Member]:
        """The subjects of a campaign, the latest first. Raises: StorageError."""
        with storage_errors("reading a campaign"):
            rows: Any = await self._redis.zrevrange(members_key(incident_id), 0, limit - 1, withscores=True)
        return [Member(text_of(subject), int(at)) for subject, at in rows]
