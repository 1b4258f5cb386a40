"""External blocklists as they were fetched last, for every process to load.

A list is one value, not a block for each entry: it comes and goes as a whole, and nobody reviews its entries. A change
of its content goes on the changes stream, in the same step.

Several hosts, each with a policy of its own, may share one Redis. Each claims the lists of its policy; a list is
dropped when nobody claims it any more. What one of them wants is in force at all.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:lists` | hash, name to JSON | none | one field per list of a policy, 50 per host |
| `bartizan:{act}:lists:claims` | hash, `HOST NAME` to end in ms | none | one field per host and list; ended claims go |
| `bartizan:{act}:list:NAME` | string, zstd: a value a line | none | one per list, a million values |
| `bartizan:{act}:list:NAME:turn` | string, the process that fetches | 2 minutes | one per list |
"""

from collections.abc import Collection
from typing import Any

import msgspec
import zstandard

from actions.blocks.keys import CHANGES_MAXLEN, changes_key
from actions.storage import Client, act_key, load_script, storage_errors, text_of
from detectors.finding import DecisionType

TURN_MS = 120_000
"""Longer than a fetch may take: two processes at once would only do the same twice."""
CLAIM_MS = 600_000
"""How long a host's claim lasts that is not renewed: longer than a restart takes."""
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
    asked_at: int | None = None
    """When it was first asked for."""
    stale_since: int | None = None
    """Since when it could not be had, where people were told so."""
    expires_ms: int = 0
    """For how long it stays in force since `good_at`, as the policy says; 0 where nobody has said yet."""
    wanted: str = ""
    """Digest of what the policy said of it, and of what is never blocked, when it was last looked at."""

    @property
    def ends_at(self) -> int | None:
        """When it is too old, unless it can be had again before, epoch ms; None where that is not known."""
        return None if self.good_at is None or not self.expires_ms else self.good_at + self.expires_ms


_info = msgspec.json.Decoder(ListInfo).decode


def lists_key(*parts: str) -> str:
    """How all lists are doing, or who claims which."""
    return act_key("lists", *parts)


def list_key(*parts: str) -> str:
    """A list's values, or whose turn it is to fetch it."""
    return act_key("list", *parts)


class Lists:
    """The stored lists. Any number of processes may work on the same Redis."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._claim, self._drop = load_script(redis, "claim_lists"), load_script(redis, "drop_list")

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

    async def claim(self, host: str, names: Collection[str], given_up: Collection[str] = ()) -> list[str]:
        """Renew a host's claims on the lists of its policy, and withdraw all its others; the lists that nobody wants.

        `given_up`: what this process wanted until now, whatever another one of its host has said since.
        Raises: StorageError.
        """
        args: list[Any] = [host, CLAIM_MS, len(names), *names, *given_up]
        with storage_errors("claiming blocklists"):
            unwanted = await self._claim(keys=[lists_key("claims"), lists_key()], args=args)
        return sorted(map(text_of, unwanted))

    async def drop(self, name: str) -> bool:
        """Forget a list, unless somebody claims it, and tell every process; whether it was. Raises: StorageError."""
        keys = [lists_key("claims"), lists_key(), list_key(name), changes_key()]
        with storage_errors("dropping a blocklist"):
            return bool(await self._drop(keys=keys, args=[name, CHANGES_MAXLEN]))

    async def take_turn(self, name: str, process: str) -> bool:
        """Whether it is this process that fetches a list now. Raises: StorageError."""
        with storage_errors("taking a turn"):
            return bool(await self._redis.set(list_key(name, "turn"), process, px=TURN_MS, nx=True))

    async def leave_turn(self, name: str) -> None:
        """Raises: StorageError."""
        with storage_errors("leaving a turn"):
            await self._redis.delete(list_key(name, "turn"))
