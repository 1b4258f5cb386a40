"""OTLP logs as JSON, which OpenTelemetry's JavaScript sends by itself.

The names are those of the protocol in lowerCamelCase, or as they stand in it; integers are numbers or texts, and ids
are hexadecimal. Members that nobody here asks for are skipped.
Vector sends several requests at once as an array, which is no OTLP: they are read one after the other.
Source: opentelemetry.io, "OTLP Specification", JSON Protobuf Encoding; protobuf.dev, "ProtoJSON Format" (parsers
take both spellings); vectordotdev/vector issue 22054.
"""

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from app.ingest.decode import Decoded
from app.ingest.lenient_json import ExtremeValue, loads, tamed
from app.ingest.shippers.otlp_records import (
    AROUND,
    BODY,
    COLUMN,
    LARGEST,
    NESTING_LIMIT,
    RESOURCE,
    SMALLEST,
    Column,
    Reading,
    as_text,
    resource_of,
    speak_for,
)
from detectors.errors import DecodeError

Number = int | float | str | None


class Value(msgspec.Struct, rename="camel", gc=False):
    """An AnyValue."""

    string_value: str | None = None
    int_value: Number = None
    bool_value: bool | None = None
    double_value: Number = None
    array_value: "Values | None" = None
    kvlist_value: "Pairs | None" = None
    bytes_value: str | None = None


class Pair(msgspec.Struct, gc=False):
    """A KeyValue."""

    key: str = ""
    value: Value | None = None


class Values(msgspec.Struct):
    """An ArrayValue."""

    values: list[Value | None] = []


class Pairs(msgspec.Struct):
    """A KeyValueList."""

    values: list[Pair] = []


class Record(msgspec.Struct, rename="camel"):
    """A LogRecord."""

    time_unix_nano: Number = None
    observed_time_unix_nano: Number = None
    severity_text: str | None = None
    body: Value | None = None
    attributes: list[Pair] | None = None
    trace_id: str | None = None
    event_name: str | None = None


class Scope(msgspec.Struct, rename="camel"):
    """ScopeLogs."""

    log_records: list[Record] | None = None


class Resource(msgspec.Struct):
    """What wrote the records."""

    attributes: list[Pair] | None = None


class ResourceLogs(msgspec.Struct, rename="camel"):
    """The records of one resource."""

    resource: Resource | None = None
    scope_logs: list[Scope] | None = None


class Request(msgspec.Struct, rename="camel"):
    """An ExportLogsServiceRequest."""

    resource_logs: list[ResourceLogs] | None = None


_decode = msgspec.json.Decoder(Request).decode
_convert = msgspec.convert
_Row = tuple[int, Record, Value | None, list[Pair], tuple[Any, Any]]
"""place, record, body, attributes, (host, service)"""


def read_json(body: bytes, received_ms: int) -> Decoded:
    """The events of one request, or of an array of them. Raises: DecodeError, BodyTooLarge."""
    rows = _Rows(Reading(received_ms))
    for request in _requests(body):
        for logs in request.resource_logs or ():
            resource = _resource(logs.resource)
            for scope in logs.scope_logs or ():
                rows.add(scope.log_records or (), resource)
    return rows.read_all()


def _requests(body: bytes) -> list[Request]:
    try:
        request = _decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _requests_mended(body)
    return [request] if request.resource_logs is not None else _requests_mended(body)


_TEXTS = ("severityText", "traceId", "eventName", "stringValue", "bytesValue", "key")
_LISTS = ("resourceLogs", "scopeLogs", "logRecords", "attributes", "values")
_OBJECTS = ("resource", "body", "value", "arrayValue", "kvlistValue")
_NUMBERS = ("timeUnixNano", "observedTimeUnixNano", "intValue", "doubleValue")
_KNOWN = frozenset((*_TEXTS, *_LISTS, *_OBJECTS, *_NUMBERS, "boolValue"))
_SPELLINGS = {
    **{name: name for name in _KNOWN},
    **{"".join(f"_{c.lower()}" if c.isupper() else c for c in name): name for name in _KNOWN},
}
_PROTOCOL_LEVELS = 8 + 4 * NESTING_LIMIT
"""Objects and arrays in one another, the values inside values included."""


def _requests_mended(body: bytes) -> list[Request]:
    """What is not quite the protocol's JSON: bad UTF-8, an array of requests, other spellings, a wrong type.

    A member of a wrong type is left out, as is what is nested too deep; its neighbours are not. Raises: DecodeError.
    """
    whole = b'{"requests":' + (body or b"{}") + b"}"
    try:
        found = loads(whole).get("requests")
    except ExtremeValue:
        found = loads(tamed(whole, _PROTOCOL_LEVELS)).get("requests")
    requests = found if type(found) is list else [found]
    mended = [_mended(request, _PROTOCOL_LEVELS) for request in requests if type(request) is dict]
    if len(mended) < len(requests) or not all(map(_is_request, mended, requests)):
        raise DecodeError("the body is not an ExportLogsServiceRequest")
    return [_convert(request, Request) for request in mended]


