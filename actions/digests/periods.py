"""Which days a digest speaks of, and when it is sent. Computes only; times are epoch ms.

A day is [00:00, 24:00) on the wall clock of the plan's timezone: 23 or 25 hours where the clock is changed. A week is
Monday to Sunday. A period's digest is sent on the day after it.
"""

import enum
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

DEFAULT_AT_MINUTE = 7 * 60
FIRST_DAY, LAST_DAY = date(1970, 1, 8), date(9998, 12, 1)
"""Days before and after are nobody's: what is reckoned from them would leave the calendar."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Rhythm(enum.StrEnum):
    """How often a digest comes."""

    DAILY = "daily"
    WEEKLY = "weekly"

    @property
    def days(self) -> int:
        """How many days it speaks of."""
        return 1 if self is Rhythm.DAILY else 7


class Schedule(msgspec.Struct, frozen=True):
    """When one digest is sent, and where to."""

    rhythm: Rhythm
    at_minute: int = DEFAULT_AT_MINUTE
    """Minutes since midnight on the wall clock: 07:00 is 420."""
    channels: tuple[str, ...] = ()
    """Names of channels; empty: where the policy's routes lead."""
    skip_empty: bool = False
    """Whether a digest that has nothing to say is left out."""


class DigestPlan(msgspec.Struct, frozen=True):
    """The digests of a policy. A rhythm that is not named is off."""

    schedules: tuple[Schedule, ...] = ()
    timezone: str = "UTC"
    """A name of the IANA database."""

    def schedule(self, rhythm: Rhythm) -> Schedule | None:
        """The schedule of this rhythm; None where it is off."""
        return next((schedule for schedule in self.schedules if schedule.rhythm is rhythm), None)


class Period(msgspec.Struct, frozen=True):
    """The days that one digest speaks of: from `from_ms` until before `to_ms`."""

    rhythm: Rhythm
    first_day: date
    last_day: date
    from_ms: int
    to_ms: int
    timezone: str = "UTC"

    @property
    def days_text(self) -> str:
        """`24 Nov 2026`, `23 to 29 Nov 2026`, `30 Nov to 6 Dec 2026`."""
        first, last = self.first_day, self.last_day
        if first == last:
            return day_text(first)
        month = "" if first.month == last.month else f" {MONTHS[first.month - 1]}"
        year = "" if first.year == last.year else f" {first.year}"
        return f"{first.day}{month}{year} to {day_text(last)}"


def day_text(day: date) -> str:
    """`24 Nov 2026`, whatever the locale."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def moment(day: date, minute: int, timezone: str) -> int:
    """Epoch ms of a wall clock's time.

    A time that the clock shows twice is the first; one that it skips is as long after the skip as it would have been
    after its beginning: 02:30 becomes 03:30. Source: RFC 5545, 3.3.5 (form 3).
    """
    wall = datetime.combine(day, time(minute // 60, minute % 60), ZoneInfo(timezone))
    return round(wall.timestamp() * 1000)


def day_of(at: int, timezone: str) -> date:
    """The day of a moment on the wall clock."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(timezone)).date()


def period_of(rhythm: Rhythm, day: date, timezone: str) -> Period:
    """The period that this day lies in. Raises: ValueError for a day outside 1970 to 9998."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"date: {day} is outside {FIRST_DAY} to {LAST_DAY}")
    first = day if rhythm is Rhythm.DAILY else day - timedelta(days=day.weekday())
    following = first + timedelta(days=rhythm.days)
    return Period(
        rhythm=rhythm,
        first_day=first,
        last_day=following - timedelta(days=1),
        from_ms=moment(first, 0, timezone),
        to_ms=moment(following, 0, timezone),
        timezone=timezone,
    )


def due_at(period: Period, schedule: Schedule) -> int:
    """When the digest of this period is sent."""
    return moment(period.last_day + timedelta(days=1), schedule.at_minute, period.timezone)


def latest_due(schedule: Schedule, timezone: str, now: int) -> Period:
    """The newest period whose digest is due by now."""
    period = period_of(schedule.rhythm, day_of(now, timezone), timezone)
    while due_at(period, schedule) > now:
        period = before(period)
    return period


def latest_over(rhythm: Rhythm, timezone: str, now: int) -> Period:
    """The newest period that is over by now, whether its digest is due or not."""
    period = period_of(rhythm, day_of(now, timezone), timezone)
    while period.to_ms > now:
        period = before(period)
    return period


def before(period: Period) -> Period:
    """The period before this one."""
    return period_of(period.rhythm, period.first_day - timedelta(days=1), period.timezone)


def earlier(period: Period, count: int) -> Iterator[Period]:
    """So many periods before this one, the newest first."""
    for _ in range(count):
        period = before(period)
        yield period
