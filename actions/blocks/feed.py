"""What every in-memory table follows: the whole list once, then each change in order. Keys: blocks/keys.py."""

from collections.abc import Callable
from typing import Any

import msgspec

from actions.audit import is_stream_id
from actions.blocks.block import AllowEntry, Change
from actions.blocks.decision import Decision
from actions.blocks.keys import CHANGES_MAXLEN, allowlist_key, blocks_key, changes_key
from actions.storage import Client, pages_of_hash, rows_of, storage_errors, text_of

START = "0-0"
_decision = msgspec.json.Decoder(Decision).decode
_allow = msgspec.json.Decoder(AllowEntry).decode


class Snapshot(msgspec.Struct, frozen=True):
    """The list as it was at (or a little after) `cursor`.

    Applying the changes since `cursor` in order makes it exact: the later state of a value wins, and a change
    that is in the snapshot already does no harm when it comes again.
    """

    cursor: str
    decisions: list[Decision]
    allowed: list[AllowEntry]


class Changes(msgspec.Struct, frozen=True):
    """What happened after a cursor. `reset`: the cursor is too old (or unknown); take a snapshot instead."""

    cursor: str
    entries: list[Change]
    reset: bool = False


class Feed:
    """Reads the list and its changes. Any number of readers; a reader keeps its own cursor."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def cursor(self) -> str:
        """The place of the newest change. Raises: StorageError."""
        with storage_errors("reading the changes"):
            return await self._newest()

    async def snapshot(self, each_page: Callable[[list[Decision]], object] | None = None) -> Snapshot:
        """The whole list. Entries whose time is over may still be in it for a second. Raises: StorageError.

        `each_page` is given the decisions of a page at a time, which are then not in the snapshot: a million together
        take 400 MB. A decision may come twice.
        """
        decisions: dict[str, Decision] = {}

        def gather(page: list[Decision]) -> None:
            decisions.update((decision.key, decision) for decision in page)

        with storage_errors("reading the blocklist"):
            cursor = await self._newest()
            async for page in pages_of_hash(self._redis, blocks_key("active")):
                (each_page or gather)([_decision(row) for row in page.values()])
            rows = await self._redis.hgetall(allowlist_key())
        return Snapshot(cursor, list(decisions.values()), [_allow(row) for row in rows.values()])

    async def changes(self, since: str, block_ms: int = 0, limit: int = 2_000) -> Changes:
        """Changes after `since`, oldest first; waits up to `block_ms` for the first (0: does not wait).

        Keep `block_ms` below the client's socket timeout and call again. Raises: ValueError where `since` is
        not a cursor; StorageError.
        """
        if not is_stream_id(since):
            raise ValueError("since: not one of our cursors")
        with storage_errors("reading the changes"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.xrange(changes_key(), "-", "+", count=1)
                pipe.xrevrange(changes_key(), "+", "-", count=1)
                pipe.xlen(changes_key())
                pipe.xrange(changes_key(), f"({since}", "+", count=limit)
                oldest, newest, length, rows = await pipe.execute()
            if _is_lost(since, oldest, newest, length):
                return Changes(text_of(newest[0][0]) if newest else START, [], reset=True)
            if not rows and block_ms > 0:
                reply: Any = await self._redis.xread({changes_key(): since}, count=limit, block=block_ms)
                rows = rows_of(reply)
        entries = [_change(entry_id, fields) for entry_id, fields in rows]
        return Changes(entries[-1].cursor if entries else since, entries)

    async def _newest(self) -> str:
        newest = await self._redis.xrevrange(changes_key(), "+", "-", count=1)
        return text_of(newest[0][0]) if newest else START


def _is_lost(since: str, oldest: list[Any], newest: list[Any], length: int) -> bool:
    """Whether changes between `since` and the stream's beginning may be gone.

    Either the stream has been cut (it is never shorter than its limit after that), or `since` lies ahead of
    it: Redis has lost its memory, or the cursor comes from another Redis.
    """
    place = _parts(since)
    if not newest:
        return place != (0, 0)
    if place > _parts(text_of(newest[0][0])):
        return True
    return length >= CHANGES_MAXLEN and place < _parts(text_of(oldest[0][0]))


def _parts(stream_id: str) -> tuple[int, int]:
    first, _, second = stream_id.partition("-")
    return int(first), int(second)


def _change(entry_id: bytes, fields: dict[bytes, bytes]) -> Change:
    return Change(
        cursor=text_of(entry_id),
        op=text_of(fields[b"op"]),
        reason=text_of(fields.get(b"reason", b"")),
        decision=_decision(fields[b"decision"]) if b"decision" in fields else None,
        allow=_allow(fields[b"allow"]) if b"allow" in fields else None,
        list=text_of(fields[b"list"]) if b"list" in fields else None,
    )
