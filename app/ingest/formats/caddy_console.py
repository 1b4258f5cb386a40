"""Caddy's access log in its `console` format: tabs, and the request as JSON at the end.

Source: https://caddyserver.com/docs/caddyfile/directives/log (format console), zap's console encoder.
"""

import re

from app.ingest.fields import read_fields
from app.ingest.formats.format import Format
from app.ingest.lenient_json import loads
from detectors.errors import DecodeError
from detectors.event import Event

NAME = "caddy_console"

_LINE = re.compile(
    r"([0-9]{4}/[0-9]{2}/[0-9]{2} [0-9:]{8}(?:\.[0-9]{1,9}+)?+)\t(?:\x1b\[[0-9;]{1,8}+m)?+[A-Z]{4,6}+(?:\x1b\[0m)?+\t"
    r"http\.log\.access[^\t ]*+\t[^\t{]*+\t(\{.*)",
    re.DOTALL,
)


def parse(line: str, received_ms: int) -> Event | None:
    """A line of the access log; None where it is none."""
    found = _LINE.match(line)
    if found is None:
        return None
    try:
        record = loads(found[2].encode("utf-8", "replace"))
    except DecodeError:
        return None
    event, _ = read_fields(record)
    event.timestamp = found[1]
    return event


FORMAT = Format(
    NAME,
    "Caddy's access log in its console format",
    "Caddy, log directive",
    parse,
    find=parse,
    marks=("\thttp.log.access",),
)
