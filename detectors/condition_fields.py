"""The fields that a condition may name, and how each is read from an event and its record."""

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter

from detectors.addresses import Networks, client_address
from detectors.decoding import decode_target, normal_path
from detectors.errors import ConfigError
from detectors.event import Event
from detectors.suspicious_activity import target_of

FieldValue = str | int | float | None
Read = Callable[[Event, bytes], FieldValue]

NUMBERS = frozenset({"status", "bytes", "duration_ms", "repeat"})
TEXTS = frozenset(Event.__struct_fields__) - NUMBERS
DECODED = frozenset({"decoded_target", "decoded_path"})
"""What the server understood: percent-escapes and other disguises removed (decoding.py), and of the path `//` and
`/./` folded."""
ADDRESSES = frozenset({"ip", "client_ip"})
"""`ip` is the client's canonical address, found through the trusted proxies; `client_ip` stands as it was logged."""
FIELDS = NUMBERS | TEXTS | DECODED | {"ip", "target", "record"}

ABSENT = frozenset({"", "-"})
"""Logged for want of a value, so the same as none at all."""
LONGEST_RECORD_BYTES = 65_536
"""Of a record read as a whole, as of decoded text."""
_KELVIN, _DOTTED_I = "\ue000", "\ue001"
"""Private characters, which have no case."""
REMEMBERED = 64
"""Decoded texts kept: the rules look at the same few events one after the other."""


def fold(text: str) -> str:
    """A text as it is compared, without regard to case.

    The two letters outside ASCII whose small forms lie within it (the Kelvin sign, the dotted capital I) stand for
    themselves, so that what equals an ASCII word has its letters in the record, where the scan looks for them.
    """
    if text.isascii():
        return text.lower()
    return text.replace("\u212a", _KELVIN).replace("\u0130", _DOTTED_I).lower()


def reader_of(field: str, trusted: Networks | None = None) -> Read:
    """What reads this field; None where an event has none. Raises: ConfigError where there is no such field."""
    if field == "ip":
        proxies = trusted or Networks()
        return lambda event, _record: client_address(event.client_ip, event.forwarded_for, proxies)
    if field in _READERS:
        return _READERS[field]
    if field not in FIELDS:
        raise ConfigError(f"unknown field {field!r}")
    get = attrgetter(field)
    if field in NUMBERS:
        return lambda event, _record: get(event)

    def read(event: Event, _record: bytes) -> FieldValue:
        value = get(event)
        return None if value is None or value in ABSENT else str(value)

    return read


def _bare_path(event: Event, _record: bytes) -> FieldValue:
    """Without a query, which some formats log with the path and some beside it."""
    path = event.path
    if path is None or path in ABSENT:
        return None
    return (path.partition("?")[0] if "?" in path else path) or None


def _query(event: Event, _record: bytes) -> FieldValue:
    return target_of(event).partition("?")[2] or None


def _target(event: Event, _record: bytes) -> FieldValue:
    target = target_of(event)
    return None if target in ABSENT else target


def _decoded_target(event: Event, _record: bytes) -> FieldValue:
    target = target_of(event)
    return None if target in ABSENT else _decode(target)


def _decoded_path(event: Event, _record: bytes) -> FieldValue:
    return _path(event.path) if event.path is not None and event.path not in ABSENT else None


def _record(_event: Event, record: bytes) -> FieldValue:
    return record[:LONGEST_RECORD_BYTES].decode("utf-8", "replace") or None


_decode = lru_cache(REMEMBERED)(decode_target)


@lru_cache(REMEMBERED)
def _path(path: str) -> str:
    return normal_path(decode_target(path.partition("?")[0]))


# What is worked out rather than taken; a further one (a country, a network's owner) is one more line, and a name in
# FIELDS.
_READERS: dict[str, Read] = {
    "path": _bare_path,
    "query": _query,
    "target": _target,
    "decoded_target": _decoded_target,
    "decoded_path": _decoded_path,
    "record": _record,
}
