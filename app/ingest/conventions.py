"""What a convention means beyond its names: units, outcomes, and words that two conventions use differently.

Each is recognised by keys that nobody else writes, and costs other records nothing: such a key is a mark in
the table of field_names.py, and only a record that holds it comes here.
"""

from collections.abc import Callable, Iterator
from typing import Any

from app.ingest.values import (
    READERS,
    read_duration,
    read_integer,
    read_outcome,
    read_status,
    read_text,
    split_request_line,
)
from detectors.addresses import parse_address
from detectors.event import Event
from detectors.timestamps import parse_time

Candidate = tuple[int, str, Any]
"""rank, name, value"""
Found = dict[str, Candidate]
Rivals = dict[str, list[Candidate]]
Settler = Callable[[Event, Found, Rivals], None]


def _candidates(field: str, found: Found, rivals: Rivals) -> Iterator[Candidate]:
    if field in found:
        yield found[field]
        yield from rivals.get(field, ())


def _names(field: str, found: Found, rivals: Rivals) -> set[str]:
    return {name for _, name, _ in _candidates(field, found, rivals)}


def _use_request_line(event: Event, found: Found, rivals: Rivals) -> None:
    """nginx' `request` is the request line as it came, and so is better than its `uri`, which is rewritten.

    Logstash's COMBINEDAPACHELOG has the target alone under that name. Caddy's `request` is an object, and
    its parts have names of their own. Source: https://nginx.org/en/docs/http/ngx_http_core_module.html#var_uri
    """
    line = found["request_line"][2]
    if type(line) is not str:
        return
    method, target = (None, line) if line.startswith("/") else split_request_line(line)
    if event.method is None:
        event.method = method
    if target is not None and (event.path is None or found["path"][1] == "uri"):
        event.path = target


def _use_ecs(event: Event, found: Found, rivals: Rivals) -> None:
    """Read event.type where event.outcome is missing, and do not count one sshd attempt twice.

    Filebeat's system module reports the `Invalid user` line of an attempt as a failure of its own.
    """
    if "sshd_event" in found and found["sshd_event"][2] == "Invalid":
        event.outcome = None
    elif event.category == "authentication" and event.outcome is None and "event_type" in found:
        types = found["event_type"][2]
        types = types if type(types) is list else [types]
        event.outcome = "failure" if "denied" in types else "success" if "allowed" in types else None


def _use_duration(event: Event, found: Found, rivals: Rivals) -> None:
    """A bare `duration` has a unit only where the record's writer is known.

    Source: Caddy's log fields (seconds), Envoy's %DURATION% (ms), OCSF's `duration` (ms), and the access log
    fields of Traefik (Go's time.Duration, ns): https://doc.traefik.io/traefik/observability/access-logs/
    """
    if event.duration_ms is not None:
        return
    addresses, statuses = _names("client_ip", found, rivals), _names("status", found, rivals)
    if addresses & {"request.remote_ip", "request.client_ip", "request.remote_addr"} and "path" in found:
        factor = 1e3
    elif "DownstreamStatus" in statuses:
        factor = 1e-6
    elif "downstream_remote_address" in addresses or "envoy" in found or "ocsf" in found:
        factor = 1.0
    else:
        return
    duration = read_duration(found["duration"][2], 1, "duration")
    if duration is not None:
        event.duration_ms = duration * factor


def _use_peer(event: Event, found: Found, rivals: Rivals) -> None:
    """Traefik's ClientHost is the X-Forwarded-For header where there is one, and ClientAddr who sent it.

    Source: traefik, pkg/middlewares/accesslog/logger.go. What the header says is believed of trusted proxies only.
    """
    peer = found["peer"][2]
    address = parse_address(peer)
    if address is None or address == parse_address(event.client_ip):
        return
    if event.forwarded_for is None:
        event.forwarded_for = event.client_ip
    event.client_ip = peer


