"""The blocklist's wire forms: decisions, changes, and a plain list of addresses."""

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

import msgspec

from actions.blocks.subjects import ADDRESSES, Scope, key_of
from app.lookup.table import Allowed, Decision, Table, parse_network
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


class WireDecision(msgspec.Struct, frozen=True, gc=False):
    """A decision as it goes over the wire; times are RFC 3339."""

    id: str
    value: str
    reason: str
    rule: str | None
    incident_id: str | None
    created_at: str
    until: str | None
    scope: Scope = Scope.IP
    type: DecisionType = DecisionType.BAN
    origin: str = "rule"


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
    fallback: Mapping[DecisionType, Fallback]


def make_decision(wire: WireDecision, until: int | None, created_at: int = 0) -> Decision:
    """A decision for the table, encoded for the wire. Times are epoch milliseconds."""
    encoded = msgspec.Raw(msgspec.json.encode(wire))
    return Decision(
        *(wire.id, wire.value, until, encoded, wire.scope, wire.type, wire.origin),
        *(wire.reason, wire.rule, created_at),
    )


def is_enforced(
    decision: Decision, fallback: Mapping[DecisionType, Fallback], able: Collection[str] = (DecisionType.BAN,)
) -> bool:
    """Whether somebody who can act on these types refuses a client because of it."""
    return decision.type in able or fallback.get(decision.type, Fallback.BAN) is Fallback.BAN


def list_as_json(
    cursor: str,
    blocks: list[Decision],
    allowlist: list[Allowed],
    fallback: Mapping[DecisionType, Fallback] = FALLBACK,
) -> bytes:
    """The whole list as one JSON object."""
    allowed = msgspec.json.encode([_wire_allowed(entry) for entry in allowlist])
    decisions = b",".join([bytes(decision.wire) for decision in blocks])
    return b'{"cursor":"%b","blocks":[%b],"allowlist":%b,"fallback":%b}' % (
        *(cursor.encode(), decisions, allowed),
        msgspec.json.encode(fallback),
    )


Network = ipaddress.IPv4Network | ipaddress.IPv6Network
N = TypeVar("N", ipaddress.IPv4Network, ipaddress.IPv6Network)


def list_as_text(table: Table, now: int, fallback: Mapping[DecisionType, Fallback] = FALLBACK) -> bytes:
    """One address or network a line, without what is allowlisted: those to be banned, and what falls back to that.

    A plain list cannot say "but not these", so here, and only here, ranges are cut.
    """
    holes = _Holes([parse_network(entry.value) for entry in table.allowlist(now)])
    lines: list[str] = []
    for decision in table.blocks(now):
        if decision.scope not in ADDRESSES or not is_enforced(decision, fallback):
            continue
        if holes and table.is_allowed(decision.value, now):
            continue
        inside = holes.inside(decision.value)
        lines.extend(_without(decision.value, inside) if inside else [decision.value])
    return "".join([f"{line}\n" for line in lines]).encode()


class _Holes:
    """The allowed networks that lie inside a range, found without asking each of them."""

    def __init__(self, allowed: list[tuple[int, int, int]]) -> None:
        self._allowed = allowed
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


def fold(
    cursor: str, changes: Iterable[Change], fallback: Mapping[DecisionType, Fallback] = FALLBACK
) -> Changes:
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


def differences(old: Table, new: Table, now: int) -> list[Change]:
    """What turns the old table into the new one."""
    changes: list[Change] = []
    before = {key_of(decision.scope, decision.value): decision for decision in old.blocks(now)}
    after = {key_of(decision.scope, decision.value): decision for decision in new.blocks(now)}
    changes.extend(Removed(d.id, d.value, d.scope) for key, d in before.items() if key not in after)
    changes.extend(d for key, d in after.items() if before.get(key) != d)
    allowed_before = {entry.value: entry for entry in old.allowlist(now)}
    allowed_after = {entry.value: entry for entry in new.allowlist(now)}
    changes.extend(Disallowed(value) for value in allowed_before if value not in allowed_after)
    changes.extend(entry for value, entry in allowed_after.items() if allowed_before.get(value) != entry)
    return changes
