"""Networks, when each ends and what is known of it; found by an address in one or two dictionary lookups.

A single address is found by its text in one dictionary lookup, an IPv6 /64 by its bytes in a second one;
other ranges by number: one dictionary per prefix length, keyed by the bits of the prefix. IPv4 has one
spelling per address; IPv6 has many, so its single addresses are found by number too. Most addresses are in
no range: 65,536 flags say so before any of those dictionaries is asked. Nothing has to tell the index that
an entry is over: its end is compared with the clock whenever it is found.
Measured by benchmarks/client_lookup.py, its memory by benchmarks/client_memory.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

from bartizan_client.addresses import BITS, Network, address_text, parse_address, parse_network
from bartizan_client.decision import Clock
from bartizan_client.rows import NO_FACTS, Columns, Facts, Rows

FLAGGED_PREFIX = {4: 16, 6: 48}
"""Flags are kept for the last 16 bits of a prefix this long: an IPv4 /16, an IPv6 /48."""
SLICE = 10_000
"""Entries looked at in one go by a sweep: about a millisecond."""


class Level(NamedTuple):
    """The ranges of one prefix length."""

    version: int
    shift: int
    numbers: list[int]
    rows: list[int]


class Contents(NamedTuple):
    """All of an index, copied so that a thread can write it while the index changes."""

    columns: Columns
    texts: list[str]
    text_rows: list[int]
    packed: list[bytes]
    packed_rows: list[int]
    levels: list[Level]


class Index:
    """Networks, each at most once."""

    def __init__(self) -> None:
        self.rows = Rows()
        self._until_s = self.rows.until_s
        self._by_text: dict[str, int] = {}
        """Rows of single addresses."""
        self._by_64: dict[bytes, int] = {}
        """Rows of IPv6 /64s, which are what Bartizan blocks, by their 8 bytes; ::/64 is among the levels."""
        self._levels: dict[int, tuple[tuple[int, dict[int, int]], ...]] = {4: (), 6: ()}
        """By version: (bits the prefix drops, rows by the bits that remain), fewest dropped first."""
        self._flags = {4: bytearray(65_536), 6: bytearray(65_536)}
        """Not zero where there may be a range, by the 16 bits that end FLAGGED_PREFIX."""

    def __len__(self) -> int:
        return len(self.rows)

    def covers(self, address: str, now: Clock) -> bool:
        """Whether a network in force holds this address. No network holds what is no address."""
        row = self._by_text.get(address)
        if row is not None and self._until_s[row] > now():
            return True
        try:
            if ":" not in address:
                number = int.from_bytes(inet_pton(AF_INET, address), "big")
                if not self._flags[4][number >> 16]:
                    return False
                levels = self._levels[4]
            else:
                if "%" in address:
                    address = address.partition("%")[0]
                packed = inet_pton(AF_INET6, address)
                row = self._by_64.get(packed[:8])
                if row is not None and self._until_s[row] > now():
                    return True
                number = int.from_bytes(packed, "big")
                if number < 1 << 48 and number >> 32 == 0xFFFF:
                    return self.covers(address_text(4, number & 0xFFFF_FFFF), now)
                if not self._flags[6][number >> 80 & 0xFFFF]:
                    return False
                levels = self._levels[6]
        except (OSError, ValueError):
            return False
        for shift, networks in levels:
            row = networks.get(number >> shift)
            if row is not None and self._until_s[row] > now():
                return True
        return False

    def find(self, address: str, now: Clock) -> tuple[Network, int] | None:
        """The smallest network in force that holds this address, and its row."""
        try:
            version, number = parse_address(address)
        except ValueError:
            return None
        now_s = now()
        for shift in self._shifts(version):
            network = version, number >> shift << shift, BITS[version] - shift
            row = self.row_of(network)
            if row is not None and self._until_s[row] > now_s:
                return network, row
        return None

    def row_of(self, network: Network) -> int | None:
        """The row of exactly this network."""
        version, number, prefix = network
        if prefix == BITS[version]:
            return self._by_text.get(address_text(version, number))
        if version == 6 and prefix == 64 and number:
            return self._by_64.get(number.to_bytes(16, "big")[:8])
        shift = BITS[version] - prefix
        for known, networks in self._levels[version]:
            if known == shift:
                return networks.get(number >> shift)
        return None

    def put(self, network: Network, until_s: float, id: str = "", facts: Facts = NO_FACTS) -> None:
        """Add a network, or say something else about it."""
        version, number, prefix = network
        if prefix == BITS[version]:
            text = address_text(version, number)
            row = self._by_text.get(text)
        else:
            row = self.row_of(network)
        if row is not None:
            self.rows.change(row, until_s, id, facts)
            return
        row = self.rows.put(until_s, id, facts)
        if prefix == BITS[version]:
            self._by_text[text] = row
            if version == 4:
                return
        if version == 6 and prefix == 64 and number:
            self._by_64[number.to_bytes(16, "big")[:8]] = row
            return
        shift = BITS[version] - prefix
        levels = dict(self._levels[version])
        levels.setdefault(shift, {})[number >> shift] = row
        if len(levels) > len(self._levels[version]):
            self._set_levels(version, levels)
        self._flag(version, number, prefix)

    def _set_levels(self, version: int, levels: dict[int, dict[int, int]]) -> None:
        self._levels[version] = tuple(sorted(levels.items(), key=lambda level: level[0]))

    def _flag(self, version: int, number: int, prefix: int) -> None:
        first = number >> (BITS[version] - FLAGGED_PREFIX[version]) & 0xFFFF
        count = 1 << min(16, max(0, FLAGGED_PREFIX[version] - prefix))
        self._flags[version][first : first + count] = b"\1" * count

    def drop(self, network: Network) -> None:
        """Forget a network. Its flags stay: until the next whole list they cost a little time."""
        row = self.row_of(network)
        if row is None:
            return
        version, number, prefix = network
        if prefix == BITS[version]:
            self._by_text.pop(address_text(version, number), None)
        if version == 6 and prefix == 64:
            self._by_64.pop(number.to_bytes(16, "big")[:8], None)
        shift = BITS[version] - prefix
        dict(self._levels[version]).get(shift, {}).pop(number >> shift, None)
        self._levels[version] = tuple(level for level in self._levels[version] if level[1])
        self.rows.drop(row)

    def networks(self) -> Iterator[tuple[Network, int]]:
        """All of them with their rows, those that are over too."""
        for text, row in self._by_text.items():
            yield parse_network(text), row
        yield from self._ranges()

    def _ranges(self) -> Iterator[tuple[Network, int]]:
        for packed, row in self._by_64.items():
            yield (6, int.from_bytes(packed, "big") << 64, 64), row
        for version, levels in self._levels.items():
            for shift, networks in levels:
                if shift or version == 4:
                    for number, row in networks.items():
                        yield (version, number << shift, BITS[version] - shift), row

    def sweep(self, now_s: float) -> Iterator[None]:
        """Forget what is over, a slice at a time; nobody else may change the index meanwhile."""
        until_s = self._until_s
        for first in range(0, len(until_s), SLICE):
            if min(until_s[first : first + SLICE]) <= now_s:
                break
            yield
        else:
            return
        doomed: list[Network] = []
        texts = iter(self._by_text.items())
        while piece := list(islice(texts, SLICE)):
            doomed += [parse_network(text) for text, row in piece if until_s[row] <= now_s]
            yield
        ranges = self._ranges()
        while ranges_piece := list(islice(ranges, SLICE)):
            doomed += [network for network, row in ranges_piece if until_s[row] <= now_s]
            yield
        for number, network in enumerate(doomed, 1):
            self.drop(network)
            if number % SLICE == 0:
                yield

    def contents(self) -> Contents:
        """A copy; about 10 ms for a million entries."""
        levels = [
            Level(version, shift, list(networks), list(networks.values()))
            for version, all_levels in self._levels.items()
            for shift, networks in all_levels
        ]
        texts, text_rows = list(self._by_text), list(self._by_text.values())
        packed, packed_rows = list(self._by_64), list(self._by_64.values())
        return Contents(self.rows.columns(), texts, text_rows, packed, packed_rows, levels)

    def load(self, contents: Contents) -> None:
        """Fill an empty index. Raises: ValueError where its parts do not fit each other."""
        rows = [contents.text_rows, contents.packed_rows, *(level.rows for level in contents.levels)]
        if any(max(part) >= len(contents.columns.until_s) for part in rows if part):
            raise ValueError("an entry has no row")
        self.rows.load(contents.columns)
        self._by_text = dict(zip(contents.texts, contents.text_rows))
        self._by_64 = dict(zip(contents.packed, contents.packed_rows))
        levels: dict[int, dict[int, dict[int, int]]] = {4: {}, 6: {}}
        for version, shift, numbers, level_rows in contents.levels:
            levels[version][shift] = dict(zip(numbers, level_rows))
            for number in numbers:
                self._flag(version, number << shift, BITS[version] - shift)
        for version, by_shift in levels.items():
            self._set_levels(version, by_shift)

    def _shifts(self, version: int) -> list[int]:
        """Prefix lengths that are in use, as bits that are dropped, the smallest networks first."""
        shifts = {0, *(shift for shift, _ in self._levels[version])}
        return sorted(shifts | {64} if version == 6 else shifts)
