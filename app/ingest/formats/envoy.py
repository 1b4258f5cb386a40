"""Envoy's access log as text: its default format, and Istio's, which ends with addresses.

Nothing is escaped there, and the client writes what stands between the quotes. A line with more quotes than it must
have is therefore nobody's: a User-Agent could end its field and write the rest of the line, with another's address.
Only its request and status are read.
Envoy's default names no client at all, only X-Forwarded-For, which counts behind a trusted proxy alone: add
%DOWNSTREAM_REMOTE_ADDRESS%, or better, log JSON.
Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage (default format
string), https://istio.io/latest/docs/tasks/observability/logs/access-log/ (TEXT).
"""

from app.ingest.formats.access_format import access_format
from app.ingest.values import read_value
from detectors.event import Event

_TIME = r"\[(?P<timestamp>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,18}+Z)\] "
_REQUEST = r'"(?P<method>[^ "]++) (?P<path>[^"]*?)(?: HTTP/[0-9.]++| -)?" (?P<status>[0-9]{1,3}) [^ "]++ '
_DETAILS = r'(?:[^ "]++ [^ "]++ "[^"]*+" )?+'
_NUMBERS = r"[0-9-]++ (?P<bytes>[0-9-]++) (?P<duration_ms>[0-9-]++) [0-9-]++ "
_TEXTS = r'"(?P<forwarded_for>[^"]*+)" "(?P<user_agent>[^"]*+)" "(?P<request_id>[^"]*+)" "(?P<host>[^"]*+)" "[^"]*+"'
_ADDRESSES = r'(?: [^ "]++ [^ "]++ [^ "]++ (?P<address>[^ "]++)[^"]*+)?+'
_MORE_QUOTES = ".*"


def _complete(event: Event, groups: dict[str, str | None]) -> None:
    event.client_ip = read_value("client_ip", groups["address"])


FORMAT = access_format(
    "envoy",
    title="Envoy's access log as text, and Istio's, which alone names the client",
    source="Envoy, default format string; Istio, Envoy access logs",
    expression=f"{_TIME}{_REQUEST}(?:{_DETAILS}{_NUMBERS}{_TEXTS}{_ADDRESSES}|{_MORE_QUOTES})",
    marks=('Z] "',),
    complete=_complete,
)
