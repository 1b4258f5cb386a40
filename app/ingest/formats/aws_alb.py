"""Access logs of AWS' Application Load Balancers.

The client's address is the fourth field, before anything that the client says. The times are seconds, -1 where that
part did not happen. New fields come at the end, and are let pass.
Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
"""

from app.ingest.formats.access_format import access_format
from app.ingest.values import read_duration, read_value
from detectors.event import Event

_QUOTED = r'(?:[^"\\]++|\\.)*+'
_TIMES = ("request_s", "target_s", "response_s")


def _complete(event: Event, groups: dict[str, str | None]) -> None:
    """The target is a whole URL. The duration is the sum of three parts, where all were measured."""
    _, _, after_scheme = (event.path or "").partition("://")
    event.host = after_scheme.partition("/")[0] or None
    event.path = read_value("path", event.path)
    parts = [read_duration(groups[name], 1, "") for name in _TIMES]
    if None not in parts:
        event.duration_ms = round(sum(part or 0.0 for part in parts) * 1000, 3)


FORMAT = access_format(
    "aws_alb",
    title="access logs of AWS' Application Load Balancers",
    source="AWS, Access logs for your Application Load Balancer",
    expression=(
        r"(?:https?|h2|grpcs|wss?) (?P<timestamp>[0-9TZ:.-]{20,30}+) [^ ]++ "
        r"(?P<client_ip>[0-9A-Fa-f.:\[\]]{2,45}):[0-9]{1,5}+ [^ ]++ "
        r"(?P<request_s>[0-9.-]{1,16}+) (?P<target_s>[0-9.-]{1,16}+) (?P<response_s>[0-9.-]{1,16}+) "
        r"(?P<status>[0-9]{3}|-) [^ ]++ [^ ]++ (?P<bytes>[0-9]++|-) "
        rf'"(?P<request>{_QUOTED})"(?: "(?P<user_agent>{_QUOTED})"'
        r'(?: [^ ]++ [^ ]++ [^ ]++ "(?P<request_id>[^"]*+)")?+)?+(?: .*)?'
    ),
    marks=(" app/",),
    complete=_complete,
)
