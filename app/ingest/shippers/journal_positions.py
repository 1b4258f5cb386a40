"""How far each journal has been counted, so that an entry counts once however often it is sent.

A cursor (`s=...;i=...;b=...;t=...`) names an entry: the journal's source, its number there, the boot, and the time. In
one source and boot the numbers rise. Of each such pair the last entry that counted is remembered, and before entries
are counted also up to which one: after a crash in between, just these are counted once more under the same mark, which
is then a duplicate, or is not where the crash came first. Marks live for 15 minutes: a service that is down for longer
at just that moment may count one piece twice.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:journal:TOKEN:SOURCE` | string, numbers and times | 30 days | one per boot of a machine that uploads |

A machine that is put back to a snapshot counts the same numbers again; its clock tells them from what was there.
Source: systemd, sd_journal_get_cursor(3); journal-file.c (journald takes the number from the file after a restart).
"""

import re
from importlib.resources import files
from typing import NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.ingest.shippers.journal_entries import CURSOR, Entry
from detectors.errors import StorageError

TTL_MS = 30 * 86_400_000
HELD_BYTES = 4 * 1024 * 1024
"""Of a piece that broke off: twice what a piece can be."""
_CURSOR = re.compile(
    rb"s=([0-9a-f]{32});i=([0-9a-f]{1,16});b=([0-9a-f]{32});m=[0-9a-f]{1,16};t=([0-9a-f]{1,16});x=[0-9a-f]{1,16}"
)


class Mark(NamedTuple):
    """An entry's place in its journal."""

    number: int
    clock_us: int
    """Of the entry, or the latest up to it."""

    def has_passed(self, other: "Mark") -> bool:
        """Whether the other entry was there when this one was."""
        return other.number <= self.number and other.clock_us <= self.clock_us

    def moved_to(self, other: "Mark") -> "Mark":
        """At the other entry. Its clock may have been set back in between."""
        return Mark(other.number, max(self.clock_us, other.clock_us))


START = Mark(0, 0)


class Position(NamedTuple):
    """How far a journal was counted, and what was being counted after that."""

    counted: Mark = START
    under_way: Mark | None = None

    def written(self) -> str:
        """As it stands in Redis."""
        numbers = self.counted if self.under_way is None else (*self.counted, *self.under_way)
        return "" if self == Position() else " ".join(map(str, numbers))


class Piece(NamedTuple):
    """Entries that are counted together."""

    up_to: Mark
    entries: list[Entry]
    is_again: bool
    """They were being counted when an earlier request broke off, and must keep the mark that they had then."""


class Journal:
    """One source and boot in one request: which of its entries are new, and how they must be cut."""

    def __init__(self, source: str, position: Position) -> None:
        self.source = source
        self.position = position
        """As it stands in Redis."""
        self.reached = position.counted
        self.known = 0
        """Entries that had been counted before."""
        self._again: list[Entry] = []
        """Those that were being counted when an earlier request broke off."""
        self._again_up_to = START
        self._again_bytes = 0
        self._new: list[Entry] = []
        self._new_up_to = START

    @property
    def is_holding(self) -> bool:
        """Whether entries are held back until the piece to which they belong is whole."""
        return bool(self._again)

    def take(self, place: Mark, entry: Entry) -> None:
        """One more entry, in the order of the journal."""
        under_way = self.position.under_way
        if self.reached.has_passed(place):
            self.known += 1
        elif (
            not self._new
            and under_way is not None
            and self.reached == self.position.counted
            and under_way.has_passed(place)
        ):
            self._again_up_to = (self._again_up_to if self._again else self.reached).moved_to(place)
            self._again.append(entry)
            self._again_bytes += sum(map(len, entry.values()))
        else:
            self._new_up_to = (self._new_up_to if self._new else self.reached).moved_to(place)
            self._new.append(entry)

    def pieces(self, *, is_end: bool) -> list[Piece]:
        """What is to be counted now. The piece that broke off waits until it is whole, or nothing more comes."""
        found: list[Piece] = []
        under_way = self.position.under_way
        if self._again and under_way is not None:
            is_whole = self._again_up_to.number == under_way.number or bool(self._new)
            if not (is_whole or is_end or self._again_bytes > HELD_BYTES):
                return []
            # Where the rest is missing, it is not said to have been counted: better twice than never.
            found.append(Piece(under_way if is_whole else self._again_up_to, self._again, is_again=True))
            self._again, self._again_bytes = [], 0
        if self._new:
            found.append(Piece(self._new_up_to, self._new, is_again=False))
            self._new = []
        return found


def place_of(entry: Entry) -> tuple[str, Mark] | None:
    """Source and boot of an entry, and its place there; None where its cursor does not say."""
    found = _CURSOR.fullmatch(entry.get(CURSOR, b""))
    if found is None:
        return None
    source, number, boot, clock = found.groups()
    return f"{source.decode()}:{boot.decode()}", Mark(int(number, 16), int(clock, 16))


def position_key(token_id: str, source: str) -> str:
    """Where the position of one journal stands."""
    return f"bartizan:{{act}}:journal:{token_id}:{source}"


class Positions:
    """The positions of what one token sends."""

    def __init__(self, redis: Redis, token_id: str) -> None:
        self._redis = redis
        self._token_id = token_id
        source = files("app.ingest.shippers").joinpath("lua", "move_position.lua").read_text("utf-8")
        self._move = redis.register_script(source)

    async def read(self, source: str) -> Position:
        """The position of a journal. Raises: StorageError."""
        try:
            stored = await self._redis.get(position_key(self._token_id, source))
        except (RedisError, OSError, TimeoutError) as error:
            raise StorageError(f"the journal's position cannot be read: {error}") from error
        numbers = [int(part) for part in (stored or b"").split()]
        if len(numbers) < 2:
            return Position()
        return Position(Mark(*numbers[:2]), Mark(*numbers[2:4]) if len(numbers) == 4 else None)

    async def move(self, source: str, before: Position, after: Position) -> None:
        """Raises: StorageError, also where another request has moved it: two at a time would count twice."""
        key = position_key(self._token_id, source)
        try:
            is_moved = await self._move(keys=[key], args=[before.written(), after.written(), TTL_MS])
        except (RedisError, OSError, TimeoutError) as error:
            raise StorageError(f"the journal's position cannot be moved: {error}") from error
        if not is_moved:
            raise StorageError("another request counts the same journal")
