"""When an event happened: one reading of every timestamp that logs carry, in epoch milliseconds."""

import math
import time
from datetime import UTC, datetime
from functools import lru_cache

FUTURE_LIMIT_MS = 5 * 60_000
"""An event further ahead than this gets the time of receipt: its sender's clock is wrong.

Source: docs/decisions.md; five minutes is also the skew Kerberos tolerates (RFC 4120, 8.2).
"""
LONGEST_TEXT = 40
"""No timestamp format is longer; hostile text is not worth parsing."""
LATEST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the last moment RFC 3339 can write."""

_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}


def wall_clock_ms() -> int:
    """Now, in epoch milliseconds. Passed as an argument wherever time matters."""
    return time.time_ns() // 1_000_000


def to_rfc3339(ms: int) -> str:
    """`2026-11-23T10:00:00.123Z` for epoch milliseconds."""
    seconds, millis = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"


def event_time_ms(timestamp: object, received_ms: int) -> tuple[int, str | None]:
    """The time an event is counted at, and a flag when it is not its own.

    Flags: `no_time` (missing or unreadable: the time of receipt), `clock_skew` (more than five minutes
    ahead of receipt: the time of receipt).
    """
    at = parse_time(timestamp)
    if at is None:
        return received_ms, "no_time"
    if at > received_ms + FUTURE_LIMIT_MS:
        return received_ms, "clock_skew"
    return at, None


def parse_time(value: object) -> int | None:
    """Epoch milliseconds of a timestamp, or None where it cannot be read.

    Numbers (and text of digits) are seconds, ms, us or ns by magnitude: below 1e11, 1e14, 1e17, above.
    Text is RFC 3339 (`T` or space, comma or point, any offset) or the common log format
    (`23/Nov/2026:10:00:03 +0000`). A time without a zone is UTC.
    """
    if isinstance(value, str):
        return _parse_text(value) if len(value) <= LONGEST_TEXT else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _from_number(value)


def _from_number(value: int | float) -> int | None:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    size = abs(value)
    if size < 1e11:
        ms = round(value * 1000)
    elif size < 1e14:
        ms = int(value)
    elif size < 1e17:
        ms = int(value // 1000)
    else:
        ms = int(value // 1_000_000)
    return ms if 0 <= ms <= LATEST_MS else None


@lru_cache(maxsize=4096)
def _parse_text(text: str) -> int | None:
    text = text.strip().strip("[]")
    if text.isdecimal():
        return _from_number(int(text))
    try:
        if text.replace(".", "", 1).isdecimal():
            return _from_number(float(text))
        moment = _common_log(text) if text[2:3] == "/" else datetime.fromisoformat(text.replace(",", "."))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        span = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, KeyError, OverflowError):
        return None
    ms = span.days * 86_400_000 + span.seconds * 1000 + span.microseconds // 1000
    return ms if 0 <= ms <= LATEST_MS else None


def _common_log(text: str) -> datetime:
    """`23/Nov/2026:10:00:03 +0000`. Raises ValueError or KeyError where it is not that."""
    day, month, rest = text.split("/", 2)
    year, clock = rest.split(":", 1)
    clock, _, zone = clock.partition(" ")
    return datetime.fromisoformat(f"{int(year):04d}-{_MONTHS[month]:02d}-{int(day):02d}T{clock}{zone or 'Z'}")
