"""Keeps this process's table equal to the blocklist in Redis, and keeps it in force while Redis is away."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from actions.blocks.block import AllowEntry
from actions.blocks.block import Change as StoredChange
from actions.blocks.decision import Decision
from actions.blocks.feed import Changes, Snapshot
from actions.blocks.lists import ListInfo
from app.lookup.feed import Feed, parse_cursor
from app.lookup.packed import PackedList
from app.lookup.table import Allowed, Table
from app.lookup.wire import Change, Disallowed, Removed
from detectors.errors import StorageError

BLOCK_MS = 1000
"""How long one read waits for news: below the socket's timeout, or every quiet second is an outage."""
APPLIED_AT_A_TIME = 200
"""Changes taken before other work gets its turn: some milliseconds, in which a lookup waits."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
"""Between attempts to reach Redis; each is cut by up to a half at random, so that processes spread."""

log = structlog.get_logger(__name__)


class StoredLists(Protocol):
    """The external lists: actions/blocks/lists.py."""

    async def infos(self) -> dict[str, ListInfo]: ...

    async def values(self, name: str) -> bytes | None: ...


class Source(Protocol):
    """What is followed: actions/blocks/feed.py."""

    async def snapshot(self, each_page: Callable[[list[Decision]], object]) -> Snapshot: ...

    async def changes(self, since: str, block_ms: int = 0) -> Changes: ...


def to_change(stored: StoredChange) -> Change | None:
    """A row of the changes stream as the feed takes it; None where this version does not know it."""
    match stored.op, stored.decision, stored.allow:
        case "add", Decision() as decision, _:
            return decision
        case "remove", Decision() as decision, _:
            return Removed(decision.id, decision.value, decision.scope)
        case "allow_add", _, AllowEntry() as entry:
            return Allowed(entry.value, entry.until)
        case "allow_remove", _, AllowEntry() as entry:
            return Disallowed(entry.value)
    return None


def _packed(info: ListInfo, values: bytes) -> PackedList:
    return PackedList.of(
        info.name,
        values.decode().split(),
        type=info.type,
        reason=f"on the list {info.name}",
        fetched_at=info.fetched_at or 0,
        digest=info.digest,
    )


def _is_same(packed: PackedList | None, info: ListInfo | None) -> bool:
    """Whether a list stands in the table as Redis has it."""
    if packed is None or info is None or not info.entries:
        return packed is None and (info is None or not info.entries)
    return (packed.digest, packed.type) == (info.digest, info.type)


class Follower:
    """Loads the list once, then takes every change; the loop of one process. Never raises StorageError."""

    def __init__(
        self,
        source: Source,
        feed: Feed,
        now: Callable[[], int],
        *,
        lists: StoredLists | None = None,
        on_storage_error: Callable[[], object] = lambda: None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._feed = feed
        self._now = now
        self._lists = lists
        self._on_storage_error = on_storage_error
        self._sleep = sleep
        self._chance = chance
        self._failures = 0
        self._is_loaded = False
        self.heard_at: int | None = None
        """Epoch ms of the last word from Redis; None before the first."""

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self.step()

    async def step(self) -> None:
        """One load or one read of changes; after a failure, the pause before the next attempt."""
        try:
            if not self._is_loaded:
                await self._load()
            else:
                await self._read()
        except StorageError as error:
            await self._pause(error)
            return
        if self._failures:
            log.info("blocklist_followed_again", after_failures=self._failures)
        self._failures = 0
        self.heard_at = self._now()

    async def _load(self) -> None:
        table = Table()

        def take(page: list[Decision]) -> None:
            for stored in page:
                try:
                    table.add(stored)
                except ValueError as error:
                    log.error("blocklist_entry_unreadable", id=stored.id, error=str(error))

        stored_list = await self._source.snapshot(take)
        for entry in stored_list.allowed:
            table.allow(Allowed(entry.value, entry.until))
        await self._load_lists(stored_list.cursor)
        await self._feed.replace(stored_list.cursor, table)
        self._is_loaded = True
        log.info(
            "blocklist_loaded",
            blocks=len(table),
            allowed=len(stored_list.allowed),
            cursor=stored_list.cursor,
        )

    async def _read(self) -> None:
        answer = await self._source.changes(self._feed.cursor, BLOCK_MS)
        if answer.reset:
            log.warning("blocklist_starts_over", cursor=self._feed.cursor)
            self._is_loaded = False
            return
        for number, stored in enumerate(answer.entries, 1):
            if number % APPLIED_AT_A_TIME == 0:
                await asyncio.sleep(0)
            if stored.list is not None:
                await self._take_list(stored.list, stored.cursor)
                continue
            try:
                self._feed.apply(stored.cursor, to_change(stored))
            except ValueError as error:
                log.error("blocklist_entry_unreadable", cursor=stored.cursor, error=str(error))
                self._feed.apply(stored.cursor, None)

    async def _load_lists(self, cursor: str) -> None:
        infos = {} if self._lists is None else await self._lists.infos()
        standing, feed = self._feed.table.lists, self._feed
        # Where Redis has lost something, everyone starts over anyhow; the cursor only then goes back.
        is_behind = parse_cursor(cursor) < parse_cursor(feed.cursor)
        told_at = cursor if feed.is_ready and not is_behind else None
        for name in {*infos, *standing}:
            if not _is_same(standing.get(name), infos.get(name)):
                await self._take_list(name, told_at)

    async def _take_list(self, name: str, cursor: str | None) -> None:
        """Raises: StorageError; the next load takes it then."""
        info = None if self._lists is None else (await self._lists.infos()).get(name)
        values = None if self._lists is None or info is None else await self._lists.values(name)
        packed = None
        if info is not None and values is not None:
            packed = await asyncio.to_thread(_packed, info, values)
        await self._feed.renew_list(name, packed, cursor)
        log.info("blocklist_taken", list=name, entries=0 if packed is None else len(packed))

    async def _pause(self, error: StorageError) -> None:
        """What Redis lost while it was away is not in its stream, so after an outage all is read anew."""
        if not self._failures:
            log.warning("blocklist_not_followed", error=str(error))
        self._is_loaded = False
        self._on_storage_error()
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._failures, 10))
        self._failures += 1
        await self._sleep(pause_s * (0.5 + self._chance() / 2))