def _use_edge_end(event: Event, found: Found, rivals: Rivals) -> None:
    """Cloudflare has two moments in place of a duration; in whole seconds they tell nothing."""
    start = next(
        (v for _, n, v in _candidates("timestamp", found, rivals) if n == "EdgeStartTimestamp"), None
    )
    started, ended = parse_time(start), parse_time(found["edge_end"][2])
    if started is not None and ended is not None and ended >= started and (started % 1000 or ended % 1000):
        event.duration_ms = float(ended - started)


_OCSF_AUTHENTICATION = 3002
_OCSF_LOGOFF = 2
_OCSF_OUTCOMES = {1: "success", 2: "failure"}


def _use_ocsf(event: Event, found: Found, rivals: Rivals) -> None:
    """Authentication (3002) has its outcome in status_id; `status` and `status_code` are no HTTP statuses here.

    Source: https://schema.ocsf.io, classes authentication (3002) and http_activity (4002).
    """
    event.status = next(
        (
            read_status(v, r, n)
            for r, n, v in _candidates("status", found, rivals)
            if n == "http_response.code"
        ),
        None,
    )
    if read_integer(found["ocsf"][2], 1, "") != _OCSF_AUTHENTICATION:
        return
    if "ocsf_activity" in found and read_integer(found["ocsf_activity"][2], 1, "") == _OCSF_LOGOFF:
        return
    event.category = "authentication"
    status_id = read_integer(found["ocsf_status"][2], 1, "") if "ocsf_status" in found else None
    words = (v for _, n, v in _candidates("status", found, rivals) if n == "status")
    event.outcome = read_outcome(_OCSF_OUTCOMES.get(status_id or 0) or next(words, None), 1, "")


_VERCEL_REQUEST = (
    "timestamp", "client_ip", "method", "path", "status", "user_agent", "host", "bytes", "referer",
)  # fmt: skip


def _use_vercel(event: Event, found: Found, rivals: Rivals) -> None:
    """Vercel's request stands in `proxy`; a `path` outside is the route, and an entry without it no request.

    Source: https://vercel.com/docs/drains/reference/logs
    """
    if "vercel_project" not in found:
        return
    proxied = False
    for field in _VERCEL_REQUEST:
        for rank, name, value in _candidates(field, found, rivals):
            if name.startswith("proxy."):
                proxied = True
                fitting = READERS[field](value, rank, name)
                if fitting is not None:
                    setattr(event, field, fitting)
    if not proxied and event.client_ip is None:
        event.method = event.path = event.status = None


def _use_python_record(event: Event, found: Found, rivals: Rivals) -> None:
    """`args` of a Python LogRecord are what its message is formatted with, not a query.

    Source: https://docs.python.org/3/library/logging.html#logrecord-attributes
    """
    if "query" in found and found["query"][1] == "args":
        queries = (read_text(v, r, n) for r, n, v in rivals.get("query", ()))
        event.query = next((query for query in queries if query is not None), None)


SETTLERS: dict[str, Settler] = {
    "request_line": _use_request_line,
    "event_type": _use_ecs,
    "sshd_event": _use_ecs,
    "duration": _use_duration,
    "peer": _use_peer,
    "edge_end": _use_edge_end,
    "ocsf": _use_ocsf,
    "vercel": _use_vercel,
    "python_record": _use_python_record,
}
"""By mark. Each speaks of its own fields only, so their order does not matter."""

_GELF_MESSAGES = ("short_message", "full_message")


def plain_gelf(record: dict[str, Any]) -> dict[str, Any]:
    """A GELF message under ordinary names: additional fields begin with `_` there.

    Source: https://go2docs.graylog.org, "GELF Payload Specification".
    """
    plain = {name[1:]: value for name, value in record.items() if name.startswith("_")}
    plain.update((name, value) for name, value in record.items() if not name.startswith("_"))
    plain["message"] = record.get("short_message") or record.get("full_message")
    for name in list(plain):
        if name.lower() in _GELF_MESSAGES:
            del plain[name]
    return plain
