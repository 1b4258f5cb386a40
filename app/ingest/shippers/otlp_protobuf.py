"""OTLP logs as protobuf, which the Collector, Fluent Bit and most SDKs send.

protobuf's runtime takes the body apart down to the records and their attributes. The attributes stay bytes: most of
them recur, and one that was seen before needs no reading. Every text is bytes too, for one byte of an attacker's that
is not UTF-8 must cost nothing but itself; and a record that is damaged is set aside alone.
Source: opentelemetry-proto, collector/logs/v1/logs_service.proto, logs/v1/logs.proto, common/v1/common.proto.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from app.ingest.decode import Decoded
from app.ingest.shippers.otlp_records import (
    AROUND,
    BODY,
    COLUMN,
    NESTING_LIMIT,
    RESOURCE,
    Column,
    Reading,
    as_text,
    resource_of,
    speak_for,
)
from app.ingest.shippers.protobuf import Field, reader
from detectors.errors import DecodeError

_SCHEMA = {
    "Request": (Field(1, "resource_logs", "ResourceLogs", is_repeated=True),),
    "ResourceLogs": (
        Field(1, "resource", "Resource"),
        Field(2, "scope_logs", "ScopeLogs", is_repeated=True),
    ),
    "Resource": (Field(1, "attributes", "bytes", is_repeated=True),),
    "ScopeLogs": (Field(2, "log_records", "LogRecord", is_repeated=True),),
    "LogRecord": (
        Field(1, "time_unix_nano", "fixed64"),
        Field(11, "observed_time_unix_nano", "fixed64"),
        Field(3, "severity_text", "bytes"),
        Field(5, "body", "bytes"),
        Field(6, "attributes", "bytes", is_repeated=True),
        Field(9, "trace_id", "bytes"),
        Field(12, "event_name", "bytes"),
    ),
    "KeyValue": (Field(1, "key", "bytes"), Field(2, "value", "bytes")),
    "AnyValue": (
        Field(1, "string_value", "bytes"),
        Field(2, "bool_value", "bool"),
        Field(3, "int_value", "int64"),
        Field(4, "double_value", "double"),
        Field(5, "array_value", "bytes"),
        Field(6, "kvlist_value", "bytes"),
        Field(7, "bytes_value", "bytes"),
    ),
    "List": (Field(1, "values", "bytes", is_repeated=True),),
}
"""Texts and values inside values are bytes; what is left out (flags, counts of what was dropped) is skipped."""
_APART = {**_SCHEMA, "ScopeLogs": (Field(2, "log_records", "bytes", is_repeated=True),)}
"""With each record by itself, where one of them is damaged."""

_PACKAGE = "bartizan_otlp"
_read_request = reader(_PACKAGE, _SCHEMA, "Request")
_read_request_apart = reader(f"{_PACKAGE}_apart", _APART, "Request")
_read_record = reader(f"{_PACKAGE}_record", _SCHEMA, "LogRecord")
_read_pair = reader(f"{_PACKAGE}_pair", _SCHEMA, "KeyValue")
_read_value = reader(f"{_PACKAGE}_value", _SCHEMA, "AnyValue")
_read_list = reader(f"{_PACKAGE}_list", _SCHEMA, "List")

_TEXT_TAG, _VALUE_TAG, _INTEGER_TAG = 0x0A, 0x12, 0x18
"""Field 1 (a key, a text) and field 2 (a value), both with a length, and field 3 (an integer)."""
_SHORT = 0x80
"""Lengths below it take one byte."""
_SHORT_TEXT = [bytes([_TEXT_TAG, length]) for length in range(_SHORT)]
_MAP = 6
"""The number of `kvlist_value`."""

_LOG_RECORDS = attrgetter("log_records")

_Row = tuple[int, Any, bytes, list[bytes], tuple[Any, Any]]
"""place, record, body, attributes, (host, service)"""


def read_protobuf(body: bytes, received_ms: int) -> Decoded:
    """The events of an ExportLogsServiceRequest. Raises: DecodeError, BodyTooLarge."""
    rows = _Rows(Reading(received_ms))
    try:
        request, are_apart = _read_request(body), False
    except DecodeError:
        request, are_apart = _read_request_apart(body), True
    for logs in request.resource_logs:
        scopes = logs.scope_logs
        if not scopes:  # two bytes make one of these, and two more one without records
            continue
        found = [records for records in map(_LOG_RECORDS, scopes) if records]
        resource = _resource(logs.resource.attributes) if found else (None, None)
        for records in found:
            rows.add(_undamaged(records) if are_apart else records[:], resource)
    return rows.read_all()


def _undamaged(records: Iterable[bytes]) -> list[Any]:
    """Each record, or None."""
    found = []
    for data in records:
        try:
            found.append(_read_record(data))
        except DecodeError:
            found.append(None)
    return found


def _resource(attributes: Iterable[bytes]) -> tuple[Any, Any]:
    known = {key: value for key, value in map(_pair, attributes) if key in RESOURCE}
    return resource_of(known)


class _Rows:
    """Records by how many attributes they have: as a rule those with as many have the same ones."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._by_size: defaultdict[int, list[_Row]] = defaultdict(list)

    def add(self, records: Sequence[Any], resource: tuple[Any, Any]) -> None:
        """The records of one scope; where enough of a size have come together, they are read."""
        by_size = self._by_size
        for place, record in zip(self._reading.places(len(records)), records, strict=True):
            try:
                body, pairs = record.body, record.attributes[:]
                if body and body[0] >> 3 == _MAP and not speak_for(_pair(pair)[0] for pair in pairs):
                    # Its members speak like attributes, and before them.
                    pairs = [*_read_list(_read_value(body).kvlist_value).values, *pairs]
                    body = b""
            except (DecodeError, AttributeError):
                self._reading.reject(place, "the log record is damaged")
                continue
            rows = by_size[len(pairs)]
            rows.append((place, record, body, pairs, resource))
            if len(rows) >= COLUMN:
                _read_rows(by_size.pop(len(pairs)), self._reading)

    def read_all(self) -> Decoded:
        """Those that wait; then all events."""
        for rows in self._by_size.values():
            _read_rows(rows, self._reading)
        return self._reading.decoded()


