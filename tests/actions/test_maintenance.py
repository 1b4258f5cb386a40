"""When maintenance is: the operator's windows, odd calendars, and a slow oracle beside."""

from datetime import UTC, datetime

import maintenance_oracle as oracle
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actions.quiet.maintenance import Range, Schedule, Window, active, has_a_day, next_occurrence, occurrences

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SUNDAY = ((7, 7),)


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def texts(window: Window, since: str, until: str) -> list[str]:
    found = occurrences(window, at(since), at(until))
    return [f"{datetime.fromtimestamp(one.starts_at / 1000, UTC):%Y-%m-%dT%H:%M}" for one in found]


def a_window(
    hours: float = 2, timezone: str = "UTC", at_minute: int = 120, **fields: tuple[Range, ...]
) -> Window:
    schedule = Schedule(at_minute=at_minute, timezone=timezone, **fields)
    return Window(name="w", duration_ms=round(hours * HOUR_MS), schedule=schedule)


def test_weekly_on_sunday_at_two() -> None:
    assert texts(a_window(weekdays=SUNDAY), "2026-11-25", "2026-12-14") == [
        "2026-11-29T02:00",
        "2026-12-06T02:00",
        "2026-12-13T02:00",
    ]


def test_the_first_sunday_of_the_month_needs_both_fields_to_fit() -> None:
    monthly = a_window(4, weekdays=SUNDAY, days_of_month=((1, 7),))
    assert texts(monthly, "2026-11-25", "2027-03-01") == [
        "2026-12-06T02:00",
        "2027-01-03T02:00",
        "2027-02-07T02:00",
    ]


def test_the_quarters_last_day_is_found_in_months_of_any_length() -> None:
    window = a_window(days_of_month=((-1, -1),), months=((2, 2), (4, 4), (12, 12)))
    assert texts(window, "2027-01-01", "2029-01-01") == [
        *("2027-02-28T02:00", "2027-04-30T02:00", "2027-12-31T02:00"),
        *("2028-02-29T02:00", "2028-04-30T02:00", "2028-12-31T02:00"),
    ]


def test_the_31st_and_29_february_are_left_out_where_there_is_none() -> None:
    assert texts(a_window(days_of_month=((31, 31),)), "2027-01-01", "2027-06-01") == [
        *("2027-01-31T02:00", "2027-03-31T02:00", "2027-05-31T02:00")
    ]
    leap = a_window(days_of_month=((29, 29),), months=((2, 2),))
    assert texts(leap, "2026-01-01", "2033-01-01") == ["2028-02-29T02:00", "2032-02-29T02:00"]


def test_minus_31_is_the_first_day_of_long_months_only() -> None:
    assert texts(a_window(days_of_month=((-31, -31),)), "2027-01-01", "2027-06-01") == [
        *("2027-01-01T02:00", "2027-03-01T02:00", "2027-05-01T02:00")
    ]


def test_a_window_over_the_end_of_the_year_is_open_on_both_sides() -> None:
    window = a_window(4, at_minute=23 * 60, days_of_month=((31, 31),), months=((12, 12),))
    assert active(window, at("2026-12-31T22:59:59.999")) is None
    for open_at in ("2026-12-31T23:00", "2027-01-01T00:00", "2027-01-01T02:59:59.999"):
        found = active(window, at(open_at))
        assert found is not None, open_at
        assert (found.starts_at, found.ends_at) == (at("2026-12-31T23:00"), at("2027-01-01T03:00"))
    assert active(window, at("2027-01-01T03:00")) is None


def test_the_next_one_is_later_than_now() -> None:
    window = a_window(weekdays=SUNDAY)
    found = next_occurrence(window, at("2026-11-29T02:00"))
    assert found is not None
    assert found.starts_at == at("2026-12-06T02:00")


def test_given_times_are_kept_as_they_are() -> None:
    window = Window(
        name="q", duration_ms=8 * HOUR_MS, starts=(at("2026-12-06T02:00"), at("2027-03-07T02:00"))
    )
    assert texts(window, "2026-12-06T09:59", "2027-03-07T02:00") == ["2026-12-06T02:00"]
    assert texts(window, "2026-12-06T10:00", "2027-03-07T02:01") == ["2027-03-07T02:00"]
    assert next_occurrence(window, at("2027-03-07T02:00")) is None


