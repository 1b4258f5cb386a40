"""A record that stands inside of a shipper's envelope: the line of a Loki stream, the event of a Splunk one.

What the record says is the event; what stands around it fills the gaps, and names the host. Where the envelope
itself names the client, a status or an outcome, it speaks for the record: Fluent Bit takes what it makes a label
of out of the record. A message inside is then text for people, whoever wrote it, as it is in `/v1/events`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from app.ingest.container_parts import PART_BYTES, goes_on, is_full
from app.ingest.decode import (
    LONG_RECORD_BYTES,
    OWN_NAMES,
    RECORD_LIMIT_BYTES,
    STRICT_MISSES,
    TOO_LONG,
    cut_texts,
    is_settled,
    settle,
)
from app.ingest.fields import read_fields
from app.ingest.lenient_json import loads
from app.ingest.mapping import map_record, unwrap
from detectors.errors import DecodeError
from detectors.event import Event

SPEAKING = ("client_ip", "status", "outcome")
"""What makes a record speak for itself. See `app.ingest.mapping.unwrap`."""
LABEL_FIELDS = frozenset(
    {"client_ip", "method", "status", "user", "user_agent", "host", "outcome", "api_key_id", "request_id"}
)
"""What a label may say of an event. `path` and `message` are a log file's there, `size` and `time` nobody's."""
_LABEL_WORDS = frozenset({"host", "hostname", "method", "status", "user", "outcome"})
"""Labels of one word that mean here what they mean in a record; `agent`, `account` or `ip` describe the sender."""
_UNIT_LABELS = ("unit", "systemd_unit")
"""The unit that a line of the journal is of. Source: the examples in Promtail's and Alloy's documentation."""
_PROGRAM = "SYSLOG_IDENTIFIER"

_EVENT_FIELDS = tuple(
    name for name in Event.__struct_fields__ if name not in ("repeat", "message", "timestamp")
)


class Surroundings(NamedTuple):
    """What an envelope says of the records inside."""

    facts: tuple[tuple[str, Any], ...] = ()
    """(a field of Event, its value)"""
    spoken: tuple[tuple[str, Any], ...] = ()
    """Those of them that make it speak for its records."""
    program: str | None = None
    """The program whose lines they are, where it is named."""

    def behind(self, nearer: "Surroundings") -> "Surroundings":
        """Both, where what stands nearer to the record goes first."""
        if not nearer.facts and nearer.program is None:
            return self
        known = {name for name, _ in nearer.facts}
        facts = [*nearer.facts, *(fact for fact in self.facts if fact[0] not in known)]
        return _surroundings(facts, nearer.program or self.program)


NOTHING = Surroundings()


def surroundings_of(fields: Mapping[str, Any]) -> Surroundings:
    """What fields that were taken out of a record, or belong to it alone, say of it."""
    event, program = read_fields(dict(fields))
    facts = [(name, getattr(event, name)) for name in _EVENT_FIELDS]
    return _surroundings([(name, value) for name, value in facts if value is not None], program)


def surroundings_of_labels(labels: Mapping[str, Any]) -> Surroundings:
    """What the labels of a whole stream say of its records: less, since operators name streams as they like."""
    found = surroundings_of(telling(labels))
    facts = [fact for fact in found.facts if fact[0] in LABEL_FIELDS]
    return _surroundings(facts, found.program or _program_of_unit(labels))


def telling(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields whose names mean the same around a record as inside of one."""
    return {name: value for name, value in fields.items() if name in _LABEL_WORDS or _is_compound(name)}


def _is_compound(name: str) -> bool:
    return name != "app_name" and not (name.isalpha() and name.islower())


def _program_of_unit(labels: Mapping[str, Any]) -> str | None:
    unit = next((labels[name] for name in _UNIT_LABELS if type(labels.get(name)) is str), "")
    program: str = unit.removesuffix(".service").partition("@")[0]
    return "sshd" if program == "ssh" else program or None


def _surroundings(facts: list[tuple[str, Any]], program: str | None) -> Surroundings:
    spoken = tuple(fact for fact in facts if fact[0] in SPEAKING)
    return Surroundings(tuple(facts), spoken, program)


class EnclosedReader:
    """Reads the records of one body, one by one."""

    def __init__(self, received_ms: int) -> None:
        self._received_ms = received_ms
        self._read = 0
        self._misses = 0
        self.has_parts = False
        """Whether a record may be a part of a line that a container runtime has cut."""

    def read(self, record: bytes, around: Surroundings, timestamp: str | float | None) -> Event:
        """The event of a record that is not blank. Its own time goes before the envelope's.

        Raises: DecodeError over 4 MB.
        """
        size = len(record)
        if size > RECORD_LIMIT_BYTES:
            raise DecodeError(TOO_LONG)
        event = self._event(record, around)
        is_odd = event.client_ip is None or size >= PART_BYTES
        if is_odd and (goes_on(record) or is_full(record)):
            self.has_parts = True
        if event.timestamp is None:
            event.timestamp = timestamp
        for name, value in around.facts:
            if name == "host" or getattr(event, name) is None:
                setattr(event, name, value)
        if size > LONG_RECORD_BYTES:
            cut_texts(event)
        return event

    def _event(self, record: bytes, around: Surroundings) -> Event:
        if record[0] == 0x7B or record.lstrip()[:1] == b"{":
            event = self._own(record, around) or self._mapped(record, around)
            if event is not None:
                return event
        event = Event(message=record.decode("utf-8", "replace"))
        return event if around.spoken else unwrap(event, self._received_ms, around.program)

    def _own(self, record: bytes, around: Surroundings) -> Event | None:
        """The event of a record in our own names, tried for as long as such records come."""
        if self._misses >= STRICT_MISSES and self._misses * 2 > self._read:
            return None
        self._read += 1
        try:
            event = OWN_NAMES.decode(record)
        except (msgspec.DecodeError, ValueError, RecursionError):
            self._misses += 1
            return None
        if is_settled(event):
            return event
        if around.spoken or around.program is not None:
            return None
        return settle(event, self._received_ms)

    def _mapped(self, record: bytes, around: Surroundings) -> Event | None:
        """The event of a JSON object in any convention; None for what only begins like one."""
        try:
            fields = loads(record)
        except DecodeError:
            return None
        if around.spoken or around.program is not None:
            said, program = read_fields(fields)
            fields |= {name: value for name, value in around.spoken if getattr(said, name) is None}
            if program is None:
                fields[_PROGRAM] = around.program
        return map_record(fields, self._received_ms)
