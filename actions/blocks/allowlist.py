"""Who is never blocked: the allowlist, kept by people, with a note and perhaps an end.

Keys: blocks/keys.py. Every change counts the version up; a block is made only against the newest version, so
there is no moment in which an allowlisted address can still be blocked.
"""

from collections.abc import Callable

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import Actor, Audit
from actions.blocks.block import AllowEntry
from actions.blocks.keys import CHANGES_MAXLEN, allowlist_key, allowlist_version_key, changes_key
from actions.blocks.networks import Network, canonical, holds, network_of
from actions.errors import UnknownError
from actions.storage import Client, begin, change, storage_errors, text_of

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AllowEntry).decode


class Allowlist:
    """The stored allowlist. Lifting the blocks inside a new entry is done by Reviews.allow."""

    def __init__(self, redis: Client, now: Callable[[], int], audit: Audit) -> None:
        self._redis = redis
        self._now = now
        self._audit = audit
        self._version: str | None = None
        self._entries: list[tuple[Network, AllowEntry]] = []

    async def entries(self) -> list[AllowEntry]:
        """All entries that have not ended, in the order of their making. Raises: StorageError."""
        await self.refresh()
        now = self._now()
        found = [e for _, e in self._entries if e.until is None or e.until > now]
        return sorted(found, key=lambda e: (e.created_at, e.value))

    async def covering(self, network: Network | None) -> tuple[str, AllowEntry | None]:
        """The version looked at, and the entry that holds the whole network, or None; None holds what is no network.

        Raises: StorageError.
        """
        if self._version is None:
            await self.refresh()
        if network is None:
            return self._version or "0", None
        now = self._now()
        for allowed, entry in self._entries:
            if (entry.until is None or entry.until > now) and holds(allowed, network):
                return self._version or "0", entry
        return self._version or "0", None

    async def refresh(self) -> None:
        """Reads the list again. Raises: StorageError."""
        with storage_errors("reading the allowlist"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.get(allowlist_version_key())
                pipe.hgetall(allowlist_key())
                version, rows = await pipe.execute()
        entries = [_decode(row) for row in rows.values()]
        self._entries = [(network_of(entry.value), entry) for entry in entries]
        self._version = text_of(version) if version is not None else "0"

    async def put(self, value: str, note: str, actor: Actor, until: int | None = None) -> AllowEntry:
        """Adds or replaces an entry; blocks inside it stay (see Reviews.allow).

        Raises: ValueError where value is no network, the note is empty or the end is over; StorageError.
        """
        value, note = canonical(value), note.strip()
        if not note:
            raise ValueError("note: say why this is allowlisted")
        if until is not None and until <= self._now():
            raise ValueError("until: lies in the past")
        entry = AllowEntry(value, note, actor.name, self._now(), until)

        async def step(pipe: Pipeline) -> AllowEntry:
            known = await pipe.hget(allowlist_key(), value)
            begin(pipe)
            self._stage(pipe, entry, "allow_add", note)
            before = _decode(known) if known else None
            self._audit.stage(
                pipe, actor, "allowlist.add", f"allowlist:{value}", before=before, after=entry, reason=note
            )
            return entry

        return await change(self._redis, "allowlisting", [allowlist_version_key()], step)

    async def remove(self, value: str, actor: Actor, reason: str = "") -> AllowEntry:
        """Takes an entry out. Raises: ValueError, UnknownError, StorageError."""
        value = canonical(value)

        async def step(pipe: Pipeline) -> AllowEntry:
            known = await pipe.hget(allowlist_key(), value)
            if not known:
                raise UnknownError(f"{value} is not on the allowlist")
            entry = _decode(known)
            begin(pipe)
            self._stage(pipe, entry, "allow_remove", reason)
            self._audit.stage(
                pipe, actor, "allowlist.remove", f"allowlist:{value}", before=entry, reason=reason
            )
            return entry

        return await change(self._redis, "changing the allowlist", [allowlist_version_key()], step)

    async def expire_due(self) -> int:
        """Takes out the entries that have ended; says how many. Raises: StorageError."""
        await self.refresh()
        now, ended = self._now(), 0
        for _, entry in list(self._entries):
            if entry.until is not None and entry.until <= now:
                ended += await self._expire(entry)
        return ended

    async def _expire(self, entry: AllowEntry) -> int:
        async def step(pipe: Pipeline) -> int:
            known = await pipe.hget(allowlist_key(), entry.value)
            if not known or _decode(known) != entry:
                return 0
            begin(pipe)
            self._stage(pipe, entry, "allow_remove", "expired")
            return 1

        return await change(self._redis, "changing the allowlist", [allowlist_version_key()], step)

    def _stage(self, pipe: Pipeline, entry: AllowEntry, op: str, reason: str) -> None:
        if op == "allow_add":
            pipe.hset(allowlist_key(), entry.value, _encode(entry))
        else:
            pipe.hdel(allowlist_key(), entry.value)
        pipe.incr(allowlist_version_key())
        row: dict[str | bytes, str | bytes] = {"op": op, "allow": _encode(entry), "reason": reason}
        pipe.xadd(changes_key(), row, maxlen=CHANGES_MAXLEN, approximate=True)  # type: ignore[arg-type]
