"""Times that programs write in ways of their own, as `detectors/timestamps.py` reads them. Without a zone: UTC.

Source: C asctime (ctime), Go's log package (slashes), .NET's `zzz` (a blank before the offset).
"""

import re

_CTIME = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ++([0-9]{1,2}) ([0-9]{2}:[0-9]{2}:[0-9]{2}) ([0-9]{4})")
CTIME = r"[A-Z][a-z]{2} [A-Z][a-z]{2} {1,2}+[0-9]{1,2}+ [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}"
"""`Thu Sep  8 00:39:49 2016`"""
BSD = r"[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}"
"""`Nov  3 10:00:01`, without a year."""
DATE_AND_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9}+)?+"
"""`2026-11-23 10:00:01`, with a fraction or without."""


def from_ctime(text: str, received_ms: int) -> str | None:
    """`Thu Sep  8 00:39:49 2016` as the common log format."""
    found = _CTIME.fullmatch(text)
    if found is None:
        return None
    month, day, clock, year = found.groups()
    return f"{int(day):02d}/{month}/{year}:{clock}"


def from_slashes(text: str, received_ms: int) -> str:
    """`2026/11/23 10:00:01` as RFC 3339."""
    return text.replace("/", "-", 2)


def from_spaced_zone(text: str, received_ms: int) -> str:
    """`2026-11-23 10:00:01.123 +01:00` as RFC 3339."""
    date, _, rest = text.partition(" ")
    return f"{date} {rest.replace(' ', '')}"
