"""The plain client for threads: the asynchronous one in the event loop of a daemon thread.

The thread starts with the first question, so that importing an application starts nothing. A process that is
forked afterwards (`gunicorn --preload`) keeps the list it has and starts a thread of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bartizan_client.client import BlocklistClient, ClientStatus
from bartizan_client.decision import Block
from bartizan_client.pauses import LONGEST_PAUSE_S
from bartizan_client.settings import Settings
from bartizan_client.table import BlockTable

if TYPE_CHECKING:
    from typing import Unpack

    from bartizan_client.settings import ConnectionOptions

logger = logging.getLogger("bartizan_client")

HALT_S = 5.0
"""For the thread to save the list and to end."""


class _Life:
    """One thread, in one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.began_s = time.monotonic()
        self.started = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.stop: asyncio.Event | None = None
        self.thread: threading.Thread | None = None
        self.has_started = False
        """As `started`, for who asks with every request."""
        self.is_over = False


class SyncBlocklistClient:
    """For threads. Ask it at any time; `close` it, or leave that to the end of the process."""

    def __init__(self, url: str, token: str, **options: Unpack[ConnectionOptions]) -> None:
        """Nothing is opened before the first question. Raises: ValueError naming the setting that is wrong."""
        self._set_up(Settings(url=url, token=token, **options))

    @classmethod
    def from_settings(cls, settings: Settings) -> SyncBlocklistClient:
        """A client with these settings."""
        client = cls.__new__(cls)
        client._set_up(settings)
        return client

    def _set_up(self, settings: Settings) -> None:
        self.settings = settings
        self._client = BlocklistClient.from_settings(settings)
        self.follower = self._client.follower
        self.counts: Counter[str] = self._client.counts
        """What happened so far; the names: docs/client.md."""
        self._lock = threading.Lock()
        self._life: _Life | None = None
        self._abandoned: list[_Life] = []
        """Of the process that this one was forked from; kept, so that nothing of them is cleaned up here."""
        self._is_closed = False
        own = weakref.ref(self)
        atexit.register(partial(_close, own))
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_abandon, own))

    # -- asking

    def is_blocked(self, address: str) -> bool:
        """Whether requests from this address are refused now, by who can only refuse or let through."""
        self.wait_started()
        return self._client.is_blocked(address)

    def find(self, address: str) -> Block | None:
        """Why an address is blocked; None where it is not."""
        self.wait_started()
        return self._client.find(address)

    def report(self, event: Mapping[str, Any] | None = None, **fields: Any) -> bool:
        """Send an event some time soon. Never waits and never raises; whether it is in the queue."""
        self.start()
        return self._client.report(event, **fields)

    @property
    def table(self) -> BlockTable:
        """The list of this moment; another one after a whole list came, so do not keep it."""
        return self._client.table

    @property
    def has_list(self) -> bool:
        return self._client.has_list

    def status(self, cannot_act: Mapping[str, int] | None = None) -> ClientStatus:
        """How it is doing."""
        return self._client.status(cannot_act)

    # -- living

    @property
    def is_started(self) -> bool:
        """Whether `wait_started` would return at once."""
        life = self._life
        return life is not None and life.has_started and life.pid == os.getpid() and not life.is_over

    def start(self) -> None:
        """Start the thread; nothing happens where it runs already, or the client is closed."""
        life = self._life
        if life is not None and life.pid != os.getpid():
            self.abandon()
            life = None
        if self._is_closed or (life is not None and not self._may_begin_anew(life)):
            return
        with self._lock:
            if self._life is not life:
                return
            life = self._life = _Life()
            life.thread = threading.Thread(
                target=self._live, args=(life,), name="bartizan-client", daemon=True
            )
            try:
                life.thread.start()
            except RuntimeError as error:  # no more threads, or the interpreter is about to end
                life.is_over = True
                life.started.set()
                logger.warning("the blocklist is not followed: %s", error)

    def wait_started(self) -> None:
        """Until the snapshot is read and Bartizan was asked once; at most `startup_wait_s` after start."""
        if self.is_started:
            return
        self.start()
        life = self._life
        if life is not None and not life.started.is_set():
            life.started.wait(self.settings.startup_wait_s)

    def close(self) -> None:
        """End the thread, save the list, and send what waits within `flush_s` seconds."""
        life, self._life = self._life, None
        was_closed, self._is_closed = self._is_closed, True
        if life is not None and life.pid == os.getpid() and life.thread is not None:
            if life.loop is not None and life.stop is not None and not life.is_over:
                try:
                    life.loop.call_soon_threadsafe(life.stop.set)
                except RuntimeError:
                    logger.debug("the thread has just ended by itself")
            life.thread.join(HALT_S)
        if not was_closed:
            self._client.reporter.flush_now(self.settings.flush_s)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run an application's asynchronous hook in the thread; what it raises is logged."""
        life = self._life
        try:
            if life is None or life.loop is None or life.is_over:
                raise RuntimeError("the thread does not run")
            life.loop.call_soon_threadsafe(self._client.spawn, coroutine)
        except RuntimeError:
            self.counts["hooks_dropped"] += 1
            coroutine.close()

    def abandon(self) -> None:
        """After a fork, in the child: the thread lives in the parent; the list stays."""
        if self._life is not None:
            self._abandoned.append(self._life)
        self._lock = threading.Lock()
        self._life = None
        self._client.abandon()

    def __enter__(self) -> SyncBlocklistClient:
        self.wait_started()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the thread

    def _may_begin_anew(self, life: _Life) -> bool:
        """Whether it has ended by itself, and not just now."""
        return life.is_over and time.monotonic() - life.began_s > LONGEST_PAUSE_S

    def _live(self, life: _Life) -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._follow(life, loop))
        except Exception:
            logger.exception("the thread that follows the blocklist ended, and will be started again")
        finally:
            life.is_over = True
            life.started.set()
            loop.close()

    async def _follow(self, life: _Life, loop: asyncio.AbstractEventLoop) -> None:
        life.loop, life.stop = loop, asyncio.Event()
        self._client.start()
        await self._client.wait_started()
        life.has_started = True
        life.started.set()
        stopping = asyncio.ensure_future(life.stop.wait())
        while not (await asyncio.wait([stopping], timeout=LONGEST_PAUSE_S))[0]:
            self._client.start()  # where a task has ended by an unforeseen error
        await self._client.halt()
        await asyncio.sleep(0)  # for what was just closed to say so


def _close(own: weakref.ref[SyncBlocklistClient]) -> None:
    client = own()
    if client is not None:
        client.close()


def _abandon(own: weakref.ref[SyncBlocklistClient]) -> None:
    client = own()
    if client is not None:
        client.abandon()
