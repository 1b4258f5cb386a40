"""Durations as Go's time package writes and reads them: `4h0m0s`, `59m58s`, `12s`, `-1s`.

Source: Go, time.Duration.String and time.ParseDuration. A whole number of seconds is written on purpose: nginx's
bouncer reads `2.5s` as "for ever".
"""

import math
import re

FOR_GOOD_MS = 365 * 86_400_000
"""What is said of a block without an end: bouncers know none, and read at every start how long it still is."""
_UNITS_MS = {
    **{"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0},
    **{"s": 1000.0, "m": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0},
}
_PART = re.compile(r"(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})(ns|us|µs|μs|ms|s|m|h|d)")
LONGEST = 64
LONGEST_MS = 3650 * 86_400_000


def remaining(until: int | None, now: int) -> str:
    """How long a decision in force goes on, rounded up: at least `1s`, since a timeout of 0 is none in nftables."""
    left_ms = FOR_GOOD_MS if until is None else until - now
    return written(max(1, math.ceil(left_ms / 1000)))


def written(seconds: int) -> str:
    """Whole seconds in Go's form."""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}s"
    return f"{sign}{minutes}m{seconds}s" if minutes else f"{sign}{seconds}s"


def parse_go_duration(text: str) -> int:
    """Milliseconds of `3h59m57.1s`, `-20ms`, `0`; days (`7d`) are taken as well, as `cscli` writes them.

    Raises: ValueError where it is no duration, or one of more than ten years.
    """
    rest = text.strip()[:LONGEST]
    sign = -1 if rest.startswith("-") else 1
    rest = rest.lstrip("+-")
    total_ms = 0.0
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"{text[:LONGEST]!r} is not a duration such as 4h0m0s")
    while rest:
        part = _PART.match(rest)
        if part is None:
            raise ValueError(f"{text[:LONGEST]!r} is not a duration such as 4h0m0s")
        total_ms += float(part[1]) * _UNITS_MS[part[2]]
        rest = rest[part.end() :]
    if total_ms > LONGEST_MS:
        raise ValueError(f"{text[:LONGEST]!r} is longer than ten years")
    return sign * round(total_ms)
