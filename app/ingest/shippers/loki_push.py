"""A Loki push request taken apart: its streams, their labels, and their entries.

Source: grafana/loki pkg/push/push.proto, docs/sources/reference/loki-http-api.md, and for the labels' text
prometheus model/labels (names, and values in Go's quotes) with what clients write in its place.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from app.ingest.framing import array_elements
from app.ingest.lenient_json import dumps, loads
from app.ingest.shippers.protobuf import Field, reader
from detectors.errors import DecodeError

AT_ONCE_BYTES = 8 * 1024 * 1024
"""A larger JSON body is cut into its elements first: decoded as a whole, `[],[],...` would take 24 times its size."""
GROUP = 1000
"""Elements of such a body that are decoded together."""

NO_STREAMS = (
    "the object has no `streams`, so this is no push request; JSON of another form goes to /v1/events"
)

_NS = 1_000_000_000
_RAW_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_read_push = reader(
    "loki",
    {
        "PushRequest": (Field(1, "streams", "Stream", is_repeated=True),),
        "Stream": (Field(1, "labels", "bytes"), Field(2, "entries", "Entry", is_repeated=True)),
        "Entry": (
            Field(1, "timestamp", "Timestamp"),
            Field(2, "line", "bytes"),
            Field(3, "metadata", "Pair", is_repeated=True),
        ),
        "Timestamp": (Field(1, "seconds", "int64"), Field(2, "nanos", "int32")),
        "Pair": (Field(1, "name", "bytes"), Field(2, "value", "bytes")),
    },
    "PushRequest",
)

# Linear on hostile input: possessive, and no two alternatives begin alike.
_LABEL = re.compile(
    r'[\s,]*+([^\s=,"{}]{1,1024}+)\s*+=\s*+(?:"((?:[^"\\]++|\\.)*+)"|`([^`]*+)`)',
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-7]{3})|(.))", re.DOTALL)
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Entry(NamedTuple):
    """One line of a stream."""

    timestamp: str | int | float | None
    """Nanoseconds; RFC 3339 from a client of before 2020; None where it is neither."""
    line: bytes | None
    """None where it is no entry."""
    metadata: dict[str, Any] | None
    broken: bytes = b""
    """What stands in the place of an entry."""


_BLANK = Entry(None, b"", None)


class Stream(NamedTuple):
    """Entries with the same labels."""

    labels: dict[str, Any]
    entries: Iterator[Entry]


EMPTY = Stream({}, iter(()))
"""For all that have no entries: two bytes make one."""


def protobuf_streams(body: bytes) -> Iterator[Stream]:
    """The streams of a PushRequest. Raises: DecodeError, BodyTooLarge."""
    for stream in _read_push(body).streams:
        entries = stream.entries
        if not entries:
            yield EMPTY
            continue
        yield Stream(parse_labels(stream.labels.decode("utf-8", "replace")), _protobuf_entries(entries))


def _protobuf_entries(entries: Any) -> Iterator[Entry]:
    for entry in entries:
        if not entry.line and not entry.metadata:
            yield _BLANK
            continue
        at = entry.timestamp
        metadata = {
            pair.name.decode("utf-8", "replace"): pair.value.decode("utf-8", "replace")
            for pair in entry.metadata
        }
        yield Entry(at.seconds * _NS + at.nanos or None, entry.line, metadata)


def json_streams(body: bytes) -> Iterator[Stream]:
    """The streams of a push request as JSON, of either version of the API. Raises: DecodeError, BodyTooLarge."""
    if len(body) > AT_ONCE_BYTES:
        yield from _cut_streams(body)
        return
    request = loads(body)
    streams = request.get("streams")
    if request and "streams" not in request:
        raise DecodeError(NO_STREAMS)
    if streams is not None and type(streams) is not list:
        raise DecodeError("`streams` is not a list")
    for stream in streams or ():
        yield _json_stream(stream)


def _json_stream(stream: Any) -> Stream:
    if type(stream) is not dict:
        return Stream({}, iter((_no_entry(stream),)))
    labels = stream.get("stream", stream.get("labels"))
    if type(labels) is str:
        labels = parse_labels(labels)
    values = stream.get("values", stream.get("entries"))
    return Stream(labels if type(labels) is dict else {}, _json_entries(values))


def _json_entries(values: Any) -> Iterator[Entry]:
    if type(values) is not list:
        values = () if values is None else (values,)
    for value in values:
        at, line, metadata = None, None, None
        if type(value) is list and len(value) >= 2:
            at, line = value[0], value[1]
            metadata = value[2] if len(value) > 2 and type(value[2]) is dict else None
        elif type(value) is dict:
            at, line = value.get("ts"), value.get("line")
        text = _line(line)
        yield _no_entry(value) if text is None else Entry(_time(at), text, metadata)


def _no_entry(value: Any) -> Entry:
    """What is no entry, as its JSON."""
    return Entry(None, None, None, dumps({"": value})[4:-1])


def _time(at: Any) -> str | int | float | None:
    if type(at) is str:
        return int(at) if len(at) < 20 and at.isascii() and at.isdecimal() else at
    return at if type(at) is int or type(at) is float else None


def _line(line: Any) -> bytes | None:
    if type(line) is str:
        return line.encode("utf-8", "replace")
    return dumps(line) if type(line) is dict else None


def _cut_streams(body: bytes) -> Iterator[Stream]:
    """The streams of a large body, decoded one by one, and the entries of a large stream in groups."""
    fields = _raw_fields(body)
    if fields and "streams" not in fields:
        raise DecodeError(NO_STREAMS)
    streams = _elements(fields.get("streams"))
    if streams is None:
        raise DecodeError("`streams` is not a list")
    for stream in streams:
        if len(stream) <= AT_ONCE_BYTES:
            yield _json_stream(loads(stream) if stream.startswith(b"{") else _value(stream))
            continue
        fields = _raw_fields(stream)
        name = "values" if "values" in fields else "entries"
        raw = fields.pop(name, None)
        values = _elements(raw)
        found = _json_stream(loads(msgspec.json.encode(fields)))
        yield found._replace(
            entries=iter((Entry(None, None, None, bytes(raw or b"")),))
            if values is None
            else _cut_entries(values)
        )


def _value(raw: bytes) -> Any:
    """What is no stream; its text where it is no JSON."""
    try:
        return loads(b'{"":' + raw + b"}")[""]
    except DecodeError:
        return raw.decode("utf-8", "replace")


def _cut_entries(values: list[bytes]) -> Iterator[Entry]:
    for start in range(0, len(values), GROUP):
        group = b",".join(values[start : start + GROUP])
        yield from _json_entries(loads(b'{"values":[' + group + b"]}")["values"])


def _elements(raw: msgspec.Raw | None) -> list[bytes] | None:
    """Those of a list, none of nothing; None of anything else."""
    value = b"null" if raw is None else bytes(raw)
    return [] if value == b"null" else array_elements(value) if value.startswith(b"[") else None


def _raw_fields(record: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _RAW_FIELDS.decode(record)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DecodeError("broken JSON, or no object") from error


def parse_labels(text: str) -> dict[str, str]:
    """The labels of `{job="nginx", host="web-1"}`, as far as they can be read."""
    labels: dict[str, str] = {}
    position = text.find("{") + 1
    while found := _LABEL.match(text, position):
        quoted, verbatim = found[2], found[3]
        labels[found[1]] = verbatim if quoted is None else _unquote(quoted)
        position = found.end()
    return labels


def _unquote(quoted: str) -> str:
    return _ESCAPE.sub(_unescaped, quoted) if "\\" in quoted else quoted


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    if code or found[4]:
        number = int(code, 16) if code else int(found[4], 8)
        return chr(number) if number < 0xD800 or 0xDFFF < number <= 0x10FFFF else "\ufffd"
    return _CONTROLS.get(found[5], found[5])
