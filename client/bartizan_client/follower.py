"""Keeps the blocklist of one Bartizan in memory: fetches it, follows its changes, keeps a copy on disk.

One task does it all and needs nobody: whatever goes wrong is logged, and tried again after a while with
jitter, so that a hundred workers do not come back in one moment. What is known stays in force meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Callable, NamedTuple

import httpx

from bartizan_client.decision import Block, Clock
from bartizan_client.feed import Feed, FeedError
from bartizan_client.pauses import LONGEST_PAUSE_S, pause_s
from bartizan_client.settings import AUTO, Settings
from bartizan_client.snapshot import Contents, Snapshot, default_path
from bartizan_client.snapshot_format import copy_of
from bartizan_client.table import BlockTable
from bartizan_client.wire import Changes, Listing, succeeds

logger = logging.getLogger("bartizan_client")

IDLE_PAUSE_S = 0.5
"""After a poll that came back at once with nothing, so that no answer can make a busy loop."""
SAVE_EVERY_S = 10.0
SAVE_PAUSE_PER_ENTRY_S = 60e-6
"""A million entries are copied in 15 ms and written in a second: once a minute is often enough for them."""
SWEEP_EVERY_S = 60.0


class Status(NamedTuple):
    """How the follower is doing."""

    has_list: bool
    """Whether there has ever been a list, from Bartizan or from the disk."""
    is_connected: bool
    entries: int
    """Blocks in memory; those that ended within the last minute may be among them."""
    cursor: str | None
    last_contact_s: float | None
    """Epoch seconds of Bartizan's last answer."""
    failures: int
    """Attempts that failed since then."""
    skipped: int
    """Entries that could not be read, ever."""


class Ready(NamedTuple):
    """Of a follower that has started."""

    is_over: Callable[[], bool]
    is_loop_running: Callable[[], bool]


