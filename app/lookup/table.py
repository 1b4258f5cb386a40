"""The blocklist in memory: whether an address is blocked now, without touching the network.

One dictionary per prefix length, the most specific first, keyed by the address shifted right; what a decision says
stands in columns (columns.py). External lists lie beside it (packed.py). The allowlist is asked first, so an allowed
address inside a blocked range is let through without cutting the range.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import count

import msgspec

from actions.blocks.decision import Decision
from actions.blocks.subjects import ADDRESSES, Scope
from app.lookup.addresses import canonical_address, parse_address, parse_network, spelled
from app.lookup.columns import FOR_GOOD, Columns, PackedColumns
from app.lookup.layers import Layers, Levels
from app.lookup.packed import Key, PackedList
from detectors.finding import DecisionType

__all__ = ["Allowed", "Table", "canonical_address", "parse_address", "parse_network"]


COMPARED_AT_A_TIME = 5_000
"""5 ms."""


class Allowed(msgspec.Struct, frozen=True, gc=False):
    """A network that is never blocked. Until is epoch milliseconds; None is for good."""

    value: str
    until: int | None


class Level(msgspec.Struct, frozen=True, gc=False):
    """The decisions about networks of one version and length, as they stand in a file."""

    version: int
    shift: int
    numbers: bytes
    """8 bytes each for IPv4, 16 for IPv6, without the host bits."""
    slots: bytes


class PackedTable(msgspec.Struct, frozen=True, gc=False):
    """A table without its external lists, as it stands in a file, in this machine's byte order."""

    columns: PackedColumns
    levels: list[Level]
    named: list[Decision]
    allowed: list[Allowed]


