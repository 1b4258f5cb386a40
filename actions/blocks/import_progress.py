"""How far an import of blocks has come, for whoever waits for it: any process may be asked.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:import:ID:progress` | string, JSON | 10 minutes | one per import that runs or has just ended |
"""

import msgspec

from actions.storage import Client, act_key, short, storage_errors

KEPT_MS = 600_000


class Progress(msgspec.Struct, frozen=True):
    """How many of its entries are dealt with."""

    done: int
    total: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Progress).decode


def import_key(import_id: str, *parts: str) -> str:
    """The ids of the blocks that an import made, or how far it has come."""
    return act_key("import", short(import_id), *parts)


class ImportProgress:
    """Written after each call of an import: 500 entries."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def note(self, import_id: str, done: int, total: int) -> None:
        """Write down how far an import has come. Raises: StorageError."""
        with storage_errors("noting an import's progress"):
            value = _encode(Progress(done, total))
            await self._redis.set(import_key(import_id, "progress"), value, px=KEPT_MS)

    async def of(self, import_id: str) -> Progress | None:
        """How far an import has come; None where none of this id has begun lately. Raises: StorageError."""
        with storage_errors("reading an import's progress"):
            found = await self._redis.get(import_key(import_id, "progress"))
        return None if found is None else _decode(found)
