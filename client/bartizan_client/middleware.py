"""The ASGI middleware: refuses requests and websockets from blocked addresses, and touches nothing else."""

from __future__ import annotations

import json
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Iterable, MutableMapping
from typing import Any, Callable, Literal

import httpx

from bartizan_client.addresses import TrustedProxies
from bartizan_client.follower import AUTO, BlocklistFollower
from bartizan_client.table import Clock

logger = logging.getLogger("bartizan_client")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
"""Close codes. Source: RFC 6455 7.4.1 and the IANA registry."""
REFUSED = {403: "Requests from this address are refused.", 503: "The blocklist is not known yet; try again."}
LOG_EVERY_S = 1.0


class BartizanMiddleware:
    """Answers 403 to whom Bartizan blocked, from memory; hands everything else on as it is.

    The follower starts with the lifespan, or with the first request where the server has no lifespan, and
    ends with it.
    """

    def __init__(
        self,
        app: App,
        *,
        url: str,
        token: str,
        fail: Literal["open", "closed"] = "open",
        trusted_proxies: Iterable[str] = (),
        snapshot: str | os.PathLike[str] | None = AUTO,
        poll_wait_s: float = 30.0,
        startup_wait_s: float = 2.0,
        now: Clock = time.time,
        jitter: Callable[[], float] = random.random,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """What the settings mean: docs/client.md. Raises: ValueError naming the setting that is wrong."""
        if fail not in ("open", "closed"):
            raise ValueError(f"fail: 'open' or 'closed', not {fail!r}")
        self.app = app
        self.follower = BlocklistFollower(
            url,
            token,
            snapshot=snapshot,
            poll_wait_s=poll_wait_s,
            startup_wait_s=startup_wait_s,
            now=now,
            jitter=jitter,
            transport=transport,
        )
        self.counts: Counter[str] = Counter()
        """Requests `refused`, and those that could not be judged: `let_through` or `turned_away`."""
        self._closed = fail == "closed"
        self._proxies = TrustedProxies(trusted_proxies)
        self._now = now
        self._unjudged = 0
        self._logged_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            status, reference = await self._judge(scope)
            if status:
                await refuse(scope, receive, send, status, reference)
                return
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _judge(self, scope: Scope) -> tuple[int, str | None]:
        """(0, None) for a request to hand on, else the status to answer and the block's id."""
        follower = self.follower
        if not follower.is_running:
            follower.start()
        await follower.wait_started()
        client = scope.get("client")
        forwarded = [v for k, v in scope["headers"] if k == b"x-forwarded-for"] if self._proxies else ()
        address = self._proxies.client_address(client[0] if client else None, forwarded)
        if address is not None and follower.has_list:
            if not follower.table.is_blocked(address):
                return 0, None
            block = follower.table.find(address)
            self.counts["refused"] += 1
            return 403, None if block is None else block.id
        self._note_unjudged("no list" if address is not None else "no address")
        return (503, None) if self._closed else (0, None)

    def _note_unjudged(self, why: str) -> None:
        """Count each request that cannot be judged; log them at most once a second, with their number."""
        self.counts["turned_away" if self._closed else "let_through"] += 1
        self._unjudged += 1
        if abs(self._now() - self._logged_s) >= LOG_EVERY_S:
            what = "turned away" if self._closed else "let through"
            logger.warning("requests %s unjudged: %d (%s)", what, self._unjudged, why)
            self._unjudged, self._logged_s = 0, self._now()

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start the follower before the application starts, and stop it once the application has ended."""

        async def receive_and_start() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.follower.start()
                await self.follower.wait_started()
            return message

        async def stop_and_send(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self.follower.stop()
            await send(message)

        try:
            await self.app(scope, receive_and_start, stop_and_send)
        finally:
            await self.follower.stop()


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, reference: str | None) -> None:
    """Answer with a problem body; a websocket that cannot carry one is closed before it is accepted.

    Source: RFC 9457; ASGI specification, Websocket Denial Response.
    """
    prefix = "http"
    if scope["type"] == "websocket":
        if (await receive())["type"] != "websocket.connect":
            return
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            code = POLICY_VIOLATION if status == 403 else TRY_AGAIN_LATER
            await send({"type": "websocket.close", "code": code, "reason": REFUSED[status]})
            return
        prefix = "websocket.http"
    title = "Forbidden" if status == 403 else "Service Unavailable"
    problem = {"type": "about:blank", "title": title, "status": status, "detail": REFUSED[status]}
    if reference is not None:
        problem["reference"] = reference
    body = json.dumps(problem).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if status == 503:
        headers.append((b"retry-after", b"2"))
    await send({"type": f"{prefix}.response.start", "status": status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": body})
