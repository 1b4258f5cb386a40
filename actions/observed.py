"""What rules in mode `observe` would have acted on: recorded, and nothing else.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:observed` | stream | none | about 10,000 entries, the oldest go first |
| `bartizan:{act}:observed:FINDING` | string | 7 days | one per finding |
"""

from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import is_stream_id
from actions.storage import DONE_TTL_MS, Client, act_key, begin, change, short, storage_errors, text_of
from detectors.finding import Finding

OBSERVED_MAXLEN = 10_000
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Finding).decode


def observed_key(*parts: str) -> str:
    """The record of observed findings, or the mark of one."""
    return act_key("observed", *(short(part) for part in parts))


class Observed:
    """Keeps findings of rules that only observe."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def record(self, finding: Finding) -> bool:
        """Keeps a finding, once per id; says whether it was new. Raises: StorageError."""
        mark = observed_key(finding.id)

        async def step(pipe: Pipeline) -> bool:
            if await pipe.exists(mark):
                return False
            begin(pipe)
            pipe.set(mark, b"1", px=DONE_TTL_MS)
            pipe.xadd(observed_key(), {"f": _encode(finding)}, maxlen=OBSERVED_MAXLEN, approximate=True)
            return True

        return await change(self._redis, "recording an observation", [mark], step)

    async def page(self, *, cursor: str | None = None, limit: int = 50) -> tuple[list[Finding], str | None]:
        """Findings newest first, and the cursor of the next page or None. Raises: ValueError, StorageError."""
        if cursor is not None and not is_stream_id(cursor):
            raise ValueError("cursor: not one of ours")
        with storage_errors("reading observations"):
            end = f"({cursor}" if cursor else "+"
            rows: Any = await self._redis.xrevrange(observed_key(), end, "-", count=limit + 1)
        found = [_decode(fields[b"f"]) for _, fields in rows[:limit]]
        return found, text_of(rows[limit - 1][0]) if len(rows) > limit else None
