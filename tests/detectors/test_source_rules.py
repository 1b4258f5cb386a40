"""When a source is called silent or unreadable: the judgements alone, over what is kept of it."""

import pytest

from detectors.defaults import DEFAULTS
from detectors.source_silent import BATCHES, HISTORY_MS, Habit, SourceSilent
from detectors.source_unreadable import SHORTEST_MS, SourceUnreadable

NOON = 1_795_003_200_000
MINUTE, HOUR = 60_000, 3_600_000
UNREADABLE = SourceUnreadable(DEFAULTS["source_unreadable"])
SILENT = SourceSilent(DEFAULTS["source_silent"])


@pytest.mark.parametrize(
    ("records", "lasted_ms", "ago_ms", "is_unreadable"),
    [
        (100, SHORTEST_MS, 0, True),
        (99, SHORTEST_MS, 0, False),
        (100_000, SHORTEST_MS - 1, 0, False),
        (100, 9 * HOUR, 10 * MINUTE, True),
        (100, 9 * HOUR, 10 * MINUTE + 1, False),
    ],
    ids=["just enough", "one below", "all at once", "slow but going on", "over"],
)
def test_unreadable(records: int, lasted_ms: int, ago_ms: int, is_unreadable: bool):
    assert (
        UNREADABLE.is_unreadable(records, NOON, NOON + lasted_ms, NOON + lasted_ms + ago_ms) is is_unreadable
    )


@pytest.mark.parametrize(
    ("pause_ms", "silence_ms", "limit_ms"),
    [
        (0, 0, 10 * MINUTE),
        (MINUTE, 0, 10 * MINUTE),
        (12 * HOUR, 0, 36 * HOUR),
        (HOUR, 8 * HOUR, 10 * HOUR),
        (HOUR, 2 * HOUR, 3 * HOUR),
    ],
    ids=["chatty", "floor", "nights", "after a silence", "after a short one"],
)
def test_silent_after(pause_ms: int, silence_ms: int, limit_ms: int):
    habit = Habit(NOON - HISTORY_MS, NOON, BATCHES, pause_ms, silence_ms)
    assert SILENT.limit_ms(habit) == limit_ms
    assert not SILENT.is_silent(habit, limit_ms)
    assert SILENT.is_silent(habit, limit_ms + 1)


@pytest.mark.parametrize(
    "habit",
    [Habit(NOON - HISTORY_MS + 1, NOON, 1_000, 0, 0), Habit(NOON - 9 * HISTORY_MS, NOON, BATCHES - 1, 0, 0)],
    ids=["less than a day", "a few requests"],
)
def test_without_a_habit_nothing_is_silent(habit: Habit):
    assert SILENT.limit_ms(habit) is None
    assert not SILENT.is_silent(habit, 365 * HISTORY_MS)
