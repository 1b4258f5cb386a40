"""Which requests were counted lately: for logs in which one request shows up in several deliveries.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{requests}:counted:PERIOD` | hash, request to delivery | 20 minutes | one field per request of 10 minutes |

A request belongs to the first delivery that brings it. That delivery's own retry finds it its own, so that it is
counted even where the first attempt came no further than here.
"""

import hashlib
from collections.abc import Sequence

from redis.asyncio import Redis

from actions.storage import storage_errors

PERIOD_MS = 10 * 60_000
"""A request is known for one period at least and two at most."""
TTL_MS = 2 * PERIOD_MS
AT_A_TIME = 1_000
"""Requests asked about in one round trip."""


class CountedRequests:
    """Shared by all processes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def claim(self, names: Sequence[str], source: str, delivery: str, now_ms: int) -> list[bool]:
        """For each request whether it belongs to this delivery. Raises: StorageError."""
        mine: list[bool] = []
        for start in range(0, len(names), AT_A_TIME):
            mine += await self._claim(names[start : start + AT_A_TIME], source, delivery, now_ms)
        return mine

    async def _claim(self, names: Sequence[str], source: str, delivery: str, now_ms: int) -> list[bool]:
        owner = _short(delivery)
        fields = [_short(source, name) for name in names]
        period = now_ms // PERIOD_MS
        before, now = counted_key(period - 1), counted_key(period)
        with storage_errors("claiming requests"):
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hmget(before, fields)
                for field in fields:
                    pipe.hsetnx(now, field, owner)
                pipe.hmget(now, fields)
                pipe.pexpire(now, TTL_MS)
                answers = await pipe.execute()
        earlier, present = answers[0], answers[1 + len(fields)]
        return [(first or then) == owner for first, then in zip(earlier, present, strict=True)]


def counted_key(period: int) -> str:
    """The requests first seen in one period."""
    return f"bartizan:{{requests}}:counted:{period}"


def _short(*parts: str) -> bytes:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        raw = part.encode("utf-8", "surrogateescape")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.digest()
