"""The bodies of Splunk's HTTP Event Collector as events.

Source: Splunk, "Format events for HTTP Event Collector". What senders make of it: splunk-logging and splunk_handler
glue objects together, Docker's driver puts the line into `event.line`, Fluent Bit under `splunk_send_raw` sends
records without an envelope, and users send arrays (open-telemetry/opentelemetry-collector-contrib #43941).
"""

from collections.abc import Iterator

import msgspec

from app.ingest.container_parts import join_parts
from app.ingest.decode import HEC_EVENT, RECORD, Decoded, Rejected
from app.ingest.enclosed import NOTHING, EnclosedReader, Surroundings, surroundings_of, telling
from app.ingest.framing import RECORDS_LIMIT, frame, lines_of
from app.ingest.lenient_json import dumps, loads
from detectors.errors import DecodeError

BLANK = "the event is blank"
_BLANK_EVENTS = (b'""', b"null", b"{}")
ENVELOPES_KNOWN = 4096
"""Hosts and fields of one body whose meaning is remembered."""
_GLUE = b'}{"'
_DOCKER = b'{"line":'


class _Envelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event with its metadata; nothing else, so that a record with a field `event` is not taken for one."""

    event: msgspec.Raw
    time: str | int | float | None = None
    host: str | None = None
    source: msgspec.Raw = msgspec.Raw()
    sourcetype: msgspec.Raw = msgspec.Raw()
    index: msgspec.Raw = msgspec.Raw()
    fields: msgspec.Raw = msgspec.Raw()
    channel: msgspec.Raw = msgspec.Raw()


class _DockerEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What Docker's driver sends in its formats `inline` and `json`. Source: moby daemon/logger/splunk/splunk.go."""

    line: msgspec.Raw
    source: msgspec.Raw
    tag: msgspec.Raw = msgspec.Raw()
    attrs: msgspec.Raw = msgspec.Raw()


Time = str | int | float | None

_ENVELOPE_FIELDS = frozenset(_Envelope.__struct_fields__)
_envelope = msgspec.json.Decoder(_Envelope).decode
_docker_event = msgspec.json.Decoder(_DockerEvent).decode
_text = msgspec.json.Decoder(str).decode
_whole = msgspec.json.Decoder(msgspec.Raw).decode
_FAILURES = (msgspec.DecodeError, ValueError, RecursionError)


def read_lines(body: bytes, host: str | None, time: str | None, received_ms: int) -> Decoded:
    """The events of lines that are sent to `/raw`, with the metadata of the query. Raises: BodyTooLarge."""
    lines = lines_of(body.removeprefix(b"\xef\xbb\xbf"))
    reading = _Reading(received_ms)
    for place, line in enumerate(lines):
        reading.take_line(place, line, host, time)
    if reading.has_parts:
        reading = _Reading(received_ms)
        joined, places = join_parts(lines)
        for place, line in zip(places, joined, strict=True):
            reading.take_line(place, line, host, time)
    return reading.decoded


def read_envelopes(body: bytes, received_ms: int) -> Decoded:
    """The events of a body that is sent to `/event`. Raises: BodyTooLarge."""
    records = _unglued(body)
    reading = _Reading(received_ms)
    if records is None or not all(reading.take(place, record) for place, record in enumerate(records)):
        records = frame(body).records
        reading = _Reading(received_ms)
        for place, record in enumerate(records):
            reading.take(place, record)
    if reading.has_parts:
        reading = _Reading(received_ms)
        for place, record in _envelopes_without_parts(records):
            reading.take(place, record)
    return reading.decoded


def _envelopes_without_parts(records: list[bytes]) -> Iterator[tuple[int, bytes]]:
    """The records, each with its place; lines in their events that a container runtime has cut are joined."""
    inner, origins = [], []
    for record in records:
        event, origin = _inside(record)
        inner.append(event)
        origins.append(origin)
    for event, place in zip(*join_parts(inner, origins), strict=True):
        if event == inner[place]:
            yield place, records[place]
            continue
        envelope = loads(records[place])
        is_object = type(envelope.get("event")) is dict
        envelope["event"] = loads(event) if is_object else event.decode("utf-8", "replace")
        yield place, dumps(envelope)


def _inside(record: bytes) -> tuple[bytes, object]:
    """The event of an envelope as text, and what the envelope says of its origin."""
    try:
        envelope = _envelope(record)
    except _FAILURES:
        return b"", None
    event = bytes(envelope.event)
    origin = (envelope.host, bytes(envelope.source), bytes(envelope.fields))
    return _as_text(event) if event.startswith(b'"') else event, origin


