"""Bartizan's blocklist over HTTP: the whole list, and what changed since. Every failure is a FeedError."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import httpx

from bartizan_client.decision import Clock
from bartizan_client.wire import AnswerReader, Changes, Listing

Answer = TypeVar("Answer")

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 20.0
"""For each piece of an answer; a long poll may take its own time besides."""
LONGEST_RETRY_AFTER_S = 60.0
INLINE_SIZE_BYTES = 65_536
"""Larger answers are read in a thread, so that requests go on meanwhile."""


class FeedError(Exception):
    """Bartizan did not answer, or answered what cannot be read; trying again later may help."""

    def __init__(self, message: str, status: int = 0, retry_after_s: float = 0.0) -> None:
        """`status` is that of an answer which is no use; 0 where there was none."""
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s

    def is_misunderstanding(self) -> bool:
        """Whether the same question would get the same answer, so that it is better to begin anew."""
        return self.status == 200 or (400 <= self.status < 500 and self.status not in (401, 403, 429))


class Feed:
    """The connection to Bartizan. An async context manager; one request at a time."""

    def __init__(
        self,
        url: str,
        token: str,
        poll_wait_s: float = 30.0,
        now: Clock = time.time,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._poll_wait_s = poll_wait_s
        self._now = now
        self._transport = transport

    async def __aenter__(self) -> Feed:
        # In a thread, because reading the certificate store takes up to 100 ms.
        self._http = await asyncio.to_thread(
            httpx.AsyncClient, headers=self._headers, transport=self._transport
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def whole_list(self, etag: str | None = None) -> Listing | None:
        """The list, or None where it is still the one with this ETag. Raises: FeedError."""
        headers = {"If-None-Match": etag} if etag else {}
        reader, new_etag = await self._get("/v1/blocklist", {"format": "json"}, headers)
        return None if reader is None else _understood(lambda: reader.listing(new_etag))

    async def changes(self, since: str) -> Changes | Listing:
        """What changed; waits for it as long as a poll may. The whole list where the cursor is too old.

        Raises: FeedError.
        """
        params = {"since": since, "wait": f"{self._poll_wait_s:g}"}
        reader, _ = await self._get("/v1/blocklist/changes", params, {}, self._poll_wait_s)
        assert reader is not None  # noqa: S101 - None answers a question with an ETag
        return _understood(reader.listing) if reader.is_reset else _understood(reader.changes)

    async def _get(
        self, path: str, params: dict[str, str], headers: dict[str, str], wait_s: float = 0.0
    ) -> tuple[AnswerReader | None, str | None]:
        """The answer, read, and its ETag; None where it is that nothing is new. Raises: FeedError."""
        timeout = httpx.Timeout(CONNECT_TIMEOUT_S, read=wait_s + READ_TIMEOUT_S)
        try:
            async with self._http.stream(
                "GET", self._url + path, params=params, headers=headers, timeout=timeout
            ) as answer:
                if answer.status_code == 304 and headers:
                    return None, None
                if answer.status_code != 200:
                    raise _refusal(path, answer)
                return await self._read(answer), answer.headers.get("etag")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise FeedError(f"{type(error).__name__}: {error}".rstrip(": ")) from error

    async def _read(self, answer: httpx.Response) -> AnswerReader:
        """Piece by piece; long ones in a thread, where requests go on between two entries."""
        reader, pieces, size_bytes, is_long = AnswerReader(self._now), [], 0, False
        try:
            async for piece in answer.aiter_bytes():
                pieces.append(piece)
                size_bytes += len(piece)
                if size_bytes > INLINE_SIZE_BYTES:
                    is_long = True
                    await asyncio.to_thread(reader.feed, b"".join(pieces))
                    pieces, size_bytes = [], 0
            if is_long:
                await asyncio.to_thread(reader.feed, b"".join(pieces))
            else:
                reader.feed(b"".join(pieces))
            reader.close()
        except (ValueError, RecursionError) as error:
            raise FeedError(f"the answer is no JSON: {error}", 200) from error
        return reader


def _understood(read: Callable[[], Answer]) -> Answer:
    """Raises: FeedError where the answer is none to this question."""
    try:
        return read()
    except ValueError as error:
        raise FeedError(str(error), 200) from error


def _refusal(path: str, answer: httpx.Response) -> FeedError:
    hint = " (is it a token with the role lookup?)" if answer.status_code in (401, 403) else ""
    message = f"GET {path} answered {answer.status_code}{hint}"
    return FeedError(message, answer.status_code, retry_after_s(answer))


def retry_after_s(answer: httpx.Response) -> float:
    """Retry-After in seconds; 0 where there is none, or a date. Source: RFC 9110 10.2.3."""
    text = answer.headers.get("retry-after", "")
    return min(float(text), LONGEST_RETRY_AFTER_S) if text.isascii() and text.isdecimal() else 0.0
