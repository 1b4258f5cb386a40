"""A record of any convention as an Event: finds the fields by name and brings them to our types."""

import math
import re
from collections.abc import Callable
from typing import Any

from app.ingest.field_names import DURATION_FACTORS, FIELD_OF, PREFIXES, WRAPPERS
from detectors.event import Category, Event, Outcome

REPEAT_LIMIT = 1000
"""One record stands for at most this many events: a wrong number must not block the world."""
LARGEST_INTEGER = 2**63 - 1
NESTING_LIMIT = 5
"""The longest dotted name of the table has four parts, and a wrapper may stand around it."""
_WRAPPED_RANK = 100
"""Added inside a wrapper: what stands outside wins."""

_ABSENT = frozenset({"", "-"})
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}+://[^/?#]*+")
_OUTCOMES: dict[str, Outcome] = {
    "success": "success", "succeeded": "success", "successful": "success",
    "failure": "failure", "failed": "failure", "fail": "failure",
    "unknown": "unknown",
}  # fmt: skip
_CATEGORIES: dict[str, Category] = {
    "authentication": "authentication", "web": "web", "health_check": "health_check",
}  # fmt: skip

Candidate = tuple[int, str, Any]
"""rank, name, value"""


def read_fields(record: dict[str, Any]) -> tuple[Event, str | None]:
    """The Event that a decoded JSON object describes, and the program that wrote it where it says so.

    Names we do not know are ignored (they stay in the raw record). A value that cannot be brought to its
    field's type gives way to the next name for that field, and in the end to None.
    """
    found: dict[str, Candidate] = {}
    rivals: dict[str, list[Candidate]] = {}
    _collect(record, found, rivals, "", 0, 0)
    event = Event()
    for field, candidate in found.items():
        read = _READERS.get(field)
        if read is None:
            continue
        if field in rivals:
            value = _first_readable([candidate, *rivals[field]], read)
        elif candidate[0] == 0 and type(candidate[2]) is str and candidate[2] in _ABSENT:
            value = candidate[2] if read in _VERBATIM else None
        else:
            value = read(candidate[2], candidate[0], candidate[1])
        if value is not None:
            setattr(event, field, value)
    if "request_line" in found:
        _use_request_line(event, found["request_line"][2])
    if "event_type" in found or "sshd_event" in found:
        _use_ecs(event, found)
    if "program" not in found:
        return event, None
    return event, _first_readable([found["program"], *rivals.get("program", ())], _text)


def _collect(
    record: dict[str, Any],
    found: dict[str, Candidate],
    rivals: dict[str, list[Candidate]],
    prefix: str,
    penalty: int,
    depth: int,
) -> None:
    """Fill `found` with the first name that means each field, and `rivals` with all further ones."""
    for key, value in record.items():
        if value is None:
            continue
        name = prefix + key if prefix else key
        if type(value) is dict:
            if depth >= NESTING_LIMIT:
                continue
            if name in PREFIXES or name.lower() in PREFIXES:
                _collect(value, found, rivals, name + ".", penalty, depth + 1)
            elif name in WRAPPERS:
                _collect(value, found, rivals, "", penalty + _WRAPPED_RANK, depth + 1)
            continue
        hit = FIELD_OF.get(name) or FIELD_OF.get(name.lower())
        if hit is not None:
            candidate = (hit[1] + penalty, name, value)
            if found.setdefault(hit[0], candidate) is not candidate:
                rivals.setdefault(hit[0], []).append(candidate)


def _rank(candidate: Candidate) -> int:
    return candidate[0]


def _first_readable(candidates: list[Candidate], read: Callable[[Any, int, str], Any]) -> Any:
    """The best-ranked value that fits. Our own names keep `-` and empty text, if no other name says more."""
    verbatim = None
    for rank, name, value in sorted(candidates, key=_rank):
        if rank == 0 and type(value) is str and value in _ABSENT:
            verbatim = value if read in _VERBATIM else None
            continue
        result = read(value, rank, name)
        if result is not None:
            return result
    return verbatim


def _text(value: Any, rank: int, name: str) -> str | None:
    if type(value) is str:
        return value if value not in _ABSENT else None
    if type(value) is list:
        return next((item for item in value if type(item) is str and item not in _ABSENT), None)
    if type(value) is int or type(value) is float:
        return str(value)
    return None


