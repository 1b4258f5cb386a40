"""The files of the blocklist, kept as long as they are right: `GET /v1/blocklist?format=...` without `json`."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import NamedTuple

from app.lookup.feed import Feed
from app.lookup.list_formats import Names, write
from app.lookup.list_values import Selection
from app.policies.enforcement import Fallback
from detectors.finding import DecisionType

KEPT = 32
"""Files in memory; an operator has a handful."""
AT_A_TIME = 500
"""Blocks gathered before other work gets its turn: about a millisecond."""


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
                found = await self._make(wanted)
                if len(self._files) >= KEPT:
                    self._files.clear()
                self._files[wanted] = found
        return found

    async def _make(self, wanted: Wanted) -> ListFile:
        """Other work goes on while the blocks are gathered; the file itself is written in a thread."""
        table, now, cursor = self._feed.table, self._now(), self._feed.cursor
        until = table.first_end(now)
        selection = Selection(table.allowlist(now), wanted.types, wanted.versions)
        for number, decision in enumerate(table.blocks(now), 1):
            selection.add(decision)
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
        body = await asyncio.to_thread(_write, wanted, selection)
        digest = hashlib.blake2b(body, digest_size=12).hexdigest()
        return ListFile(cursor, until, f'"{wanted.form}-{digest}"', body)

    def _current(self, wanted: Wanted) -> ListFile | None:
        kept = self._files.get(wanted)
        if kept is None or kept.cursor != self._feed.cursor:
            return None
        return kept if kept.until is None or self._now() < kept.until else None


def _write(wanted: Wanted, selection: Selection) -> bytes:
    return write(wanted.form, selection.rows(), wanted.versions, wanted.names)
