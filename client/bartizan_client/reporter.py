"""Sends an application's own events to Bartizan in the background: batched, bounded, and never in anybody's way.

A batch has an Idempotency-Key that it keeps over its retries, so that nothing counts twice. It is tried again
until Bartizan takes it; what comes meanwhile waits in a queue of fixed length, and what finds that full is
dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import httpx

from bartizan_client.decision import Clock
from bartizan_client.feed import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, retry_after_s
from bartizan_client.pauses import pause_s
from bartizan_client.wire import rfc3339

logger = logging.getLogger("bartizan_client")

BATCH_EVENTS = 500
LINGER_S = 1.0
"""How long the first event of a batch waits for others."""
LONGEST_EVENT_BYTES = 32_768
QUEUE_BYTES = 16 * 1024 * 1024
"""Of all events that wait: below Bartizan's own bound for one body, 20 MiB."""
UNREADABLE = frozenset({400, 404, 405, 413, 415, 422})
"""Answers to a batch that would be the same the next time. Source: docs/ingest.md."""


class Batch(NamedTuple):
    """Events that are sent together. Encoded, a line each."""

    key: str
    lines: list[bytes]

    def body(self) -> bytes:
        return b"\n".join(self.lines) + b"\n"


class Reporter:
    """The queue of one process, and what empties it."""

    def __init__(
        self,
        url: str,
        token: str | None,
        counts: Counter[str],
        *,
        queue_size: int = 10_000,
        now: Clock = time.time,
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: Any = None,
        linger_s: float = LINGER_S,
    ) -> None:
        """`token`: of the role ingest; None: every event is dropped and counted."""
        self._url = url.rstrip("/") + "/v1/events"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
        self._has_token = token is not None
        self._counts = counts
        self._queue_size = queue_size
        self._now, self._jitter, self._sleep = now, jitter, sleep
        self._transport, self._linger_s = transport, linger_s
        self.abandon()

    def abandon(self) -> None:
        """Begin with nothing: what waited is the business of the process that this one was forked from."""
        self._lock = threading.Lock()
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._batch: Batch | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._has_complained = False

    @property
    def pending(self) -> int:
        """Events that wait, those under way included."""
        return len(self._queue) + (len(self._batch.lines) if self._batch is not None else 0)

    # -- taking

    def report(self, event: Mapping[str, Any] | None = None, **fields: Any) -> bool:
        """Send an event some time soon; from any thread. Never waits and never raises.

        The names of the fields are Bartizan's own: docs/ingest.md. Without a `timestamp` it happened now.
        Returns whether it is in the queue.
        """
        try:
            stamped = {"timestamp": rfc3339(self._now()), **(event or {}), **fields}
            line = json.dumps(stamped, default=str, allow_nan=False, separators=(",", ":")).encode()
        except Exception as error:  # noqa: BLE001 - an event's own __str__ may raise anything
            return self._drop(f"it cannot be written as JSON ({type(error).__name__})")
        if len(line) > LONGEST_EVENT_BYTES:
            return self._drop(f"it is longer than {LONGEST_EVENT_BYTES} bytes")
        if not self._has_token:
            return self._drop("there is no report_token")
        with self._lock:
            waiting = len(self._queue)
            if waiting >= self._queue_size or self._bytes + len(line) > QUEUE_BYTES:
                self._counts["events_dropped"] += 1
                return False
            self._queue.append(line)
            self._bytes += len(line)
        if waiting == 0 or waiting + 1 == BATCH_EVENTS:
            self._call()
        return True

    def _drop(self, why: str) -> bool:
        self._counts["events_dropped"] += 1
        if not self._has_complained:
            self._has_complained = True
            logger.warning("an event is not reported: %s; further ones are only counted", why)
        return False

    def _call(self) -> None:
        loop, wake = self._loop, self._wake
        if loop is not None and wake is not None:
            try:
                loop.call_soon_threadsafe(wake.set)
            except RuntimeError:  # the loop has just been closed: what waits is flushed
                return

    def _next_batch(self) -> Batch | None:
        """The one under way, or the oldest events; None where nothing waits."""
        if self._batch is None:
            with self._lock:
                lines = [self._queue.popleft() for _ in range(min(BATCH_EVENTS, len(self._queue)))]
                self._bytes -= sum(map(len, lines))
            if lines:
                self._batch = Batch(uuid.uuid4().hex, lines)
        return self._batch

    # -- sending

    async def run(self) -> None:
        """Send whatever comes, until cancelled."""
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        http = await asyncio.to_thread(httpx.AsyncClient, headers=self._headers, transport=self._transport)
        async with http:
            failures = 0
            while True:
                batch = await self._due()
                pause = await self._send(http, batch, failures + 1)
                failures = 0 if pause is None else failures + 1
                if pause is not None:
                    await self._sleep(pause)

    async def flush(self, within_s: float) -> None:
        """Send what waits, within a time; what is left then is dropped and counted."""
        try:
            if self._has_token and self.pending:
                async with httpx.AsyncClient(headers=self._headers, transport=self._transport) as http:
                    await asyncio.wait_for(self._send_all(http), within_s)
        except (asyncio.TimeoutError, OSError, RuntimeError):
            logger.debug("the flush ended early")
        self._leave()

    def flush_now(self, within_s: float) -> None:
        """The same without an event loop, as the end of a process has none."""
        deadline, failures = time.monotonic() + within_s, 0
        try:
            if self._has_token and self.pending:
                with httpx.Client(headers=self._headers, transport=self._transport) as http:
                    while (left := deadline - time.monotonic()) > 0 and (batch := self._next_batch()):
                        pause = self._send_now(http, batch, failures + 1, left)
                        failures = 0 if pause is None else failures + 1
                        time.sleep(min(pause or 0, max(0.0, deadline - time.monotonic())))
        except (OSError, RuntimeError):
            logger.debug("the flush ended early")
        self._leave()

    async def _due(self) -> Batch:
        """The next batch, once it is full or its first event has waited long enough."""
        wake = self._wake
        assert wake is not None  # noqa: S101 - set by run
        while self._batch is None and not self._queue:
            wake.clear()
            if not self._queue:
                await wake.wait()
        if self._batch is None and len(self._queue) < BATCH_EVENTS:
            wake.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(wake.wait(), self._linger_s)
        batch = self._next_batch()
        assert batch is not None  # noqa: S101 - nobody else takes from the queue
        return batch

    async def _send(self, http: httpx.AsyncClient, batch: Batch, attempt: int) -> float | None:
        """None where the batch is done with, else seconds until it should be tried again."""
        try:
            answer = await http.post(self._url, content=batch.body(), **_request(batch, READ_TIMEOUT_S))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return self._put_off(f"{type(error).__name__}: {error}", attempt, 0.0)
        return self._take_answer(answer, batch, attempt)

    def _send_now(self, http: httpx.Client, batch: Batch, attempt: int, left_s: float) -> float | None:
        try:
            answer = http.post(self._url, content=batch.body(), **_request(batch, left_s))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return self._put_off(f"{type(error).__name__}: {error}", attempt, 0.0)
        return self._take_answer(answer, batch, attempt)

    async def _send_all(self, http: httpx.AsyncClient) -> None:
        failures = 0
        while batch := self._next_batch():
            pause = await self._send(http, batch, failures + 1)
            failures = 0 if pause is None else failures + 1
            await asyncio.sleep(pause or 0)

    def _take_answer(self, answer: httpx.Response, batch: Batch, attempt: int) -> float | None:
        status, size = answer.status_code, len(batch.lines)
        if status == 200:
            rejected = min(size, _number(answer, "rejected"))
            self._counts["events_reported"] += size - rejected
            if rejected:
                self._counts["events_rejected"] += rejected
            if attempt > 1:
                logger.info("events are taken again")
        elif status in UNREADABLE:
            self._counts["events_rejected"] += size
            logger.warning("Bartizan refuses a batch of %d events for good: %d", size, status)
        else:
            hint = " (is it a token with the role ingest?)" if status in (401, 403) else ""
            return self._put_off(f"answered {status}{hint}", attempt, retry_after_s(answer))
        self._batch = None
        return None

    def _put_off(self, why: str, attempt: int, asked_s: float) -> float:
        self._counts["report_failures"] += 1
        level = logging.WARNING if attempt == 1 else logging.DEBUG
        logger.log(level, "events cannot be reported (%s); %d wait", why, self.pending)
        return pause_s(attempt, asked_s, self._jitter())

    def _leave(self) -> None:
        """Nobody sends any more: count what still waits, and forget it."""
        left = self.pending
        if left:
            self._counts["events_dropped"] += left
            logger.warning("%d events were not reported before the end", left)
        with self._lock:
            self._queue.clear()
            self._bytes, self._batch = 0, None


def _request(batch: Batch, read_s: float) -> dict[str, Any]:
    """The same of every attempt."""
    return {
        "headers": {"Idempotency-Key": batch.key},
        "timeout": httpx.Timeout(min(CONNECT_TIMEOUT_S, read_s), read=read_s),
    }


def _number(answer: httpx.Response, name: str) -> int:
    try:
        document = answer.json()
    except ValueError:
        return 0
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, int) and found > 0 else 0


def login_failed(address: str, user: str | None = None, **more: Any) -> dict[str, Any]:
    """The event of a failed login, for `report`."""
    return {"category": "authentication", "outcome": "failure", "client_ip": address, "user": user, **more}


def login_succeeded(address: str, user: str | None = None, **more: Any) -> dict[str, Any]:
    """The event of a login, for `report`: a success after many failures is worth a look."""
    return {"category": "authentication", "outcome": "success", "client_ip": address, "user": user, **more}


def key_used(address: str, api_key_id: str, **more: Any) -> dict[str, Any]:
    """The event of a request with an API key, for `report`. The key's id or name, never the key."""
    return {"outcome": "success", "client_ip": address, "api_key_id": api_key_id, **more}
