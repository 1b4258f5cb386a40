"""Syslog lines of any program: each is read by the format of the program that it names."""

from app.ingest.formats.catalogue import find_marked, message_parser
from app.ingest.formats.format import Format
from app.ingest.formats.programs import parse_program_line
from detectors.event import Event

NAME = "syslog"


def parse(line: str, received_ms: int) -> Event | None:
    """One syslog line; None where it is none. What no format of its program takes is a plain message."""
    return parse_program_line(line, received_ms, message_parser, find_marked)


FORMAT = Format(
    NAME,
    "syslog lines of any program (RFC 3164, the same with RFC 3339 times, RFC 5424), read by its own format",
    "RFC 3164, RFC 5424, rsyslog's RSYSLOG_FileFormat",
    parse,
    find=parse,
)
