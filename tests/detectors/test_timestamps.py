"""Every way logs write a moment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.timestamps import event_time_ms, parse_time, to_rfc3339

AT = 1_795_428_003_123


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("2026-11-23T10:00:03.123Z", AT),
        ("2026-11-23T10:00:03.123456789Z", AT),
        ("2026-11-23T11:00:03.123+01:00", AT),
        ("2026-11-23T10:00:03.123+0000", AT),
        ("2026-11-23 10:00:03.123", AT),
        ("2026-11-23 10:00:03,123", AT),
        ("2026-11-23T10:00:03Z", AT - 123),
        ("2026-11-23 10:00:03.123 +0000", AT),
        ("2026-11-23 10:00:03.123456789 +0000 UTC", AT),
        ("2026-11-23 12:00:03,123 +02:00", AT),
        ("2026-11-23 10:00:03.123 UTC", AT),
        ("2026/11/23 10:00:03", AT - 123),
        ("2026/11/23 10:00:03.123456", AT),
        ("Mon, 23 Nov 2026 10:00:03 GMT", AT - 123),
        ("23 Nov 2026 12:00:03 +0200", AT - 123),
        ("Mon Nov 23 10:00:03 2026", AT - 123),
        ("[Mon Nov 23 10:00:03.123456 2026]", AT),
        ("23/Nov/2026:10:00:03.123", AT),
        ("23/Nov/2026:10:00:03 +0000", AT - 123),
        ("[23/Nov/2026:12:00:03 +0200]", AT - 123),
        (1_795_428_003.123, AT),
        (1_795_428_003, AT - 123),
        (AT, AT),
        (AT * 1000, AT),
        (AT * 1_000_000, AT),
        (str(AT), AT),
        ("1795428003.123", AT),
        (str(AT * 1_000_000), AT),
    ],
)
def test_every_spelling_of_a_moment_is_the_same_millisecond(value, ms):
    assert parse_time(value) == ms


@pytest.mark.parametrize(
    "value",
    [None, "", "-", "yesterday", "2026-11-23 10:00:03 CET", "Mon, 23 Xxx 2026 10:00:03 GMT", "Nov 23 10:00:03",
     "2026-11-23 10:00:03 +0000 MSK", "Mon Nov 31 10:00:03 2026", "2026/11-23 10:00:03",
     "2026-13-01T00:00:00Z", "32/Nov/2026:10:00:03 +0000", "23/Xxx/2026:10:00:03 +0000",
     float("nan"), float("inf"), True, [], -5, 10**30, "9" * 39, "9" * 500, "0001-01-01T00:00:00+23:59"],
)  # fmt: skip
def test_what_is_no_moment_is_none(value):
    assert parse_time(value) is None


def test_a_future_moment_becomes_the_time_of_receipt_and_is_flagged():
    assert event_time_ms(AT + 300_000, AT) == (AT + 300_000, None)
    assert event_time_ms(AT + 300_001, AT) == (AT, "clock_skew")
    assert event_time_ms(None, AT) == (AT, "no_time")
    assert event_time_ms(AT - 86_400_000, AT) == (AT - 86_400_000, None)


def test_a_time_without_a_year_lies_in_the_year_before_its_receipt():
    assert event_time_ms("Nov 23 10:00:03", AT) == (AT - 123, None)
    assert event_time_ms("Nov 24 10:00:02", AT) == (AT, "clock_skew")
    assert event_time_ms("Nov 25 10:00:03", AT) == (parse_time("2025-11-25T10:00:03Z"), None)
    assert event_time_ms("Nov  3 10:00:03", AT) == (parse_time("2026-11-03T10:00:03Z"), None)
    for text in (
        "Nov 31 10:00:03",
        "Xxx 23 10:00:03",
        "Nov 23 10:00:03 x",
        "Nov 23 10:60:03",
        "Nov  23 10:00:03",
    ):
        assert event_time_ms(text, AT) == (AT, "no_time")


@given(st.integers(0, 253_402_300_799_999))
def test_what_is_written_is_read_back(ms):
    assert parse_time(to_rfc3339(ms)) == ms


@given(st.one_of(st.text(max_size=60), st.integers(), st.floats(), st.binary()))
def test_no_value_raises(value):
    parse_time(value)
