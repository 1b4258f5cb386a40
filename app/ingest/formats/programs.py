"""Syslog lines by the program that wrote them.

Source: RFC 3164 4.1.3 (TAG), RFC 5424 6.2.5 (APP-NAME).
"""

import re
from collections.abc import Callable
from functools import lru_cache

from app.ingest.formats.format import Parser
from app.ingest.formats.syslog import parse_syslog
from app.ingest.values import clamp_repeat
from detectors.event import Event

_LETTERS = re.compile(r"[a-z]*+")
_REPEATED = re.compile(r"message repeated ([0-9]{1,9}) times: \[ ?+")


@lru_cache(maxsize=1024)
def program_name(program: str) -> str:
    """The name alone, in lower case: `postfix` of postfix/smtpd, `exim` of exim4, `sshd` of sshd-session."""
    found = _LETTERS.match(program.lower())
    return found[0] if found is not None else ""


def parse_program_line(
    line: str,
    received_ms: int,
    parser_of: Callable[[str], Parser | None],
    find_other: Parser | None = None,
) -> Event | None:
    """A syslog line, its message read by the parser of its program; None where it is no syslog line.

    What its program's parser does not take, and what other programs say, is a plain message. Where it names no
    program, `find_other` is asked first: the own lines of some programs begin as those of syslog do.
    """
    found = parse_syslog(line, received_ms)
    if found is None:
        return None
    timestamp, host, program, message = found
    parse = parser_of(program_name(program)) if program is not None else None
    if program is None and find_other is not None:
        other = find_other(line, received_ms)
        if other is not None:
            return other
    event = parse(message, received_ms) if parse is not None else None
    if event is None:
        return Event(timestamp=timestamp, host=host, message=message)
    event.timestamp = timestamp
    event.host = host
    return event


def without_repeat(text: str) -> tuple[int, str]:
    """How many times, and what, of `message repeated N times: [ what]`; once where it is not that.

    Source: rsyslog's and sysklogd's reduction of repeated messages.
    """
    if not text.startswith("message repeated "):
        return 1, text
    found = _REPEATED.match(text)
    if found is None:
        return 1, text
    return clamp_repeat(int(found[1])), text[found.end() :].rstrip().removesuffix("]").rstrip()
