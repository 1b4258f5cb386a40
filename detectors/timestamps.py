"""When an event happened: one reading of every timestamp that logs carry, in epoch milliseconds."""

import math
import re
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
DAY_MS = 86_400_000

_BSD = re.compile(r"([A-Z][a-z]{2}) ([ 0-9]?[0-9]) ([0-9]{2}):([0-9]{2}):([0-9]{2})")
_HTTP_DATE = re.compile(
    r"(?:[A-Z][a-z]{2}, )?(?P<day>[0-9]{1,2}) (?P<month>[A-Z][a-z]{2}) (?P<year>[0-9]{4}) (?P<clock>[0-9:]{8})"
    r" (?P<zone>GMT|UTC|[+-][0-9]{4})"
)
"""Source: RFC 9110 5.6.7 (IMF-fixdate), RFC 5322 3.3."""
_CTIME = re.compile(
    r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) {1,2}(?P<day>[0-9]{1,2}) (?P<clock>[0-9:]{8}(?:\.[0-9]{1,9})?+)"
    r" (?P<year>[0-9]{4})"
)
"""Source: C11 7.27.3.1 (asctime); httpd's error log adds microseconds."""
_OFFSETS = {"UTC": "+00:00", "GMT": "+00:00", "Z": "+00:00"}
"""Names of zones that mean one thing everywhere; of CET, IST and the like nobody can tell."""


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
    if at is None and type(timestamp) is str:
        at = bsd_time_ms(timestamp, received_ms)
    if at is None:
        return received_ms, "no_time"
    if at > received_ms + FUTURE_LIMIT_MS:
        return received_ms, "clock_skew"
    return at, None


def parse_time(value: object) -> int | None:
    """Epoch milliseconds of a timestamp, or None where it cannot be read.

    Numbers (and text of digits) are seconds, ms, us or ns by magnitude: below 1e11, 1e14, 1e17, above.
    Text is RFC 3339 (`T` or blank, comma or point, any offset, also behind a blank), the same with slashes (Go,
    nginx' error log), the common log format (`23/Nov/2026:10:00:03 +0000`), an HTTP date
    (`Mon, 23 Nov 2026 10:00:03 GMT`) or C's ctime (`Mon Nov 23 10:00:03 2026`). A time without a zone is UTC.
    """
    if isinstance(value, str):
        return _parse_text(value) if len(value) <= LONGEST_TEXT else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _from_number(value)


def bsd_time_ms(text: str, received_ms: int) -> int | None:
    """Epoch ms of syslog's `Nov 23 10:00:01`, which has neither year nor zone. Source: RFC 3164 4.1.2.

    The year is that of receipt, or the one before where that would lie more than a day ahead; the zone is
    UTC. None where there is no such moment.
    """
    year = _year(received_ms // DAY_MS)
    for candidate in (year, year - 1):
        ms = _bsd_time_ms(text, candidate)
        if ms is not None and ms <= received_ms + DAY_MS:
            return ms
    return None


@lru_cache(maxsize=4)
def _year(day: int) -> int:
    return datetime.fromtimestamp(day * 86_400, UTC).year


@lru_cache(maxsize=4096)
def _bsd_time_ms(text: str, year: int) -> int | None:
    found = _BSD.fullmatch(text)
    if found is None:
        return None
    month, day, hour, minute, second = found.groups()
    try:
        moment = datetime(year, _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
    except (ValueError, KeyError):
        return None
    return int(moment.timestamp()) * 1000


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
        moment = _moment(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        span = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, KeyError, OverflowError):
        return None
    ms = span.days * 86_400_000 + span.seconds * 1000 + span.microseconds // 1000
    return ms if 0 <= ms <= LATEST_MS else None


def _moment(text: str) -> datetime:
    """A date and time in one of the written forms. Raises ValueError or KeyError where it is in none."""
    if text[2:3] == "/":
        return _common_log(text)
    if text[:1].isalpha() or text[2:3] == " ":
        return _worded(text)
    if text[4:5] == "/" == text[7:8]:
        text = text.replace("/", "-", 2)
    blank = text.find(" ", 11)
    if blank > 0:
        zone = text[blank + 1 :]
        text = text[:blank] + _OFFSETS.get(zone, zone.removesuffix(" UTC"))
    return datetime.fromisoformat(text.replace(",", "."))


def _worded(text: str) -> datetime:
    """An HTTP date, or C's ctime, with a fraction where Apache's error log has one."""
    found = _HTTP_DATE.fullmatch(text) or _CTIME.fullmatch(text)
    if found is None:
        raise ValueError("no date in words")
    part = found.groupdict()
    day = f"{part['year']}-{_MONTHS[part['month']]:02d}-{int(part['day']):02d}"
    zone = part.get("zone") or ""
    return datetime.fromisoformat(f"{day}T{part['clock']}{_OFFSETS.get(zone, zone)}")


def _common_log(text: str) -> datetime:
    """`23/Nov/2026:10:00:03 +0000`. Raises ValueError or KeyError where it is not that."""
    day, month, rest = text.split("/", 2)
    year, clock = rest.split(":", 1)
    clock, _, zone = clock.partition(" ")
    return datetime.fromisoformat(f"{int(year):04d}-{_MONTHS[month]:02d}-{int(day):02d}T{clock}{zone or 'Z'}")
