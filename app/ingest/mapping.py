"""A decoded record as an Event, including what its message holds.

Shippers that read files wrap the line they read: `{"log": "203.0.113.9 - - [...] ..."}`. What the line says
is the event; what stands around it fills the gaps.
"""

from typing import Any

from app.ingest.container_log import is_partial_record, split_container_line
from app.ingest.fields import read_fields
from app.ingest.formats.catalogue import UNMARKED, find_marked, message_parser, record_format_of
from app.ingest.formats.format import SHORTEST_LINE
from app.ingest.formats.programs import program_name
from app.ingest.formats.syslog_lines import parse as parse_syslog_line
from app.ingest.lenient_json import loads
from detectors.errors import DecodeError
from detectors.event import Event

LEVELS = 2
"""A JSON text in a JSON text happens (application, container runtime); more is nobody's log."""
_TRANSPORT_FIELDS = ("host",)
"""Where the outer record knows better: it names the machine that the log came from."""
_FINDERS = (*UNMARKED, find_marked, parse_syslog_line)
_EVENT_FIELDS = tuple(name for name in Event.__struct_fields__ if name not in ("repeat", "message"))


def map_record(record: dict[str, Any], received_ms: int, levels: int = LEVELS) -> Event:
    """The Event of a decoded JSON object in any known convention."""
    event, program = read_fields(record)
    application = record_format_of(record)
    if application is not None and application.read_record is not None:
        # Its message is a sentence of its own, in which an attacker's words may stand: never a line of another.
        application.read_record(record, event)
        return event
    if event.message is None or event.message is record.get("body"):
        # Applications log the bodies of requests as `body`: text for people, never a record of ours.
        return event
    if levels == LEVELS and is_partial_record(record):
        # The rest of its line is elsewhere: what stands at its end may be what a client chose to stand there.
        return event
    return unwrap(event, received_ms, program, levels)


def unwrap(event: Event, received_ms: int, program: str | None = None, levels: int = LEVELS) -> Event:
    """The same event, with what its message holds: JSON, or a line of a known format."""
    message = event.message
    if not message:
        return event
    if event.client_ip is not None or event.status is not None or event.outcome is not None:
        # The record speaks for itself. Its message may quote an attacker, who must not speak for it.
        return event
    line = split_container_line(message) if message[0] == "2" and levels == LEVELS else None
    if line is not None:
        # The runtime knows best when that was written.
        event.timestamp, event.message = line.timestamp, line.text
        message = line.text
        if not message or line.is_partial:
            return event
    if message[0] in "{ \t" and levels > 0 and message.lstrip()[:1] == "{":
        try:
            inner = loads(message.encode("utf-8", "replace"))
        except DecodeError:
            return event
        return _merge(event, map_record(inner, received_ms, levels - 1))
    found = _known_line(message, received_ms, program)
    return event if found is None else _merge(event, found)


def _known_line(text: str, received_ms: int, program: str | None) -> Event | None:
    """A message as a line of a known format; what a named program says is only ever read as its own format."""
    text = text.rstrip("\r\n")
    if program is not None:
        parse = message_parser(program_name(program))
        # rsyslog's `msg` has the blank that parts it from the program's name. Source: its documentation of properties.
        return parse(text.removeprefix(" "), received_ms) if parse is not None else None
    if len(text) < SHORTEST_LINE and text[:1] != "#":
        return None
    for find in _FINDERS:
        event = find(text, received_ms)
        if event is not None:
            return event
    return None


def _merge(outer: Event, inner: Event) -> Event:
    """The inner event, its gaps filled by the outer one."""
    for name in _EVENT_FIELDS:
        value = getattr(outer, name)
        if value is not None and (getattr(inner, name) is None or name in _TRANSPORT_FIELDS):
            setattr(inner, name, value)
    return inner
