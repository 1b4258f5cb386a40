"""One HTTP request to a service, and what its answer means: delivered, try again, or never.

No error of this file says where the request went or with which key: addresses of webhooks are secrets.
"""

import asyncio
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from actions.channels.plain import one_line
from detectors.errors import DeliveryError

CONNECT_S = 5.0
DEADLINE_S = 15.0
"""For one request with its answer, however slowly the service sends it."""
LONGEST_ANSWER = 65_536
"""Bytes that are read of an answer."""
LONGEST_REASON = 200
LONGEST_WAIT_MS = 3_600_000
"""A service that asks for more is asked again after an hour."""
MOST_CONNECTIONS = 20
TEMPORARY = frozenset({408, 425, 429})
"""Besides 5xx. Source: RFC 9110 section 15.5.9, RFC 8470 section 5.2, RFC 6585 section 4."""
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{0,9})?")


def make_client() -> httpx.AsyncClient:
    """The client that all channels of a process share. Opens nothing yet; the caller closes it.

    It follows no redirects and takes no proxy from the environment: both would carry secrets elsewhere.
    """
    return httpx.AsyncClient(
        timeout=httpx.Timeout(DEADLINE_S, connect=CONNECT_S),
        limits=httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=5),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": "bartizan", "Accept-Encoding": "identity"},
    )


class Wire:
    """Sends requests of one channel."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        now: Callable[[], int],
        secrets: tuple[str, ...] = (),
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """`secrets`: texts that no error may show. `now`: epoch ms, for waiting times given as a date."""
        self._http = http
        self._now = now
        self._secrets = tuple(secret for secret in secrets if secret)
        self._deadline_s = deadline_s

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str] | None = None, *, method: str = "POST"
    ) -> bytes:
        """Sends JSON; answers the body of a 2xx answer.

        Raises: DeliveryError, temporary where the service was not reached or asks to be tried again (408, 425, 429,
        5xx), permanent for every other status.
        """
        status, answered, found = await self._exchange(method, url, body, headers or {})
        if 200 <= status < 300:
            return found
        is_temporary = status in TEMPORARY or status >= 500
        wait_ms = retry_after_ms(answered, self._now()) if is_temporary else None
        raise RefusedError(status, self._reason(status, found), not is_temporary, wait_ms, found)

    async def _exchange(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, httpx.Headers, bytes]:
        content_type = {"Content-Type": "application/json"}
        found = b""
        try:
            async with (
                asyncio.timeout(self._deadline_s),
                self._http.stream(method, url, content=body, headers={**content_type, **headers}) as answer,
            ):
                async for chunk in answer.aiter_raw():
                    found += chunk
                    if len(found) >= LONGEST_ANSWER:
                        break
                return answer.status_code, answer.headers, found
        except (TimeoutError, httpx.TimeoutException):
            raise DeliveryError("no answer in time", permanent=False) from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise DeliveryError(f"not reached: {type(error).__name__}", permanent=False) from None
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise DeliveryError(f"cannot be sent: {type(error).__name__}", permanent=True) from None

    def _reason(self, status: int, body: bytes) -> str:
        """`status 404 Not Found: no_service`: the service's own words, cut, and without our secrets."""
        try:
            phrase = f" {HTTPStatus(status).phrase}"
        except ValueError:
            phrase = ""
        said = body.decode("utf-8", "replace")
        for secret in self._secrets:
            said = said.replace(secret, "***")
        words = one_line(said, LONGEST_REASON)
        is_page = words.lower().startswith(("<!doctype", "<html"))
        return f"status {status}{phrase}" + (f": {words}" if words and not is_page else "")


class RefusedError(DeliveryError):
    """The service answered, and it was no 2xx. `status` and `body` are for the channel that knows more of them."""

    def __init__(self, status: int, reason: str, permanent: bool, wait_ms: int | None, body: bytes) -> None:
        super().__init__(reason, permanent=permanent, retry_after_ms=wait_ms)
        self.status = status
        self.body = body


def retry_after_ms(headers: httpx.Headers, now: int) -> int | None:
    """How long the answer asks us to wait: seconds, fractions of them too, or a date; at most an hour.

    None where it does not say, or cannot be read. Source: RFC 9110 section 10.2.3.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return bounded_ms(float(text))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    at = datetime.fromtimestamp(now / 1000, UTC)
    return bounded_ms(max(0.0, (until - at).total_seconds()))


def bounded_ms(seconds: float) -> int:
    """Seconds as milliseconds, rounded up, from none to an hour."""
    return min(LONGEST_WAIT_MS, math.ceil(max(0.0, min(seconds, 1e9)) * 1000))


def secrets_in(url: str) -> tuple[str, ...]:
    """The parts of a webhook's address that must not be shown: all of it, its path, and each long piece of that."""
    parsed = httpx.URL(url)
    pieces = [piece for piece in parsed.path.split("/") if len(piece) >= 8]
    return (url, parsed.raw_path.decode(), *pieces, *([parsed.password] if parsed.password else []))
