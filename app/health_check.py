"""Asks the addresses that the policy names whether they are well, and counts the answers like any logged event.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:health_check:SHA` | string | one interval of the check | one per check |
"""

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable, Iterator
from socket import gaierror

import httpx
import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.policies.health import HealthCheck
from app.policies.policy import Policy
from detectors.errors import StorageError
from detectors.event import Batch, Event
from detectors.timestamps import to_rfc3339

TURN_KEY = "bartizan:{act}:health_check:"
"""With a hash of the check: held by the process whose turn it was, so that several workers check once."""
LOOK_S = 1.0
RETRY_S = 1.0
SOURCE = "health_check"
MOST_BODY_BYTES = 65_536
"""So much of an answer is looked through for what must stand in it."""
AGENT = "bartizan-health-check"
DEEPEST_CAUSE = 10

log = structlog.get_logger(__name__)

Process = Callable[[Batch], Awaitable[object]]


class HealthChecker:
    """Polls while the policy names whole addresses; follows a policy that changes."""

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
        """Looks every second which checks are due, until told to stop. A slow one does not delay the others."""
        # A kept connection would not tell whether new ones are taken.
        limits = httpx.Limits(max_keepalive_connections=0)
        async with (
            httpx.AsyncClient(
                transport=self._transport,
                follow_redirects=False,
                limits=limits,
                headers={"User-Agent": AGENT},
            ) as client,
            asyncio.TaskGroup() as tasks,
        ):
            running: dict[HealthCheck, asyncio.Task[None]] = {}
            while not stop.is_set():
                running = {check: task for check, task in running.items() if not task.done()}
                for check in self._policy().health_checks:
                    if check.is_polled and check not in running:
                        running[check] = tasks.create_task(self._check(client, check))
                await wait_for_stop(stop, LOOK_S)
            for task in running.values():
                task.cancel()

    async def _check(self, client: httpx.AsyncClient, check: HealthCheck) -> None:
        try:
            await self.check_if_due(client, check)
        except StorageError as error:
            log.warning("health_check_not_counted", error=str(error))

    async def check_if_due(self, client: httpx.AsyncClient, check: HealthCheck) -> bool:
        """Check once, if no process did so in this interval. Raises: StorageError."""
        try:
            is_ours = await self._redis.set(turn_key(check), b"1", px=check.interval_ms, nx=True)
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
            status, reason = await _attempt(client, check)
            if not reason:
                return status, ""
        log.warning("health_check_failed", check=f"{_host_of(check)}{check.path}", reason=reason)
        return status, reason

    def _batch(self, check: HealthCheck, status: int | None, reason: str) -> Batch:
        now_ms = self._now()
        event = Event(
            timestamp=now_ms,
            host=_host_of(check),
            path=check.path,
            method=check.method.value,
            status=status,
            outcome="failure" if reason else "success",
            category="health_check",
            message=reason or None,
        )
        record = {
            "timestamp": to_rfc3339(now_ms),
            "category": "health_check",
            "host": event.host,
            "path": event.path,
            "status": status,
            "outcome": event.outcome,
            "message": event.message,
        }
        return Batch([event], [msgspec.json.encode(record)], now_ms, SOURCE)


def turn_key(check: HealthCheck) -> str:
    """Whose turn it is to make this check; hashed, since an address may hold a credential."""
    return TURN_KEY + hashlib.sha256(f"{check.method} {check.url}".encode()).hexdigest()[:16]


async def _attempt(client: httpx.AsyncClient, check: HealthCheck) -> tuple[int | None, str]:
    """The status of one answer, and what is wrong with it (empty where nothing is)."""
    timeout_s = check.timeout_ms / 1000
    try:
        async with (
            asyncio.timeout(timeout_s),
            client.stream(check.method.value, check.url, timeout=timeout_s) as answer,
        ):
            if not check.is_fine(answer.status_code):
                return answer.status_code, f"status {answer.status_code}"
            body = await _beginning_of(answer)
            if check.expect_body and check.expect_body not in body:
                return answer.status_code, f"status {answer.status_code} without the text that is expected"
            return answer.status_code, ""
    except (TimeoutError, httpx.TimeoutException):
        return None, f"no answer within {timeout_s:g} s"
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: a name such as xn--
        return None, why_no_answer(error)


async def _beginning_of(answer: httpx.Response) -> str:
    """The first 64 KiB of an answer as text: a service that never ends its answer is not well either."""
    found = b""
    async for chunk in answer.aiter_bytes():
        found += chunk
        if len(found) >= MOST_BODY_BYTES:
            break
    return found[:MOST_BODY_BYTES].decode("utf-8", "replace")


def why_no_answer(error: BaseException) -> str:
    """What kept a service from answering, in words: the cause beneath what the HTTP client says."""
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return f"no answer (TLS: {cause.verify_message})"
            case ssl.SSLError():
                return f"no answer (TLS: {cause.reason or 'failed'})"
            case gaierror():
                return "no answer (its name is not known)"
            case ConnectionRefusedError():
                return "no answer (connection refused)"
            case ConnectionResetError():
                return "no answer (connection reset)"
    if isinstance(error, httpx.RemoteProtocolError):
        return "no answer (closed without an answer, or not HTTP)"
    return f"no answer ({type(error).__name__})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, from the top down; several attempts at once come as a group."""
    left: list[tuple[BaseException, int]] = [(error, 0)]
    while left:
        one, depth = left.pop(0)
        yield one
        if depth < DEEPEST_CAUSE:
            below = [one.__cause__ or one.__context__]
            below += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
            left += [(cause, depth + 1) for cause in below if cause is not None]


def _host_of(check: HealthCheck) -> str:
    """The host, with its port where that is not the usual one: several services may share a host."""
    return httpx.URL(check.url).netloc.decode("ascii", "replace")


async def wait_for_stop(stop: asyncio.Event, seconds: float) -> bool:
    """Wait this long or until told to stop; whether to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
