"""The stand-ins behind one HTTP server, what they have received, and misbehaviour on purpose."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.mock_receiver import discord, pagerduty, slack, webhook
from app.mock_receiver.rates import Windows
from app.mock_receiver.verdict import Received, Verdict
from detectors.timestamps import wall_clock_ms

MOST_KEPT = 10_000
CHANNELS = frozenset({"pagerduty", "slack", "discord", "webhook", "ping", "smtp"})
_RATES: Mapping[str, Sequence[tuple[int, int]]] = {
    "pagerduty": pagerduty.RATES,
    "slack": slack.RATES,
    "discord": discord.RATES,
}
_METHODS = ["GET", "POST", "HEAD", "PUT"]
Handler = Callable[[Request], Awaitable[Response]]


class Chaos(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the stand-ins misbehave. The shares are of all requests, 0 to 1."""

    status_429: float = 0.0
    status_500: float = 0.0
    stall_s: float = 0.0
    """How long every answer is held back."""
    down: tuple[str, ...] = ()
    """Channels that answer 503 to everything."""

    def __post_init__(self) -> None:
        """Raises: ValueError where a number is out of its range or a channel unknown."""
        if not (0 <= self.status_429 <= 1 and 0 <= self.status_500 <= 1):
            raise ValueError("status_429 and status_500 are shares from 0 to 1")
        if not 0 <= self.stall_s <= 600:
            raise ValueError("stall_s is 0 to 600 seconds")
        if set(self.down) - CHANNELS:
            raise ValueError(f"down: known are {', '.join(sorted(CHANNELS))}")