class Table(Layers):
    """Every block and every allowed network, and whether an address is blocked."""

    def __init__(self) -> None:
        super().__init__()
        self._allowed: dict[int, Levels[Allowed]] = {4: Levels(), 6: Levels()}

    def add(self, decision: Decision) -> None:
        """Put a block in force; it takes the place of an older one of the same value.

        Raises: ValueError where its value is no address or CIDR.
        """
        scope = decision.scope
        if scope is not Scope.IP and scope is not Scope.RANGE:
            self._named[scope, decision.value] = decision
            return
        version, number, shift = parse_network(decision.value)
        level, top = self._blocks[version].level(shift), number >> shift
        level[top] = self._columns.put(decision, level.get(top))

    def remove(self, decision_id: str, value: str, scope: Scope = Scope.IP) -> None:
        """Lift a block; a newer block of the same value stays. Raises: ValueError as `add`."""
        if scope not in ADDRESSES:
            named = self._named.get((scope, value))
            if named is not None and named.id == decision_id:
                del self._named[scope, value]
            return
        version, number, shift = parse_network(value)
        slot = self._blocks[version].get(number, shift)
        if slot is not None and self._columns.id(slot) == decision_id:
            self._blocks[version].drop(number, shift)
            self._columns.drop(slot)

    def allow(self, allowed: Allowed) -> None:
        """Put a network on the allowlist. Raises: ValueError as `add`."""
        version, number, shift = parse_network(allowed.value)
        self._allowed[version].level(shift)[number >> shift] = allowed

    def disallow(self, value: str) -> None:
        """Take a network off the allowlist. Raises: ValueError as `add`."""
        version, number, shift = parse_network(value)
        self._allowed[version].drop(number, shift)

    def put_list(self, name: str, packed: PackedList | None) -> PackedList | None:
        """Put an external list in force in place of the one of this name, or take that out; what it was before."""
        before = self._lists.get(name)
        lists = {known: one for known, one in self._lists.items() if known != name}
        if packed is not None:
            lists[name] = packed
        self._lists = dict(sorted(lists.items()))
        return before

    @property
    def lists(self) -> Mapping[str, PackedList]:
        """The external lists in force, by name."""
        return self._lists

    @property
    def has_lists(self) -> bool:
        """Whether there are external lists."""
        return bool(self._lists)

    @property
    def listed(self) -> int:
        """How many entries the external lists have together."""
        return sum(map(len, self._lists.values()))

    def changed_by(
        self, before: PackedList | None, after: PackedList | None
    ) -> Iterator[tuple[Key, str] | None]:
        """What another version of a list may have changed: each address or network, with its id on the old one.

        None after every COMPARED_AT_A_TIME that were looked at.
        """
        is_renewed = before is None or after is None or before.type != after.type
        looked = count(1)
        for old, new in ((before, after), (after, before)):
            for key in old.entries() if old is not None else ():
                if new is None or not new.holds(key) or (is_renewed and old is before):
                    yield key, "" if before is None else before.decision(key).id
                if next(looked) % COMPARED_AT_A_TIME == 0:
                    yield None

    def first_end(self, now: int) -> int | None:
        """When the first of what is in force is over; None where nothing ever is."""
        ends = [until for until in self._columns.untils if until > now]
        ends += [d.until for d in self._named.values() if d.until is not None and d.until > now]
        ends += [p.until for p in self._lists.values() if p.until is not None and p.until > now]
        ends += [a.until for a in self.allowlist(now) if a.until is not None]
        first = min(ends, default=FOR_GOOD)
        return None if first == FOR_GOOD else first

    def copy(self) -> "Table":
        """Another table of the same content as long as this one only takes over others: nothing is copied."""
        other = Table()
        other.take_over(self)
        other._lists = self._lists
        return other

    def take_over(self, other: "Table") -> None:
        """Become the other table in one step, but for the external lists: readers see the old or the new whole."""
        self._columns, self._blocks = other._columns, other._blocks
        self._allowed, self._named = other._allowed, other._named

    def lookup(self, address: str, now: int) -> tuple[Decision | None, bool]:
        """The decision in force for an address at `now`, and whether it is allowlisted (then never blocked).

        Of several the strongest, of equally strong ones ours, and the most specific. Raises: ValueError where it is
        no address.
        """
        version, number = parse_address(address)
        allowed = self._allowed[version]
        if allowed.levels and _covering(allowed, number, now):
            return None, True
        found = self._own(version, number, now)
        if self._lists and (found is None or found.type is not DecisionType.BAN):
            for packed in self._lists.values():
                listed = packed.covering(version, number)
                if listed is not None and not packed.is_over(now) and _is_stronger(listed, found):
                    found = listed
        return found, False

    def _own(self, version: int, number: int, now: int) -> Decision | None:
        columns, found = self._columns, None
        untils = columns.untils
        for shift, entries in self._blocks[version].levels:
            slot = entries.get(number >> shift)
            if slot is None or untils[slot] <= now:
                continue
            if not columns.weaker or columns.type(slot) is DecisionType.BAN:
                return columns.decision(slot, spelled(version, number, shift))
            one = columns.decision(slot, spelled(version, number, shift))
            found = one if _is_stronger(one, found) else found
        return found

    def find(self, scope: Scope, value: str, now: int) -> Decision | None:
        """The decision in force of exactly this country, autonomous system or user."""
        found = self._named.get((scope, value))
        return None if found is None or (found.until is not None and found.until <= now) else found

    @property
    def has_named(self) -> bool:
        """Whether there are decisions about anything but addresses."""
        return bool(self._named)

    def exactly(self, key: Key, now: int) -> Decision | None:
        """The strongest decision in force of exactly this address or network; ours before a list's."""
        found = self.own(key, now)
        for packed in self._lists.values():
            if (
                packed.holds(key)
                and not packed.is_over(now)
                and (found is None or found.type is not packed.type)
            ):
                listed = packed.decision(key)
                found = listed if _is_stronger(listed, found) else found
        return found

    def blocks(self, now: int) -> Iterator[Decision]:
        """Every decision in force at `now`, one for each value, those of allowlisted networks included.

        The table may change meanwhile; what is added then may be missing.
        """
        columns = self._columns
        for version, levels in self._blocks.items():
            for number, shift, slot in levels:
                if columns.untils[slot] > now:
                    own = columns.decision(slot, spelled(version, number, shift))
                    yield (self.exactly((version, number, shift), now) or own) if self._lists else own
        yield from [d for d in self._named.values() if d.until is None or now < d.until]
        yield from self._listed(now)

    def _listed(self, now: int) -> Iterator[Decision]:
        """What only stands on lists."""
        before: list[PackedList] = []
        for packed in self._lists.values():
            if packed.is_over(now):
                continue
            for key in packed.entries():
                slot = self._blocks[key[0]].get(key[1], key[2])
                if slot is not None and self._columns.untils[slot] > now:
                    continue
                if any(other.holds(key) for other in before):
                    continue
                found = self.exactly(key, now)
                if found is not None:
                    yield found
            before.append(packed)

    def allowlist(self, now: int) -> list[Allowed]:
        """Every allowed network in force at `now`."""
        every = [entry for levels in self._allowed.values() for _, _, entry in levels]
        return [a for a in every if a.until is None or now < a.until]

    def is_allowed(self, value: str, now: int) -> bool:
        """Whether the whole of an address or CIDR lies in an allowed network. Raises: ValueError as `add`."""
        version, number, shift = parse_network(value)
        return _covering(self._allowed[version], number, now, shift)

    def differing(self, new: "Table") -> Iterator[tuple[Key, str | None] | None]:
        """The addresses and networks about which another table says something else: each with its id here, if any.

        None after every COMPARED_AT_A_TIME that were looked at.
        """
        looked = count(1)
        for version, levels in self._blocks.items():
            others = new._blocks[version]
            for number, shift, slot in levels:
                other = others.get(number, shift)
                if other is None or not self._columns.is_same(slot, new._columns, other):
                    yield (version, number, shift), self._columns.id(slot)
                if next(looked) % COMPARED_AT_A_TIME == 0:
                    yield None
        for version, levels in new._blocks.items():
            for number, shift, _ in levels:
                if self._blocks[version].get(number, shift) is None:
                    yield (version, number, shift), None
                if next(looked) % COMPARED_AT_A_TIME == 0:
                    yield None

    def named(self) -> dict[tuple[Scope, str], Decision]:
        """All decisions about other things than addresses."""
        return dict(self._named)

    def __len__(self) -> int:
        """How many decisions of our own there are."""
        return len(self._blocks[4]) + len(self._blocks[6]) + len(self._named)

    def packed(self) -> PackedTable:
        """All of it but the external lists, for a file. A million decisions take 0.3 s."""
        levels = [
            Level(version, shift, _as_bytes(version, entries), array("I", entries.values()).tobytes())
            for version, every in self._blocks.items()
            for shift, entries in every.levels
        ]
        allowed = [entry for every in self._allowed.values() for _, _, entry in every]
        return PackedTable(self._columns.packed(), levels, list(self._named.values()), allowed)

    @classmethod
    def unpacked(cls, packed: PackedTable) -> "Table":
        """The table that was packed. Raises: ValueError where its parts do not belong together."""
        table = cls()
        table._columns = Columns.unpacked(packed.columns)
        for level in packed.levels:
            slots = array("I")
            slots.frombytes(level.slots)
            if max(slots, default=-1) >= len(table._columns.untils):
                raise ValueError("a slot that there is not")
            numbers = _numbers(level.version, level.numbers)
            entries = table._blocks[level.version].level(level.shift)
            entries.update(zip(numbers, slots, strict=True))
        for decision in packed.named:
            table.add(decision)
        for allowed in packed.allowed:
            table.allow(allowed)
        return table


def _covering(allowed: Levels[Allowed], number: int, now: int, within: int = 0) -> bool:
    """Whether an allowed network in force holds this number (or, from `within` host bits, network)."""
    for shift, entries in allowed.levels:
        entry = entries.get(number >> shift)
        if entry is not None and shift >= within and (entry.until is None or now < entry.until):
            return True
    return False


def _is_stronger(decision: Decision, than: Decision | None) -> bool:
    return than is None or decision.type.strength > than.type.strength


def _as_bytes(version: int, numbers: Iterable[int]) -> bytes:
    if version == 4:
        return array("Q", numbers).tobytes()
    return b"".join([number.to_bytes(16) for number in numbers])


def _numbers(version: int, data: bytes) -> Iterable[int]:
    if version == 4:
        numbers = array("Q")
        numbers.frombytes(data)
        return numbers
    return [int.from_bytes(data[at : at + 16]) for at in range(0, len(data), 16)]
