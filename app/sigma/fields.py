"""Which of our fields a Sigma field name means.

Source: Sigma Appendix Taxonomy 2.1 (categories webserver and proxy, W3C extended log names) and Elastic Common
Schema 8; what SigmaHQ's rules put into `cs-uri-query` is the whole target, so that is what it means here.
"""

import enum
from dataclasses import dataclass

from detectors.finding import SubjectKind


class Sort(enum.Enum):
    """What the values of a field are."""

    TEXT = "text"
    NUMBER = "number"
    STATUS = "status"
    """A number of three digits, so that even `5*` is a list of numbers."""
    ADDRESS = "address"
    OUTCOME = "outcome"
    EXTENSION = "extension"
    """What stands behind the last dot of a path."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a Sigma field is in our events. A comparison holds where it holds in one of the fields."""

    fields: tuple[str, ...]
    sort: Sort = Sort.TEXT
    needed: str = ""
    """The field that must be there, where it is not the first of `fields`."""
    has_scheme: bool = False
    """Its values may begin with a scheme and a host, which our targets do not have."""


_TARGETS = ("target", "decoded_target")
_PATHS = ("path", "decoded_path")
_ADDRESS = Meaning(("ip",), Sort.ADDRESS)
_USER = Meaning(("user",))
_HOST = Meaning(("host",))

_NAMES: dict[Meaning, tuple[str, ...]] = {
    Meaning(("method",)): ("cs-method", "http.request.method", "http.method", "http_method", "method"),
    Meaning(_TARGETS, has_scheme=True): ("c-uri", "cs-uri", "url.original", "url.full", "url"),
    Meaning(_TARGETS): ("uri", "request_uri"),
    Meaning(_TARGETS, needed="query"): ("cs-uri-query", "c-uri-query", "url.query"),
    Meaning(_PATHS): ("cs-uri-stem", "c-uri-stem", "c-uri-path", "cs-uri-path", "url.path"),
    Meaning(_PATHS, Sort.EXTENSION): ("c-uri-extension", "cs-uri-extension", "url.extension"),
    Meaning(("user_agent",)): (
        *("c-useragent", "cs-user-agent", "cs-useragent", "c-user-agent", "useragent", "user_agent"),
        *("user_agent.original", "http.user_agent"),
    ),
    Meaning(("referer",)): (
        *("cs-referer", "cs-referrer", "c-referer", "referer", "referrer", "http.request.referrer"),
    ),
    _HOST: (
        *("cs-host", "r-dns", "s-computername", "host", "http_host", "url.domain", "destination.domain"),
    ),
    Meaning(("status",), Sort.STATUS): (
        *("sc-status", "status", "status_code", "http.response.status_code", "http.status_code"),
    ),
    _ADDRESS: (
        *("c-ip", "src_ip", "srcip", "source_ip", "sourceip", "ip", "client_ip", "ipaddress", "source.ip"),
        *("client.ip", "remote_addr"),
    ),
    _USER: (
        *("cs-username", "user", "username", "user_name", "targetusername", "targetuser", "accountname"),
        *("user.name", "user.target.name"),
    ),
    Meaning(("outcome",), Sort.OUTCOME): ("outcome", "result", "event.outcome", "eventoutcome"),
    Meaning(("bytes",), Sort.NUMBER): (
        "sc-bytes",
        "bytes",
        "http.response.body.bytes",
        "http.response.bytes",
    ),
    Meaning(("duration_ms",), Sort.NUMBER): ("time-taken", "duration_ms"),
    Meaning(("api_key_id",)): ("api_key_id",),
    Meaning(("category",)): ("category", "event.category"),
    Meaning(("message",)): ("message",),
    Meaning(("record",)): ("record", "event.original", "_raw"),
    Meaning(("request_id",)): ("request_id", "http.request.id"),
    Meaning(("forwarded_for",)): ("forwarded_for", "x-forwarded-for", "cs-x-forwarded-for"),
    # Of our own names those that have no other.
    Meaning(("path",)): ("path",),
    Meaning(("query",)): ("query",),
    Meaning(("target",)): ("target",),
    Meaning(("decoded_target",)): ("decoded_target",),
    Meaning(("decoded_path",)): ("decoded_path",),
}
FIELDS: dict[str, Meaning] = {name: meaning for meaning, names in _NAMES.items() for name in names}
"""By Sigma's name in small letters."""

KEYWORDS = Meaning(("record", "decoded_target"))
"""What has no field is looked for in the raw record, and in the target as the server understands it."""

GROUPS: dict[str, SubjectKind] = {
    **dict.fromkeys(_NAMES[_ADDRESS], SubjectKind.IP),
    **dict.fromkeys(_NAMES[_USER], SubjectKind.USER),
    **dict.fromkeys(_NAMES[_HOST], SubjectKind.HOST),
    **dict.fromkeys(("api_key_id", "key"), SubjectKind.KEY),
}
"""What a correlation may be grouped by."""

OUTCOMES: dict[str, str] = {
    **dict.fromkeys(("success", "succeeded", "successful", "ok", "allowed"), "success"),
    **dict.fromkeys(("failure", "failed", "fail", "denied"), "failure"),
    "unknown": "unknown",
}
"""The words that senders have for an outcome, and ours."""
