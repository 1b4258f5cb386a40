"""A format that is a table of keys: what an application writes as JSON objects, or as logfmt.

`FORMAT = record_format("authelia", title=..., source=..., keys={"remote_ip": ()}, text="msg", patterns=(...))`
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.ingest.fields import read_fields
from app.ingest.formats.format import Format, Parser
from app.ingest.formats.logfmt import parse_logfmt
from app.ingest.formats.patterns import Pattern, read_text
from app.ingest.formats.programs import parse_program_line
from app.ingest.lenient_json import loads
from app.ingest.values import read_value
from detectors.errors import DecodeError
from detectors.event import Event


def record_format(
    name: str,
    *,
    title: str,
    source: str,
    keys: Mapping[str, Iterable[str]],
    text: str,
    patterns: tuple[Pattern, ...],
    fields: Mapping[str, str] | None = None,
    marks: tuple[str, ...] = (),
    programs: tuple[str, ...] = (),
) -> Format:
    """The format of an application that writes records.

    keys: those by which its records are known, the rarest first, each with the values of which one must stand there
    (none: any). text: the key of the sentence that the patterns read. fields: field of an event -> key, where the
    field map (`field_names.py`) does not find it by itself. marks: where it writes logfmt too, literals of such a
    line.
    """
    table = _Records(
        {key: frozenset(values) for key, values in keys.items()}, text, patterns, dict(fields or {}), programs
    )
    return Format(
        name,
        title,
        source,
        table.parse,
        find=table.find if marks else None,
        marks=marks,
        programs=programs,
        parse_message=table.find if programs else None,
        keys=table.keys,
        read_record=table.complete,
    )


def has_keys(record: Mapping[str, Any], keys: Mapping[str, frozenset[str]]) -> bool:
    """Whether a record has all of these keys, with a value that is allowed there."""
    for key, values in keys.items():
        value = record.get(key)
        if value is None or (values and (type(value) is not str or value not in values)):
            return False
    return True


@dataclass(frozen=True, slots=True)
class _Records:
    """The ways in which such a record is met."""

    keys: Mapping[str, frozenset[str]]
    text: str
    patterns: tuple[Pattern, ...]
    fields: Mapping[str, str]
    programs: tuple[str, ...]

    def complete(self, record: Mapping[str, Any], event: Event) -> None:
        """Set what the table says, of a record that has the keys."""
        for name, key in self.fields.items():
            if key in record:
                setattr(event, name, read_value(name, record[key]))
        text = record.get(self.text)
        if type(text) is str:
            event.message = text
            read_text(self.patterns, text, event)

    def find(self, line: str, received_ms: int) -> Event | None:
        """A line that is such a record, as JSON or logfmt."""
        record = _record_of(line)
        if record is None or not has_keys(record, self.keys):
            return None
        event, _ = read_fields(record)
        self.complete(record, event)
        return event

    def parse(self, line: str, received_ms: int) -> Event | None:
        """The same, or any other record, as the field map reads it; with or without a syslog header."""
        found = self.find(line, received_ms)
        if found is not None:
            return found
        record = _record_of(line)
        if record:
            return read_fields(record)[0]
        return parse_program_line(line, received_ms, self._parser_of) if self.programs else None

    def _parser_of(self, program: str) -> Parser | None:
        return self.find if program in self.programs else None


def _record_of(line: str) -> dict[str, Any] | None:
    if line.lstrip()[:1] != "{":
        return parse_logfmt(line)
    try:
        return loads(line.encode("utf-8", "replace"))
    except DecodeError:
        return None
