"""What could not be decoded, kept for a day: without its credentials, cut, and not too many.

Mostly records; also broken elements of a protocol's envelope, and the beginnings of bodies that were refused whole.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actions.storage import DAY_MS, Client, cursor_of, member_of, storage_errors, text_of
from app.ingest.decode import RECORD
from app.sources.keys import load_script, rejected_key
from app.sources.tally import reason_of

PER_SOURCE = 1_000
LONGEST_BYTES = 8_192
"""Of one record. A longer one is cut: it can be looked at, not counted."""
MOST_BYTES = 16 * 1024 * 1024
"""Of all records, in Redis."""
KEPT_MS = DAY_MS
LOOKED_AT = 5_000
"""Records that one call goes through at most, where a reason narrows them."""
PAGE = 500
_ID = re.compile(r"[a-z0-9_]{1,64}/[a-z0-9_-]{1,32}:[0-9]{13}-[0-9a-f]{1,32}")

_encode = msgspec.json.Encoder().encode


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One rejected record, as it is kept."""

    id: str
    """`SOURCE:TIME-NUMBER`: in order of receipt within a source."""
    source: str
    """`tok_0123456789ab/events`"""
    received_at: int
    """Epoch ms."""
    index: int
    """Among the records of its body."""
    reason: str
    format_name: str | None = None
    """The line format that its sender named; None: JSON."""
    form: str = RECORD
    """What it is. See `app.ingest.decode.RECORD`."""
    record: str
    """Each credential is masked; bytes that are not UTF-8 stand as `\\xNN`."""
    is_cut: bool = False
    is_masked: bool = False
    """Whether a credential was masked. It stays masked, whatever the record is used for."""


_decode = msgspec.json.Decoder(Kept).decode


def id_of(source: str, received_ms: int, number: str) -> str:
    """The id of a record; `number` is what tells it from others of the same millisecond, in hex."""
    return f"{source}:{max(0, received_ms):013d}-{number}"


class RejectedRecords:
    """Keeps, shows and removes them. Every method may raise StorageError."""

    def __init__(self, redis: Client, now: Callable[[], int]) -> None:
        self._redis = redis
        self._now = now
        self._keep = load_script(redis, "keep_rejected")
        self._remove = load_script(redis, "remove_rejected")
        self._keys = [rejected_key(*parts) for parts in ((), ("order",), ("names",), ("bytes",))]

    async def keep(self, source: str, records: Sequence[Kept]) -> None:
        """Keeps records of one source; twice is once. The oldest over the bounds go."""
        args: list[Any] = [self._oldest(), KEPT_MS, source, PER_SOURCE, MOST_BYTES]
        for one in records:
            args += [one.id, one.id.rpartition(":")[2].partition("-")[0], _encode(one)]
        with storage_errors("keeping rejected records"):
            await self._keep(keys=self._keys, args=args)

    async def sweep(self) -> int:
        """Drops what is older than a day; says how many."""
        args: list[Any] = [self._oldest(), KEPT_MS, "", PER_SOURCE, MOST_BYTES]
        with storage_errors("dropping rejected records"):
            return int(await self._keep(keys=self._keys, args=args))

    async def get(self, ids: Sequence[str]) -> list[Kept]:
        """Those of these records that are kept, in the order asked for."""
        if not ids:
            return []
        with storage_errors("reading rejected records"):
            rows: Any = await self._redis.hmget(rejected_key(), list(ids))
        found = [_decode(row) for row in rows if row is not None]
        return [one for one in found if f"{one.received_at:013d}" >= self._oldest()]

    async def page(
        self, *, source: str = "", reason: str = "", cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Kept], str | None]:
        """Records newest first, and the cursor of the next page or None.

        A reason is met with or without its numbers, as sources count it. One call goes through LOOKED_AT records: a
        page may be short although its cursor says that there is more.
        Raises: ValueError where the cursor is not one of ours.
        """
        last = None if cursor is None else member_of(cursor)
        found: list[Kept] = []
        wanted = reason_of(reason)
        for _ in range(LOOKED_AT // PAGE):
            places = await self._places(source, last)
            for one in await self.get([place.partition(":")[2] for place in places]):
                last = _place_of(one.id)
                if not reason or wanted == reason_of(one.reason):
                    found.append(one)
                if len(found) == limit:
                    return found, cursor_of(last)
            if len(places) < PAGE:
                return found, None
            last = places[-1]
        return found, None if last is None else cursor_of(last)

    async def newest(self, source: str) -> Kept | None:
        """The newest record of a source."""
        found, _ = await self.page(source=source, limit=1)
        return found[0] if found else None

    async def remove(self, ids: Sequence[str]) -> int:
        """Removes records; says how many there were."""
        if not ids:
            return 0
        with storage_errors("removing rejected records"):
            return int(await self._remove(keys=self._keys, args=list(ids)))

    async def _places(self, source: str, last: str | None) -> list[str]:
        """The next PAGE places, newest first, after one."""
        with storage_errors("reading rejected records"):
            if not source:
                end = "+" if last is None else f"({last}"
                rows: Any = await self._redis.zrevrangebylex(rejected_key("order"), end, "-", 0, PAGE)
                return [text_of(row) for row in rows]
            end = f"({source};" if last is None else f"({last.partition(':')[2]}"
            rows = await self._redis.zrevrangebylex(rejected_key("names"), end, f"[{source}:", 0, PAGE)
        return [_place_of(text_of(row)) for row in rows]

    def _oldest(self) -> str:
        return f"{max(0, self._now() - KEPT_MS):013d}"


def is_id(text: str) -> bool:
    """Whether a text can be the id of a record."""
    return _ID.fullmatch(text) is not None


def _place_of(item_id: str) -> str:
    """Where a record stands in the order of all: `TIME:ID`."""
    return f"{item_id.rpartition(':')[2].partition('-')[0]}:{item_id}"
