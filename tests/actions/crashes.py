"""Lets what is sent to Redis fail at every step there is, and has another process take over."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from detectors.errors import StorageError

MOST_STEPS = 1_000


class Fault:
    """Lets `left` sends through; the next one, and all after it, fail in the way it is told."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.way = ""

    def strike(self) -> None:
        self.way = self.way if self.way != "answer lost" else "never arrives"
        raise asyncio.CancelledError if self.way == "cancelled" else ConnectionResetError


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fault]:
    fault = Fault()
    real = AbstractConnection.send_packed_command

    async def send(self: AbstractConnection, *args: Any, **kwargs: Any) -> None:
        if fault.left is None:
            await real(self, *args, **kwargs)
        elif fault.left > 0:
            fault.left -= 1
            await real(self, *args, **kwargs)
        else:
            if fault.way == "answer lost":
                await real(self, *args, **kwargs)
                await self.read_response()
            await self.disconnect()
            fault.strike()

    monkeypatch.setattr(AbstractConnection, "send_packed_command", send)
    yield fault
    fault.left = None


@pytest.fixture
async def frail(redis_server: str) -> AsyncIterator[Redis]:
    """A client that never tries again by itself, like the service's."""
    client = Redis.from_url(redis_server, retry=Retry(NoBackoff(), 0))
    yield client
    await client.aclose()


class Kept:
    """What Redis holds, to be put back before each step: far cheaper than to make it anew."""

    def __init__(self, values: list[tuple[bytes, int, bytes]]) -> None:
        self._values = values

    @classmethod
    async def of(cls, redis: Redis) -> "Kept":
        """All keys, with the time that is left to them."""
        keys = [key async for key in redis.scan_iter()]
        return cls([(key, max(0, await redis.pttl(key)), await redis.dump(key)) for key in keys])

    async def put_back(self, redis: Redis) -> None:
        """Alone, and without the scripts that Redis has learned since."""
        async with redis.pipeline(transaction=False) as pipe:
            pipe.flushall()
            pipe.script_flush()
            for key, ttl_ms, value in self._values:
                pipe.restore(key, ttl_ms, value)
            await pipe.execute()


async def crash_at_each_step(
    fault: Fault,
    frail: Redis,
    *,
    prepare: Callable[[], Awaitable[object]],
    run: Callable[[], Awaitable[object]],
    take_over: Callable[[], Awaitable[object]],
    way: str,
) -> int:
    """Prepares and runs again and again, failing after 0, 1, 2 ... things sent, until one run gets through.

    Returns how many were interrupted; each of them was taken over, the last run was not.
    """
    for step in range(MOST_STEPS):
        await prepare()
        fault.left, fault.way = step, way
        try:
            await run()
        except (StorageError, asyncio.CancelledError):
            await frail.connection_pool.disconnect()
        else:
            return step
        finally:
            fault.left = None
        await take_over()
    raise AssertionError(f"still interrupted after {MOST_STEPS:,} steps")