def _read_rows(rows: list[_Row], reading: Reading) -> None:
    """Records that have so many attributes each."""
    heads = _heads(rows[0])
    columns = list(zip(*[row[3] for row in rows], strict=True))
    distinct = [set(column) for column in columns]
    if all(data.startswith(head) for head, found in zip(heads, distinct, strict=True) for data in found):
        _read_alike(rows, heads, columns, distinct, reading)
        return
    by_heads: dict[tuple[bytes, ...], list[_Row]] = {}
    for row in rows:
        by_heads.setdefault(_heads(row), []).append(row)
    for heads, alike in by_heads.items():
        columns = list(zip(*[row[3] for row in alike], strict=True))
        _read_alike(alike, heads, columns, [set(column) for column in columns], reading)


def _read_alike(
    rows: list[_Row],
    heads: tuple[bytes, ...],
    pairs: list[tuple[bytes, ...]],
    distinct: list[set[bytes]],
    reading: Reading,
) -> None:
    """Records whose attributes have the same names."""
    places, records, bodies, _, resources = zip(*rows, strict=True)
    names, columns = [BODY], [_texts(bodies)]
    for head, column, found in zip(heads, pairs, distinct, strict=True):
        names.append(_pair(column[0])[0])
        columns.append(_values(head, column, found))
    names += AROUND
    columns += _around(records)
    columns += zip(*resources, strict=True)
    reading.read(places, names, columns)


