"""OpenTelemetry log records as events, whatever their wire form was: attributes, body, time, and whose resource it is.

A record is read like a JSON object by the field map. Its members are its body as `message` (or, where the body is a
map, as Fluent Bit sends whole records, the members of that), its attributes, and what the protocol says around them;
such an object is kept as the evidence, too.

This is the hottest loop of all protocols: a record has ten attributes. Those of one sender have the same names in the
same order, so records are read by the column: what a name means is looked up once for all of them. Where it takes
more than names to understand a record, the field map reads it as a whole; both ways give the same event.
Source: opentelemetry-proto, logs/v1/logs.proto and common/v1/common.proto.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from operator import attrgetter
from typing import Any, NamedTuple, cast

import msgspec

from app.ingest.body import BodyTooLarge
from app.ingest.decode import LONG_RECORD_BYTES, RECORD_LIMIT_BYTES, TOO_LONG, Decoded, Rejected, cut_texts
from app.ingest.field_names import NAMES, WRAPPERS
from app.ingest.formats.catalogue import FIRST_KEYS
from app.ingest.framing import RECORDS_LIMIT
from app.ingest.mapping import map_record, unwrap
from app.ingest.values import ABSENT, READERS, Reader, read_chain, read_text
from detectors.event import Event

BODY = "message"
"""The name of a body that is a text. `body` would be taken for the body of a request."""
RESOURCE = ("host.name", "service.name")
"""Of a resource's attributes, what says who wrote the record."""
AROUND = ("timeUnixNano", "observedTimeUnixNano", "trace_id", "severityText", "eventName", *RESOURCE)
"""The names under which the protocol's own fields stand behind the attributes."""
NAMES_REMEMBERED = 8192
LONGEST_REMEMBERED = 128
"""Characters of a name: whoever sends many long ones must not fill the memory."""
NESTING_LIMIT = 16
"""Values inside values; what lies deeper is left out. The deepest name of a field has four parts."""
COLUMN = 1024
"""So many records are read together."""
FEW = 4
"""Fewer are read one by one."""
LARGEST, SMALLEST = 2**64 - 1, -(2**63)
"""Integers that JSON is written with."""

_encode, _encode_lines = msgspec.json.Encoder().encode, msgspec.json.Encoder().encode_lines
_PROGRAM = "program"
_SPEAKING = frozenset({"client_ip", "status", "outcome"})

Column = Sequence[Any]
"""The values of one name, record by record; None where a record does not have it."""


class Name(NamedTuple):
    """What the field map says of a name."""

    name: str
    field: str
    """The field of an event that it fills, or `program`; empty where it fills none."""
    rank: int
    """The lowest one fills the field."""
    known_as: str
    """In the table of names."""
    read: Reader | None
    is_odd: bool
    """What it means depends on more than the name."""
    opens: bool
    """An object under it has members that mean something."""


def name_of(name: str) -> Name:
    """What the field map says of a name."""
    return _known_name(name) if len(name) <= LONGEST_REMEMBERED else _known_name.__wrapped__(name)


@lru_cache(NAMES_REMEMBERED)
def _known_name(name: str) -> Name:
    opens = name in WRAPPERS or name in NAMES.inside or name.lower() in NAMES.inside
    field, rank, known_as = NAMES.fields.get(name) or NAMES.fields.get(name.lower()) or ("", 0, "")
    read = read_text if field == _PROGRAM else READERS.get(field)
    is_odd = name == "body" or name in FIRST_KEYS or (bool(field) and read is None)
    return Name(name, field, rank, known_as, read, is_odd, opens)


def resource_of(known: Mapping[str, Any]) -> tuple[Any, Any]:
    """The machine and the service, which an SDK always names; without the first, the second stands for it."""
    host, service = (known.get(name) for name in RESOURCE)
    if not host and type(service) is str and not service.startswith("unknown_service"):
        host = service
    return host, service


def speak_for(names: Iterable[str]) -> bool:
    """Whether attributes of these names say who did what; a map in the body is then a text about it.

    It may be what a client sent, and must not name another address.
    """
    return any(name_of(name).field in _SPEAKING for name in names)


def as_text(value: Any) -> Any:
    """A map as its JSON; anything else as it is."""
    return _encode(value).decode() if type(value) is dict else value