@pytest.mark.parametrize(
    ("timezone", "day", "at_minute", "starts"),
    [
        # Berlin springs from 02:00 to 03:00 on 28 March 2027, and falls back at 03:00 on 31 October.
        ("Europe/Berlin", "2027-03-28", 119, "2027-03-28T00:59"),
        ("Europe/Berlin", "2027-03-28", 120, "2027-03-28T01:00"),
        ("Europe/Berlin", "2027-03-28", 150, "2027-03-28T01:30"),
        ("Europe/Berlin", "2027-03-28", 180, "2027-03-28T01:00"),
        ("Europe/Berlin", "2027-10-31", 150, "2027-10-31T00:30"),
        ("Europe/Berlin", "2027-10-31", 180, "2027-10-31T02:00"),
        # New York on 14 March and 7 November 2027.
        ("America/New_York", "2027-03-14", 150, "2027-03-14T07:30"),
        ("America/New_York", "2027-11-07", 90, "2027-11-07T05:30"),
        ("America/New_York", "2027-11-07", 120, "2027-11-07T07:00"),
    ],
)
def test_a_time_that_the_clock_skips_comes_later_and_one_it_shows_twice_is_the_first(
    timezone: str, day: str, at_minute: int, starts: str
) -> None:
    month, number = int(day[5:7]), int(day[8:])
    window = a_window(4, timezone, at_minute, months=((month, month),), days_of_month=((number, number),))
    (found,) = occurrences(window, at("2027-01-01"), at("2028-01-01"))
    assert (found.starts_at, found.ends_at) == (at(starts), at(starts) + 4 * HOUR_MS)


def test_a_day_that_never_comes_is_known() -> None:
    assert not has_a_day(Schedule(at_minute=0, days_of_month=((30, 31),), months=((2, 2),)))
    assert has_a_day(Schedule(at_minute=0, days_of_month=((29, 29),), months=((2, 2),), weekdays=SUNDAY))


def test_near_the_beginning_of_time_nothing_fails() -> None:
    assert texts(a_window(), "1970-01-01", "1970-01-02") == ["1970-01-01T02:00"]


def a_range(low: int, high: int) -> st.SearchStrategy[Range]:
    return st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda ends: (min(ends), max(ends)))


def some(ranges: st.SearchStrategy[Range]) -> st.SearchStrategy[tuple[Range, ...]]:
    return st.lists(ranges, max_size=2).map(tuple)


SCHEDULES = st.builds(
    Schedule,
    weekdays=some(a_range(1, 7)),
    days_of_month=some(
        a_range(1, 31) | a_range(-31, -1) | st.tuples(st.integers(1, 31), st.integers(-31, -1))
    ),
    months=some(a_range(1, 12)),
    at_minute=st.integers(0, 1439) | st.sampled_from([60, 90, 119, 120, 150, 180]),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
)
DAYS = st.sampled_from(
    [
        *("2027-03-28", "2027-10-31", "2027-03-14", "2027-11-07"),  # clocks change
        *("2028-02-28", "2027-02-28", "2026-12-31", "2027-04-30"),  # leap day, ends of months and years
    ]
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(SCHEDULES, DAYS, st.integers(1, 30))
@example(Schedule(at_minute=150, timezone="Europe/Berlin"), "2027-03-28", 1)
@example(Schedule(at_minute=150, timezone="Europe/Berlin"), "2027-10-31", 1)
@example(Schedule(at_minute=150, timezone="America/New_York"), "2027-03-14", 1)
@example(Schedule(at_minute=90, timezone="America/New_York"), "2027-11-07", 1)
def test_every_minute_around_agrees_with_the_slow_oracle(schedule: Schedule, day: str, hours: int) -> None:
    window = Window(name="w", duration_ms=hours * HOUR_MS, schedule=schedule)
    since, until = at(day) - DAY_MS, at(day) + 2 * DAY_MS
    begun = oracle.starts(schedule, since - hours * HOUR_MS, until)
    found = occurrences(window, since, until)
    assert [one.starts_at for one in found] == [b for b in begun if b + hours * HOUR_MS > since]
    for now in range(since, until, 30 * oracle.MINUTE_MS):
        is_open = any(start <= now < start + hours * HOUR_MS for start in begun)
        assert (active(window, now) is not None) == is_open