def _chain(value: Any, rank: int, name: str) -> str | None:
    """X-Forwarded-For: several header lines are one list (RFC 9110 5.3)."""
    if type(value) is list:
        value = ", ".join(item for item in value if type(item) is str)
    if type(value) is not str:
        return None
    return value if rank == 0 or value not in _ABSENT else None


def _target(value: Any, rank: int, name: str) -> str | None:
    """A path; of a whole URL what follows the origin."""
    text = _text(value, rank, name)
    if text is None or rank == 0:
        return text
    origin = _ORIGIN.match(text)
    return (text[origin.end() :] or "/") if origin else text


def _integer(value: Any, rank: int, name: str) -> int | None:
    if type(value) is str:
        value = int(value) if len(value) < 20 and value.isascii() and value.isdecimal() else None
    elif type(value) is float:
        value = int(value) if value.is_integer() else None
    if type(value) is not int or not 0 <= value <= LARGEST_INTEGER:
        return None
    return value


def _status(value: Any, rank: int, name: str) -> int | None:
    """An HTTP status. Source: RFC 9110 15 (three digits, 100 to 599)."""
    number = _integer(value, rank, name)
    return number if number is not None and 100 <= number <= 599 else None


def _duration(value: Any, rank: int, name: str) -> float | None:
    if type(value) is bool or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value) * DURATION_FACTORS.get(name.lower(), 1.0)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _timestamp(value: Any, rank: int, name: str) -> str | int | float | None:
    if type(value) is bool or not isinstance(value, str | int | float):
        return None
    if rank > 0 and value in ("", "-", 0, "0"):
        return None
    return value


def _outcome(value: Any, rank: int, name: str) -> Outcome | None:
    return _OUTCOMES.get(value.lower()) if type(value) is str else None


def _category(value: Any, rank: int, name: str) -> Category | None:
    """Our own name may say any category; of ECS only authentication is taken. Source: ECS event.category."""
    values = value if type(value) is list else [value]
    if "authentication" in values:
        return "authentication"
    return _CATEGORIES.get(value) if rank == 0 and type(value) is str else None


def _never(value: Any, rank: int, name: str) -> None:
    """`repeat` is for syslog's own "message repeated": a JSON record is one event."""


def clamp_repeat(number: int) -> int:
    """A count within 1 and 1,000."""
    return min(max(number, 1), REPEAT_LIMIT)


_READERS: dict[str, Callable[[Any, int, str], Any]] = {
    "timestamp": _timestamp, "client_ip": _chain, "method": _text, "path": _target, "query": _text,
    "status": _status, "user_agent": _text, "user": _text, "api_key_id": _text, "host": _text,
    "bytes": _integer, "duration_ms": _duration, "message": _text, "outcome": _outcome,
    "request_id": _text, "forwarded_for": _chain, "referer": _text, "category": _category,
    "repeat": _never,
}  # fmt: skip
_VERBATIM = frozenset({_text, _target, _timestamp, _chain})


def read_value(field: str, value: Any) -> Any:
    """A value as the type of a field of an event; None where it does not fit."""
    if field == "repeat":
        number = _integer(value, 1, field)
        return None if number is None else clamp_repeat(number)
    return None if value is None else _READERS[field](value, 1, field)


def split_request_line(line: str) -> tuple[str | None, str | None]:
    """Method and target of `GET /path HTTP/1.1`; None twice where it is no request line.

    A target may hold blanks (clients send what they like) and the version may be missing (HTTP/0.9).
    """
    method, _, rest = line.partition(" ")
    if not rest or len(method) > 32 or not method.replace("-", "").replace("_", "").isalpha():
        return None, None
    target, _, version = rest.rpartition(" ")
    if not target or not version.startswith("HTTP/"):
        target = rest
    return method, target


def _use_request_line(event: Event, value: Any) -> None:
    if type(value) is not str:
        return
    method, target = split_request_line(value)
    if event.method is None:
        event.method = method
    if event.path is None:
        event.path = target


def _use_ecs(event: Event, found: dict[str, Candidate]) -> None:
    """Read event.type where event.outcome is missing, and do not count one sshd attempt twice.

    Filebeat's system module reports the `Invalid user` line of an attempt as a failure of its own.
    """
    if event.category == "authentication" and event.outcome is None and "event_type" in found:
        types = found["event_type"][2]
        types = types if type(types) is list else [types]
        event.outcome = "failure" if "denied" in types else "success" if "allowed" in types else None
    if "sshd_event" in found and found["sshd_event"][2] == "Invalid":
        event.outcome = None