def _unglued(body: bytes) -> list[bytes] | None:
    """The objects of `{..}{..}`, cut at every `}{"`; None where they are not glued so.

    A cut inside of a text leaves a piece that is no JSON, since the quote would have ended the text. Only then is the
    body looked at bracket by bracket, which takes five times as long.
    """
    body = body.strip()
    if not body.startswith(b"{") or body.count(b"\n") or body.count(_GLUE) >= RECORDS_LIMIT:
        return None
    pieces = body.split(_GLUE)
    if len(pieces) == 1:
        return None
    return [pieces[0] + b"}", *(b'{"' + piece + b"}" for piece in pieces[1:-1]), b'{"' + pieces[-1]]


class _Reading:
    """What one body has brought so far."""

    def __init__(self, received_ms: int) -> None:
        self.decoded = Decoded()
        self._reader = EnclosedReader(received_ms)
        self._known: dict[tuple[str | None, bytes], Surroundings] = {(None, b""): NOTHING}
        self._index = 0
        """Of the record that is being read."""

    @property
    def has_parts(self) -> bool:
        """Whether a line among them may be a part of one."""
        return self._reader.has_parts

    def take(self, place: int, record: bytes) -> bool:
        """Add the event of one record, or set it aside; False for what is no JSON by structure."""
        self.decoded.notes = True
        self._index = place
        try:
            envelope = _envelope(record)
        except _FAILURES:
            return self._take_odd(record)
        self._take_event(record, bytes(envelope.event), envelope.host, envelope.time, bytes(envelope.fields))
        return True

    def take_line(self, place: int, line: bytes, host: str | None, time: Time) -> None:
        """Add the event of a line."""
        self.decoded.notes = True
        self._index = place
        self._add(line, self._known.get((host, b"")) or self._around(host, b""), time, b"")

    def _take_event(self, envelope: bytes, event: bytes, host: str | None, time: Time, fields: bytes) -> None:
        """`event` is JSON of any type."""
        if event in _BLANK_EVENTS:
            self._reject(BLANK, envelope, HEC_EVENT)
            return
        if event.startswith(_DOCKER):
            event = _docker_line(event)
        if event.startswith(b'"'):
            event = _as_text(event).strip()
            if not event:
                return
        around = self._known.get((host, fields)) or self._around(host, fields)
        self._add(event, around, time, fields)

    def _take_odd(self, record: bytes) -> bool:
        """A record without an envelope, or one that only a lenient decoder can read."""
        try:
            found = loads(record)
        except DecodeError as error:
            self._reject(str(error), record, HEC_EVENT)
            return _is_whole(record)
        event = found.get("event")
        if "event" not in found or (type(event) is not dict and not found.keys() <= _ENVELOPE_FIELDS):
            self._add(record, NOTHING, None, b"")
            return True
        host, time, fields = found.get("host"), found.get("time"), found.get("fields")
        self._take_event(
            record,
            dumps({"": event})[4:-1],
            host if type(host) is str else None,
            time if type(time) in (str, int, float) else None,
            dumps(fields) if type(fields) is dict else b"",
        )
        return True

    def _add(self, record: bytes, around: Surroundings, time: Time, fields: bytes) -> None:
        try:
            event = self._reader.read(record, around, time)
        except DecodeError as error:
            self._reject(str(error), record)
            return
        self.decoded.events.append(event)
        self.decoded.records.append(record + b" " + fields if fields else record)

    def _reject(self, reason: str, record: bytes, form: str = RECORD) -> None:
        self.decoded.rejected.append(Rejected(self._index, reason, record, form))

    def _around(self, host: str | None, fields: bytes) -> Surroundings:
        """What an envelope says. Its own host goes before a field of that name."""
        try:
            found = loads(fields) if fields else {}
        except DecodeError:
            found = {}
        around = surroundings_of(telling(found) | ({"host": host} if host else {}))
        if len(self._known) < ENVELOPES_KNOWN:
            self._known[host, fields] = around
        return around


def _docker_line(event: bytes) -> bytes:
    try:
        return bytes(_docker_event(event).line)
    except _FAILURES:
        return event


def _as_text(event: bytes) -> bytes:
    """The text of a JSON string; of one that has no end, as it stands."""
    try:
        return _text(event).encode()
    except _FAILURES:
        pass
    try:
        text = loads(b'{"":' + event + b"}")[""]
    except DecodeError:
        return event
    return text.encode("utf-8", "replace") if type(text) is str else event


def _is_whole(record: bytes) -> bool:
    try:
        _whole(record)
    except RecursionError:
        return True
    except _FAILURES:
        return False
    return True
