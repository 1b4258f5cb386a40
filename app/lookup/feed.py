"""The table, and what changed in it lately: everything that clients of the blocklist are served from.

The newest changes are kept in memory, so that thousands of clients that follow the list cost Redis nothing.
A cursor is the id of an entry of the changes stream, `milliseconds-sequence`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from typing import Literal

import msgspec

from app.lookup.table import Allowed, Decision, Table
from app.lookup.wire import Change, Disallowed, Removed, differences, fold, list_as_json, list_as_text
from app.policies.enforcement import FALLBACK, Fallback
from detectors.finding import DecisionType

RING_SIZE = 10_000
"""Changes kept for clients that follow the list: minutes of the worst attack, days of a calm week."""
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
        self._moved = asyncio.Event()
        self._answers: dict[str, bytes] = {}
        self._lists: dict[str, tuple[str, int | None, str, bytes]] = {}
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
            self._lists.clear()

    def load(self, cursor: str, table: Table) -> None:
        """Take a whole new table. What it changes goes to the followers as changes at the new cursor.

        A cursor before the present one means that Redis has lost something: then everyone starts over.
        """
        position, before = parse_cursor(cursor), parse_cursor(self.cursor)
        changed = differences(self.table, table, self._now()) if self.is_ready else []
        self.table.take_over(table)
        if not self.is_ready or position < before:
            self._ring.clear()
            self._floor = position
        else:
            self._remember(position, changed)
        self.is_ready = True
        self._move(cursor)

    def apply(self, cursor: str, change: Change | None) -> None:
        """Take one change of the stream; None is one that means nothing to lookups.

        Raises: ValueError where its value is no address or CIDR; nothing has changed then.
        """
        match change:
            case Decision():
                self.table.add(change)
            case Removed():
                self.table.remove(change.id, change.value, change.scope)
            case Allowed():
                self.table.allow(change)
            case Disallowed():
                self.table.disallow(change.value)
        if change is not None:
            self._remember(parse_cursor(cursor), [change])
        self._move(cursor)

    def _remember(self, position: tuple[int, int], changes: Iterable[Change]) -> None:
        self._ring.extend((position, change) for change in changes)
        while len(self._ring) > self._ring_size:
            self._floor = self._ring.popleft()[0]

    def _move(self, cursor: str) -> None:
        self.cursor = cursor
        self._answers.clear()
        self._lists.clear()
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

    def changes_since(self, cursor: str | None) -> bytes:
        """What happened since a cursor, encoded; with `reset` and the whole list where that is not known."""
        if cursor is None:
            return self._reset()
        kept = self._answers.get(cursor)
        if kept is not None:
            return kept
        position = parse_cursor(cursor)
        if not self._floor <= position <= parse_cursor(self.cursor):
            return self._reset()
        newest_first = takewhile(lambda entry: entry[0] > position, reversed(self._ring))
        body = msgspec.json.encode(
            fold(self.cursor, [change for _, change in newest_first][::-1], self._fallback)
        )
        if len(self._answers) < ANSWERS_KEPT:
            self._answers[cursor] = body
        return body

    def _reset(self) -> bytes:
        return b'{"reset":true,' + self.whole_list("json")[1][1:]

    def whole_list(self, form: Literal["json", "txt"]) -> tuple[str, bytes]:
        """The ETag and the body of the whole list, `json` or `txt`; encoded again only when it changed."""
        now = self._now()
        kept = self._lists.get(form)
        if kept is not None and kept[0] == self.cursor and (kept[1] is None or now < kept[1]):
            return kept[2], kept[3]
        blocks, allowlist = self.table.blocks(now), self.table.allowlist(now)
        ends = [block.until for block in blocks if block.until is not None]
        ends += [allowed.until for allowed in allowlist if allowed.until is not None]
        spared = "".join(kind.value[0] for kind, what in self._fallback.items() if what is Fallback.IGNORE)
        etag = f'W/"{form}.{self.cursor}.{len(blocks)}.{len(allowlist)}.{spared}"'
        body = (
            list_as_json(self.cursor, blocks, allowlist, self._fallback)
            if form == "json"
            else list_as_text(self.table, now, self._fallback)
        )
        self._lists[form] = (self.cursor, min(ends, default=None), etag, body)
        return etag, body
