"""Every decision in force by its exact value, and what came and went lately: what bouncers are answered from.

The table (app/lookup/table.py) says whether an address is blocked; bouncers want the decisions themselves, all of
them where several hold one value, and those that are gone. Follows the feed whenever a bouncer asks.
"""

import asyncio
from collections import deque
from collections.abc import Iterator

import msgspec

from actions.blocks.subjects import ADDRESSES, NAMED, Scope
from app.lookup.feed import Feed, parse_cursor
from app.lookup.table import Allowed, Decision, parse_network
from app.lookup.wire import Change, Disallowed, Removed

LOG_SIZE = 20_000
"""Events kept: twice the feed's ring, since a replaced decision is gone and new."""
CHUNK = 500
"""Decisions worked on before other work gets its turn: about 4 ms."""
LIST_ORIGIN = "lists:"
Network = tuple[int, int, int]
"""Version, number and shift (how many host bits), as `parse_network` answers."""
Position = tuple[int, int]


class Event(msgspec.Struct, frozen=True, gc=False):
    """What happened at one place of the changes stream."""

    position: Position
    added: Decision | None = None
    gone: Decision | None = None
    allowed: str | None = None
    """A network that came onto the allowlist."""
    disallowed: str | None = None


class Ledger:
    """The decisions in force in this process. `catch_up` before anything is asked of it."""

    def __init__(self, feed: Feed, log_size: int = LOG_SIZE) -> None:
        self._feed = feed
        self._levels: dict[int, dict[int, dict[int, tuple[Decision, ...]]]] = {4: {}, 6: {}}
        self._named: dict[tuple[Scope, str], tuple[Decision, ...]] = {}
        self._allowed: dict[str, Allowed] = {}
        self._log: deque[Event] = deque()
        self._log_size = log_size
        self.floor: Position = (0, 0)
        """From where on everything that happened is known."""
        self._is_loaded = False
        self._lock = asyncio.Lock()
        self.position: Position = (0, 0)
        """Where the feed was when it was followed last."""

    @property
    def cursor(self) -> str:
        """The position as a cursor of the changes stream."""
        return "{}-{}".format(*self.position)

    async def catch_up(self, now: int) -> None:
        """Take what the feed has had since the last time; all of it anew where that is not known."""
        async with self._lock:
            known = self._feed.entries_since(self.position) if self._is_loaded else None
            if known is None:
                await self._reload(now)
                known = self._feed.entries_since(self.position) or []
            for position, change in known:
                self._take(position, change)
            self.position = parse_cursor(self._feed.cursor)

    def since(self, position: Position) -> list[Event] | None:
        """The events after a position, oldest first; None where they are not known."""
        if not self.floor <= position <= self.position:
            return None
        found = []
        for event in reversed(self._log):
            if event.position <= position:
                break
            found.append(event)
        return found[::-1]

    def covering(self, network: Network) -> Iterator[Decision]:
        """The decisions whose value holds this whole network, the most specific first; ended ones may be among them."""
        version, number, within = network
        for shift in sorted(self._levels[version]):
            if shift >= within:
                yield from self._levels[version][shift].get(number >> shift, ())

    def inside(self, network: Network) -> Iterator[Decision]:
        """The decisions whose value lies in this network, itself included. Looks at each narrower one."""
        version, number, wide = network
        for shift, entries in list(self._levels[version].items()):
            if shift <= wide:
                for key, found in list(entries.items()):
                    if key >> (wide - shift) == number >> wide:
                        yield from found

    def of_value(self, value: str) -> Iterator[Decision]:
        """The decisions that may be offered under exactly this value, of any scope."""
        for scope in NAMED:
            yield from self._named.get((scope, value), ())
        try:
            network = parse_network(value)
        except ValueError:
            return
        yield from self.covering(network)

    def all(self) -> list[Decision]:
        """Every decision; ended ones may be among them."""
        found = [
            d
            for levels in self._levels.values()
            for entries in levels.values()
            for ds in entries.values()
            for d in ds
        ]
        found += [d for ds in self._named.values() for d in ds]
        return found

    def _take(self, position: Position, change: Change) -> None:
        match change:
            case Decision():
                before = self._put(change)
                self._note(Event(position, added=change, gone=before))
            case Removed():
                gone = self._drop(change)
                if gone is not None:
                    self._note(Event(position, gone=gone))
            case Allowed():
                self._allowed[change.value] = change
                self._note(Event(position, allowed=change.value))
            case Disallowed():
                self._allowed.pop(change.value, None)
                self._note(Event(position, disallowed=change.value))

    def _note(self, event: Event) -> None:
        self._log.append(event)
        while len(self._log) > self._log_size:
            self.floor = self._log.popleft().position

    def _put(self, decision: Decision) -> Decision | None:
        """The decision whose place it takes, if any: one of its own origin's."""
        found = self._found(decision.scope, decision.value)
        layer = _layer_of(decision)
        before = next((d for d in found if _layer_of(d) == layer), None)
        self._store(decision, (*(d for d in found if d is not before), decision))
        return before

    def _drop(self, removed: Removed) -> Decision | None:
        found = self._found(removed.scope, removed.value)
        gone = next((d for d in found if d.id == removed.id), None)
        if gone is not None:
            self._store(gone, tuple(d for d in found if d is not gone))
        return gone

    def _found(self, scope: Scope, value: str) -> tuple[Decision, ...]:
        if scope not in ADDRESSES:
            return self._named.get((scope, value), ())
        version, number, shift = parse_network(value)
        return self._levels[version].get(shift, {}).get(number >> shift, ())

    def _store(self, decision: Decision, found: tuple[Decision, ...]) -> None:
        if decision.scope not in ADDRESSES:
            _set(self._named, (decision.scope, decision.value), found)
            return
        version, number, shift = parse_network(decision.value)
        entries = self._levels[version].setdefault(shift, {})
        _set(entries, number >> shift, found)
        if not entries:
            del self._levels[version][shift]

    async def _reload(self, now: int) -> None:
        """Take the whole table. What it changes is noted at the feed's present cursor."""
        position = parse_cursor(self._feed.cursor)
        decisions, allowlist = self._feed.table.every(now), self._feed.table.allowlist(now)
        fresh = Ledger(self._feed)
        for number, decision in enumerate(decisions, 1):
            fresh._put(decision)
            if number % CHUNK == 0:
                await asyncio.sleep(0)
        fresh._allowed = {entry.value: entry for entry in allowlist}
        if self._is_loaded and position >= self.position:
            await self._note_differences(position, fresh)
        else:
            self._log.clear()
            self.floor = position
        self._levels, self._named, self._allowed = fresh._levels, fresh._named, fresh._allowed
        self.position, self._is_loaded = position, True

    async def _note_differences(self, position: Position, fresh: "Ledger") -> None:
        before = {(_layer_of(d), d.scope, d.value): d for d in self.all()}
        for number, decision in enumerate(fresh.all(), 1):
            old = before.pop((_layer_of(decision), decision.scope, decision.value), None)
            if old != decision:
                self._note(Event(position, added=decision, gone=old))
            if number % CHUNK == 0:
                await asyncio.sleep(0)
        for old in before.values():
            self._note(Event(position, gone=old))
        for value in fresh._allowed.keys() - self._allowed.keys():
            self._note(Event(position, allowed=value))
        for value in self._allowed.keys() - fresh._allowed.keys():
            self._note(Event(position, disallowed=value))


def _layer_of(decision: Decision) -> str:
    """Of one layer a value has one decision: our own are one, each list is one."""
    return decision.origin if decision.origin.startswith(LIST_ORIGIN) else ""


def _set(entries: dict, key: object, found: tuple[Decision, ...]) -> None:  # type: ignore[type-arg]
    if found:
        entries[key] = found
    else:
        entries.pop(key, None)
