"""What stands in the table, decision by decision: our own blocks, and each external list beside them.

The table (table.py) says whether an address is blocked; here stand all decisions about it, in force or not.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

from actions.blocks.decision import Decision
from actions.blocks.subjects import ADDRESSES, NAMED, Scope
from app.lookup.addresses import parse_network, spelled
from app.lookup.columns import Columns
from app.lookup.packed import Key, PackedList

T = TypeVar("T")


class Levels(Generic[T]):
    """Networks of one IP version: (shift, {number >> shift: entry}), the most specific first."""

    __slots__ = ("levels",)

    def __init__(self) -> None:
        self.levels: list[tuple[int, dict[int, T]]] = []

    def level(self, shift: int) -> dict[int, T]:
        for known, entries in self.levels:
            if known == shift:
                return entries
        entries = {}
        self.levels.append((shift, entries))
        self.levels.sort(key=lambda level: level[0])
        return entries

    def get(self, number: int, shift: int) -> T | None:
        for known, entries in self.levels:
            if known == shift:
                return entries.get(number >> shift)
        return None

    def drop(self, number: int, shift: int) -> T | None:
        entries = self.level(shift)
        entry = entries.pop(number >> shift, None)
        if not entries:
            self.levels = [level for level in self.levels if level[1]]
        return entry

    def __iter__(self) -> Iterator[tuple[int, int, T]]:
        """Number, shift and entry of each, as they are when their turn comes: changes may go on meanwhile."""
        for shift, entries in list(self.levels):
            for number in list(entries):
                entry = entries.get(number)
                if entry is not None:
                    yield number << shift, shift, entry

    def __len__(self) -> int:
        return sum(len(entries) for _, entries in self.levels)


class Layers:
    """The decisions of this process. Of one value there is one of our own, and one of each list."""

    def __init__(self) -> None:
        self._columns = Columns()
        self._blocks: dict[int, Levels[int]] = {4: Levels(), 6: Levels()}
        self._named: dict[tuple[Scope, str], Decision] = {}
        self._lists: dict[str, PackedList] = {}

    def own(self, key: Key, now: int) -> Decision | None:
        """Our own decision in force of exactly this address or network."""
        own = self.kept(key)
        return None if own is None or (own.until is not None and own.until <= now) else own

    def kept(self, key: Key) -> Decision | None:
        """The same, in force or not."""
        slot = self._blocks[key[0]].get(key[1], key[2])
        return None if slot is None else self._columns.decision(slot, spelled(*key))

    def standing(self, scope: Scope, value: str) -> Decision | None:
        """Our own decision of this value, in force or not. Raises: ValueError as `add`."""
        return self._named.get((scope, value)) if scope not in ADDRESSES else self.kept(parse_network(value))

    def all_of(self, key: Key, now: int) -> Iterator[Decision]:
        """All decisions in force of exactly this address or network: ours, and that of each list."""
        own = self.own(key, now)
        if own is not None:
            yield own
        for packed in self._lists.values():
            if packed.holds(key) and not packed.is_over(now):
                yield packed.decision(key)

    def shifts(self, version: int) -> list[int]:
        """How many host bits the addresses and networks of this version have, the most specific first."""
        found = {shift for shift, _ in self._blocks[version].levels}
        return sorted(found.union(*(packed.shifts(version) for packed in self._lists.values())))

    def every(self, now: int) -> Iterator[Decision]:
        """All decisions in force: ours, then those of each list, several of one value included.

        The table may change meanwhile; what is added then may be missing.
        """
        yield from self.every_own(now)
        for packed in list(self._lists.values()):
            if not packed.is_over(now):
                yield from map(packed.decision, packed.entries())

    def every_own(self, now: int) -> Iterator[Decision]:
        """The same without the lists."""
        columns = self._columns
        for version, levels in self._blocks.items():
            for number, shift, slot in levels:
                if columns.untils[slot] > now:
                    yield columns.decision(slot, spelled(version, number, shift))
        yield from [d for d in self._named.values() if d.until is None or now < d.until]

    def covering(self, key: Key, now: int) -> Iterator[Decision]:
        """All decisions in force whose value holds this whole network, the most specific first."""
        version, number, within = key
        for shift in self.shifts(version):
            if shift >= within:
                yield from self.all_of((version, number >> shift << shift, shift), now)

    def inside(self, key: Key, now: int) -> Iterator[Decision]:
        """All decisions in force whose value lies in this network, itself included. Looks at every one."""
        version, wanted, wide = key
        for number, shift, slot in self._blocks[version]:
            if shift <= wide and number >> wide == wanted >> wide and self._columns.untils[slot] > now:
                yield self._columns.decision(slot, spelled(version, number, shift))
        for packed in list(self._lists.values()):
            if not packed.is_over(now):
                for other in packed.entries():
                    if other[0] == version and other[2] <= wide and other[1] >> wide == wanted >> wide:
                        yield packed.decision(other)

    def of_value(self, value: str, now: int) -> Iterator[Decision]:
        """All decisions in force that speak of exactly this value, of any scope; of an address, those around it too."""
        named = (self._named.get((scope, value)) for scope in NAMED)
        yield from (d for d in named if d is not None and (d.until is None or now < d.until))
        try:
            key = parse_network(value)
        except ValueError:
            return
        yield from self.covering(key, now)
