"""Durations and thresholds as people write them: `4h`, `1h30m`, `10/minute`, `5/30s`, `10%`."""

import re

UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NAMES = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
_PART = re.compile(r"(\d{1,9})\s*([a-z]+)\s*")
_RATE = re.compile(r"(\d{1,9})\s*/\s*(\d{0,9}\s*[a-z0-9 ]+)")
_LATENCY = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)\s*(ms|s)")
LONGEST_MS = 3650 * UNITS_MS["d"]


def parse_duration(text: str) -> int:
    """Milliseconds of `30s`, `5m`, `4h`, `7d`, `1h30m`, `10 minutes`.

    Raises: ValueError in words for people: a bare number has no unit, nothing is zero or above ten years.
    """
    rest, total = text.strip().lower(), 0
    if rest.isdecimal():
        raise ValueError(f"{text} of what? Write a unit: {text}s, {text}m, {text}h or {text}d")
    while rest:
        part = _PART.match(rest)
        if part is None or part[2] not in _NAMES:
            raise ValueError(f"{text!r} is not a duration; write 30s, 5m, 4h or 7d")
        total += int(part[1]) * UNITS_MS[_NAMES[part[2]]]
        rest = rest[part.end() :]
    if not 0 < total <= LONGEST_MS:
        raise ValueError(f"{text!r} is not between 1s and 3650d")
    return total


def parse_latency(text: str) -> int:
    """Milliseconds of what an answer may take: `500ms`, `2s`, `1.5s`. Raises: ValueError in words for people."""
    found = _LATENCY.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is not how long an answer takes; write 500ms, 2s or 1.5s")
    ms = round(float(found[1]) * (1 if found[2] == "ms" else 1000))
    if not 1 <= ms <= UNITS_MS["h"]:
        raise ValueError(f"{text!r} is not between 1ms and 3600s")
    return ms


def parse_rate(text: str) -> tuple[int, int | None]:
    """(count, window in ms or None) of `10/minute`, `5/30s`, or a bare `3`. Raises: ValueError."""
    text = text.strip().lower()
    if text.isdecimal() and len(text) < 10:
        return int(text), None
    rate = _RATE.fullmatch(text)
    if rate is None:
        raise ValueError(f"{text!r} is not a threshold; write 10/minute, 5/30s or 3")
    window = rate[2].strip()
    return int(rate[1]), parse_duration(window if window[0].isdecimal() else f"1{window}")


def format_duration(ms: int) -> str:
    """`4h` for 14,400,000: the largest unit that says it exactly, several where none does."""
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, ms = divmod(ms, UNITS_MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    if ms:
        parts.append(f"{ms}ms")
    return "".join(parts) or "0s"
