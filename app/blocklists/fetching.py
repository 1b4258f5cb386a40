"""One external list as it is at its source now: over HTTP only if it has changed, or from a file."""

import asyncio
from pathlib import Path
from typing import NamedTuple

import httpx

from app.policies.blocklists import ListSource

TIMEOUT_S = 30.0
"""For a connection, and for each piece of the answer."""
LONGEST_S = 60.0
"""For the whole: who sends a byte a second is given up. Shorter than a turn (actions/blocks/lists.py)."""
MOST_REDIRECTS = 5
LARGEST_BYTES = 64 * 1024 * 1024
"""After decompression: a million values of the longest spelling."""


class FetchError(Exception):
    """The list cannot be had now. The message is for people and holds no secret of the URL."""


class Fetched(NamedTuple):
    """What a source answered. `body` None: what was fetched last is still right."""

    body: bytes | None
    etag: str = ""
    last_modified: str = ""


def make_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """What lists are fetched with."""
    return httpx.AsyncClient(
        follow_redirects=True,
        max_redirects=MOST_REDIRECTS,
        timeout=TIMEOUT_S,
        headers={"User-Agent": "bartizan (blocklists)"},
        transport=transport,
    )


async def fetch(
    source: ListSource, client: httpx.AsyncClient, etag: str = "", last_modified: str = ""
) -> Fetched:
    """The list as it is now. Raises: FetchError."""
    if source.file is not None:
        return _read(source.file)
    assert source.url is not None  # noqa: S101 - a list has one of the two
    headers = {"If-None-Match": etag} if etag else {}
    if last_modified:
        headers["If-Modified-Since"] = last_modified
    try:
        async with asyncio.timeout(LONGEST_S), client.stream("GET", source.url, headers=headers) as answer:
            _check_places(answer)
            if answer.status_code == 304 and headers:
                return Fetched(None, etag, last_modified)
            if answer.status_code != 200:
                raise FetchError(f"answered {answer.status_code} {answer.reason_phrase}")
            body = await _bounded(answer)
            return Fetched(body, answer.headers.get("etag", ""), answer.headers.get("last-modified", ""))
    except TimeoutError as error:
        raise FetchError(f"took more than {LONGEST_S:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        # The words of some errors repeat the whole URL, which may carry a key.
        raise FetchError(f"cannot be reached ({type(error).__name__})") from error


def _check_places(answer: httpx.Response) -> None:
    """Whoever asked over TLS wants the list of that host, not what somebody on the way puts in its place.

    Raises: FetchError.
    """
    schemes = [hop.url.scheme for hop in (*answer.history, answer)]
    if schemes[0] == "https" and "http" in schemes:
        raise FetchError("was redirected from https to http")


async def _bounded(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > LARGEST_BYTES:
            raise FetchError(f"has more than {LARGEST_BYTES // 2**20} MiB")
    return bytes(body)


def _read(file: Path) -> Fetched:
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise FetchError(f"has more than {LARGEST_BYTES // 2**20} MiB")
        return Fetched(file.read_bytes())
    except OSError as error:
        raise FetchError(f"cannot be read: {error.strerror}") from error
