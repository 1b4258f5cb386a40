"""Which addresses and networks stand in a list that is only a list: of some types, without what is allowlisted.

A plain list cannot say "but not these", so blocked ranges with an allowed network inside are cut around it.
Everything is numbers here: 100,000 blocks take a fraction of a second.
"""

import heapq
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator

from actions.blocks.decision import Decision
from actions.blocks.subjects import ADDRESSES
from app.lookup.addresses import WIDTH, parse_network, spelled
from app.lookup.table import Allowed
from detectors.finding import DecisionType

Interval = tuple[int, int]
"""The first and the last number of a run of addresses."""


Row = tuple[int, int, int, int]
"""A run of addresses to refuse: IP version, first and last number, strength of the decision's type. Numbers only, in a
plain tuple: a hundred thousand of them are nothing to the garbage collector."""
RUN = 4_000
"""Rows sorted at a time: sorting holds everybody else up, a few milliseconds at most."""


class Selection:
    """The rows of a list, gathered decision by decision."""

    def __init__(
        self,
        allowlist: Iterable[Allowed],
        types: Collection[DecisionType],
        versions: Collection[int] = (4, 6),
    ) -> None:
        runs = [(version, (first, last)) for version, first, last in map(_run, (a.value for a in allowlist))]
        self._holes = {version: merge(run for v, run in runs if v == version) for version in WIDTH}
        self._starts = {version: [first for first, _ in self._holes[version]] for version in WIDTH}
        self._types, self._versions = types, versions
        self._sorted: list[list[Row]] = []
        self._rows: list[Row] = []

    def add(self, decision: Decision) -> None:
        """Take what of it stands in the list."""
        if decision.scope not in ADDRESSES or decision.type not in self._types:
            return
        version, first, last = _run(decision.value)
        if version not in self._versions:
            return
        holes = self._holes[version]
        begin = max(0, bisect_right(self._starts[version], first) - 1)
        for left, right in without((first, last), holes, begin):
            self._rows.append((version, left, right, decision.type.strength))
        if len(self._rows) >= RUN:
            self._close_run()

    def rows(self) -> Iterator[Row]:
        """All of them in the order of their addresses, so that the same blocks make the same list everywhere."""
        self._close_run()
        return heapq.merge(*self._sorted)

    def _close_run(self) -> None:
        self._rows.sort()
        self._sorted.append(self._rows)
        self._rows = []


def _run(value: str) -> tuple[int, int, int]:
    version, number, shift = parse_network(value)
    first = number >> shift << shift
    return version, first, first + (1 << shift) - 1


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """The same numbers in as few intervals as can be, in order, none of which touches another."""
    merged: list[Interval] = []
    for interval in sorted(intervals):
        extend(merged, interval)
    return merged


def extend(merged: list[Interval], interval: Interval) -> None:
    """Put one more at the end of merged intervals; it begins where the last one does, or later."""
    first, last = interval
    if merged and first <= merged[-1][1] + 1:
        if last > merged[-1][1]:
            merged[-1] = (merged[-1][0], last)
    else:
        merged.append(interval)


def without(whole: Interval, holes: list[Interval], begin: int = 0) -> Iterator[Interval]:
    """What is left of an interval without these (merged) ones, of which those before `begin` end before it."""
    first, last = whole
    for hole_first, hole_last in holes[begin:]:
        if hole_first > last:
            break
        if hole_last < first:
            continue
        if hole_first > first:
            yield first, hole_first - 1
        first = hole_last + 1
    if first <= last:
        yield first, last


def networks_of(version: int, first: int, last: int) -> Iterator[str]:
    """The fewest CIDRs that make an interval; a single address without a prefix length."""
    while first <= last:
        shift = (first & -first).bit_length() - 1 if first else WIDTH[version]
        shift = min(shift, (last - first + 1).bit_length() - 1)
        yield spelled(version, first, shift)
        first += 1 << shift
