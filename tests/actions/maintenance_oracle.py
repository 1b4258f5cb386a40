"""Maintenance windows, the slow way: every minute is asked whether a window begins at it."""

import calendar
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from actions.quiet.maintenance import Range, Schedule

MINUTE_MS = 60_000


def fits(schedule: Schedule, wall: datetime) -> bool:
    """Whether the fields fit the day of a wall clock."""

    def one_of(ranges: tuple[Range, ...], value: int) -> bool:
        return not ranges or any(value in range(low, high + 1) for low, high in ranges)

    length = calendar.monthrange(wall.year, wall.month)[1]
    days = set()
    for low, high in schedule.days_of_month:
        numbered = {*range(1, length + 1)}
        from_end = {day - length - 1: day for day in numbered}
        first = from_end.get(low, 1) if low < 0 else low
        last = from_end.get(high, 0) if high < 0 else high
        days |= {day for day in numbered if first <= day <= last}
    return (
        one_of(schedule.weekdays, wall.isoweekday())
        and one_of(schedule.months, wall.month)
        and (not schedule.days_of_month or wall.day in days)
    )


def starts(schedule: Schedule, since: int, until: int) -> list[int]:
    """Beginnings from `since` until before `until`, whole minutes in epoch ms.

    A clock on the wall goes on with the offset of yesterday, so that it shows what a gap skips; it counts where
    the true clock does not show that time at all. A time that the true clock shows twice counts once.
    """
    zone = ZoneInfo(schedule.timezone)
    found = []
    for at in range(since, until, MINUTE_MS):
        moment = datetime.fromtimestamp(at / 1000, UTC)
        wall = moment.astimezone(zone).replace(tzinfo=None)
        offset_before = (moment - timedelta(hours=4)).astimezone(zone).utcoffset()
        old = (moment + (offset_before or timedelta())).replace(tzinfo=None)
        is_due = is_at(schedule, wall) and fits(schedule, wall) and not was_shown(moment, wall, zone)
        was_due = old != wall and is_at(schedule, old) and fits(schedule, old) and is_skipped(old, zone)
        if is_due or was_due:
            found.append(at)
    return found


def is_at(schedule: Schedule, wall: datetime) -> bool:
    """Whether the wall clock shows the time at which it begins."""
    return wall.hour * 60 + wall.minute == schedule.at_minute


def was_shown(moment: datetime, wall: datetime, zone: ZoneInfo) -> bool:
    """Whether the wall clock has shown this very time before, because it was put back."""
    return any(
        (moment - timedelta(minutes=back)).astimezone(zone).replace(tzinfo=None) == wall
        for back in (30, 60, 120)
    )


def is_skipped(wall: datetime, zone: ZoneInfo) -> bool:
    """Whether no moment within a day looks like this on the wall clock."""
    around = wall.replace(tzinfo=UTC) - timedelta(hours=15)
    return not any(
        (around + timedelta(minutes=n)).astimezone(zone).replace(tzinfo=None) == wall for n in range(30 * 60)
    )
