"""Who follows the list: each bouncer, where it is in the changes, and what it says it has dropped.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:bouncers` | sorted set, bouncer by last request | none | 1,000, those longest ago go |
| `bartizan:{act}:bouncer:ID` | hash | 30 days after its last request | one per bouncer |
| `bartizan:{act}:bouncer:ID:usage` | hash, sums | 30 days after its last report | 200 fields |
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actions.storage import DAY_MS, Client, act_key, storage_errors, text_of
from app.bouncers.bouncer import Bouncer
from app.bouncers.usage import Sums

KEPT_MS = 30 * DAY_MS
RECENT_MS = 5 * 60_000
MOST_BOUNCERS = 1000
MOST_SUMS = 200
"""Of one bouncer: its origins times its remediations, and what else it puts into labels."""
LIVE, STREAM, PUSH = "live", "stream", "metrics"


def bouncers_key() -> str:
    """All bouncers, by when they asked last."""
    return act_key("bouncers")


def bouncer_key(bouncer_id: str, *parts: str) -> str:
    """One bouncer's row, or its sums."""
    return act_key("bouncer", bouncer_id, *parts)


class Place(msgspec.Struct, frozen=True):
    """Where a bouncer is in the stream: what its last answer told it."""

    cursor: str
    pulled_at: int
    fallback: str
    """The policy's fallback then: `captcha=ban,throttle=ignore`."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one bouncer. Times are epoch ms."""

    id: str
    token_id: str
    token_name: str
    type: str
    version: str
    address: str
    mode: str
    """`live`, `stream` or, where it only reports, `metrics`."""
    first_seen: int
    last_seen: int
    last_pull: int | None
    """Of the stream."""
    usage_at: int | None
    usage: dict[str, float]
    """Sums by `NAME UNIT ORIGIN REMEDIATION IP_TYPE`."""
    window_s: int | None
    """How long a time its newest report covered."""


class BouncerStore:
    """The stored bouncers. Every method raises StorageError where Redis does not answer."""

    def __init__(self, redis: Client, now: Callable[[], int]) -> None:
        self._redis = redis
        self._now = now

    async def place(self, bouncer_id: str) -> Place | None:
        """Where it is; None where it never pulled, or too long ago."""
        with storage_errors("reading a bouncer's place"):
            found = await self._redis.hmget(bouncer_key(bouncer_id), ["cursor", "pulled_at", "fallback"])
        cursor, pulled_at, fallback = found
        if cursor is None or pulled_at is None:
            return None
        return Place(text_of(cursor), int(pulled_at), text_of(fallback or b""))

    async def pulled(self, bouncer: Bouncer, place: Place) -> None:
        """It has been told everything up to this place."""
        fields = {"cursor": place.cursor, "pulled_at": place.pulled_at, "fallback": place.fallback}
        await self._put(bouncer, STREAM, fields)

    async def seen(self, bouncer: Bouncer, mode: str) -> None:
        """It has asked for something."""
        await self._put(bouncer, mode, {})

    async def _put(self, bouncer: Bouncer, mode: str, fields: Mapping[str, Any]) -> None:
        key, now = bouncer_key(bouncer.id), self._now()
        row: dict[Any, Any] = {
            "token_id": bouncer.token_id,
            "token_name": bouncer.token_name,
            "type": bouncer.type,
            "version": bouncer.version,
            "address": bouncer.address,
            "last_seen": now,
            **fields,
        }
        if mode != PUSH:
            row["mode"] = mode
        with storage_errors("writing a bouncer's place"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(key, mapping=row)
                pipe.hsetnx(key, "first_seen", str(now))
                pipe.pexpire(key, KEPT_MS)
                pipe.zadd(bouncers_key(), {bouncer.id: now})
                pipe.zremrangebyscore(bouncers_key(), "-inf", now - KEPT_MS)
                pipe.zrange(bouncers_key(), 0, -MOST_BOUNCERS - 1)
                surplus = (await pipe.execute())[-1]
            if surplus:
                await self._forget([text_of(bouncer_id) for bouncer_id in surplus])

    async def _forget(self, ids: list[str]) -> None:
        """Those that asked longest ago, where somebody makes up names."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(bouncers_key(), *ids)
            pipe.delete(*(bouncer_key(i) for i in ids), *(bouncer_key(i, "usage") for i in ids))
            await pipe.execute()

    async def add_usage(self, bouncer: Bouncer, sums: Sums) -> None:
        """Takes a report; a sort of number beyond the 200th is left out."""
        await self._put(bouncer, PUSH, {"usage_at": self._now(), "window_s": sums.window_s or 0})
        key = bouncer_key(bouncer.id, "usage")
        with storage_errors("adding a bouncer's usage"):
            known = {text_of(field) for field in await self._redis.hkeys(key)}
            names = [*sums.added, *sums.levels]
            taken = {name for name in names if name in known}
            taken |= set([name for name in names if name not in known][: max(0, MOST_SUMS - len(known))])
            async with self._redis.pipeline(transaction=True) as pipe:
                for name in taken:
                    if name in sums.added:
                        pipe.hincrbyfloat(key, name, sums.added[name])
                    else:
                        pipe.hset(key, name, str(sums.levels[name]))
                pipe.pexpire(key, KEPT_MS)
                await pipe.execute()

    async def recent(self) -> int:
        """How many asked within the last five minutes."""
        with storage_errors("counting the bouncers"):
            return int(await self._redis.zcount(bouncers_key(), self._now() - RECENT_MS, "+inf"))

    async def all(self) -> list[Row]:
        """Every bouncer that asked in the last 30 days, in order of id."""
        with storage_errors("reading the bouncers"):
            ids = sorted(text_of(name) for name in await self._redis.zrange(bouncers_key(), 0, -1))
            if not ids:
                return []
            async with self._redis.pipeline(transaction=False) as pipe:
                for name in ids:
                    pipe.hgetall(bouncer_key(name))
                    pipe.hgetall(bouncer_key(name, "usage"))
                found = await pipe.execute()
        rows = zip(ids, found[::2], found[1::2], strict=True)
        return [_row(name, fields, sums) for name, fields, sums in rows if fields]


def _row(bouncer_id: str, fields: Mapping[bytes, bytes], sums: Mapping[bytes, bytes]) -> Row:
    texts = {text_of(name): text_of(value) for name, value in fields.items()}
    return Row(
        id=bouncer_id,
        token_id=texts.get("token_id", ""),
        token_name=texts.get("token_name", ""),
        type=texts.get("type", ""),
        version=texts.get("version", ""),
        address=texts.get("address", ""),
        mode=texts.get("mode", PUSH),
        first_seen=int(texts.get("first_seen", "0")),
        last_seen=int(texts.get("last_seen", "0")),
        last_pull=int(texts["pulled_at"]) if "pulled_at" in texts else None,
        usage_at=int(texts["usage_at"]) if "usage_at" in texts else None,
        usage={text_of(name): float(value) for name, value in sums.items()},
        window_s=int(texts["window_s"]) if "window_s" in texts else None,
    )
