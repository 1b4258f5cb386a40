"""The blocklist as the files that firewalls and proxies load. docs/enforcement.md says how each is put to use.

A block's reason is text from somebody's log and its origin a name from outside, so neither stands in these files:
only addresses, which are spelled here, types, and the operator's names of sets, which keep to a strict pattern.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from app.lookup.addresses import spelled
from app.lookup.list_values import Interval, Row, extend, networks_of
from detectors.finding import DecisionType

IPSET_MOST = 1 << 20
"""The set's upper bound, the same each time: ipset takes a set for another one where it differs."""
ELEMENTS_A_LINE = 200
SAFE_NAME = r"^[A-Za-z][A-Za-z0-9_]{0,23}$"
"""Names of sets and tables. Source: ipset takes 31 characters; ours get up to five more."""


class Names(NamedTuple):
    """What the sets, and for nftables the table around them, are called."""

    name: str = "bartizan"
    table: str = "bartizan"


Writer = Callable[[Iterable[Row], Sequence[int], Names], Iterable[str]]
"""Rows in order, the IP versions that are wanted, names; answers lines without their ends."""
TYPES = {kind.strength: kind.value for kind in DecisionType}


def _values(rows: Iterable[Row]) -> dict[str, int]:
    """Each value once, with the strength of the strongest type."""
    seen: dict[str, int] = {}
    for version, first, last, strength in rows:
        for value in networks_of(version, first, last):
            if strength > seen.get(value, -1):
                seen[value] = strength
    return seen


def as_text(rows: Iterable[Row], versions: Sequence[int], names: Names) -> Iterator[str]:
    """One address or CIDR a line, and nothing else; also what `pfctl -T replace -f` reads."""
    yield from _values(rows)


def as_haproxy(rows: Iterable[Row], versions: Sequence[int], names: Names) -> Iterator[str]:
    """`ADDRESS TYPE`, a map for `map_ip`. Source: HAProxy configuration manual, 7.3.1, map."""
    for value, strength in _values(rows).items():
        yield f"{value} {TYPES[strength]}"


def as_nginx(rows: Iterable[Row], versions: Sequence[int], names: Names) -> Iterator[str]:
    """`ADDRESS 1;`, to include in a `geo` block. Source: nginx, ngx_http_geo_module."""
    for value in _values(rows):
        yield f"{value} 1;"


def as_ipset(rows: Iterable[Row], versions: Sequence[int], names: Names) -> Iterator[str]:
    """For `ipset restore`: sets NAME4 and NAME6 get these members, in one step for each. Source: ipset(8)."""
    members_of: dict[int, list[Row]] = {version: [] for version in versions}
    for row in rows:
        members_of[row[0]].append(row)
    for version in versions:
        members = _values(members_of[version])
        kept, draft = f"{names.name}{version}", f"{names.name}{version}-new"
        bound = max(IPSET_MOST, 1 << len(members).bit_length())
        kind = f"hash:net family {'inet' if version == 4 else 'inet6'} maxelem {bound} -exist"
        yield f"create {kept} {kind}"
        yield f"create {draft} {kind}"
        yield f"flush {draft}"
        for member in members:
            yield from (f"add {draft} {part}" for part in _without_zero(version, member))
        yield f"swap {draft} {kept}"
        yield f"destroy {draft}"


def _without_zero(version: int, member: str) -> list[str]:
    """hash:net takes no prefix of length 0; two halves are the same."""
    if not member.endswith("/0"):
        return [member]
    return ["0.0.0.0/1", "128.0.0.0/1"] if version == 4 else ["::/1", "8000::/1"]


def as_nftables(rows: Iterable[Row], versions: Sequence[int], names: Names) -> Iterator[str]:
    """For `nft -f`: sets NAME4 and NAME6 of `table inet TABLE` get these elements, all in one step.

    The table and the sets are made where they are missing. Intervals are merged, because nftables refuses two that
    overlap. Source: nft(8), sets.
    """
    yield f"table inet {names.table} {{"
    for version in versions:
        yield f"  set {names.name}{version} {{ type ipv{version}_addr; flags interval; }}"
    yield "}"
    intervals: dict[int, list[Interval]] = {version: [] for version in versions}
    for version, first, last, _ in rows:
        extend(intervals[version], (first, last))
    for version in versions:
        place = f"inet {names.table} {names.name}{version}"
        yield f"flush set {place}"
        elements = [_element(version, first, last) for first, last in intervals[version]]
        for begin in range(0, len(elements), ELEMENTS_A_LINE):
            yield f"add element {place} {{ {', '.join(elements[begin : begin + ELEMENTS_A_LINE])} }}"


def _element(version: int, first: int, last: int) -> str:
    if first == last:
        return spelled(version, first)
    size = last - first + 1
    if size & (size - 1) == 0 and first % size == 0:
        return spelled(version, first, size.bit_length() - 1)
    return f"{spelled(version, first)}-{spelled(version, last)}"


WRITERS: dict[str, Writer] = {
    "txt": as_text,
    "pf": as_text,
    "haproxy": as_haproxy,
    "nginx": as_nginx,
    "ipset": as_ipset,
    "nftables": as_nftables,
}


def write(form: str, rows: Iterable[Row], versions: Sequence[int], names: Names) -> bytes:
    """A whole file of this format. Raises: KeyError where there is no such format."""
    return "".join([f"{line}\n" for line in WRITERS[form](rows, versions, names)]).encode("ascii")
