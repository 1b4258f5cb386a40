"""The dead man's signal: asks an address once a minute while this service works, so that silence raises the alarm.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:dead_man` | string | one interval of the signal | one |

What "works" means: Redis takes a write (the turn itself is one), the responder of the process whose turn it is has
finished a turn on every shard within half a minute, and no finding on any shard has waited for longer than `lag`.
It does not mean that channels deliver, or that logs come in: metrics and the outbox say that.
Source: https://healthchecks.io/docs/http_api/ (a ping is any GET; the address with /fail reports a failure).
"""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from actions.responder import Responder
from app.health_check import wait_for_stop
from app.metrics import Metrics
from app.policies.dead_man import DeadManSettings, SecretUrl
from detectors.errors import ConfigError, StorageError
from detectors.windows import findings_key

TURN_KEY = "bartizan:{act}:dead_man"
"""string, TTL one interval: held by the process whose turn it was, so that several workers signal once."""
LOOK_S = 1.0
TIMEOUT_S = 10.0
QUIET_MS = 30_000
"""A turn of the responder takes a second where nothing happens, and a few at most where much does."""

log = structlog.get_logger(__name__)


class DeadMan:
    """Signals while the policy names an address; follows a policy that changes."""

    def __init__(
        self,
        redis: Redis,
        settings: Callable[[], DeadManSettings | None],
        checks: "Checks",
        metrics: Metrics,
    ) -> None:
        self._redis = redis
        self._settings = settings
        self._checks = checks
        self._metrics = metrics
        self._said = "sent"

    async def run(self, stop: asyncio.Event) -> None:
        """Look every second whether a signal is due, until told to stop."""
        async with httpx.AsyncClient(follow_redirects=False, timeout=TIMEOUT_S) as client:
            while not stop.is_set():
                settings = self._settings()
                if settings is not None and self._checks.has_begun():
                    await self.signal_if_due(client, settings)
                await wait_for_stop(stop, LOOK_S)

    async def signal_if_due(self, client: httpx.AsyncClient, settings: DeadManSettings) -> bool:
        """Signals, if no process did so in this interval; whether it was this one's turn and all went well.

        Without Redis nobody can tell whose turn it is, and nobody signals: that is the alarm.
        """
        try:
            if not await self._redis.set(TURN_KEY, b"1", px=settings.every_ms, nx=True):
                return False
            fault = await self._checks.fault(settings)
        except (StorageError, RedisError, OSError, TimeoutError) as error:
            self._note("held_back", f"Redis: {type(error).__name__}")
            return False
        if fault:
            self._note("held_back", fault)
            if settings.fail_url is not None:
                await self._ask(client, settings.fail_url)
            return False
        failure = await self._ask(client, settings.url)
        self._note("failed" if failure else "sent", failure)
        return not failure

    async def _ask(self, client: httpx.AsyncClient, url: SecretUrl) -> str:
        """Why it failed, without the address, which is a secret; empty where it did not."""
        try:
            address = await asyncio.to_thread(url.read)
            async with asyncio.timeout(TIMEOUT_S), client.stream("GET", address) as answer:
                status, is_success = answer.status_code, answer.is_success  # nobody reads the body
        except ConfigError as error:
            return str(error)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, UnicodeError) as error:
            # httpx lets through what the idna library raises for a name such as xn--, a UnicodeError
            return f"no answer ({type(error).__name__})"
        return "" if is_success else f"status {status}"

    def _note(self, result: str, why: str) -> None:
        """Counts, and logs what is new: that it fails, once, and that it is over."""
        self._metrics.dead_man_signals.labels(result).inc()
        if result != self._said:
            say = log.warning if why else log.info
            say("dead_man_signal", result=result, reason=why)
        self._said = result


class Checks:
    """Whether findings are acted on."""

    def __init__(self, redis: Redis, responder: Responder, shards: int, now: Callable[[], int]) -> None:
        self._redis = redis
        self._responder = responder
        self._shards = shards
        self._now = now

    def has_begun(self) -> bool:
        """Whether this process's responder has had a turn on every shard: before, it is nobody's fault."""
        return self._responder.quiet_ms(self._now()) is not None

    async def fault(self, settings: DeadManSettings) -> str:
        """What is not well, in words; empty where all is. Raises: StorageError."""
        now = self._now()
        quiet_ms = self._responder.quiet_ms(now)
        if quiet_ms is not None and quiet_ms > QUIET_MS:
            return f"the responder has done nothing for {quiet_ms // 1000} s"
        for shard in range(self._shards):
            waited_ms = await self._oldest_ms(shard, now)
            if waited_ms > settings.lag_ms:
                return f"a finding has waited for {waited_ms // 1000} s"
        return ""

    async def _oldest_ms(self, shard: int, now: int) -> int:
        """How long the oldest finding has waited: one that was acted on is off the stream."""
        try:
            rows: Any = await self._redis.xrange(findings_key(shard), count=1)
        except (RedisError, OSError, TimeoutError) as error:
            raise StorageError(f"reading findings failed: {type(error).__name__}") from error
        return now - int(rows[0][0].partition(b"-")[0]) if rows else 0
