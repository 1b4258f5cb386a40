"""Syslog lines: who said what when. RFC 3164 with its own or RFC 3339 times, and RFC 5424.

Source: RFC 3164 4.1, RFC 5424 6; rsyslog's RSYSLOG_FileFormat (the default of Debian 12 and later).
"""

import re
from typing import NamedTuple

from detectors.timestamps import bsd_time_ms

_BSD = re.compile(
    r"(?:<[0-9]{1,3}>)?([A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}) (?:([^ :\[]++) (?=[^ ]))?+(.*)",
    re.DOTALL,
)
_ISO = re.compile(
    r"(?:<[0-9]{1,3}>)?([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.,]{8,18}+(?:Z|[+-][0-9]{2}:?+[0-9]{2})?+) "
    r"(?!std(?:out|err) [FP][ :]|[0-9A-Fa-f.:]{2,45}+ [A-Z]{3,10}+ /)(?:([^ :\[]++) (?=[^ ]))?+(.*)",
    re.DOTALL,
)
"""Not what a container runtime or IIS writes, which begins like it."""
_RFC5424 = re.compile(
    r"<[0-9]{1,3}>1 ([^ ]{1,40}+) ([^ ]{1,255}+) ([^ ]{1,48}+) [^ ]{1,128}+ [^ ]{1,32}+ "
    r'(?:-|(?:\[[^\]"\s]++(?: [^=\]" ]++="(?:[^"\\]++|\\.)*+")*+\])++)(?: (.*))?',
    re.DOTALL,
)
_TAG = re.compile(r"([^ :\[\]]{1,64}+)(?:\[[^\]]{0,32}+\])?+: ?+(.*)", re.DOTALL)


class SyslogLine(NamedTuple):
    """One line, taken apart."""

    timestamp: int | str | None
    """Epoch ms where the year had to be found, else as written."""
    host: str | None
    program: str | None
    message: str


def parse_syslog(line: str, received_ms: int) -> SyslogLine | None:
    """The parts of a syslog line; None where it is none."""
    found = _BSD.match(line)
    if found is not None:
        return _tagged(bsd_time_ms(found[1], received_ms), found[2], found[3])
    if line.startswith("<"):
        found = _RFC5424.fullmatch(line)
        if found is not None:
            time, host, program, message = (None if part == "-" else part for part in found.groups())
            return SyslogLine(time, host, program, (message or "").removeprefix("\ufeff"))
    found = _ISO.match(line)
    return None if found is None else _tagged(found[1], found[2], found[3])


def _tagged(timestamp: int | str | None, host: str | None, rest: str) -> SyslogLine:
    tag = _TAG.match(rest)
    if tag is None:
        return SyslogLine(timestamp, host, None, rest)
    return SyslogLine(timestamp, host, tag[1], tag[2])
