"""IIS access logs in the W3C extended format.

A `#Fields:` line says what the lines after it hold, until the next one; date and time are always the first two.
Shippers that follow a file send it once; where it is not in the body, the columns are those of IIS' own selection: 15
since IIS 8.5, 14 before. IIS writes blanks as `+`, so that no value of a client makes a column of its own. Times are
UTC, `time-taken` is in milliseconds.
Source: https://learn.microsoft.com/windows/win32/http/w3c-logging, https://www.w3.org/TR/WD-logfile.html
"""

import re

from app.ingest.formats.format import Format
from app.ingest.values import read_value
from detectors.addresses import parse_address
from detectors.event import Event

NAME = "iis"
COLUMNS_LIMIT = 100
"""IIS has 22 fields of its own, and lets operators add some."""

_DIRECTIVE = re.compile(r"#(?:Software|Version|Date|Start-Date|End-Date|Remark|Fields): ?+")
_BEGINNING = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} ")
_SELECTION = (
    "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer)"
    " sc-status sc-substatus sc-win32-status time-taken"
)
_DEFAULTS = {15: tuple(_SELECTION.split()), 14: tuple(_SELECTION.replace(" cs(Referer)", "").split())}
_NUMBERS = ("s-port", "sc-status", "sc-substatus", "sc-win32-status", "time-taken")
_FIELD_OF = {
    "c-ip": "client_ip", "cs-method": "method", "cs-uri-stem": "path", "cs-uri-query": "query",
    "sc-status": "status", "cs-username": "user", "cs(user-agent)": "user_agent", "cs(referer)": "referer",
    "cs-host": "host", "cs(host)": "host", "sc-bytes": "bytes", "time-taken": "duration_ms",
    "x-forwarded-for": "forwarded_for", "cs(x-forwarded-for)": "forwarded_for",
}  # fmt: skip
_WITH_BLANKS = frozenset({"user_agent", "referer", "user", "forwarded_for"})


class W3cParser:
    """Remembers the columns that the last `#Fields:` line named."""

    def __init__(self) -> None:
        self._columns: tuple[str, ...] | None = None

    def __call__(self, line: str, received_ms: int) -> Event | None:
        """A line as an Event, a directive as a plain message; None where it is neither."""
        directive = _DIRECTIVE.match(line)
        if directive is not None:
            if line.startswith("#Fields:"):
                columns = tuple(line[directive.end() :].split()[:COLUMNS_LIMIT])
                self._columns = columns if columns[:2] == ("date", "time") else None
            return Event(message=line)
        values = line.split(" ", COLUMNS_LIMIT)
        if self._columns is not None and len(values) == len(self._columns) and _BEGINNING.match(line):
            return _event_of(self._columns, values)
        return parse(line, received_ms)


def parse(line: str, received_ms: int) -> Event | None:
    """A line whose columns are IIS' own selection; a directive as a plain message; None where it is neither."""
    if line[:1] == "#":
        return Event(message=line) if _DIRECTIVE.match(line) else None
    if _BEGINNING.match(line) is None:
        return None
    values = line.split(" ", COLUMNS_LIMIT)
    columns = _DEFAULTS.get(len(values))
    return _event_of(columns, values) if columns is not None and _fits(columns, values) else None


def _fits(columns: tuple[str, ...], values: list[str]) -> bool:
    """Whether nothing speaks against these columns, which nobody named."""
    of = dict(zip(columns, values, strict=True))
    return (
        all(of[name].isdecimal() for name in _NUMBERS)
        and parse_address(of["s-ip"]) is not None
        and parse_address(of["c-ip"]) is not None
        and parse_address(of["cs(User-Agent)"]) is None
    )


def _event_of(columns: tuple[str, ...], values: list[str]) -> Event:
    event = Event(timestamp=f"{values[0]} {values[1]}")
    for column, value in zip(columns, values, strict=True):
        field = _FIELD_OF.get(column.lower())
        if field is not None:
            setattr(
                event, field, read_value(field, value.replace("+", " ") if field in _WITH_BLANKS else value)
            )
    return event


FORMAT = Format(
    NAME,
    "IIS access logs (W3C extended), by their `#Fields:` line or IIS' own selection of fields",
    "Microsoft, W3C Logging",
    parse,
    find=parse,
    begin=W3cParser,
)
