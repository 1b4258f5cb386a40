"""A decompressed body as events: the good records of a batch, and why the others are not among them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec

from app.ingest.container_parts import have_parts, join_parts
from app.ingest.formats import cri, nginx_json
from app.ingest.formats.registry import AUTO, AutoParser, is_read_by_itself, parse_lines, parser_for
from app.ingest.framing import frame, lines_of, split_values
from app.ingest.lenient_json import loads
from app.ingest.mapping import map_record, unwrap
from app.ingest.values import LARGEST_INTEGER
from detectors.errors import DecodeError
from detectors.event import Event

RECORD_LIMIT_BYTES = 4 * 1024 * 1024
"""A longer record is refused by itself."""
LONG_RECORD_BYTES = 1024 * 1024
"""A longer record is taken with its texts cut: Fluent Bit ships lines of 1 MB, and an attacker makes them."""
LONG_TEXT = 65_536
"""To how many characters. No server takes a longer request line or header."""
STRICT_MISSES = 8
"""So many records of a batch may miss the fast path by themselves before it is left."""

_WRAPPING = (AUTO, cri.NAME, nginx_json.NAME)
"""The formats that read what is wrapped in a line of a container runtime."""
EVENTS = "events"
"""Where a format is named: JSON, as `POST /v1/events` takes it."""
PLAIN = "event"
"""`Batch.read_as` where every record decodes straight into its event."""

TOO_LONG = f"the record is longer than {RECORD_LIMIT_BYTES} bytes"
OWN_NAMES = msgspec.json.Decoder(Event)
"""Decodes a record that speaks our names only; `settle` it afterwards."""
_TEXT_FIELDS = tuple(
    name for name in Event.__struct_fields__
    if name not in ("status", "bytes", "duration_ms", "outcome", "category", "repeat")
)  # fmt: skip


RECORD, HEC_EVENT, ELEMENT, BODY = "record", "hec_event", "element", "body"
"""What it is that was set aside. A record can be decoded by itself, an event of Splunk's collector by its own reader; a
broken element of an envelope and the beginning of a body that was refused as a whole can only be looked at."""


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A record that was set aside."""

    index: int
    """Among the body's records that are not blank."""
    reason: str
    """What is wrong with it; shows nothing of it."""
    record: bytes
    form: str = RECORD
    """RECORD, HEC_EVENT, ELEMENT or BODY."""


@dataclass(slots=True)
class Decoded:
    """What a body held. `events` and `records` (raw bytes) have the same length and order."""

    events: list[Event] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    read_as: str = ""
    """See `Batch.read_as`."""
    notes: object = None
    """What the reader of a shipper's protocol notes for its answer."""
    is_named: bool = False
    """The same body again is a retry even where it holds a single record: the record has a time to itself."""


def decode_events(body: bytes, received_ms: int) -> Decoded:
    """The events of a `POST /v1/events` body in any framing; a blank body has none.

    Records of our own names decode straight into Event; all others go through the field map, which gives
    the same. Lines of text are kept, as events of a known format or as plain messages.
    Raises: BodyTooLarge over 1,000,000 records. Everything else is set aside singly.
    """
    framed = frame(body)
    return decode_records(
        framed.records,
        received_ms,
        are_lines=framed.are_lines,
        has_long=len(body) > LONG_RECORD_BYTES,
    )


def decode_records(
    records: Sequence[bytes],
    received_ms: int,
    *,
    are_lines: bool = False,
    has_long: bool = True,
    around: Sequence[Event | None] | None = None,
) -> Decoded:
    """The events of records that are framed already, each a JSON object or, of `are_lines`, maybe plain text.

    `has_long`: whether one of them may be longer than LONG_RECORD_BYTES. `around`: what the envelope of each record
    says of it, at the same index; it fills the gaps. Lines that a container runtime has cut are joined.
    """
    decoded = _decode_records(records, received_ms, are_lines, has_long, around)
    if decoded.read_as == PLAIN or not have_parts(decoded.events, decoded.records):
        return decoded
    joined, places = join_parts(records)
    if around is not None:
        around = [around[place] for place in places]
    return _in_places(_decode_records(joined, received_ms, are_lines, True, around), places)


def _in_places(decoded: Decoded, places: Sequence[int]) -> Decoded:
    """The same, where what was set aside stood among the records before their parts were joined."""
    decoded.rejected = [msgspec.structs.replace(one, index=places[one.index]) for one in decoded.rejected]
    return decoded


def _decode_records(
    records: Sequence[bytes],
    received_ms: int,
    are_lines: bool,
    has_long: bool,
    around: Sequence[Event | None] | None,
) -> Decoded:
    decoded = Decoded()
    events = decoded.events
    slow = _SlowPath(decoded, received_ms, are_lines)
    misses, is_strict, is_plain = 0, True, around is None
    for index, record in enumerate(records):
        known = len(events)
        if is_strict and not (has_long and len(record) > LONG_RECORD_BYTES):
            try:
                event = OWN_NAMES.decode(record)
            except (msgspec.DecodeError, ValueError, RecursionError):
                misses += 1
                is_strict = index > 0 and (misses < STRICT_MISSES or misses * 2 < index)
            else:
                if not is_settled(event):
                    event, is_plain = settle(event, received_ms), False
                events.append(event)
                decoded.records.append(record)
                if around is not None:
                    _fill(event, around[index])
                continue
        is_plain = False
        slow.decode(index, record)
        if around is not None:
            for event in events[known:]:
                _fill(event, around[index])
    decoded.read_as = PLAIN if is_plain else ""
    return decoded