def _is_request(mended: dict[str, Any], request: dict[str, Any]) -> bool:
    return "resourceLogs" in mended or not request


def _mended(value: dict[str, Any], levels: int) -> dict[str, Any]:
    """The members that the protocol knows, in its spelling, where their types are right."""
    if levels == 0:
        return {}
    mended: dict[str, Any] = {}
    for spelling, member in value.items():
        name = _SPELLINGS.get(spelling)
        if name in _LISTS and type(member) is list:
            mended[name] = [_mended(each, levels - 1) for each in member if type(each) is dict]
        elif name in _OBJECTS and type(member) is dict:
            mended[name] = _mended(member, levels - 1)
        elif (
            (name in _TEXTS and type(member) is str)
            or (name in _NUMBERS and type(member) in (int, float, str))
            or (name == "boolValue" and type(member) is bool)
        ):
            mended[name] = member
    return mended


def _resource(resource: Resource | None) -> tuple[Any, Any]:
    pairs = resource.attributes if resource is not None else None
    return resource_of({pair.key: _value(pair.value) for pair in pairs or () if pair.key in RESOURCE})


class _Rows:
    """Records by the names of their attributes."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._by_names: defaultdict[tuple[str, ...], list[_Row]] = defaultdict(list)

    def add(self, records: Sequence[Record], resource: tuple[Any, Any]) -> None:
        """The records of one scope; where enough of a kind have come together, they are read."""
        for place, record in zip(self._reading.places(len(records)), records, strict=True):
            body, pairs = record.body, record.attributes or []
            members = None if body is None else body.kvlist_value
            if members is not None and speak_for(pair.key for pair in pairs):
                body = Value(string_value=as_text(_value(body, NESTING_LIMIT)))
            elif members is not None:
                # They speak like attributes, and before them.
                pairs, body = [*members.values, *pairs], None
            names = tuple([pair.key for pair in pairs])
            rows = self._by_names[names]
            rows.append((place, record, body, pairs, resource))
            if len(rows) >= COLUMN:
                _read_rows(names, self._by_names.pop(names), self._reading)

    def read_all(self) -> Decoded:
        """Those that wait; then all events."""
        for names, rows in self._by_names.items():
            _read_rows(names, rows, self._reading)
        return self._reading.decoded()


def _read_rows(keys: tuple[str, ...], rows: list[_Row], reading: Reading) -> None:
    places, records, bodies, pairs, resources = zip(*rows, strict=True)
    columns: list[Column] = [_values(bodies)]
    columns += [_values_of(column) for column in zip(*pairs, strict=True)]
    columns += _around(records)
    columns += zip(*resources, strict=True)
    reading.read(places, (BODY, *keys, *AROUND), columns)


def _around(records: Iterable[Record]) -> Iterator[Column]:
    """What the protocol says of these records, as AROUND names it."""
    times = [_integer(record.time_unix_nano) or None for record in records]
    yield times
    yield [
        _integer(r.observed_time_unix_nano) or None if t is None else None
        for r, t in zip(records, times, strict=True)
    ]
    yield [record.trace_id or None for record in records]
    yield [record.severity_text or None for record in records]
    yield [record.event_name or None for record in records]


def _values_of(pairs: Sequence[Pair]) -> list[Any]:
    """As a rule all of them are texts, or all of them numbers."""
    values: list[Any] = [pair.value for pair in pairs]
    if None in values:
        return _values(values)
    texts = [value.string_value for value in values]
    if None not in texts:
        return texts
    numbers = [value.int_value for value in values]
    if set(map(type, numbers)) == {int} and texts.count(None) == len(texts):
        return numbers if min(numbers) >= SMALLEST and max(numbers) <= LARGEST else _values(values)
    return _values(values)


def _values(values: Iterable[Value | None]) -> list[Any]:
    return [_value(value) for value in values]


def _value(value: Value | None, levels: int = NESTING_LIMIT) -> Any:
    """What an AnyValue holds; None where it is empty or nested too deep."""
    if value is None or levels == 0:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _integer(value.int_value)
    if value.bool_value is not None:
        return value.bool_value
    if value.double_value is not None:
        return value.double_value
    if value.array_value is not None:
        return [_value(each, levels - 1) for each in value.array_value.values]
    if value.kvlist_value is not None:
        return {pair.key: _value(pair.value, levels - 1) for pair in value.kvlist_value.values}
    return None if value.bytes_value is None else _text_of(value.bytes_value)


def _integer(value: Number) -> Any:
    """A number, whether it came as one or as a text; what is neither stays as it is."""
    if type(value) is str and len(value) <= 20 and value.removeprefix("-").isdecimal() and value.isascii():
        value = int(value)
    if type(value) is int and not SMALLEST <= value <= LARGEST:
        return str(value) if value.bit_length() < 512 else None
    return value


def _text_of(encoded: str) -> str:
    try:
        return str(base64.b64decode(encoded), "utf-8", "replace")
    except (binascii.Error, ValueError):
        return encoded
