"""One logged value, brought to the type of its field; what does not fit is None, never an error."""

import math
import re
from collections.abc import Callable
from typing import Any

from app.ingest.field_names import DURATION_FACTORS
from detectors.event import Category, Outcome

REPEAT_LIMIT = 1000
"""One record stands for at most this many events: a wrong number must not block the world."""
LARGEST_INTEGER = 2**63 - 1

ABSENT = frozenset({"", "-"})
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}+://[^/?#]*+")
_OUTCOMES: dict[str, Outcome] = {
    "success": "success", "succeeded": "success", "successful": "success",
    "failure": "failure", "failed": "failure", "fail": "failure",
    "unknown": "unknown",
}  # fmt: skip
_CATEGORIES: dict[str, Category] = {
    "authentication": "authentication", "web": "web", "health_check": "health_check",
}  # fmt: skip

Reader = Callable[[Any, int, str], Any]
"""(value, rank of its name, its name) -> the field's value, or None. Rank 0 is our own name."""


def read_text(value: Any, rank: int, name: str) -> str | None:
    """A text; of a list its first one; a number as text."""
    if type(value) is str:
        return value if value not in ABSENT else None
    if type(value) is list:
        return next((item for item in value if type(item) is str and item not in ABSENT), None)
    if type(value) is int or type(value) is float:
        return str(value)
    return None


def read_chain(value: Any, rank: int, name: str) -> str | None:
    """X-Forwarded-For: several header lines are one list (RFC 9110 5.3)."""
    if type(value) is list:
        value = ", ".join(item for item in value if type(item) is str)
    if type(value) is not str:
        return None
    return value if rank == 0 or value not in ABSENT else None


def read_target(value: Any, rank: int, name: str) -> str | None:
    """A path; of a whole URL what follows the origin. A bare `target` may be a module's name (Rust's tracing)."""
    if type(value) is str and value.startswith("/"):
        return value
    text = read_text(value, rank, name)
    if text is None or rank == 0:
        return text
    origin = _ORIGIN.match(text)
    if origin is None:
        return None if name == "target" and text[:1] != "/" else text
    return text[origin.end() :] or "/"


def read_integer(value: Any, rank: int, name: str) -> int | None:
    """A whole number from 0 on that fits into 64 bits."""
    if type(value) is str:
        value = int(value) if len(value) < 20 and value.isascii() and value.isdecimal() else None
    elif type(value) is float:
        value = int(value) if value.is_integer() else None
    if type(value) is not int or not 0 <= value <= LARGEST_INTEGER:
        return None
    return value


def read_status(value: Any, rank: int, name: str) -> int | None:
    """An HTTP status. Source: RFC 9110 15 (three digits, 100 to 599)."""
    number = read_integer(value, rank, name)
    return number if number is not None and 100 <= number <= 599 else None


def read_duration(value: Any, rank: int, name: str) -> float | None:
    """Milliseconds, from the unit that the name means; none is negative (-1 says that nothing was measured)."""
    if type(value) is bool or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value) * DURATION_FACTORS.get(name, 1.0)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and (rank == 0 or number >= 0) else None


def read_timestamp(value: Any, rank: int, name: str) -> str | int | float | None:
    """As logged; detectors/timestamps.py reads it."""
    if type(value) is bool or not isinstance(value, str | int | float):
        return None
    if rank > 0 and value in ("", "-", 0, "0"):
        return None
    return value


def read_outcome(value: Any, rank: int, name: str) -> Outcome | None:
    """success, failure or unknown."""
    return _OUTCOMES.get(value.lower()) if type(value) is str else None


def read_category(value: Any, rank: int, name: str) -> Category | None:
    """Our own name may say any category; of ECS only authentication is taken. Source: ECS event.category."""
    values = value if type(value) is list else [value]
    if "authentication" in values:
        return "authentication"
    return _CATEGORIES.get(value) if rank == 0 and type(value) is str else None


def read_never(value: Any, rank: int, name: str) -> None:
    """`repeat` is for syslog's own "message repeated": a JSON record is one event."""


READERS: dict[str, Reader] = {
    "timestamp": read_timestamp, "client_ip": read_chain, "method": read_text, "path": read_target,
    "query": read_text, "status": read_status, "user_agent": read_text, "user": read_text,
    "api_key_id": read_text, "host": read_text, "bytes": read_integer, "duration_ms": read_duration,
    "message": read_text, "outcome": read_outcome, "request_id": read_text, "forwarded_for": read_chain,
    "referer": read_text, "category": read_category, "repeat": read_never,
}  # fmt: skip
VERBATIM: frozenset[Reader] = frozenset({read_text, read_target, read_timestamp, read_chain})
"""Whose `-` and empty text are kept under our own names."""


def read_value(field: str, value: Any) -> Any:
    """A value as the type of a field of an event; None where it does not fit."""
    if field == "repeat":
        number = read_integer(value, 1, field)
        return None if number is None else clamp_repeat(number)
    return None if value is None else READERS[field](value, 1, field)


def clamp_repeat(number: int) -> int:
    """A count within 1 and 1,000."""
    return min(max(number, 1), REPEAT_LIMIT)


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
