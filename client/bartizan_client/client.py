"""The plain client for asyncio: is this address blocked, and here is an event."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from bartizan_client.decision import Block
from bartizan_client.follower import BlocklistFollower
from bartizan_client.pauses import LONGEST_PAUSE_S
from bartizan_client.reporter import Reporter
from bartizan_client.settings import Settings
from bartizan_client.table import BlockTable

if TYPE_CHECKING:
    from typing import Unpack

    from bartizan_client.settings import ConnectionOptions

logger = logging.getLogger("bartizan_client")

MOST_BACKGROUND = 1_000
"""Asynchronous hooks at a time; more are dropped and counted."""


class ClientStatus(NamedTuple):
    """How a client is doing."""

    has_list: bool
    """Whether there has ever been a list, from Bartizan or from the disk."""
    is_connected: bool
    entries: int
    """Decisions in memory; those that ended within the last minute may be among them."""
    cursor: str | None
    last_contact_s: float | None
    """Epoch seconds of Bartizan's last answer."""
    failures: int
    """Attempts that failed since then."""
    skipped: int
    """Entries that could not be read, ever."""
    pending_events: int
    """Reported events that wait to be sent."""
    decisions: dict[str, int]
    """How many there are by type, and by scope where that is no address."""
    cannot_act: dict[str, int]
    """Of a middleware: decisions that mean nothing there, by scope or type."""


class BlocklistClient:
    """For asyncio. `async with` it, or call `start` and `stop`; ask it at any time, from any thread."""

    def __init__(self, url: str, token: str, **options: Unpack[ConnectionOptions]) -> None:
        """Nothing is opened before `start`. Raises: ValueError naming the setting that is wrong."""
        self._set_up(Settings(url=url, token=token, **options))

    @classmethod
    def from_settings(cls, settings: Settings) -> BlocklistClient:
        """A client with these settings."""
        client = cls.__new__(cls)
        client._set_up(settings)
        return client

    def _set_up(self, settings: Settings) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        """What happened so far; the names: docs/client.md."""
        self.follower = BlocklistFollower.from_settings(settings)
        self.reporter = Reporter(
            settings.url,
            settings.report_token,
            self.counts,
            queue_size=settings.queue_size,
            now=settings.now,
            jitter=settings.jitter,
            transport=settings.transport,
        )
        self._reporting: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()

    # -- asking

    def is_blocked(self, address: str) -> bool:
        """Whether requests from this address are refused now, by who can only refuse or let through."""
        return self.follower.table.is_blocked(address)

    def find(self, address: str) -> Block | None:
        """Why an address is blocked; None where it is not."""
        return self.follower.table.find(address)

    def report(self, event: Mapping[str, Any] | None = None, **fields: Any) -> bool:
        """Send an event some time soon. Never waits and never raises; whether it is in the queue."""
        return self.reporter.report(event, **fields)

    @property
    def table(self) -> BlockTable:
        """The list of this moment; another one after a whole list came, so do not keep it."""
        return self.follower.table

    @property
    def has_list(self) -> bool:
        return self.follower.has_list

    def status(self, cannot_act: Mapping[str, int] | None = None) -> ClientStatus:
        """How it is doing."""
        counts = {name: count for name, count in self.table.counts().items() if count}
        return ClientStatus(*self.follower.status(), self.reporter.pending, counts, dict(cannot_act or {}))

    # -- living

    @property
    def is_running(self) -> bool:
        return self.follower.is_running

    def start(self) -> None:
        """Begin to follow and to report in the running event loop; again after that one has ended."""
        self.follower.start()
        task = self._reporting
        is_reporting = task is not None and not task.done() and task.get_loop().is_running()
        if self.settings.report_token is not None and not is_reporting:
            self._reporting = asyncio.create_task(self._report(), name="bartizan-reporter")

    async def wait_started(self) -> None:
        """Until the snapshot is read and Bartizan was asked once; at most `startup_wait_s` after start."""
        await self.follower.wait_started()

    async def stop(self, flush_s: float | None = None) -> None:
        """Send what waits, within `flush_s` seconds (None: as in the settings), and save the list."""
        await self.halt()
        await self.reporter.flush(self.settings.flush_s if flush_s is None else flush_s)

    async def halt(self) -> None:
        """End all tasks, and save the list; what waits to be reported stays."""
        task, self._reporting = self._reporting, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])
        for hook in list(self._background):
            hook.cancel()
        await self.follower.stop()

    async def _report(self) -> None:
        while True:
            try:
                await self.reporter.run()
            except Exception:
                logger.exception("the reporter ended, and will be started again")
            await asyncio.sleep(LONGEST_PAUSE_S)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run an application's asynchronous hook in the background; what it raises is logged."""
        if len(self._background) >= MOST_BACKGROUND:
            self.counts["hooks_dropped"] += 1
            coroutine.close()
            return
        task = asyncio.ensure_future(coroutine)
        self._background.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.counts["hook_errors"] += 1
            logger.error("on_blocked failed", exc_info=task.exception())

    def abandon(self) -> None:
        """After a fork: what runs, runs in the parent; the list stays."""
        self._reporting = None
        self._background = set()
        self.follower.abandon()
        self.reporter.abandon()

    async def __aenter__(self) -> BlocklistClient:
        self.start()
        await self.wait_started()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
