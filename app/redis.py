"""The one connection to Redis, with small timeouts so that a Redis which hangs is noticed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from detectors.errors import ConfigError, StorageError

TIMEOUT_S = 2.0
"""Longer than any of our scripts runs, short enough for a shipper to be told 503 in time."""
CONNECT_TIMEOUT_S = 1.0
MAX_CONNECTIONS = 64
"""Callers wait for a free one instead of failing; the followers' blocking reads hold a few."""
LONGEST_BLOCK_MS = 1000
"""For XREAD BLOCK: must stay below TIMEOUT_S, or every quiet second would look like an outage."""


def connect(url: str, *, timeout_s: float = TIMEOUT_S) -> Redis:
    """A client for this URL; nothing is sent until the first command.

    A broken connection is opened again once, at once, and then the error is the caller's: retrying longer
    would only make a shipper wait for its 503.
    Raises: ConfigError where the URL cannot be read.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
    except ValueError as error:
        raise ConfigError(f"BARTIZAN_REDIS_URL: {error}") from error
    return Redis.from_pool(pool)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Redis]:
    """A client that is closed again: for commands that do one thing and end."""
    client = connect(url)
    try:
        yield client
    finally:
        await client.aclose()


async def ping(client: Redis) -> None:
    """Raises: StorageError where Redis does not answer."""
    try:
        await client.ping()
    except (RedisError, OSError, TimeoutError) as error:
        raise StorageError(f"Redis does not answer: {error}") from error
