"""When maintenance is: recurring windows and such at given times, and their occurrences. Computes only.

The fields of a recurring window mean what they mean in Alertmanager's time intervals: within a field one entry has to
fit, and all fields that are given have to fit, so that `weekdays: [sunday], days_of_month: ['1:7']` is the first
Sunday of the month. Cron would take either. They say on which days, in the window's own timezone, it begins.
Source: https://prometheus.io/docs/alerting/latest/configuration/#time_interval
"""

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

import msgspec

from actions.quiet.matchers import Matcher
from actions.storage import DAY_MS
from detectors.timestamps import LATEST_MS

LONGEST_MS = 7 * DAY_MS
LONGEST_NOTICE_MS = 90 * DAY_MS
LATEST = date(9998, 12, 31)
"""The calendar of Python ends with the year after."""
CYCLE_MS = (28 * 365 + 7) * DAY_MS
"""After 28 years the days of the week fall on the same dates again, leap years included (1901 to 2099)."""

Range = tuple[int, int]
"""The first and the last of it, both included."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """On which days a window begins, and when. An empty field fits every day."""

    weekdays: tuple[Range, ...] = ()
    """Monday is 1, Sunday 7."""
    days_of_month: tuple[Range, ...] = ()
    """From 1; negative ones count from the end of the month, -1 is its last day."""
    months: tuple[Range, ...] = ()
    at_minute: int
    """Minutes since midnight on the wall clock: 02:00 is 120."""
    timezone: str = "UTC"
    """A name of the IANA database."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A maintenance window: of the policy, or announced by a person. Times are epoch ms."""

    name: str
    duration_ms: int
    schedule: Schedule | None = None
    starts: tuple[int, ...] = ()
    """Where there is no schedule: when it begins, ascending."""
    notice_ms: int | None = None
    """How long before each beginning people are told; None: not."""
    matchers: tuple[Matcher, ...] = ()
    """Narrow what it mutes; empty: all about the service's health."""
    channels: tuple[str, ...] = ()
    """Where its notices go; empty: where the policy says for all windows."""
    id: str = ""
    """`MNT-0001` of one that a person announced; the policy's windows are known by their names."""
    author: str = ""
    comment: str = ""
    created_at: int | None = None
    """None for the policy's."""


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """One time that a window is open: from `starts_at` until before `ends_at`, epoch ms."""

    window: Window
    starts_at: int
    ends_at: int


def occurrences(window: Window, since: int, until: int) -> list[Occurrence]:
    """Those that are open at some moment from `since` until before `until`, in order. All epoch ms."""
    return list(takewhile(lambda found: found.starts_at < until, _open_from(window, since, until)))


def active(window: Window, now: int) -> Occurrence | None:
    """The occurrence that is open now, of several the one that ends last; None where it is closed."""
    return max(occurrences(window, now, now + 1), key=lambda found: found.ends_at, default=None)


def following(window: Window, since: int) -> Iterator[Occurrence]:
    """Those that are open at `since` or later, in order: of the next 28 years where the window recurs."""
    return _open_from(window, since, since + CYCLE_MS)


def next_occurrence(window: Window, now: int) -> Occurrence | None:
    """The first that begins later than now; None where none does."""
    return next((found for found in following(window, now) if found.starts_at > now), None)


def has_a_day(schedule: Schedule) -> bool:
    """Whether any day fits at all: 30 February does not."""
    return next(_days(schedule, date(2001, 1, 1), date(2028, 12, 31)), None) is not None


def _open_from(window: Window, since: int, until: int) -> Iterator[Occurrence]:
    """Those that are open at `since` or later, in order, at least all that begin before `until`."""
    for starts_at in _starts(window, since - window.duration_ms, until):
        if starts_at + window.duration_ms > since:
            yield Occurrence(window=window, starts_at=starts_at, ends_at=starts_at + window.duration_ms)


def _starts(window: Window, since: int, until: int) -> Iterator[int]:
    """Beginnings in order, those from `since` until `until` and perhaps a few around."""
    if window.schedule is None:
        yield from (start for start in window.starts if start >= since)
        return
    zone = ZoneInfo(window.schedule.timezone)
    for day in _days(window.schedule, _date(since - 2 * DAY_MS), _date(until + 2 * DAY_MS)):
        yield _moment(day, window.schedule.at_minute, zone)


def _date(at: int) -> date:
    return min(datetime.fromtimestamp(min(max(at, 0), LATEST_MS) / 1000, UTC).date(), LATEST)


def _moment(day: date, at_minute: int, zone: ZoneInfo) -> int:
    """Epoch ms of a wall clock's time.

    A time that the clock passes twice is the first; one that it skips is as long after the skip's beginning as
    the clock before would have had it: 02:30 becomes 03:30. Source: RFC 5545, 3.3.5 (form 3).
    """
    wall = datetime.combine(day, time(at_minute // 60, at_minute % 60), zone)
    return round(wall.timestamp() * 1000)


def _days(schedule: Schedule, first: date, last: date) -> Iterator[date]:
    """The days that fit, in order; months that do not fit are passed over as a whole."""
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        if _fits(schedule.months, month):
            for day in _days_of(schedule, year, month):
                if first <= (found := date(year, month, day)) <= last:
                    yield found
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


@lru_cache(maxsize=1024)
def _days_of(schedule: Schedule, year: int, month: int) -> tuple[int, ...]:
    first_weekday, length = calendar.monthrange(year, month)
    ranges = [_within(part, length) for part in schedule.days_of_month]
    return tuple(
        day
        for day in range(1, length + 1)
        if _fits(schedule.weekdays, (first_weekday + day - 1) % 7 + 1)
        and (not schedule.days_of_month or any(low <= day <= high for low, high in ranges))
    )


def _within(days: Range, length: int) -> Range:
    """A range of days in a month of this length: counted from its end where negative, cut at its borders."""
    low, high = (day if day > 0 else length + day + 1 for day in days)
    return max(low, 1), min(high, length)


def _fits(ranges: tuple[Range, ...], value: int) -> bool:
    return not ranges or any(low <= value <= high for low, high in ranges)