def _fill(event: Event, envelope: Event | None) -> None:
    """What only the envelope says; and the machine, which the envelope knows better than the record."""
    if envelope is None:
        return
    if event.timestamp is None:
        event.timestamp = envelope.timestamp
    if envelope.host is not None:
        event.host = envelope.host


def decode_record(record: bytes, received_ms: int) -> Decoded:
    """One JSON record by itself, as `decode_events` reads it within a body; a text is none."""
    decoded = Decoded()
    _SlowPath(decoded, received_ms, are_lines=False).decode(0, record)
    return decoded


def decode_lines(body: bytes, format_name: str, received_ms: int) -> Decoded:
    """The events of a `POST /v1/raw` body: log lines as they stand in the file; blank lines are skipped.

    Under `auto` a line of no known format is kept as a plain message, otherwise it is set aside.
    Raises: DecodeError for an unknown format, BodyTooLarge over 1,000,000 lines.
    """
    records = lines_of(body.removeprefix(b"\xef\xbb\xbf"))
    has_long = len(body) > LONG_RECORD_BYTES
    decoded = _decode_lines(records, format_name, received_ms, has_long)
    if format_name not in _WRAPPING or not have_parts(decoded.events, decoded.records):
        return decoded
    joined, places = join_parts(records)
    return _in_places(_decode_lines(joined, format_name, received_ms, True), places)


def _decode_lines(records: list[bytes], format_name: str, received_ms: int, has_long: bool) -> Decoded:
    if has_long and max(map(len, records), default=0) > LONG_RECORD_BYTES:
        return _decode_long_lines(records, format_name, received_ms)
    events = parse_lines(format_name, records, received_ms)
    read_as = format_name if is_read_by_itself(format_name) else ""
    if all(events):
        return Decoded(cast("list[Event]", events), records, read_as=read_as)
    decoded = Decoded(read_as=read_as)
    for index, (record, event) in enumerate(zip(records, events, strict=True)):
        _add_line(decoded, index, record, event, format_name)
    return decoded


def decode_as(body: bytes, format_name: str, received_ms: int) -> Decoded:
    """The events of a text that came over no route: JSON in any framing under `events`, log lines otherwise.

    Under `auto` it is JSON where it begins like it. Raises: as `decode_lines`.
    """
    if format_name == EVENTS or (format_name == AUTO and body.lstrip()[:1] in (b"{", b"[")):
        return decode_events(body, received_ms)
    return decode_lines(body, format_name, received_ms)


def _decode_long_lines(records: list[bytes], format_name: str, received_ms: int) -> Decoded:
    """Where a line is so long that it is refused or its texts are cut; one line at a time."""
    parse = parser_for(format_name)
    decoded = Decoded()
    for index, record in enumerate(records):
        if len(record) > RECORD_LIMIT_BYTES:
            decoded.rejected.append(Rejected(index, TOO_LONG, record))
            continue
        _add_line(decoded, index, record, parse(str(record, "utf-8", "replace"), received_ms), format_name)
    return decoded


def _add_line(decoded: Decoded, index: int, record: bytes, event: Event | None, format_name: str) -> None:
    if event is None:
        if format_name != AUTO:
            decoded.rejected.append(Rejected(index, f"not a line of the format {format_name}", record))
            return
        event = Event(message=str(record, "utf-8", "replace"))
    if len(record) > LONG_RECORD_BYTES:
        cut_texts(event)
    decoded.events.append(event)
    decoded.records.append(record)


class _SlowPath:
    """Decodes what the fast path did not take, one record at a time."""

    def __init__(self, decoded: Decoded, received_ms: int, are_lines: bool) -> None:
        self._decoded = decoded
        self._received_ms = received_ms
        self._are_lines = are_lines
        self._parse_line = AutoParser()

    def decode(self, index: int, record: bytes) -> None:
        """Add the record's event, or the events of several objects in one line, or set it aside."""
        if len(record) > RECORD_LIMIT_BYTES:
            self._decoded.rejected.append(Rejected(index, TOO_LONG, record))
            return
        if self._are_lines and not record.lstrip().startswith(b"{"):
            self._add(self._event_of_text(record), record)
            return
        try:
            self._add(map_record(loads(record), self._received_ms), record)
        except DecodeError as error:
            values = split_values(record)
            if values is None:
                self._decoded.rejected.append(Rejected(index, str(error), record))
                return
            for value in values:
                self.decode(index, value)

    def _event_of_text(self, record: bytes) -> Event:
        text = record.decode("utf-8", "replace")
        return self._parse_line(text, self._received_ms) or Event(message=text)

    def _add(self, event: Event, record: bytes) -> None:
        if len(record) > LONG_RECORD_BYTES:
            cut_texts(event)
        self._decoded.events.append(event)
        self._decoded.records.append(record)


def is_settled(event: Event) -> bool:
    """Whether an event of our own names is already what the field map would have made of it."""
    status = event.status
    return (
        event.message is None
        and event.repeat == 1
        and (status is None or 100 <= status <= 599)
        and 0 <= (event.bytes or 0) <= LARGEST_INTEGER
    )


def settle(event: Event, received_ms: int) -> Event:
    """The same event as the field map would have made it."""
    if event.status is not None and not 100 <= event.status <= 599:
        event.status = None
    if event.bytes is not None and not 0 <= event.bytes <= LARGEST_INTEGER:
        event.bytes = None
    event.repeat = 1
    return unwrap(event, received_ms)


def cut_texts(event: Event) -> None:
    """Shorten what a long record holds, in place."""
    for name in _TEXT_FIELDS:
        value = getattr(event, name)
        if type(value) is str and len(value) > LONG_TEXT:
            setattr(event, name, value[:LONG_TEXT])
