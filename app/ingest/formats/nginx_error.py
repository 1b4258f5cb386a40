"""nginx error logs: the lines of limit_req count as refusals for too many requests.

Source: https://nginx.org/en/docs/http/ngx_http_limit_req_module.html, ngx_http_limit_req_module.c
(`limiting requests, excess: %ui.%03ui by zone "%V"`).
"""

import re

from app.ingest.formats.format import Format
from app.ingest.values import split_request_line
from detectors.event import Event

NAME = "nginx_error"

_LINE = re.compile(
    r"([0-9]{4})/([0-9]{2})/([0-9]{2}) ([0-9:]{8}) \[[a-z]{1,8}+\] [0-9]++#[0-9]++: (?:\*[0-9]++ )?(.*)",
    re.DOTALL,
)
_LIMITED = re.compile(
    r'limiting requests, excess: [0-9.]++ by zone "[^"]*+", client: ([^, ]++)(?:, server: ([^,]*+))?'
    r'(?:, request: "((?:[^"\\]++|\\.)*+)")?',
    re.DOTALL,
)


def parse(line: str, received_ms: int) -> Event | None:
    """`limiting requests` as an event of status 429 (whatever limit_req_status says); any other line of
    this log as a plain message; None where it is no nginx error log. A dry run is a plain message."""
    found = _LINE.match(line)
    if found is None:
        return None
    year, month, day, clock, message = found.groups()
    time = f"{year}-{month}-{day}T{clock}"
    limited = _LIMITED.match(message)
    if limited is None:
        return Event(timestamp=time, message=message)
    client_ip, server, request = limited.groups()
    method, path = split_request_line(request) if request else (None, None)
    return Event(
        timestamp=time,
        client_ip=client_ip,
        method=method,
        path=path,
        status=429,
        host=server or None,
        message=message,
    )


FORMAT = Format(
    NAME,
    "nginx's error log: `limiting requests` counts as a status 429",
    "nginx ngx_http_limit_req_module.c",
    parse,
    find=parse,
    programs=("nginx",),
    parse_message=parse,
)
