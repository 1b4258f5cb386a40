"""Which addresses and networks stand in a list that is only a list: of some types, without what is allowlisted.

A plain list cannot say "but not these", so blocked ranges with an allowed network inside are cut around it.
Everything is numbers here: 100,000 blocks take a fraction of a second, in a thread.
"""

import socket
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from actions.blocks.subjects import ADDRESSES
from app.lookup.table import Allowed, Decision, parse_network
from detectors.finding import DecisionType

Interval = tuple[int, int]
"""The first and the last number of a run of addresses."""
WIDTH = {4: 32, 6: 128}


class Row(NamedTuple):
    """One address or network to refuse, and the decision because of which."""

    version: int
    first: int
    last: int
    decision: Decision

    @property
    def networks(self) -> Iterator[str]:
        """The run as addresses and CIDRs; a network that was blocked as such is one."""
        return networks_of(self.version, self.first, self.last)


def select(
    blocks: Iterable[Decision],
    allowlist: Iterable[Allowed],
    types: Collection[DecisionType],
    versions: Collection[int] = (4, 6),
) -> list[Row]:
    """The rows of a list, in the order of their addresses, so that the same blocks make the same list everywhere."""
    holes = {version: merge(_runs(allowlist, version)) for version in WIDTH}
    starts = {version: [first for first, _ in holes[version]] for version in WIDTH}
    rows: list[Row] = []
    for decision in blocks:
        if decision.scope not in ADDRESSES or decision.type not in types:
            continue
        version, number, shift = parse_network(decision.value)
        if version not in versions:
            continue
        first = number >> shift << shift
        last = first + (1 << shift) - 1
        if not holes[version]:
            rows.append(Row(version, first, last, decision))
            continue
        begin = max(0, bisect_right(starts[version], first) - 1)
        for left, right in without((first, last), holes[version], begin):
            rows.append(Row(version, left, right, decision))
    rows.sort(key=lambda row: (row.version, row.first, row.last, -row.decision.type.strength))
    return rows


def _runs(allowlist: Iterable[Allowed], wanted: int) -> Iterator[Interval]:
    for entry in allowlist:
        version, number, shift = parse_network(entry.value)
        if version == wanted:
            first = number >> shift << shift
            yield first, first + (1 << shift) - 1


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """The same numbers in as few intervals as can be, in order, none of which touches another."""
    merged: list[Interval] = []
    for first, last in sorted(intervals):
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged


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
    width = WIDTH[version]
    while first <= last:
        shift = (first & -first).bit_length() - 1 if first else width
        shift = min(shift, (last - first + 1).bit_length() - 1)
        yield address_text(version, first) + ("" if shift == 0 else f"/{width - shift}")
        first += 1 << shift


def address_text(version: int, number: int) -> str:
    """The one spelling of an address."""
    if version == 4:
        return socket.inet_ntop(socket.AF_INET, number.to_bytes(4))
    return socket.inet_ntop(socket.AF_INET6, number.to_bytes(16))
