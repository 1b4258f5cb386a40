"""A format that is a table of sentences: what a program writes to syslog, or to a file of its own.

`FORMAT = text_format("vsftpd", title=..., source=..., programs=("vsftpd",), header=..., patterns=(failure(...),))`
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from app.ingest.formats.format import Format, Parser
from app.ingest.formats.patterns import Pattern, read_text
from app.ingest.formats.programs import parse_program_line, without_repeat
from app.ingest.values import clamp_repeat
from detectors.event import Event

ReadTime = Callable[[str, int], int | str | None]
"""(time as written, received_ms) -> what `Event.timestamp` takes."""


def text_format(
    name: str,
    *,
    title: str,
    source: str,
    patterns: tuple[Pattern, ...],
    programs: tuple[str, ...] = (),
    header: str | None = None,
    read_time: ReadTime | None = None,
) -> Format:
    """The format of a program that writes sentences.

    programs: its names in syslog. header: an expression for what stands before the sentence in a file of its own, with
    a group `timestamp` (and others that are fields); it must be so much its own that no line of another program, and
    no text of an attacker, begins like it and goes on with a sentence of the table. read_time: makes of that time one
    that events may have (`detectors/timestamps.py`), where it is not one already.
    """
    begins = re.compile(header, re.DOTALL) if header is not None else None
    table = _Sentences(patterns, programs, begins, read_time)
    return Format(
        name,
        title,
        source,
        table.parse,
        find=table.find if begins is not None else None,
        marks=tuple(dict.fromkeys(each.literal for each in patterns)),
        programs=programs,
        parse_message=table.parse_message if programs else None,
    )


@dataclass(frozen=True, slots=True)
class _Sentences:
    """The three ways in which such a line is met."""

    patterns: tuple[Pattern, ...]
    programs: tuple[str, ...]
    header: re.Pattern[str] | None
    read_time: ReadTime | None

    def parse(self, line: str, received_ms: int) -> Event | None:
        """A line of its own file, or of syslog; a sentence that is not in the table is a plain message."""
        return self._own_line(line, received_ms, is_plain_taken=True) or parse_program_line(
            line, received_ms, self._parser_of
        )

    def find(self, line: str, received_ms: int) -> Event | None:
        """A line of its own file that holds a sentence of the table."""
        return self._own_line(line, received_ms, is_plain_taken=False)

    def parse_message(self, text: str, received_ms: int) -> Event | None:
        """A sentence of the table by itself, or behind the program's own header."""
        repeat, text = without_repeat(text.rstrip())
        event: Event | None = Event(message=text)
        if event is not None and not read_text(self.patterns, text, event):
            event = self.find(text, received_ms)
        if event is not None:
            event.repeat = clamp_repeat(event.repeat * repeat)
        return event

    def _parser_of(self, program: str) -> Parser | None:
        return self.parse_message if program in self.programs else None

    def _own_line(self, line: str, received_ms: int, *, is_plain_taken: bool) -> Event | None:
        found = self.header.match(line) if self.header is not None else None
        if found is None:
            return None
        text = line[found.end() :].rstrip()
        event = Event(message=text)
        if not read_text(self.patterns, text, event) and not is_plain_taken:
            return None
        for name, value in found.groupdict().items():
            if value is not None:
                setattr(event, name, value)
        if self.read_time is not None and type(event.timestamp) is str:
            event.timestamp = self.read_time(event.timestamp, received_ms)
        return event
