"""The blocklist as JSON: decisions, changes, and the whole list."""

from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from actions.blocks.decision import Decision
from actions.blocks.subjects import Scope, key_of
from app.lookup.decision import encoded, wire_of
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
        [encoded(change) for change in blocks.values() if isinstance(change, Decision)],
        [change for change in blocks.values() if isinstance(change, Removed)],
        [_wire_allowed(change) for change in allowed.values() if isinstance(change, Allowed)],
        [change for change in allowed.values() if isinstance(change, Disallowed)],
        fallback,
    )