def _heads(row: _Row) -> tuple[bytes, ...]:
    """Of each attribute what stands before its value, where it looks like that; else all of it."""
    return tuple(
        [
            pair[: pair[1] + 3]
            if len(pair) > 2 and pair[0] == _TEXT_TAG and pair[1] < _SHORT and len(pair) > pair[1] + 2
            else pair
            for pair in row[3]
        ]
    )


def _around(records: Iterable[Any]) -> Iterator[Column]:
    """What the protocol says of these records, as AROUND names it."""
    times = [record.time_unix_nano or None for record in records]
    yield times
    yield (
        [record.observed_time_unix_nano or None for record in records]
        if None in times
        else [None] * len(times)
    )
    yield [record.trace_id.hex() or None for record in records]
    yield _texts_or_none([record.severity_text for record in records])
    yield _texts_or_none([record.event_name for record in records])


def _texts_or_none(column: list[bytes]) -> Column:
    known = {data: str(data, "utf-8", "replace") or None for data in set(column)}
    return [known[data] for data in column]


def _texts(bodies: Sequence[bytes]) -> Column:
    known = {data: as_text(_value(data, NESTING_LIMIT)) for data in set(bodies)}
    return [known[data] for data in bodies]


def _values(head: bytes, column: Sequence[bytes], distinct: set[bytes]) -> Column:
    """The values of attributes that begin alike."""
    if len(distinct) * 2 > len(column):
        return _read_values(head, column)
    known = dict(zip(distinct, _read_values(head, distinct), strict=True))
    return [known[pair] for pair in column]


def _read_values(head: bytes, pairs: Iterable[bytes]) -> list[Any]:
    """Most are short texts or integers, which take no parser."""
    if head[-1:] != bytes([_VALUE_TAG]):
        return [_pair(pair)[1] for pair in pairs]
    at, start = len(head) + 1, len(head) + 3
    return [
        str(pair[start:], "utf-8", "replace")
        if len(pair) < _SHORT and pair[at:start] == _SHORT_TEXT[len(pair) - start]
        else _integer(pair[start - 1 :])
        if at + 1 < len(pair) < at + 12 and pair[at] == _INTEGER_TAG and pair[at - 1] == len(pair) - at
        else _pair(pair)[1]
        for pair in pairs
    ]


def _integer(varint: bytes) -> int:
    """A number in groups of seven bits, the lowest first; the 64th bit is the sign."""
    number = shift = 0
    for byte in varint:
        number |= (byte & 0x7F) << shift
        shift += 7
    number &= (1 << 64) - 1
    return number if number < 1 << 63 else number - (1 << 64)


def _pair(data: bytes) -> tuple[str, Any]:
    """Key and value of a KeyValue; one that is damaged says nothing."""
    try:
        pair = _read_pair(data)
    except DecodeError:
        return str(data[2 : data[1] + 2], "utf-8", "replace") if len(data) > 1 else "", None
    return str(pair.key, "utf-8", "replace"), _value(pair.value, NESTING_LIMIT)


def _value(data: bytes, levels: int) -> Any:
    """What an AnyValue holds; None where it is empty, damaged or nested too deep."""
    if not data or levels == 0:
        return None
    try:
        value = _read_value(data)
        match data[0] >> 3:
            case 1:
                return str(value.string_value, "utf-8", "replace")
            case 2:
                return value.bool_value
            case 3:
                return value.int_value
            case 4:
                return value.double_value
            case 5:
                return [_value(each, levels - 1) for each in _read_list(value.array_value).values]
            case 6:
                return dict(_members(value.kvlist_value, levels - 1))
            case 7:
                return str(value.bytes_value, "utf-8", "replace")
    except DecodeError:
        pass
    return None


def _members(data: bytes, levels: int) -> Iterator[tuple[str, Any]]:
    for each in _read_list(data).values:
        pair = _read_pair(each)
        yield str(pair.key, "utf-8", "replace"), _value(pair.value, levels)
