"""Asks the address that the policy names whether it is well, and counts the answer like any logged event.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:health_check` | string | one interval of the check | one |
"""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.policy import HealthCheck, Policy
from detectors.errors import StorageError
from detectors.event import Batch, Event
from detectors.timestamps import to_rfc3339

TURN_KEY = "bartizan:{act}:health_check"
"""string, TTL one interval: held by the process whose turn it was, so that several workers check once."""
LOOK_S = 1.0
RETRY_S = 1.0
SOURCE = "health_check"

log = structlog.get_logger(__name__)

Process = Callable[[Batch], Awaitable[object]]


class HealthChecker:
    """Polls while the policy names a whole address; follows a policy that changes."""

    def __init__(
        self,
        redis: Redis,
        policy: Callable[[], Policy],
        process: Process,
        now: Callable[[], int],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._redis = redis
        self._policy = policy
        self._process = process
        self._now = now
        self._transport = transport

    async def run(self, stop: asyncio.Event) -> None:
        """Look every second whether a check is due, until told to stop."""
        async with httpx.AsyncClient(transport=self._transport, follow_redirects=False) as client:
            while not stop.is_set():
                check = self._policy().health_check
                if check is not None and check.is_polled:
                    try:
                        await self.check_if_due(client, check)
                    except StorageError as error:
                        log.warning("health_check_not_counted", error=str(error))
                await wait_for_stop(stop, LOOK_S)

    async def check_if_due(self, client: httpx.AsyncClient, check: HealthCheck) -> bool:
        """Check once, if no process did so in this interval. Raises: StorageError."""
        try:
            is_ours = await self._redis.set(TURN_KEY, b"1", px=check.interval_ms, nx=True)
        except (RedisError, OSError, TimeoutError) as error:
            raise StorageError(f"health check: {error}") from error
        if not is_ours:
            return False
        status, reason = await self._ask(client, check)
        await self._process(self._batch(check, status, reason))
        return True

    async def _ask(self, client: httpx.AsyncClient, check: HealthCheck) -> tuple[int | None, str]:
        """The status, and why it counts as ill (empty where it does not). Tried again before it does."""
        status, reason = None, "no answer"
        for attempt in range(check.retries + 1):
            if attempt:
                await asyncio.sleep(RETRY_S)
            try:
                async with asyncio.timeout(check.timeout_ms / 1000):
                    answer = await client.get(check.endpoint, timeout=check.timeout_ms / 1000)
            except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
                status, reason = None, f"no answer ({type(error).__name__})"
                continue
            status = answer.status_code
            if status < 400:
                return status, ""
            reason = f"status {status}"
        log.warning("health_check_failed", reason=reason)
        return status, reason

    def _batch(self, check: HealthCheck, status: int | None, reason: str) -> Batch:
        now_ms = self._now()
        url = httpx.URL(check.endpoint)
        event = Event(
            timestamp=now_ms,
            host=url.host,
            path=url.path,
            method="GET",
            status=status,
            outcome="failure" if reason else "success",
            category="health_check",
            message=reason or None,
        )
        record = {
            "timestamp": to_rfc3339(now_ms),
            "category": "health_check",
            "host": url.host,
            "path": url.path,
            "status": status,
            "outcome": event.outcome,
            "message": event.message,
        }
        return Batch([event], [msgspec.json.encode(record)], now_ms, SOURCE)


async def wait_for_stop(stop: asyncio.Event, seconds: float) -> bool:
    """Wait this long or until told to stop; whether to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
