"""The ASGI middleware: refuses requests and websockets from whom Bartizan blocked, and touches nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, MutableMapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable

from bartizan_client.answers import DETAILS, Answer
from bartizan_client.client import BlocklistClient, ClientStatus
from bartizan_client.judgement import Judge
from bartizan_client.settings import CONNECTION, Settings
from bartizan_client.verdict import Kind

if TYPE_CHECKING:
    from typing import Unpack

    from bartizan_client.settings import Options

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
"""Close codes. Source: RFC 6455 7.4.1 and the IANA registry."""


class AsgiReader:
    """How an ASGI scope tells about a request."""

    def peer(self, native: Scope) -> str | None:
        client = native.get("client")
        return client[0] if client else None

    def peer_and_forwarded(self, native: Scope) -> tuple[str | None, Sequence[bytes]]:
        client = native.get("client")
        forwarded: tuple[bytes, ...] = ()
        for name, value in native["headers"]:  # a comprehension would cost a frame with every request
            if name == b"x-forwarded-for":
                forwarded = (*forwarded, value)
        return (client[0] if client else None), forwarded

    def header(self, native: Scope, name: str) -> str | None:
        wanted = name.encode("latin-1")
        values = [value for known, value in native["headers"] if known == wanted]
        return values[-1].decode("latin-1") if values else None

    def path(self, native: Scope) -> str:
        return str(native.get("path") or "")

    def method(self, native: Scope) -> str:
        return str(native.get("method") or "")


class BartizanMiddleware:
    """Refuses whom Bartizan blocked, from memory; hands everything else on as it is.

    Its client starts with the lifespan, or with the first request where the server has no lifespan, and ends
    with it.
    """

    def __init__(
        self, app: App, *, client: BlocklistClient | None = None, **options: Unpack[Options]
    ) -> None:
        """What the settings mean: docs/client.md. A `client` brings url, token and all about the connection.

        Raises: ValueError naming the setting that is wrong.
        """
        settings = settings_of(client, options)
        self.app = app
        self.client = client or BlocklistClient.from_settings(settings)
        self.follower = self.client.follower
        self.counts = self.client.counts
        """What became of requests; the names: docs/client.md."""
        self._judge = Judge(settings, self.client, AsgiReader())

    def status(self) -> ClientStatus:
        """How the client is doing, and which decisions mean nothing here."""
        return self.client.status(self._judge.cannot_act())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http" or kind == "websocket":
            ready = self.follower.ready
            if ready is None or ready.is_over() or not ready.is_loop_running():
                self.client.start()
                await self.client.wait_started()
            verdict = self._judge.judge(scope)
            if verdict.pending is not None:
                verdict = await self._judge.settle(verdict)
            if verdict.answer is not None:
                code = TRY_AGAIN_LATER if verdict.kind is Kind.TURNED_AWAY else POLICY_VIOLATION
                await refuse(scope, receive, send, verdict.answer, code)
                return
        elif kind == "lifespan":
            await self._live(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start the client before the application starts, and stop it once the application has ended."""

        async def receive_and_start() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.client.start()
                await self.client.wait_started()
            return message

        async def stop_and_send(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self.client.stop()
            await send(message)

        try:
            await self.app(scope, receive_and_start, stop_and_send)
        finally:
            await self.client.stop()


def settings_of(client: Any, options: Any) -> Settings:
    """The settings of a middleware. Raises: ValueError, also for what belongs to a client that is given."""
    if client is None:
        missing = [name for name in ("url", "token") if name not in options]
        if missing:
            raise ValueError(f"{missing[0]}: is needed, or a client")
        return Settings(**options)
    twice = sorted(CONNECTION & set(options))
    if twice:
        raise ValueError(f"{twice[0]}: belongs to the client that is given")
    given: Settings = client.settings
    return replace(given, **options)


async def refuse(scope: Scope, receive: Receive, send: Send, answer: Answer, code: int) -> None:
    """Answer; a websocket that cannot carry an answer is closed with this code before it is accepted.

    Source: ASGI specification, Websocket Denial Response.
    """
    prefix = "http"
    if scope["type"] == "websocket":
        if (await receive())["type"] != "websocket.connect":
            return
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            reason = DETAILS.get(answer.status, DETAILS[403])
            await send({"type": "websocket.close", "code": code, "reason": reason})
            return
        prefix = "websocket.http"
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": f"{prefix}.response.start", "status": answer.status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": answer.body})
