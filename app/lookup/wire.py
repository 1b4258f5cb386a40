"""The blocklist's wire forms: decisions, changes, and a plain list of addresses."""

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from actions.blocks.subjects import ADDRESSES, Scope, key_of
from app.lookup.addresses import parse_network
from app.lookup.decision import Decision, wire_of
from app.lookup.table import Allowed, Table
from app.policies.enforcement import FALLBACK, Fallback
from detectors.finding import DecisionType
from detectors.timestamps import to_rfc3339


class Removed(msgspec.Struct, frozen=True, gc=False):
    """A block that is over."""

    id: str
    value: str
    scope: Scope = Scope.IP


class Disallowed(msgspec.Struct, frozen=True, gc=False):
    """A network that left the allowlist."""

    value: str


Change = Decision | Removed | Allowed | Disallowed
Falling = Mapping[DecisionType, Fallback]
"""What somebody does who cannot act on a type."""


class WireAllowed(msgspec.Struct, frozen=True, gc=False):
    """An allowlist entry as it goes over the wire."""

    value: str
    until: str | None


class Changes(msgspec.Struct, frozen=True):
    """What happened since a cursor, as one step: a value is added or removed, never both."""

    cursor: str
    added: list[msgspec.Raw]
    removed: list[Removed]
    allow_added: list[WireAllowed]
    allow_removed: list[Disallowed]
    fallback: Falling


_encode = msgspec.json.Encoder().encode
ENTRIES_AT_A_TIME = 1000
"""Encoded in one go: about 5 ms."""


def is_enforced(decision: Decision, fallback: Falling, able: Collection[str] = (DecisionType.BAN,)) -> bool:
    """Whether somebody who can act on these types refuses a client because of it."""
    return decision.type in able or fallback.get(decision.type, Fallback.BAN) is Fallback.BAN


def json_parts(cursor: str, table: Table, now: int, fallback: Falling) -> Iterator[bytes]:
    """The whole list as one JSON object, a piece at a time; it may change between two pieces.

    Changes after the cursor bring whoever follows it up to date, so that such a list is as good as one of a moment.
    """
    yield b'{"cursor":%b,"blocks":[' % _encode(cursor)
    waiting: list[Decision] = []
    comma = b""
    for decision in table.blocks(now):
        waiting.append(decision)
        if len(waiting) == ENTRIES_AT_A_TIME:
            yield comma + _encode([wire_of(one) for one in waiting])[1:-1]
            waiting, comma = [], b","
    if waiting:
        yield comma + _encode([wire_of(one) for one in waiting])[1:-1]
    allowed = [_wire_allowed(entry) for entry in table.allowlist(now)]
    yield b'],"allowlist":%b,"fallback":%b}' % (_encode(allowed), _encode(fallback))


Network = ipaddress.IPv4Network | ipaddress.IPv6Network
N = TypeVar("N", ipaddress.IPv4Network, ipaddress.IPv6Network)


def text_parts(table: Table, now: int, fallback: Falling = FALLBACK) -> Iterator[bytes]:
    """One address or network a line, a piece at a time: those to be banned, and what falls back to that.

    A plain list cannot say "but not these", so here, and only here, what is allowlisted is left out of ranges.
    """
    holes = Holes(table.allowlist(now))
    lines: list[str] = []
    for decision in table.blocks(now):
        if decision.scope not in ADDRESSES or not is_enforced(decision, fallback):
            continue
        if holes and table.is_allowed(decision.value, now):
            continue
        inside = holes.inside(decision.value)
        lines.extend(_without(decision.value, inside) if inside else [decision.value])
        if len(lines) >= ENTRIES_AT_A_TIME:
            yield "".join([f"{line}\n" for line in lines]).encode()
            lines = []
    yield "".join([f"{line}\n" for line in lines]).encode()


def list_as_text(table: Table, now: int, fallback: Falling = FALLBACK) -> bytes:
    """The same in one piece."""
    return b"".join(text_parts(table, now, fallback))


class Holes:
    """The allowed networks that lie inside a range, found without asking each of them."""

    def __init__(self, allowed: Iterable[Allowed]) -> None:
        self._allowed = [parse_network(entry.value) for entry in allowed]
        self._by_range: dict[tuple[int, int], dict[int, list[Network]]] = {}

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def inside(self, value: str) -> list[Network]:
        """The allowed networks that are part of this range, and smaller than it."""
        if not self._allowed or "/" not in value:
            return []
        version, number, shift = parse_network(value)
        known = self._by_range.get((version, shift))
        if known is None:
            known = self._by_range[version, shift] = {}
            for hole_version, hole, hole_shift in self._allowed:
                if hole_version == version and hole_shift < shift:
                    known.setdefault(hole >> shift, []).append(_network(version, hole, hole_shift))
        return known.get(number >> shift, [])


def _network(version: int, number: int, shift: int) -> Network:
    number = number >> shift << shift
    if version == 4:
        return ipaddress.IPv4Network((number, 32 - shift))
    return ipaddress.IPv6Network((number, 128 - shift))


def _without(value: str, holes: list[Network]) -> list[str]:
    """What is left of a range when networks inside it are cut out."""
    parts = [_network(*parse_network(value))]
    for hole in holes:
        parts = [rest for part in parts for rest in _cut(part, hole)]
    return [str(part) for part in parts]


def _cut(part: Network, hole: Network) -> Iterable[Network]:
    if isinstance(part, ipaddress.IPv4Network) and isinstance(hole, ipaddress.IPv4Network):
        return _cut_same(part, hole)
    if isinstance(part, ipaddress.IPv6Network) and isinstance(hole, ipaddress.IPv6Network):
        return _cut_same(part, hole)
    return [part]


def _cut_same(part: N, hole: N) -> Iterable[N]:
    if part.subnet_of(hole):
        return []
    return part.address_exclude(hole) if hole.subnet_of(part) else [part]


def _wire_allowed(entry: Allowed) -> WireAllowed:
    return WireAllowed(entry.value, None if entry.until is None else to_rfc3339(entry.until))


def fold(cursor: str, changes: Iterable[Change], fallback: Falling = FALLBACK) -> Changes:
    """Many changes as one step: the last word on each value, so that their order no longer matters."""
    blocks: dict[str, Decision | Removed] = {}
    allowed: dict[str, Allowed | Disallowed] = {}
    for change in changes:
        if isinstance(change, Decision):
            blocks[key_of(change.scope, change.value)] = change
        elif isinstance(change, Removed):
            key = key_of(change.scope, change.value)
            present = blocks.get(key)
            if not isinstance(present, Decision) or present.id == change.id:
                blocks[key] = change
        else:
            allowed[change.value] = change
    return Changes(
        cursor,
        [change.wire for change in blocks.values() if isinstance(change, Decision)],
        [change for change in blocks.values() if isinstance(change, Removed)],
        [_wire_allowed(change) for change in allowed.values() if isinstance(change, Allowed)],
        [change for change in allowed.values() if isinstance(change, Disallowed)],
        fallback,
    )
