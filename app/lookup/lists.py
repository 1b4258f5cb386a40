"""The files of the blocklist, kept as long as they are right: `GET /v1/blocklist?format=...` but JSON."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import NamedTuple

from app.lookup.feed import Feed
from app.lookup.list_formats import Names, write
from app.lookup.list_values import select
from app.lookup.table import Allowed, Decision
from app.policies.enforcement import Fallback
from detectors.finding import DecisionType

KEPT = 32
"""Files in memory; an operator has a handful."""


class Wanted(NamedTuple):
    """Which file is asked for."""

    form: str
    types: frozenset[DecisionType]
    versions: tuple[int, ...] = (4, 6)
    names: Names = Names()


class ListFile(NamedTuple):
    """A file, and until when it is right: at which cursor, and at most to which moment (epoch ms)."""

    cursor: str
    until: int | None
    etag: str
    body: bytes


def banned_types(feed: Feed) -> frozenset[DecisionType]:
    """What stands in a list where nobody says: bans, and what falls back to one."""
    fallback = feed.fallback
    return frozenset(
        kind
        for kind in DecisionType
        if kind is DecisionType.BAN or fallback.get(kind, Fallback.BAN) is Fallback.BAN
    )


class Lists:
    """Writes files in a thread, one at a time, and again only when the list has changed."""

    def __init__(self, feed: Feed, now: Callable[[], int]) -> None:
        self._feed = feed
        self._now = now
        self._files: dict[Wanted, ListFile] = {}
        self._writing = asyncio.Lock()

    async def file(self, wanted: Wanted) -> ListFile:
        """The file as it is now. Its ETag is of its content: the same in every process, and after a restart."""
        found = self._current(wanted)
        if found is not None:
            return found
        async with self._writing:
            found = self._current(wanted)
            if found is None:
                now, cursor = self._now(), self._feed.cursor
                blocks, allowlist = self._feed.table.blocks(now), self._feed.table.allowlist(now)
                found = await asyncio.to_thread(_make, wanted, cursor, blocks, allowlist)
                if len(self._files) >= KEPT:
                    self._files.clear()
                self._files[wanted] = found
        return found

    def _current(self, wanted: Wanted) -> ListFile | None:
        kept = self._files.get(wanted)
        if kept is None or kept.cursor != self._feed.cursor:
            return None
        return kept if kept.until is None or self._now() < kept.until else None


def _make(wanted: Wanted, cursor: str, blocks: list[Decision], allowlist: list[Allowed]) -> ListFile:
    ends = [entry.until for entry in (*blocks, *allowlist) if entry.until is not None]
    rows = select(blocks, allowlist, wanted.types, wanted.versions)
    body = write(wanted.form, rows, wanted.versions, wanted.names)
    digest = hashlib.blake2b(body, digest_size=12).hexdigest()
    return ListFile(cursor, min(ends, default=None), f'"{wanted.form}-{digest}"', body)
