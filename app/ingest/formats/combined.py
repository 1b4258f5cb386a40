"""Apache and nginx access logs: common and combined, with a virtual host before or X-Forwarded-For behind.

Source: https://httpd.apache.org/docs/2.4/mod/mod_log_config.html (formats common, combined, vhost_combined),
https://nginx.org/en/docs/http/ngx_http_log_module.html (combined), and the `main` format of nginx.conf;
https://doc.traefik.io/traefik/observability/access-logs/ (the common log with Traefik's own fields behind it).
"""

import re
from collections.abc import Callable, Sequence

from app.ingest.container_log import split_container_line
from app.ingest.formats.format import SHORTEST_LINE, Format
from app.ingest.values import split_request_line
from detectors.event import Event

NAME = "combined"

_STATUSES = {str(status): status for status in range(100, 600)}
_TIME_LENGTH = len("17/May/2015:10:05:03 +0000")

# Linear on hostile input: possessive quantifiers, and one lazy group that cannot pass the first quote.
_QUOTED = r'"((?:[^"\\]++|\\.?)*+)'
_ODD = re.compile(
    rf'([^"]*?) \[([^\]"]{{1,40}}+)\] {_QUOTED}" ([0-9]{{3}}|-) ([0-9]++|-)'
    rf'(?: {_QUOTED}" {_QUOTED}(?:"|$)(?: "([^"\\]*+)")?+)?+',
    re.DOTALL,
)
_TRAEFIK_END = re.compile(r' "[^"]*+" ([0-9]{1,9})ms')
_HEAD = re.compile(
    r"(?:([^ ,]++) (?=[0-9A-Fa-f]*+[.:][0-9A-Fa-f.:]*+,? ))?((?:[^ ,]++, ?+)*+[^ ,]++) [^ ]++ (.*)", re.DOTALL
)
_ADDRESSES = re.compile(r"[0-9A-Fa-f.:\[\], ]++|unknown")

# An ordinary line taken apart, or any other whole, as the last group. Made for lines that end with `"` and a line end:
# then a quoted field needs no look at line ends, which halves its time. No other format takes what begins like this.
_ORDINARY = (
    r'(?:([0-9a-f.:]++) [^ "\[%(no)s\n]++ ([^ "\[%(no)s\n]++) \[([^]"%(no)s\n]{26})\] '
    r'"([A-Za-z]++) ([^ "%(no)s\n]++) HTTP/[^ "%(no)s\n]*+" ([1-5][0-9][0-9]) ([0-9]{1,18}+|-)'
    r'(?: "([^"%(no)s]++)" "([^"%(no)s]++)"(?: "([^"%(no)s]++)")?+)?+"|([^\n]++))\n'
)
_MANY = re.compile(_ORDINARY % {"no": ""})
_MANY_WITH_ESCAPES = re.compile(_ORDINARY % {"no": r"\\"})
TOGETHER = 512
"""Lines taken apart by one search: their parts are held all at once."""


def parse(line: str, received_ms: int) -> Event | None:
    """One access-log line as an Event, its time as written; None where it is none.

    The request line may be malformed, `-` or empty: method and path are then None. Escapes stay as logged.
    """
    if len(line) < SHORTEST_LINE:
        return None
    # Splitting at quotes takes half the time of any regular expression; what is unusual gets the latter.
    parts = line.split('"', 8)
    count = len(parts)
    if count not in (3, 7, 9) or "\\" in line:
        return _parse_odd(line)
    who, _, time = parts[0].partition(" [")
    names = who.split(" ")
    request = parts[1].split(" ")
    numbers = parts[2].split()
    if (
        len(names) != 3
        or len(request) != 3
        or len(numbers) != 2
        or len(time) != _TIME_LENGTH + 2
        or not time.endswith("] ")
        or not request[2].startswith("HTTP/")
        or not request[0].isalpha()
    ):
        return _parse_odd(line)
    status = _STATUSES.get(numbers[0])
    size = numbers[1]
    if status is None or not (size == "-" or (size.isdecimal() and len(size) < 19)):
        return _parse_odd(line)
    event = Event(time[:-2], names[0], request[0], request[1], None, status)
    if names[2] != "-":
        event.user = names[2]
    if size != "-":
        event.bytes = int(size)
    if count > 3:
        if parts[3] != "-":
            event.referer = parts[3]
        if parts[5] != "-":
            event.user_agent = parts[5]
        if count > 7:
            if parts[6] == " ":
                event.forwarded_for = _addresses(parts[7])
            elif line.endswith("ms"):
                event.duration_ms = _traefik_ms(parts[8])
    return event


def parse_many(
    lines: Sequence[bytes], parse_other: Callable[[str, bool], Event | None]
) -> list[Event | None]:
    """What `parse` gives of each line, in two thirds of the time; none may be empty.

    `parse_other` gets each line out of the ordinary, and whether an ordinary one came just before it.
    """
    events: list[Event | None] = []
    add, after_ordinary = events.append, False
    for start in range(0, len(lines), TOGETHER):
        text = str(b'"\n'.join(lines[start : start + TOGETHER]) + b'"\n', "utf-8", "replace")
        search = _MANY_WITH_ESCAPES if "\\" in text else _MANY
        for ip, user, time, method, path, status, size, referer, agent, chain, other in search.findall(text):
            if other:
                add(parse_other(other[:-1], after_ordinary))
                after_ordinary = False
                continue
            after_ordinary = True
            event = Event(
                time, ip, method, path, None, _STATUSES[status],
                agent if agent and agent != "-" else None,
                user if user != "-" else None,
                None, None,
                int(size) if size != "-" else None,
                None, None, None, None, None,
                referer if referer and referer != "-" else None,
            )  # fmt: skip
            if chain:
                event.forwarded_for = _addresses(chain)
            add(event)
    return events


def _traefik_ms(rest: str) -> float | None:
    """The duration at the end of Traefik's common log: `... 5 "router" "http://server" 12ms`."""
    found = _TRAEFIK_END.fullmatch(rest)
    return None if found is None else float(found[1])


def _parse_odd(line: str) -> Event | None:
    """Escaped quotes, malformed requests, blanks in the user, a virtual host, a line cut short."""
    if split_container_line(line) is not None:
        return None
    found = _ODD.match(line)
    head = _HEAD.fullmatch(found[1]) if found else None
    if found is None or head is None:
        return None
    host, client_ip, user = head.groups()
    _, time, request, status, size, referer, user_agent, forwarded_for = found.groups()
    method, path = split_request_line(request)
    return Event(
        timestamp=time,
        client_ip=client_ip,
        method=method,
        path=path,
        status=_STATUSES.get(status),
        user_agent=_present(user_agent),
        user=_present(user),
        host=_present(host),
        bytes=int(size) if size != "-" and len(size) < 19 else None,
        forwarded_for=_addresses(forwarded_for),
        referer=_present(referer),
    )


def _present(text: str | None) -> str | None:
    return None if text is None or text == "-" else text


def _addresses(text: str | None) -> str | None:
    """A further quoted field, if it can be X-Forwarded-For."""
    return text if text is not None and _ADDRESSES.fullmatch(text) else None


FORMAT = Format(
    NAME,
    "Apache and nginx, common and combined, with a virtual host before it or X-Forwarded-For behind it",
    "Apache mod_log_config, nginx ngx_http_log_module",
    parse,
    find=parse,
    programs=("nginx", "apache", "httpd", "caddy", "traefik", "haproxy", "lighttpd"),
    parse_message=parse,
)
