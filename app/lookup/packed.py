"""An external blocklist in memory: up to a million addresses and networks that have all else in common.

Made once, then only asked: single IPv4 addresses, which are nearly all of such lists, stand sorted in 4 bytes each.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from actions.blocks.decision import Decision
from actions.blocks.subjects import scope_of
from app.lookup.addresses import WIDTH, parse_network, spelled
from detectors.finding import DecisionType

LISTS = "lists"
"""Before the name of a list, in the origin and the ids of its decisions."""
BLOCK = 16
"""Addresses are looked for among those with the same first 16 bits."""
Key = tuple[int, int, int]
"""Version, number and shift of an address or network."""


class PackedList:
    """One list. Compare the cost of a miss: 0.1 µs where no address shares its first 16 bits, else 0.4 µs."""

    def __init__(
        self,
        name: str,
        v4: "array[int]",
        networks: dict[int, dict[int, set[int]]],
        *,
        type: DecisionType,
        reason: str,
        fetched_at: int,
        until: int | None = None,
        digest: str = "",
    ) -> None:
        """`v4`: sorted, without repeats. `networks`: by version and shift, the numbers without their host bits.

        `digest`: of its content, where somebody will want to know whether it is still the same.
        """
        self.name, self.type, self.reason = name, type, reason
        self.fetched_at, self.until, self.digest = fetched_at, until, digest
        self._v4 = v4
        self._starts = _starts(v4)
        self._levels = {version: sorted(levels.items()) for version, levels in networks.items()}

    @classmethod
    def of(
        cls,
        name: str,
        values: Iterable[str],
        *,
        type: DecisionType = DecisionType.BAN,
        reason: str,
        fetched_at: int,
        until: int | None = None,
        digest: str = "",
    ) -> "PackedList":
        """The list of these addresses and CIDRs. A million take 1.5 s; times are epoch ms.

        Raises: ValueError naming the value that is neither.
        """
        single: set[int] = set()
        networks: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for value in values:
            version, number, shift = parse_network(value)
            if version == 4 and shift == 0:
                single.add(number)
            else:
                networks[version].setdefault(shift, set()).add(number >> shift)
        v4 = array("I", sorted(single))
        return cls(
            *(name, v4, networks),
            type=type,
            reason=reason,
            fetched_at=fetched_at,
            until=until,
            digest=digest,
        )

    @property
    def v4(self) -> "array[int]":
        """Its single IPv4 addresses, sorted. Not to be changed."""
        return self._v4

    def levels(self) -> Iterator[tuple[int, int, set[int]]]:
        """All else: version, shift, and the numbers without their host bits. Not to be changed."""
        for version, levels in self._levels.items():
            for shift, numbers in levels:
                yield version, shift, numbers

    @property
    def origin(self) -> str:
        """What its decisions say of where they come from."""
        return f"{LISTS}:{self.name}"

    def __len__(self) -> int:
        return len(self._v4) + sum(len(e) for levels in self._levels.values() for _, e in levels)

    def is_over(self, now: int) -> bool:
        """Whether all of it has come to its end."""
        return self.until is not None and self.until <= now

    def covering(self, version: int, number: int) -> Decision | None:
        """The most specific entry that holds this address."""
        if version == 4 and self._has_v4(number):
            return self.decision((4, number, 0))
        for shift, numbers in self._levels[version]:
            if number >> shift in numbers:
                return self.decision((version, number >> shift << shift, shift))
        return None

    def holds(self, key: Key) -> bool:
        """Whether exactly this address or network is on it."""
        version, number, shift = key
        if version == 4 and shift == 0:
            return self._has_v4(number)
        return any(known == shift and number >> shift in numbers for known, numbers in self._levels[version])

    def _has_v4(self, number: int) -> bool:
        block = number >> BLOCK
        begin, end = self._starts[block], self._starts[block + 1]
        if begin == end:
            return False
        place = bisect_left(self._v4, number, begin, end)
        return place < end and self._v4[place] == number

    def shifts(self, version: int) -> set[int]:
        """How many host bits its entries of this version have."""
        single = {0} if version == 4 and len(self._v4) else set[int]()
        return single | {shift for shift, _ in self._levels[version]}

    def entries(self) -> Iterator[Key]:
        """All of it."""
        for number in self._v4:
            yield 4, number, 0
        for version, levels in self._levels.items():
            for shift, numbers in levels:
                for number in numbers:
                    yield version, number << shift, shift

    def decision(self, key: Key) -> Decision:
        """What its entry of this key says."""
        value = spelled(*key)
        return Decision(
            id=f"{LISTS}:{self.name}:{value}",
            value=value,
            until=self.until,
            scope=scope_of(value),
            type=self.type,
            origin=self.origin,
            reason=self.reason,
            created_at=self.fetched_at,
        )


def _starts(numbers: "array[int]") -> "array[int]":
    """Where the addresses of each block of 65,536 begin, and where the last one ends."""
    starts, place = array("I", bytes(4 * ((1 << WIDTH[4] - BLOCK) + 1))), 0
    for block in range(1 << WIDTH[4] - BLOCK):
        starts[block] = place
        if place < len(numbers) and numbers[place] >> BLOCK == block:
            place = bisect_left(numbers, block + 1 << BLOCK, place)
    starts[-1] = len(numbers)
    return starts
