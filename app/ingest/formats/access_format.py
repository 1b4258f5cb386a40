"""A format that is one expression: an access log, one request a line.

`FORMAT = access_format("aws_alb", title=..., source=..., expression=..., marks=(...))`
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from app.ingest.formats.format import Format, Parser
from app.ingest.formats.programs import parse_program_line
from app.ingest.values import read_value, split_request_line
from detectors.event import Event

Complete = Callable[[Event, dict[str, str | None]], None]
"""Sets what no group of a field says by itself, from all groups."""
_FIELDS = frozenset(Event.__struct_fields__)


def access_format(
    name: str,
    *,
    title: str,
    source: str,
    expression: str,
    marks: tuple[str, ...],
    programs: tuple[str, ...] = (),
    complete: Complete | None = None,
) -> Format:
    """The format of a server's or load balancer's access log.

    expression: what a whole line must match. Named groups are fields of an event, `request` is a request line, and
    others are for `complete`. The address must stand before the first word of a client, or every such word must be
    fenced in so that it cannot end early: a client writes its path, its headers and its user name.
    """
    table = _Lines(re.compile(expression, re.DOTALL), programs, complete)
    return Format(
        name,
        title,
        source,
        table.parse,
        find=table.read,
        marks=marks,
        programs=programs,
        parse_message=table.read if programs else None,
    )


@dataclass(frozen=True, slots=True)
class _Lines:
    """The ways in which such a line is met."""

    expression: re.Pattern[str]
    programs: tuple[str, ...]
    complete: Complete | None

    def read(self, line: str, received_ms: int) -> Event | None:
        """A line by itself, or what stands behind the program's name in syslog."""
        found = self.expression.fullmatch(line)
        if found is None:
            return None
        event = Event()
        groups = found.groupdict()
        for name, value in groups.items():
            if name in _FIELDS:
                setattr(event, name, read_value(name, value))
        if groups.get("request") is not None:
            event.method, event.path = split_request_line(groups["request"] or "")
        if self.complete is not None:
            self.complete(event, groups)
        return event

    def parse(self, line: str, received_ms: int) -> Event | None:
        """The same; where a program writes it, any line of syslog as well."""
        event = self.read(line, received_ms)
        if event is not None or not self.programs:
            return event
        return parse_program_line(line, received_ms, self._parser_of)

    def _parser_of(self, program: str) -> Parser | None:
        return self.read if program in self.programs else None