class Reading:
    """Makes the events of one request. Records may be read in any order; each has its place."""

    def __init__(self, received_ms: int) -> None:
        self._received_ms = received_ms
        self._events: list[Event | None] = []
        self._records: list[bytes] = []
        self._rejected: list[Rejected] = []

    def places(self, count: int) -> range:
        """Where the next records stand in the request. Raises: BodyTooLarge over 1,000,000."""
        begun = len(self._events)
        if begun + count > RECORDS_LIMIT:
            raise BodyTooLarge(f"the body has more than {RECORDS_LIMIT} records")
        self._events += [None] * count
        self._records += [b""] * count
        return range(begun, begun + count)

    def reject(self, place: int, reason: str) -> None:
        """That record is set aside."""
        self._rejected.append(Rejected(place, reason, self._records[place]))

    def read(self, places: Sequence[int], names: Sequence[str], columns: Sequence[Column]) -> None:
        """Records that have the same names. Of a name that stands there twice, the first counts."""
        used: dict[str, Column] = {}
        for name, column in zip(names, columns, strict=True):
            if column.count(None) < len(places):
                used[name] = _filled(used[name], column) if name in used else column
        events, records = read_columns(used, len(places), self._received_ms)
        for place, event, record in zip(places, events, records, strict=True):
            self._events[place] = event
            self._records[place] = record
        if max(map(len, records)) > LONG_RECORD_BYTES:
            for place in places:
                self._cut(place)

    def _cut(self, place: int) -> None:
        size, event = len(self._records[place]), self._events[place]
        if size > RECORD_LIMIT_BYTES:
            self._events[place] = None
            self.reject(place, TOO_LONG)
        elif size > LONG_RECORD_BYTES and event is not None:
            cut_texts(event)

    def decoded(self) -> Decoded:
        """All of them, in their order."""
        if not self._rejected:
            return Decoded(cast("list[Event]", self._events), self._records)
        decoded = Decoded(rejected=sorted(self._rejected, key=attrgetter("index")))
        for event, record in zip(self._events, self._records, strict=True):
            if event is not None:
                decoded.events.append(event)
                decoded.records.append(record)
        return decoded


def read_columns(columns: dict[str, Column], count: int, received_ms: int) -> tuple[list[Event], list[bytes]]:
    """The events of so many records, and the records as JSON."""
    known, records = [name_of(name) for name in columns], _as_json(columns, count)
    if count < FEW or any(name.is_odd for name in known):
        return [map_record(_row(columns, index), received_ms) for index in range(count)], records
    odd: set[int] = set()
    fitting: dict[str, list[tuple[int, Column]]] = {}
    for name, column in zip(known, columns.values(), strict=True):
        if name.opens and dict in set(map(type, column)):
            odd.update(index for index, value in enumerate(column) if type(value) is dict)
        if name.read is None:
            continue
        if name.rank == 0:
            odd.update(index for index, v in enumerate(column) if type(v) is str and v in ABSENT)
        fitting.setdefault(name.field, []).append((name.rank, _fitting(name, column)))
    fields = {field: _best(candidates) for field, candidates in fitting.items()}
    events = _events(fields, count, received_ms)
    for index in odd:
        events[index] = map_record(_row(columns, index), received_ms)
    return events, records


def _row(columns: dict[str, Column], index: int) -> dict[str, Any]:
    return {name: column[index] for name, column in columns.items()}


def _as_json(columns: dict[str, Column], count: int) -> list[bytes]:
    """The records as objects."""
    if not columns:
        return [b"{}"] * count
    members = [_encode(name).replace(b"%", b"%%") + b":%b" for name in columns]
    template = b"{" + b",".join(members) + b"}"
    values = [_encode_lines(column).split(b"\n")[:-1] for column in columns.values()]
    return [template % row for row in zip(*values, strict=True)]


def _fitting(name: Name, column: Column) -> Column:
    """The values as the type of the name's field."""
    read, rank, known_as = name.read, name.rank, name.known_as
    assert read is not None  # noqa: S101 - asked by the caller
    if (read is read_text or read is read_chain) and set(map(type, column)) == {str}:
        return column if ABSENT.isdisjoint(column) else [None if v in ABSENT else v for v in column]
    return [None if v is None or type(v) is dict else read(v, rank, known_as) for v in column]


def _rank(candidate: tuple[int, Column]) -> int:
    return candidate[0]


def _best(candidates: list[tuple[int, Column]]) -> Column:
    """Of several names for one field the lowest rank, or what the next one says where it says nothing."""
    first, *others = sorted(candidates, key=_rank)
    best = first[1]
    for _, column in others:
        best = _filled(best, column)
    return best


def _filled(column: Column, other: Column) -> Column:
    """A column, its gaps filled from another one."""
    if None not in column:
        return column
    return [second if first is None else first for first, second in zip(column, other, strict=True)]


def _events(fields: dict[str, Column], count: int, received_ms: int) -> list[Event]:
    columns: list[Iterable[Any]] = [fields.get(name) or repeat(None) for name in Event.__struct_fields__]
    columns[Event.__struct_fields__.index("repeat")] = repeat(1, count)
    events = list(map(Event, *columns))
    if BODY in fields:
        programs: Iterable[Any] = fields.get(_PROGRAM) or repeat(None)
        for index, (event, program) in enumerate(zip(events, programs, strict=False)):
            if event.message is not None:
                events[index] = unwrap(event, received_ms, program)
    return events
