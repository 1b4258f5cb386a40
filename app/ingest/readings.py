"""How each record of a body was read: by which format, from which names; or why it was set aside."""

from typing import Any, NamedTuple

from app.ingest.decode import Decoded, decode_as
from app.ingest.field_names import FIELD_OF
from app.ingest.formats.registry import FORMATS
from app.ingest.lenient_json import loads
from app.ingest.provenance import LONGEST_RECORD_BYTES, Provenance, provenance_of, value_of
from detectors.errors import DecodeError
from detectors.event import Event

NO_FORMAT = "a line of no known format, kept as a plain message"
_TELLING = ("client_ip", "status", "outcome", "path")
"""Fields by which an event is recognised as that of a line inside of a record."""
_UNKNOWN = Provenance({}, ())


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
        _reading(event, record, received_ms)
        for event, record in zip(decoded.events, decoded.records, strict=True)
    ]
    return _in_order(taken, decoded)


def _in_order(taken: list[Reading], decoded: Decoded) -> list[Reading]:
    """With the records that were set aside in their places."""
    found, waiting = [], iter(taken)
    refused = dict(decoded.rejected)
    for index in range(len(taken) + len(refused)):
        if index in refused:
            found.append(Reading(None, b"", None, "set aside", _UNKNOWN, refused[index]))
        else:
            found.extend(reading for reading in [next(waiting, None)] if reading is not None)
    return [*found, *waiting]


def _reading(event: Event, record: bytes, received_ms: int) -> Reading:
    text = record.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        try:
            fields = loads(record)
        except DecodeError:
            pass
        else:
            return _reading_of_object(event, record, fields, received_ms)
    name = next((known.name for known in FORMATS if known.parse(text, received_ms) == event), None)
    if name is not None:
        return Reading(event, record, name, f"a line of the format {name}", _UNKNOWN)
    is_plain = event == Event(message=text)
    return Reading(event, record, None, NO_FORMAT if is_plain else "a log line", _UNKNOWN)


def _reading_of_object(event: Event, record: bytes, fields: dict[str, Any], received_ms: int) -> Reading:
    if len(record) > LONGEST_RECORD_BYTES:
        return Reading(event, record, None, "a JSON object, too long to tell its names apart", _UNKNOWN)
    provenance = provenance_of(fields, received_ms)
    given = {name: names for name in _TELLING for names in provenance.names.get(name, ())[-1:]}
    holder = next((name for name in given.values() if _holds_text(name)), None)
    text = None if holder is None else value_of(fields, holder)
    if not isinstance(text, str):
        is_own = all(names == (field,) for field, names in provenance.names.items())
        how = "a JSON object in our own names" if is_own else "a JSON object, through the field map"
        return Reading(event, record, None, how, provenance)
    if text.lstrip().startswith("{"):
        return Reading(event, record, None, f"a JSON object, and the one inside of its {holder}", provenance)
    parsed = ((known.name, known.parse(text.rstrip("\r\n"), received_ms)) for known in FORMATS)
    name = next((n for n, e in parsed if e is not None and e.client_ip == event.client_ip), None)
    what = "a log line" if name is None else f"a line of the format {name}"
    return Reading(event, record, name, f"a JSON object with {what} in its {holder}", provenance)


def _holds_text(name: str) -> bool:
    """Whether a name is one under which the wrapped line of another program stands."""
    known = FIELD_OF.get(name) or FIELD_OF.get(name.lower())
    return known is not None and known[0] == "message"
