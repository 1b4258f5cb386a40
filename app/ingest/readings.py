"""How each record of a body was read: by which format, from which names; or why it was set aside."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from app.ingest.decode import EVENTS, Decoded, decode_as
from app.ingest.formats import syslog_lines
from app.ingest.formats.catalogue import LINES, record_format_of
from app.ingest.formats.format import Parser
from app.ingest.formats.registry import AUTO, FORMATS
from app.ingest.lenient_json import loads
from app.ingest.mapping import map_record
from app.ingest.provenance import LONGEST_RECORD_BYTES, Provenance, provenance_of, value_of
from detectors.errors import DecodeError
from detectors.event import Event

NO_FORMAT = "a line of no known format, kept as a plain message"
_TELLING = ("client_ip", "status", "outcome", "path")
"""Fields by which an event is recognised as that of a line inside of a record."""
_UNKNOWN = Provenance({}, ())
_SOME_TEXT = "some text"


class Reading(NamedTuple):
    """One record. `event` is None where it was set aside, and then `why` says why."""

    event: Event | None
    record: bytes
    format_name: str | None
    """The line format that took it or what it wraps; None for JSON and for plain messages."""
    how: str
    """The same for people. Names nothing of the record but a name by which its text is wrapped."""
    provenance: Provenance
    why: str = ""


def readings_of(body: bytes, format_name: str, received_ms: int) -> list[Reading]:
    """Every record of a body in its order, read as ingest reads it. See `decode_as`.

    Raises: DecodeError for an unknown format, BodyTooLarge.
    """
    decoded = decode_as(body, format_name, received_ms)
    taken = [
        _reading(event, record, format_name, received_ms)
        for event, record in zip(decoded.events, decoded.records, strict=True)
    ]
    return _in_order(taken, decoded)


def _in_order(taken: list[Reading], decoded: Decoded) -> list[Reading]:
    """With the records that were set aside in their places."""
    found, waiting = [], iter(taken)
    refused = {one.index: one.reason for one in decoded.rejected}
    # A line whose parts were joined is one reading for several places.
    for index in range(max(len(taken) + len(refused), *(place + 1 for place in refused), 0)):
        if index in refused:
            found.append(Reading(None, b"", None, "set aside", _UNKNOWN, refused[index]))
        else:
            found.extend(reading for reading in [next(waiting, None)] if reading is not None)
    return [*found, *waiting]


def _reading(event: Event, record: bytes, format_name: str, received_ms: int) -> Reading:
    text = record.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        try:
            fields = loads(record)
        except DecodeError:
            pass
        else:
            if format_name in (AUTO, EVENTS):
                return _reading_of_object(event, record, fields, received_ms)
            is_mapped = len(record) <= LONGEST_RECORD_BYTES and map_record(fields, received_ms) == event
            provenance = provenance_of(fields, received_ms) if is_mapped else _UNKNOWN
            how = f"a JSON object of the format {format_name}"
            return Reading(event, record, format_name, how, provenance)
    name = format_name if format_name not in (AUTO, EVENTS) else _format_of(text, event, received_ms)
    if name is None:
        how = NO_FORMAT if event == Event(message=text) else "a log line"
    else:
        how = f"a line of the format {name}{'' if _tells(event) else ', kept as a plain message'}"
    return Reading(event, record, name, how, _UNKNOWN)


def _format_of(text: str, event: Event, received_ms: int) -> str | None:
    """The format by which `auto` made this event of a line."""
    for known in FORMATS:
        if (
            known.find is not None
            and known.name != syslog_lines.NAME
            and known.find(text, received_ms) == event
        ):
            return known.name
    if syslog_lines.parse(text, received_ms) != event:
        return None
    if _tells(event):
        for known in LINES:
            if known.parse_message is not None and known.parse(text, received_ms) == event:
                return known.name
    return syslog_lines.NAME


def _reading_of_object(event: Event, record: bytes, fields: dict[str, Any], received_ms: int) -> Reading:
    if len(record) > LONGEST_RECORD_BYTES:
        return Reading(event, record, None, "a JSON object, too long to tell its names apart", _UNKNOWN)
    provenance = provenance_of(fields, received_ms)
    application = record_format_of(fields)
    if application is not None:
        how = f"a JSON object of the format {application.name}"
        return Reading(event, record, application.name, how, provenance)
    last_names = (names[-1] for field in _TELLING if (names := provenance.names.get(field)))
    holder = next(filter(_holds_text, last_names), None)
    text = None if holder is None else value_of(fields, holder)
    if not isinstance(text, str):
        is_own = all(names == (field,) for field, names in provenance.names.items())
        how = "a JSON object in our own names" if is_own else "a JSON object, through the field map"
        return Reading(event, record, None, how, provenance)
    if text.lstrip().startswith("{"):
        return Reading(event, record, None, f"a JSON object, and the one inside of its {holder}", provenance)
    name = _format_within(text.rstrip("\r\n"), event, received_ms)
    what = "a log line" if name is None else f"a line of the format {name}"
    return Reading(event, record, name, f"a JSON object with {what} in its {holder}", provenance)


def _format_within(text: str, event: Event, received_ms: int) -> str | None:
    """The format by which a record's text was read, with or without a syslog header of its own."""
    for known in LINES:
        for parse in _parsers(known.find, known.parse_message, known.parse if known.programs else None):
            found = parse(text, received_ms)
            if found is not None and all(getattr(found, n) == getattr(event, n) for n in _TELLING):
                return known.name
    return None


def _parsers(*parsers: Parser | None) -> Iterator[Parser]:
    return (parse for parse in parsers if parse is not None)


def _tells(event: Event) -> bool:
    """Whether an event says more than its message."""
    return any(getattr(event, name) is not None for name in _TELLING)


def _holds_text(name: str) -> bool:
    """Whether a name is one under which the wrapped line of another program stands."""
    return map_record({name: _SOME_TEXT}, 0).message == _SOME_TEXT