class BlocklistFollower:
    """Follows one blocklist. `async with` it, or call start and stop; ask it at any time."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        snapshot: str | os.PathLike[str] | None = AUTO,
        poll_wait_s: float = 30.0,
        startup_wait_s: float = 2.0,
        now: Clock = time.time,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Nothing is opened before `start`. Raises: ValueError where a setting is wrong."""
        Settings(url, token, poll_wait_s=poll_wait_s, startup_wait_s=startup_wait_s)
        self.table = BlockTable(now=now)
        """The list of this moment; another one after a whole list came, so do not keep it."""
        self.has_list = False
        """Whether there has ever been one, from Bartizan or from the disk."""
        self._feed = Feed(url, token, poll_wait_s, now, transport)
        path = default_path(url) if snapshot == AUTO else None if snapshot is None else Path(snapshot)
        self._snapshot = None if path is None else Snapshot(path, url, now)
        self._startup_wait_s = startup_wait_s
        self._now, self._jitter, self._sleep = now, jitter, sleep
        self._status = Status(False, False, 0, None, None, 0, 0)
        self._etag: str | None = None
        self._needs_list = True
        self._resets = 0
        self._swept_s = 0.0
        self._broken_s = float("-inf")
        self._unsaved: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self.ready: Ready | None = None
        """Once it has started: how to see that it still runs, for who asks with every request."""

    @classmethod
    def from_settings(cls, settings: Settings) -> BlocklistFollower:
        """A follower with these settings."""
        return cls(
            settings.url,
            settings.token,
            snapshot=settings.snapshot,
            poll_wait_s=settings.poll_wait_s,
            startup_wait_s=settings.startup_wait_s,
            now=settings.now,
            jitter=settings.jitter,
            transport=settings.transport,
        )

    # -- asking

    def is_blocked(self, address: str) -> bool:
        """Whether requests from this address are refused now."""
        return self.table.is_blocked(address)

    def find(self, address: str) -> Block | None:
        """Why an address is blocked; None where it is not."""
        return self.table.find(address)

    def status(self) -> Status:
        return self._status._replace(entries=len(self.table))

    # -- living

    @property
    def is_running(self) -> bool:
        """Whether the task lives, in a loop that lives."""
        return self._task is not None and not self._task.done() and self._task.get_loop().is_running()

    def start(self) -> None:
        """Begin to follow in the running event loop; nothing happens where that is done already."""
        if self.is_running or time.monotonic() - self._broken_s < LONGEST_PAUSE_S:
            return
        loop = asyncio.get_running_loop()
        self._started = started = loop.create_future()
        loop.call_later(self._startup_wait_s, _resolve, started)
        self._task = asyncio.create_task(self._run(started), name="bartizan-follower")
        self._task.add_done_callback(self._end)
        ready = Ready(self._task.done, loop.is_running)
        started.add_done_callback(lambda _: setattr(self, "ready", ready))

    async def wait_started(self) -> None:
        """Wait until the snapshot is read and Bartizan was asked once; at most `startup_wait_s` after start."""
        started = self._started
        if started is not None and not started.done() and started.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([started])

    async def stop(self) -> None:
        """End the task, and save what is not saved."""
        task, self._task = self._task, None
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            return
        task.cancel()
        await asyncio.wait([task])
        logger.debug("no longer following")

    def abandon(self) -> None:
        """After a fork: the task runs in the parent; the list stays."""
        self._task = self._started = self._unsaved = self.ready = None
        self._status = self._status._replace(is_connected=False)
        if self._snapshot is not None:
            self._snapshot.abandon()

    async def __aenter__(self) -> BlocklistFollower:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # -- following

    async def _run(self, started: asyncio.Future[None]) -> None:
        self._unsaved = asyncio.Event()
        self._needs_list = True
        await self._load()
        saver = asyncio.create_task(self._save_forever(), name="bartizan-snapshot")
        try:
            async with self._feed:
                while True:
                    try:
                        await self._turn()
                    except FeedError as error:
                        self._fail(error)
                        _resolve(started)
                        pause = pause_s(self._status.failures, error.retry_after_s, self._jitter())
                        await self._sleep(pause)
                    _resolve(started)
        finally:
            _resolve(started)
            saver.cancel()
            await asyncio.wait([saver])
            if self._snapshot is not None and self.has_list:
                self._snapshot.save(self._contents())

    async def _turn(self) -> None:
        """One question to Bartizan, and what follows from the answer. Raises: FeedError."""
        cursor, asked_s = self._status.cursor, self._now()
        if self._needs_list or cursor is None:
            listing = await self._feed.whole_list(self._etag)
            if listing is not None:
                self._take(listing)
            self._needs_list = False
            self._succeed()
            return
        answer = await self._feed.changes(cursor)
        if isinstance(answer, Listing):
            self._take(answer)
            self._resets += 1
            if self._resets > 1:
                raise FeedError("every cursor is refused")
            self._succeed()
            return
        self._resets = 0
        self._apply(answer)
        if abs(asked_s - self._swept_s) >= SWEEP_EVERY_S:
            self._swept_s = asked_s
            for _ in self.table.sweeping():
                await asyncio.sleep(0)
        self._succeed()
        if answer.cursor == cursor and answer.is_empty() and self._now() - asked_s < IDLE_PAUSE_S:
            await self._sleep(IDLE_PAUSE_S * (0.5 + self._jitter() / 2))

    def _take(self, listing: Listing) -> None:
        self.table = listing.table
        self._etag = listing.etag
        self._swept_s = self._now()
        self._note(listing.cursor, listing.skipped)

    def _apply(self, changes: Changes) -> None:
        """Lift first and block then; where one entry is in both lists, ask for the whole list."""
        table, skipped = self.table, changes.skipped
        if not changes.is_empty():
            self._etag = None  # first of all: a process that forks meanwhile then asks for the whole list
        if changes.fallback is not None:
            table.fallback = changes.fallback
        lifted = [(entry.value, entry.scope) for entry in changes.removed]
        skipped += sum(not succeeds(table.remove, value, scope) for value, scope in lifted)
        skipped += sum(not succeeds(table.disallow, value) for value in changes.allow_removed)
        skipped += sum(not succeeds(table.add, block) for block in changes.added)
        skipped += sum(not succeeds(table.allow, allowed) for allowed in changes.allow_added)
        self._needs_list = changes.is_ambiguous()
        if changes.cursor != self._status.cursor or skipped:
            self._note(changes.cursor, skipped)

    def _note(self, cursor: str, skipped: int) -> None:
        """What is known now, and that it is not on disk yet."""
        if skipped:
            logger.warning("%d entries of the blocklist cannot be read and are left out", skipped)
        self.has_list = True
        self._status = self._status._replace(
            has_list=True, cursor=cursor, skipped=self._status.skipped + skipped
        )
        if self._unsaved is not None:
            self._unsaved.set()

    def _succeed(self) -> None:
        if not self._status.is_connected:
            logger.info("following the blocklist: %d entries", len(self.table))
        self._status = self._status._replace(is_connected=True, failures=0, last_contact_s=self._now())

    def _fail(self, error: FeedError) -> None:
        failures = self._status.failures + 1
        level = logging.WARNING if failures == 1 else logging.DEBUG
        known = (
            f"{len(self.table)} known entries stay in force"
            if self.has_list
            else "there has never been a list"
        )
        logger.log(level, "the blocklist cannot be followed (%s); %s", error, known)
        self._status = self._status._replace(is_connected=False, failures=failures)
        self._needs_list = self._needs_list or error.is_misunderstanding()

    # -- the copy on disk

    async def _load(self) -> None:
        if self._snapshot is None or self.has_list:
            return
        listing = await asyncio.to_thread(self._snapshot.load)
        if listing is not None:
            self._take(listing)

    async def _save_forever(self) -> None:
        """Save what is new, not too often."""
        while self._snapshot is not None and self._unsaved is not None:
            await self._unsaved.wait()
            self._unsaved.clear()
            await asyncio.to_thread(self._snapshot.save, self._contents())
            await self._sleep(max(SAVE_EVERY_S, len(self.table) * SAVE_PAUSE_PER_ENTRY_S))

    def _contents(self) -> Contents:
        cursor = self._status.cursor or ""
        return Contents(cursor, self._etag, copy_of(self.table))

    def _end(self, task: asyncio.Task[None]) -> None:
        """Say what ended the task, if it is not we; after a pause the next `start` begins anew."""
        if not task.cancelled() and task.exception() is not None:
            self._broken_s = time.monotonic()
            logger.error("the follower ended, and will be started again", exc_info=task.exception())


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
