"""What every store of this room shares: one hash tag, one translation of errors, one way to change atomically.

All keys carry the hash tag `{act}`, so that one MULTI or one Lua script may change several of them together
and Redis Cluster keeps them on one node.
"""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError, ResponseError, WatchError

from detectors.errors import StorageError

LONGEST_KEY_PART_BYTES = 128
"""Longer text stands hashed in a key: it is an attacker's."""
DAY_MS = 86_400_000
DONE_TTL_MS = 7 * DAY_MS
"""How long a finding is remembered as dealt with. A finding waits in its stream for minutes, not days."""
ATTEMPTS = 128
"""Tries of one optimistic change before it counts as a storage error. One of those who try at once always wins,
so this many may."""

Client = Redis
"""The async client, bytes in and out."""
Answer = TypeVar("Answer")


def act_key(*parts: str) -> str:
    """`bartizan:{act}:a:b`. Each store builds its own keys from this, in one place."""
    return ":".join(("bartizan:{act}", *parts))


def short(text: str) -> str:
    """The text as it may stand in a key: itself, or its hash where it is long."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= LONGEST_KEY_PART_BYTES:
        return text
    return "sha256:" + hashlib.sha256(raw).hexdigest()


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turns what Redis and the network raise into StorageError, naming what was being done."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise StorageError(f"{doing} failed: {type(error).__name__}: {error}") from error


def load_script(redis: Client, name: str) -> AsyncScript:
    """The Lua script `lua/NAME.lua`, ready to call."""
    text = files("actions").joinpath("lua", f"{name}.lua").read_text("utf-8")
    script: AsyncScript = redis.register_script(text)
    return script


async def change(
    redis: Client, doing: str, watched: list[str], step: Callable[[Pipeline], Awaitable[Answer]]
) -> Answer:
    """Runs one optimistic change: `step` reads from the pipeline, calls `multi()`, queues, returns its answer.

    Where a watched key changed in between, everything is done again from the start, so `step` must have no
    other effects. A step that never calls `multi()` changes nothing. Nothing is applied when `step` raises.
    Raises: StorageError.
    """
    with storage_errors(doing):
        for _ in range(ATTEMPTS):
            async with redis.pipeline(transaction=True) as pipe:
                try:
                    await pipe.watch(*watched)
                    answer = await step(pipe)
                    if pipe.explicit_transaction:
                        await pipe.execute()
                except WatchError:
                    continue
                return answer
    raise StorageError(f"{doing} failed: {ATTEMPTS} times somebody else was faster")


def begin(pipe: Pipeline) -> None:
    """From here on the pipeline of a change queues instead of asking."""
    pipe.multi()  # type: ignore[no-untyped-call]


async def pages_of_hash(redis: Client, key: str, page: int = 2000) -> AsyncIterator[dict[bytes, bytes]]:
    """A hash of any size, a page at a time, so that no single reply holds Redis or the event loop up.

    A field present from beginning to end comes at least once; one that comes or goes meanwhile may or may not. Redis
    gathers the next page while this one is worked on.
    """
    reply: Any = await redis.hscan(key, 0, count=page)
    cursor, found = reply
    while cursor:
        following = asyncio.ensure_future(redis.hscan(key, cursor, count=page))
        try:
            await asyncio.sleep(0)  # so that it is sent
            yield found
            cursor, found = await following
        finally:
            following.cancel()
    yield found


async def ensure_group(redis: Client, stream: str, group: str) -> None:
    """Makes a consumer group that starts at the stream's beginning, where there is none."""
    try:
        await redis.xgroup_create(stream, group, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


def rows_of(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The rows of one stream from the reply to XREAD or XREADGROUP: a list, or on RESP3 a dict; None when empty."""
    if not reply:
        return []
    if isinstance(reply, dict):
        rows = next(iter(reply.values()))
        return [tuple(row) for row in (rows[0] if rows and isinstance(rows[0], list) else rows)]
    return [tuple(row) for row in reply[0][1]]


def text_of(value: Any) -> str:
    """Bytes from Redis as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def cursor_of(member: str) -> str:
    """An opaque page cursor for a place in an index."""
    return base64.urlsafe_b64encode(member.encode()).decode().rstrip("=")


def member_of(cursor: str) -> str:
    """The place a page cursor stands for. Raises: ValueError where it is not one of ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        member = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except ValueError as error:
        raise ValueError("cursor: not one of ours") from error
    time, colon, name = member.partition(":")
    if not (time.isdigit() and colon and name):
        raise ValueError("cursor: not one of ours")
    return member