class Receiver:
    """Everything that stands in for somebody, and what came in, oldest first."""

    def __init__(
        self,
        *,
        secrets: Sequence[str] = (),
        now: Callable[[], int] = wall_clock_ms,
        tell: Callable[[Received], object] = lambda received: None,
        is_limited: bool = True,
        randomness: random.Random | None = None,
    ) -> None:
        """`secrets`: of the signed webhook. `tell`: called with each thing received. `is_limited`: with rates."""
        self.received: list[Received] = []
        self.chaos = Chaos()
        self.pagerduty = pagerduty.PagerDuty()
        self.discord: dict[str, discord.Discord] = {}
        self._webhook = webhook.Webhook(secrets)
        self._now = now
        self._tell = tell
        self._random = randomness or random.Random()  # noqa: S311 - misbehaviour, not cryptography
        self._windows = {name: Windows(now, limits) for name, limits in _RATES.items()} if is_limited else {}

    @property
    def violations(self) -> list[Received]:
        """What broke a rule."""
        return [received for received in self.received if received.violations]

    def keep(self, channel: str, verdict: Verdict) -> None:
        """Remembers one thing, and tells of it. The oldest go when there are too many."""
        received = Received(
            at=self._now(),
            channel=channel,
            status=verdict.status,
            summary=verdict.summary,
            violations=tuple(verdict.violations),
            notes=tuple(verdict.notes),
            body=verdict.body,
        )
        self.received.append(received)
        del self.received[:-MOST_KEPT]
        self._tell(received)

    def app(self) -> Starlette:
        """The HTTP side."""
        hook = "/discord/api/webhooks/{webhook_id}/{token}"
        return Starlette(
            routes=[
                Route("/v2/enqueue", self._served("pagerduty", self._take_pagerduty), methods=["POST"]),
                Route("/slack/{path:path}", self._served("slack", self._take_slack), methods=["POST"]),
                Route(hook, self._served("discord", self._take_discord), methods=["POST"]),
                Route(
                    hook + "/messages/{message_id}",
                    self._served("discord", self._take_discord),
                    methods=["PATCH"],
                ),
                Route("/webhook", self._served("webhook", self._take_webhook), methods=["POST"]),
                Route("/ping/{path:path}", self._served("ping", self._take_ping), methods=_METHODS),
                Route("/received", self._show_received, methods=["GET", "DELETE"]),
                Route("/violations", self._show_violations, methods=["GET"]),
                Route("/chaos", self._set_chaos, methods=["GET", "POST"]),
            ]
        )

    def _served(self, channel: str, take: Callable[[Request, bytes], Verdict]) -> Handler:
        """A stand-in's route: misbehaviour first, then the rate, then the rules."""

        async def handle(request: Request) -> Response:
            body = await request.body()
            chaos = self.chaos
            if chaos.stall_s:
                await asyncio.sleep(chaos.stall_s)
            verdict = self._misbehaved(channel) or self._limited(channel, request.url.path, body)
            verdict = verdict or take(request, body)
            self.keep(channel, verdict)
            if isinstance(verdict.answer, str):
                return PlainTextResponse(verdict.answer, verdict.status, verdict.headers)
            return JSONResponse(verdict.answer, verdict.status, verdict.headers)

        return handle

    def _misbehaved(self, channel: str) -> Verdict | None:
        if channel in self.chaos.down:
            return Verdict(summary="down, as told", status=503, answer="down")
        draw = self._random.random()
        if draw < self.chaos.status_429:
            return _too_many(channel, 1_300, "429, as told")
        if draw < self.chaos.status_429 + self.chaos.status_500:
            return Verdict(summary="500, as told", status=500, answer="error")
        return None

    def _limited(self, channel: str, path: str, body: bytes) -> Verdict | None:
        windows = self._windows.get(channel)
        if windows is None:
            return None
        wait_ms = windows.wait_ms(_counted_by(channel, path, body))
        return _too_many(channel, wait_ms, "more than its rate") if wait_ms else None

    def _take_pagerduty(self, request: Request, body: bytes) -> Verdict:
        return self.pagerduty.take(body)

    def _take_slack(self, request: Request, body: bytes) -> Verdict:
        return slack.take(body, request.headers.get("content-type", ""))

    def _take_discord(self, request: Request, body: bytes) -> Verdict:
        parameters = request.path_params
        channel = self.discord.setdefault(parameters["webhook_id"], discord.Discord())
        if "message_id" in parameters:
            return channel.patch(body, parameters["message_id"])
        return channel.post(body, request.query_params.get("wait"))

    def _take_webhook(self, request: Request, body: bytes) -> Verdict:
        return self._webhook.take(body, request.headers, self._now())

    def _take_ping(self, request: Request, body: bytes) -> Verdict:
        return Verdict(summary=f"{request.method} {request.url.path}", answer="OK")

    async def _show_received(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.received.clear()
        return _shown(self.received)

    async def _show_violations(self, request: Request) -> Response:
        return _shown(self.violations)

    async def _set_chaos(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self.chaos = msgspec.json.decode(await request.body(), type=Chaos)
            except msgspec.MsgspecError as error:
                return PlainTextResponse(f"{error}\n", 400)
        return JSONResponse(msgspec.to_builtins(self.chaos))


def _shown(items: list[Received]) -> Response:
    return JSONResponse({"items": [{"ok": item.ok, **msgspec.to_builtins(item)} for item in items]})


def _counted_by(channel: str, path: str, body: bytes) -> str:
    """By what a service counts: PagerDuty by the key in the body, the others by the webhook's address."""
    if channel != "pagerduty":
        return path.partition("/messages/")[0]
    try:
        found: Any = msgspec.json.decode(body)
        return str(found.get("routing_key", ""))
    except (msgspec.MsgspecError, UnicodeDecodeError, AttributeError):
        return ""


def _too_many(channel: str, wait_ms: int, summary: str) -> Verdict:
    """429 as the service words it: Discord in fractions of a second, the others in whole ones."""
    seconds = -(-wait_ms // 1000)
    verdict = Verdict(summary=summary, status=429, headers={"Retry-After": str(seconds)})
    if channel == "discord":
        verdict.headers = {"Retry-After": f"{wait_ms / 1000:.3f}", "X-RateLimit-Scope": "user"}
        verdict.answer = {
            "message": "You are being rate limited.",
            "retry_after": wait_ms / 1000,
            "global": False,
        }
    elif channel == "slack":
        verdict.answer = "rate_limited"
    else:
        verdict.answer = {"status": "throttle exceeded", "message": "Requests for this service are too many"}
    return verdict
