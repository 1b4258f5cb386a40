"""Who changed what, when and why: the audit trail. Append-only; an undo is an entry, not a deletion.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:audit` | stream | none | about 100,000 entries, the oldest go first |

Every change by a person puts its entry into the same MULTI (or script) as the change itself.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.errors import UnknownError
from actions.storage import Client, act_key, storage_errors, text_of

AUDIT_MAXLEN = 100_000


class Actor(msgspec.Struct, frozen=True):
    """Who acts: a token's name, and the role it acted in."""

    name: str
    role: str


SYSTEM = Actor("bartizan", "system")


class AuditEntry(msgspec.Struct, frozen=True):
    """One change by one person."""

    id: str
    """The stream id, such as `1764000000000-0`."""
    at: int
    actor: str
    role: str
    action: str
    """A verb and its object: `block.create`, `block.lift`, `allowlist.add`, `incident.resolve`, `policy.replace`."""
    target: str
    """Kind and id: `block:4f1c…`, `incident:INC-2026-0001`, `allowlist:203.0.113.0/24`."""
    before: Any
    """The thing as it was, as plain JSON; None where it was made now."""
    after: Any
    """The thing as it is now; None where it was removed."""
    reason: str


def audit_key() -> str:
    """The audit trail."""
    return act_key("audit")


class Audit:
    """Writes and reads the trail."""

    def __init__(self, redis: Client, now: Callable[[], int]) -> None:
        self._redis = redis
        self._now = now

    def stage(
        self,
        pipe: Pipeline,
        actor: Actor,
        action: str,
        target: str,
        *,
        before: Any = None,
        after: Any = None,
        reason: str = "",
    ) -> None:
        """Queues one entry on a MULTI that is being built. `before` and `after`: anything msgspec encodes."""
        fields: dict[Any, Any] = {
            b"at": self._now(),
            b"actor": actor.name,
            b"role": actor.role,
            b"action": action,
            b"target": target,
            b"before": msgspec.json.encode(before),
            b"after": msgspec.json.encode(after),
            b"reason": reason,
        }
        pipe.xadd(audit_key(), fields, maxlen=AUDIT_MAXLEN, approximate=True)

    async def record(
        self,
        actor: Actor,
        action: str,
        target: str,
        *,
        before: Any = None,
        after: Any = None,
        reason: str = "",
    ) -> str:
        """Writes one entry by itself, for changes that live outside Redis (the policy file). Returns its id.

        Raises: StorageError.
        """
        with storage_errors("writing the audit trail"):
            async with self._redis.pipeline(transaction=True) as pipe:
                self.stage(pipe, actor, action, target, before=before, after=after, reason=reason)
                return text_of((await pipe.execute())[0])

    async def get(self, entry_id: str) -> AuditEntry:
        """One entry. Raises: UnknownError, StorageError."""
        if not is_stream_id(entry_id):
            raise UnknownError(f"audit entry {entry_id!r} is not known")
        with storage_errors("reading the audit trail"):
            found: Any = await self._redis.xrange(audit_key(), entry_id, entry_id)
        if not found:
            raise UnknownError(f"audit entry {entry_id!r} is not known")
        return _entry(*found[0])

    async def page(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> tuple[list[AuditEntry], str | None]:
        """Entries newest first, and the cursor of the next page or None.

        `action` and `target` match from the beginning (`block.`, `block:4f1c`). One call looks at no more than
        5,000 entries: a page may be short although its cursor says that there is more.
        Raises: ValueError where the cursor is not one of ours; StorageError.
        """
        if cursor is not None and not is_stream_id(cursor):
            raise ValueError("cursor: not one of ours")
        found: list[AuditEntry] = []
        last = cursor
        with storage_errors("reading the audit trail"):
            for _ in range(10):
                rows: Any = await self._redis.xrevrange(
                    audit_key(), f"({last}" if last else "+", "-", count=500
                )
                for entry in (_entry(*row) for row in rows):
                    last = entry.id
                    if _fits(entry, actor, action, target):
                        found.append(entry)
                    if len(found) == limit:
                        return found, last
                if len(rows) < 500:
                    return found, None
        return found, last


def is_stream_id(text: str) -> bool:
    """Whether text is a full stream id, `milliseconds-sequence`."""
    first, dash, second = text.partition("-")
    return bool(dash) and all(p.isascii() and p.isdigit() and len(p) <= 19 for p in (first, second))


def _fits(entry: AuditEntry, actor: str | None, action: str | None, target: str | None) -> bool:
    return (
        (actor is None or entry.actor == actor)
        and (action is None or entry.action.startswith(action))
        and (target is None or entry.target.startswith(target))
    )


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> AuditEntry:
    return AuditEntry(
        id=text_of(entry_id),
        at=int(fields[b"at"]),
        actor=text_of(fields[b"actor"]),
        role=text_of(fields[b"role"]),
        action=text_of(fields[b"action"]),
        target=text_of(fields[b"target"]),
        before=msgspec.json.decode(fields[b"before"]),
        after=msgspec.json.decode(fields[b"after"]),
        reason=text_of(fields[b"reason"]),
    )
