"""External blocklists as they were fetched last, for every process to load.

A list is one value, not a block for each entry: it comes and goes as a whole, and nobody reviews its entries. A change
of its content goes on the changes stream, in the same step.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:lists` | hash, name to JSON | none | one field per list of the policy, 50 |
| `bartizan:{act}:list:NAME` | string, zstd: a value a line | none | one per list, a million values |
| `bartizan:{act}:list:NAME:turn` | string, the process that fetches | 2 minutes | one per list |
"""

import msgspec
import zstandard

from actions.blocks.keys import CHANGES_MAXLEN, changes_key
from actions.storage import Client, act_key, storage_errors
from detectors.finding import DecisionType

TURN_MS = 120_000
"""Longer than a fetch may take: two processes at once would only do the same twice."""
LARGEST_LIST_BYTES = 64 * 1024 * 1024
_encode = msgspec.json.Encoder().encode


class ListInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How a list is doing. Times are epoch ms."""

    name: str
    place: str
    """Where it comes from, without secrets."""
    type: DecisionType
    digest: str = ""
    """Of what is in force; empty where nothing is."""
    entries: int = 0
    skipped: dict[str, int] = {}
    """Entries that are not in force, by why: `unreadable`, `never_block`, `too_wide`."""
    etag: str = ""
    last_modified: str = ""
    fetched_at: int | None = None
    """When its content was last another."""
    good_at: int | None = None
    """When it could last be had."""
    next_at: int = 0
    failures: int = 0
    """Since then."""
    error: str = ""
    expires_ms: int = 0
    """For how long it stays in force since `good_at`, as the policy says; 0 where nobody has said yet."""
    wanted: str = ""
    """Digest of what the policy said of it, and of what is never blocked, when it was last looked at."""

    @property
    def ends_at(self) -> int | None:
        """When it is too old, unless it can be had again before, epoch ms; None where that is not known."""
        return None if self.good_at is None or not self.expires_ms else self.good_at + self.expires_ms


_info = msgspec.json.Decoder(ListInfo).decode


def lists_key() -> str:
    """How all lists are doing."""
    return act_key("lists")


def list_key(*parts: str) -> str:
    """A list's values, or whose turn it is to fetch it."""
    return act_key("list", *parts)


class Lists:
    """The stored lists. Any number of processes may work on the same Redis."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def infos(self) -> dict[str, ListInfo]:
        """How each is doing, by name. Raises: StorageError."""
        with storage_errors("reading the blocklists"):
            rows = await self._redis.hgetall(lists_key())
        return {info.name: info for info in map(_info, rows.values())}

    async def info(self, name: str) -> ListInfo | None:
        """How one is doing; None where it was never looked at. Raises: StorageError."""
        with storage_errors("reading the blocklists"):
            row = await self._redis.hget(lists_key(), name)
        return None if row is None else _info(row)

    async def values(self, name: str) -> bytes | None:
        """What is on a list, a value a line; None where nothing of it is in force. Raises: StorageError."""
        with storage_errors("reading a blocklist"):
            packed: bytes | None = await self._redis.get(list_key(name))  # type: ignore[assignment]
        if packed is None:
            return None
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=LARGEST_LIST_BYTES)

    async def note(self, info: ListInfo) -> None:
        """Write down how a list is doing; what is on it stays. Raises: StorageError."""
        with storage_errors("writing a blocklist"):
            await self._redis.hset(lists_key(), info.name, _encode(info))

    async def put(self, info: ListInfo, values: bytes | None) -> None:
        """Put another content in force, or none, and tell every process. Raises: StorageError."""
        row = {"op": "list", "list": info.name, "reason": info.digest}
        with storage_errors("writing a blocklist"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(lists_key(), info.name, _encode(info))
                if values is None:
                    pipe.delete(list_key(info.name))
                else:
                    pipe.set(list_key(info.name), zstandard.ZstdCompressor().compress(values))
                pipe.xadd(changes_key(), row, maxlen=CHANGES_MAXLEN, approximate=True)  # type: ignore[arg-type]
                await pipe.execute()

    async def drop(self, name: str) -> None:
        """Forget a list, and tell every process. Raises: StorageError."""
        row = {"op": "list", "list": name, "reason": ""}
        with storage_errors("dropping a blocklist"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hdel(lists_key(), name)
                pipe.delete(list_key(name))
                pipe.xadd(changes_key(), row, maxlen=CHANGES_MAXLEN, approximate=True)  # type: ignore[arg-type]
                await pipe.execute()

    async def take_turn(self, name: str, process: str) -> bool:
        """Whether it is this process that fetches a list now. Raises: StorageError."""
        with storage_errors("taking a turn"):
            return bool(await self._redis.set(list_key(name, "turn"), process, px=TURN_MS, nx=True))

    async def leave_turn(self, name: str) -> None:
        """Raises: StorageError."""
        with storage_errors("leaving a turn"):
            await self._redis.delete(list_key(name, "turn"))
