"""The table, and what changed in it lately: everything that clients of the blocklist are served from.

The newest changes are kept in memory, so that thousands of clients that follow the list cost Redis nothing.
A cursor is the id of an entry of the changes stream, `milliseconds-sequence`.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from itertools import takewhile

import msgspec

from actions.blocks.decision import Decision
from actions.blocks.subjects import ADDRESSES
from app.lookup.addresses import parse_network
from app.lookup.differences import differences, removed
from app.lookup.history import Event, History
from app.lookup.packed import PackedList
from app.lookup.table import Allowed, Table
from app.lookup.wire import Change, Disallowed, Removed, fold, json_parts
from app.policies.enforcement import FALLBACK, Fallback
from detectors.finding import DecisionType

RING_SIZE = 10_000
"""Changes kept for clients that follow the list: minutes of the worst attack, days of a calm week."""
MOST_AT_ONCE = 200_000
"""Decisions of a list that is kept encoded, in about 50 MB; a larger one is written anew for everyone who asks."""
LARGE_LIST_MS = 60_000
"""A larger list without a change is another one after this time: what is over is left out."""
RESET = b'{"reset":true,'
ANSWERS_KEPT = 64
"""Encoded answers kept between two changes; nearly all clients wait at the same cursor."""


def parse_cursor(text: str) -> tuple[int, int]:
    """A cursor as numbers that compare. Raises: ValueError where it is none."""
    ms, _, sequence = text.partition("-")
    if not (text.isascii() and ms.isdecimal() and (sequence or "0").isdecimal() and len(text) <= 41):
        raise ValueError(f"{text[:41]!r} is not a cursor")
    return int(ms), int(sequence or 0)


class Feed:
    """The blocklist of this process: lookups, the whole list, and the changes since a cursor."""

    def __init__(self, now: Callable[[], int], ring_size: int = RING_SIZE) -> None:
        self._now = now
        self.table = Table()
        self.is_ready = False
        self.cursor = "0-0"
        self._floor = (0, 0)
        self._ring: deque[tuple[tuple[int, int], Change]] = deque()
        self._ring_size = ring_size
        self.history = History()
        self._listed_at: dict[str, tuple[int, int]] = {}
        self._moved = asyncio.Event()
        self._answers: dict[str, bytes] = {}
        self._list: tuple[str, int | None, str, bytes] | None = None
        self._encoding = asyncio.Lock()
        self._is_closed = False
        self._fallback = FALLBACK
        self.waiting = 0
        """How many callers wait for a change."""

    @property
    def fallback(self) -> Mapping[DecisionType, Fallback]:
        """What somebody does who cannot act on a type."""
        return self._fallback

    @fallback.setter
    def fallback(self, fallback: Mapping[DecisionType, Fallback]) -> None:
        if fallback != self._fallback:
            self._fallback = fallback
            self._answers.clear()
            self._list = None

    def load(self, cursor: str, table: Table) -> None:
        """Take a whole new table. What it changes goes to the followers as changes at the new cursor.

        A cursor before the present one means that Redis has lost something: then everyone starts over, as they do
        where more has changed than is remembered.
        """
        for _ in self._loading(cursor, table):
            pass

    async def replace(self, cursor: str, table: Table) -> None:
        """The same, while other work gets its turn: to compare a million decisions takes a second and more."""
        for _ in self._loading(cursor, table):
            await asyncio.sleep(0)

    def _loading(self, cursor: str, table: Table) -> Iterator[None]:
        position, before = parse_cursor(cursor), parse_cursor(self.cursor)
        goes_on = self.is_ready and position >= before
        old, now = self.table.copy(), self._now()
        self.table.take_over(table)
        changed: list[Change] = []
        if goes_on:
            for found in differences(old, self.table, now):
                if found is None:
                    yield
                else:
                    changed.append(found)
                if len(changed) > self._ring_size:
                    break
        if goes_on and len(changed) <= self._ring_size:
            self._remember(position, changed)
            for change in changed:
                self._note(position, change, old)
        else:
            self._start_over(position)
        self.is_ready = True
        self._move(cursor)

    def apply(self, cursor: str, change: Change | None) -> None:
        """Take one change of the stream; None is one that means nothing to lookups.

        Raises: ValueError where its value is no address or CIDR; nothing has changed then.
        """
        told: Change | None = change
        position = parse_cursor(cursor)
        match change:
            case Decision():
                gone = self.table.standing(change.scope, change.value)
                self.table.add(change)
                self.history.note(Event(position, added=change, gone=gone))
                told = self._told(change)
            case Removed():
                gone = self.table.standing(change.scope, change.value)
                self.table.remove(change.id, change.value, change.scope)
                if gone is not None and gone.id == change.id:
                    self.history.note(Event(position, gone=gone))
                told = self._told(change)
            case Allowed():
                self.table.allow(change)
                self.history.note(Event(position, allowed=change.value))
            case Disallowed():
                self.table.disallow(change.value)
                self.history.note(Event(position, disallowed=change.value))
        if told is not None:
            self._remember(position, [told])
        self._move(cursor)

    def _note(self, position: tuple[int, int], change: Change, old: Table) -> None:
        """What a whole new table has changed, of our own decisions."""
        match change:
            case Decision() | Removed():
                gone = old.standing(change.scope, change.value)
                added = self.table.standing(change.scope, change.value)
                self.history.note(Event(position, added=added, gone=gone))
            case Allowed():
                self.history.note(Event(position, allowed=change.value))
            case Disallowed():
                self.history.note(Event(position, disallowed=change.value))

    def _told(self, change: Decision | Removed) -> Change:
        """What those who follow hear of it: a list may say something else about the same value, or still."""
        if not self.table.has_lists or change.scope not in ADDRESSES:
            return change
        return self.table.exactly(parse_network(change.value), self._now()) or change

    def take_list(self, name: str, packed: PackedList | None, cursor: str | None = None) -> None:
        """Put an external list in force in place of the one of this name, or take that out (None).

        `cursor`: that of the change in the stream that says so; None before anybody follows, at the start.
        """
        for _ in self._taking(name, packed, cursor):
            pass

    async def renew_list(self, name: str, packed: PackedList | None, cursor: str | None = None) -> None:
        """The same, while other work gets its turn: to compare a million entries takes a second and more."""
        for _ in self._taking(name, packed, cursor):
            await asyncio.sleep(0)

    def _taking(self, name: str, packed: PackedList | None, cursor: str | None) -> Iterator[None]:
        before, now = self.table.put_list(name, packed), self._now()
        self._listed_at[name] = parse_cursor(cursor or self.cursor)
        told: list[Change] = []
        if cursor is not None:
            self.history.note(Event(parse_cursor(cursor), list_before=before, list_after=packed))
            for changed in self.table.changed_by(before, packed):
                if changed is None:
                    yield
                    continue
                key, old_id = changed
                told.append(self.table.exactly(key, now) or removed(old_id, key))
                if len(told) > self._ring_size:
                    break
        if cursor is None and self.is_ready:
            self._start_over(parse_cursor(self.cursor))
        elif cursor is not None and len(told) > self._ring_size:
            self._forget(parse_cursor(cursor))
        elif cursor is not None:
            self._remember(parse_cursor(cursor), told)
        self._move(cursor or self.cursor)

    def end_list(self, name: str) -> None:
        """Take an external list out while Redis is away, without a change in the stream that says so.

        Whoever follows takes the whole list, at the next cursor that there can be. Once Redis is back, and has no
        newer change, its cursor is older than that: then everyone starts over once more.
        """
        self.table.put_list(name, None)
        self._listed_at.pop(name, None)
        if self.is_ready:
            ms, sequence = parse_cursor(self.cursor)
            self._start_over((ms, sequence + 1))
            self._move(f"{ms}-{sequence + 1}")

    def has_list_at(self, name: str, cursor: str) -> bool:
        """Whether the list that stands there now had come into force at this cursor."""
        return self._listed_at.get(name, (0, 0)) <= parse_cursor(cursor)

    def _start_over(self, position: tuple[int, int]) -> None:
        """Whoever followed so far takes the whole list."""
        self._forget(position)
        self.history.start_over(position)

    def _forget(self, position: tuple[int, int]) -> None:
        self._ring.clear()
        self._floor = position

    def _remember(self, position: tuple[int, int], changes: Iterable[Change]) -> None:
        self._ring.extend((position, change) for change in changes)
        while len(self._ring) > self._ring_size:
            self._floor = self._ring.popleft()[0]

    def _move(self, cursor: str) -> None:
        self.cursor = cursor
        self._answers.clear()
        self._list = None
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def close(self) -> None:
        """Answer everyone who waits, now and from now on at once: the process is about to end."""
        self._is_closed = True
        self._wake()

    def is_ahead(self, cursor: str) -> bool:
        """Whether this process has not come to a cursor: a faster neighbour's, or one that Redis lost."""
        return parse_cursor(cursor) > parse_cursor(self.cursor)

    async def wait_past(self, cursor: str, wait_s: float) -> None:
        """Return when something has happened after this cursor, or after `wait_s` seconds."""
        position = parse_cursor(cursor)
        await self._wait(lambda: parse_cursor(self.cursor) != position, wait_s)

    async def wait_until(self, cursor: str, wait_s: float) -> None:
        """Return when this process has come as far as a cursor, or after `wait_s` seconds."""
        await self._wait(lambda: not self.is_ahead(cursor), wait_s)

    async def _wait(self, is_over: Callable[[], bool], wait_s: float) -> None:
        self.waiting += 1
        try:
            async with asyncio.timeout(wait_s):
                while not (self._is_closed or is_over()):
                    await self._moved.wait()
        except TimeoutError:
            return
        finally:
            self.waiting -= 1

    async def changes_since(self, cursor: str | None) -> bytes | AsyncIterator[bytes]:
        """What happened since a cursor, encoded; with `reset` and the whole list where that is not known."""
        kept = None if cursor is None else self.known_changes(cursor)
        if kept is not None:
            return kept
        _, body = await self.whole_list()
        if isinstance(body, bytes):
            return RESET + body[1:]
        return _reset(body)

    def known_changes(self, cursor: str) -> bytes | None:
        """What happened since a cursor, encoded; None where the whole list must be taken."""
        kept = self._answers.get(cursor)
        if kept is not None:
            return kept
        position = parse_cursor(cursor)
        if not self._floor <= position <= parse_cursor(self.cursor):
            return None
        newest_first = takewhile(lambda entry: entry[0] > position, reversed(self._ring))
        changes = [change for _, change in newest_first][::-1]
        body = msgspec.json.encode(fold(self.cursor, changes, self._fallback))
        if len(self._answers) < ANSWERS_KEPT:
            self._answers[cursor] = body
        return body

    async def whole_list(self) -> tuple[str, bytes | AsyncIterator[bytes]]:
        """The ETag and the body of the whole list, as JSON; in pieces where it is very large.

        Other work goes on meanwhile. A list in one piece is encoded again only when it changed.
        """
        if len(self.table) + self.table.listed > MOST_AT_ONCE:
            now = self._now()
            etag = f'W/"json.{self.cursor}.{self._spared()}.{now // LARGE_LIST_MS}"'
            return etag, _unhurried(self._parts(now))
        async with self._encoding:
            kept = self._list
            if kept is None or kept[0] != self.cursor or (kept[1] is not None and self._now() >= kept[1]):
                kept = self._list = await self._whole()
            return kept[2], kept[3]

    async def _whole(self) -> tuple[str, int | None, str, bytes]:
        """The cursor, when the first entry is over, the ETag and the body."""
        now, cursor = self._now(), self.cursor
        body = b"".join([part async for part in _unhurried(self._parts(now))])
        etag = f'W/"json.{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        return cursor, self.table.first_end(now), etag, body

    def _parts(self, now: int) -> Iterator[bytes]:
        return json_parts(self.cursor, self.table, now, self._fallback)

    def _spared(self) -> str:
        return "".join(kind.value[0] for kind, what in self._fallback.items() if what is Fallback.IGNORE)


async def _unhurried(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same, and other work gets its turn after each."""
    for part in parts:
        yield part
        await asyncio.sleep(0)


async def _reset(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    is_first = True
    async for part in body:
        yield RESET + part[1:] if is_first else part
        is_first = False
