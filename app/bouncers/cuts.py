"""What is left of a network when the allowlist is cut out of it: bouncers know no allowlist.

Networks are numbers here (version, number, shift: how many host bits), since there may be a hundred thousand.
"""

from collections.abc import Iterable, Iterator

from app.lookup.packed import Key as Network


class Cuts:
    """The allowed networks, found without asking each of them."""

    def __init__(self, allowed: Iterable[Network]) -> None:
        self._allowed = list(allowed)
        self._levels: dict[tuple[int, int], set[int]] = {}
        for version, number, shift in self._allowed:
            self._levels.setdefault((version, shift), set()).add(number >> shift)
        self._inside: dict[tuple[int, int], dict[int, list[tuple[int, int]]]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is cut out of anything."""
        return not self._allowed

    def is_covered(self, network: Network) -> bool:
        """Whether the whole of it is allowed."""
        version, number, shift = network
        return any(
            number >> wide in keys
            for (known, wide), keys in self._levels.items()
            if known == version and wide >= shift
        )

    def pieces(self, network: Network) -> list[Network]:
        """What is left of it; itself where nothing is cut out, nothing where all is."""
        if not self._allowed:
            return [network]
        if self.is_covered(network):
            return []
        holes = self._holes(network)
        if not holes:
            return [network]
        version, number, shift = network
        return [(version, n, s) for n, s in _without(number >> shift << shift, shift, holes)]

    def _holes(self, network: Network) -> list[tuple[int, int]]:
        version, number, shift = network
        if shift == 0:
            return []
        known = self._inside.get((version, shift))
        if known is None:
            known = self._inside[version, shift] = {}
            for hole_version, hole, hole_shift in self._allowed:
                if hole_version == version and hole_shift < shift:
                    known.setdefault(hole >> shift, []).append((hole, hole_shift))
        return known.get(number >> shift, [])


def _without(number: int, shift: int, holes: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    if not holes:
        yield number, shift
    elif all(hole_shift < shift for _, hole_shift in holes):
        half = shift - 1
        for side in (number, number | 1 << half):
            yield from _without(side, half, [hole for hole in holes if hole[0] >> half == side >> half])


def overlaps(one: Network, other: Network) -> bool:
    """Whether two networks share an address; then one holds the other."""
    wide = max(one[2], other[2])
    return one[0] == other[0] and one[1] >> wide == other[1] >> wide
