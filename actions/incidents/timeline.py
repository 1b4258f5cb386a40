"""What happened in an incident, line by line: append-only.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:timeline:ID` | stream | 400 days after the last entry | about 10,000 entries |
| `bartizan:{act}:noted:SHA` | string | 7 days | one per entry that must not be written twice |
"""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import SYSTEM, Actor, is_stream_id
from actions.incidents.incident import Entry
from actions.storage import DAY_MS, DONE_TTL_MS, Client, act_key, begin, change, storage_errors, text_of

INCIDENT_TTL_MS = 400 * DAY_MS
"""How long an incident and its timeline are kept after the last change: a year, and time to look back on it."""
TIMELINE_MAXLEN = 10_000


def timeline_key(incident_id: str) -> str:
    """One incident's timeline."""
    return act_key("timeline", incident_id)


def noted_key(incident_id: str, once: str) -> str:
    """Remembers that an entry has been written."""
    return act_key("noted", hashlib.sha256(f"{incident_id} {once}".encode()).hexdigest()[:32])


class Timeline:
    """Writes and reads timelines."""

    def __init__(self, redis: Client, now: Callable[[], int]) -> None:
        self._redis = redis
        self._now = now

    def stage(
        self,
        pipe: Pipeline,
        incident_id: str,
        kind: str,
        text: str,
        *,
        actor: Actor = SYSTEM,
        at: int | None = None,
        data: Any = None,
        pinned: bool = False,
    ) -> None:
        """Queues one entry on a MULTI that is being built. `at` None: now."""
        now = self._now()
        fields: dict[Any, Any] = {
            "at": now if at is None else at,
            "recorded_at": now,
            "actor": actor.name,
            "kind": kind,
            "text": text,
            "data": msgspec.json.encode(data),
        }
        if pinned:
            fields["pinned"] = 1
        pipe.xadd(timeline_key(incident_id), fields, maxlen=TIMELINE_MAXLEN, approximate=True)
        pipe.pexpire(timeline_key(incident_id), INCIDENT_TTL_MS)

    async def note_once(
        self, incident_id: str, once: str, kind: str, text: str, *, at: int | None = None, data: Any = None
    ) -> bool:
        """Writes an entry, unless one with this `once` was written within seven days. Says whether it wrote.

        Raises: StorageError.
        """
        key = noted_key(incident_id, once)

        async def step(pipe: Pipeline) -> bool:
            if await pipe.exists(key):
                return False
            begin(pipe)
            pipe.set(key, b"1", px=DONE_TTL_MS)
            self.stage(pipe, incident_id, kind, text, at=at, data=data)
            return True

        return await change(self._redis, "writing a timeline", [key], step)

    async def page(
        self, incident_id: str, *, cursor: str | None = None, limit: int = 200
    ) -> tuple[list[Entry], str | None]:
        """Entries in the order they were written, and the cursor of the next page or None.

        Raises: ValueError where the cursor is not one of ours; StorageError.
        """
        if cursor is not None and not is_stream_id(cursor):
            raise ValueError("cursor: not one of ours")
        with storage_errors("reading a timeline"):
            rows: Any = await self._redis.xrange(
                timeline_key(incident_id), f"({cursor}" if cursor else "-", "+", count=limit + 1
            )
        entries = [_entry(incident_id, *row) for row in rows[:limit]]
        return entries, entries[-1].id if len(rows) > limit else None


def _entry(incident_id: str, entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    return Entry(
        id=text_of(entry_id),
        incident_id=incident_id,
        at=int(fields[b"at"]),
        recorded_at=int(fields[b"recorded_at"]),
        actor=text_of(fields[b"actor"]),
        kind=text_of(fields[b"kind"]),
        text=text_of(fields[b"text"]),
        data=msgspec.json.decode(fields[b"data"]),
        pinned=b"pinned" in fields,
    )
