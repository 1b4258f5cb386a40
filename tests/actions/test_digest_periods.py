"""Days and weeks on a wall clock, with its changes."""

from datetime import UTC, date, datetime, timedelta

import pytest

from actions.digests.periods import (
    Period,
    Rhythm,
    Schedule,
    before,
    due_at,
    latest_due,
    latest_over,
    period_of,
)

HOUR = 3_600_000
DAILY, WEEKLY = Schedule(Rhythm.DAILY), Schedule(Rhythm.WEEKLY)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_a_day_is_from_midnight_to_midnight_and_sent_the_morning_after() -> None:
    period = period_of(Rhythm.DAILY, date(2026, 11, 24), "UTC")
    assert (period.from_ms, period.to_ms) == (ms("2026-11-24T00:00"), ms("2026-11-25T00:00"))
    assert due_at(period, DAILY) == ms("2026-11-25T07:00")
    assert period.days_text == "24 Nov 2026"


@pytest.mark.parametrize("day", range(23, 30))
def test_a_week_is_monday_to_sunday_and_sent_on_monday(day: int) -> None:
    period = period_of(Rhythm.WEEKLY, date(2026, 11, day), "UTC")
    assert (period.first_day, period.last_day) == (date(2026, 11, 23), date(2026, 11, 29))
    assert (period.from_ms, period.to_ms) == (ms("2026-11-23T00:00"), ms("2026-11-30T00:00"))
    assert due_at(period, WEEKLY) == ms("2026-11-30T07:00")
    assert period.days_text == "23 to 29 Nov 2026"


def test_a_week_may_lie_in_two_months_or_years() -> None:
    assert period_of(Rhythm.WEEKLY, date(2026, 12, 1), "UTC").days_text == "30 Nov to 6 Dec 2026"
    assert period_of(Rhythm.WEEKLY, date(2026, 12, 30), "UTC").days_text == "28 Dec 2026 to 3 Jan 2027"


@pytest.mark.parametrize(
    ("timezone", "day", "first", "last", "sent"),
    [
        # The clock goes from 02:00 to 03:00, and from 03:00 to 02:00.
        ("Europe/Berlin", (2026, 3, 29), "2026-03-28T23:00", "2026-03-29T22:00", "2026-03-30T05:00"),
        ("Europe/Berlin", (2026, 10, 25), "2026-10-24T22:00", "2026-10-25T23:00", "2026-10-26T06:00"),
        # Midnight is skipped: the day begins at 01:00.
        ("Africa/Cairo", (2025, 4, 25), "2025-04-24T22:00", "2025-04-25T21:00", "2025-04-26T04:00"),
        # 23:00 comes twice: the day has 25 hours.
        ("Africa/Cairo", (2025, 10, 30), "2025-10-29T21:00", "2025-10-30T22:00", "2025-10-31T05:00"),
        # 00:00 comes twice: the day begins with the first.
        ("America/Havana", (2025, 11, 2), "2025-11-02T04:00", "2025-11-03T05:00", "2025-11-03T12:00"),
        ("Asia/Kathmandu", (2026, 11, 24), "2026-11-23T18:15", "2026-11-24T18:15", "2026-11-25T01:15"),
    ],
)
def test_a_day_is_as_long_as_the_wall_clock_makes_it(
    timezone: str, day: tuple[int, int, int], first: str, last: str, sent: str
) -> None:
    period = period_of(Rhythm.DAILY, date(*day), timezone)
    assert (period.from_ms, period.to_ms) == (ms(first), ms(last))
    assert due_at(period, DAILY) == ms(sent)


@pytest.mark.parametrize(
    "timezone", ["UTC", "Europe/Berlin", "Africa/Cairo", "America/Havana", "Pacific/Apia"]
)
@pytest.mark.parametrize("rhythm", list(Rhythm))
def test_periods_follow_each_other_without_gap_and_overlap(timezone: str, rhythm: Rhythm) -> None:
    for start in (date(2011, 12, 25), date(2025, 12, 31)):
        period = period_of(rhythm, start, timezone)
        for _ in range(400 // rhythm.days):
            earlier = before(period)
            assert earlier.to_ms == period.from_ms, (timezone, period)
            assert earlier.last_day + timedelta(days=1) == period.first_day
            period = earlier


def test_a_time_of_sending_that_the_clock_skips_or_shows_twice_comes_once() -> None:
    at_half_past_two = Schedule(Rhythm.DAILY, 150)
    skipped = period_of(Rhythm.DAILY, date(2026, 3, 28), "Europe/Berlin")
    assert due_at(skipped, at_half_past_two) == ms("2026-03-29T01:30")  # 03:30 on the wall clock
    twice = period_of(Rhythm.DAILY, date(2026, 10, 24), "Europe/Berlin")
    assert due_at(twice, at_half_past_two) == ms("2026-10-25T00:30")  # the first 02:30
    found: list[Period] = []
    now = ms("2026-10-24T00:00")
    while now < ms("2026-10-27T00:00"):
        period = latest_due(at_half_past_two, "Europe/Berlin", now)
        found += [period] if period not in found else []
        now += HOUR // 4
    assert [p.first_day.day for p in found] == [22, 23, 24, 25]


def test_what_is_due_last_changes_at_the_time_of_sending_and_not_at_midnight() -> None:
    for now, day in [("2026-11-25T06:59:59", 23), ("2026-11-25T07:00", 24), ("2026-11-26T06:59", 24)]:
        assert latest_due(DAILY, "UTC", ms(now)).first_day == date(2026, 11, day), now
    assert latest_due(WEEKLY, "UTC", ms("2026-11-30T06:59")).first_day == date(2026, 11, 16)
    assert latest_due(WEEKLY, "UTC", ms("2026-11-30T07:00")).first_day == date(2026, 11, 23)
    assert latest_over(Rhythm.DAILY, "UTC", ms("2026-11-25T00:00")).first_day == date(2026, 11, 24)
    assert latest_over(Rhythm.WEEKLY, "UTC", ms("2026-11-29T23:59")).first_day == date(2026, 11, 16)


def test_a_day_outside_the_calendar_is_refused_in_words() -> None:
    for day in (date.min, date.max):
        with pytest.raises(ValueError, match=r"date: .* is outside"):
            period_of(Rhythm.WEEKLY, day, "UTC")
