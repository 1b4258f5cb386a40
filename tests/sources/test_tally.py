"""What one process sums up of one source, without Redis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tending import NOON, SECOND, batch

from app.ingest.decode import Decoded, Rejected
from app.sources.tally import LONGEST_REASON, OTHER, REASONS, Tally, reason_of
from detectors.event import Event


def tally(*batches: Decoded, at: int = NOON) -> Tally:
    found = Tally(at, at)
    for number, one in enumerate(batches):
        found.note_time(at + number * SECOND)
        found.note_events(one, at + number * SECOND)
    return found


def test_what_is_missing_is_counted_by_what_it_is():
    events = [
        Event(client_ip="203.0.113.9", status=200),
        Event(client_ip="203.0.113.9", outcome="failure"),
        Event(client_ip="203.0.113.9", path="/"),
        Event(status=200),
        Event(message="hello"),
    ]
    found = tally(Decoded(events, [b""] * 5))
    assert found.counts == {"accepted": 5, "no_client_ip": 2, "no_status": 2}
    assert (found.is_useful, found.useless) == (True, 0)


def test_useless_records_are_counted_until_one_is_of_use():
    found = tally(batch(useless=2), batch(rejected=3))
    assert (found.is_useful, found.useless, found.useless_since_ms) == (False, 5, NOON)
    found.note_events(batch(good=1, rejected=9), NOON + 9 * SECOND)
    assert (found.is_useful, found.useless, found.useless_since_ms) == (True, 0, None)
    found.note_events(batch(useless=1), NOON + 10 * SECOND)
    assert (found.is_useful, found.useless, found.useless_since_ms) == (True, 1, NOON + 10 * SECOND)


def test_a_refused_body_is_one_useless_record_unless_it_was_our_fault():
    found = Tally(NOON, NOON)
    found.note_refused("gzip: damaged", NOON, is_ours=False)
    found.note_refused("storage did not answer", NOON, is_ours=True)
    assert found.counts == {"refused": 2}
    assert found.useless == 1
    assert found.reasons == {"gzip: damaged": 1, "storage did not answer": 1}


def test_the_skew_is_that_of_the_newest_batch_and_the_largest_lead_is_kept():
    found = tally(batch(good=1, at=NOON + 7 * SECOND), batch(good=1, at=NOON - 2 * SECOND), batch(good=1))
    assert (found.last_event_ms, found.skew_ms, found.ahead_ms) == (
        NOON - 2 * SECOND,
        3 * SECOND,
        7 * SECOND,
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("line 1 column 17", "line N column N"),
        ("not a line of the format combined", "not a line of the format combined"),
        ("x" * 500, "x" * LONGEST_REASON),
    ],
    ids=["numbers", "plain", "long"],
)
def test_the_numbers_of_a_reason_do_not_make_it_another(text: str, reason: str):
    assert reason_of(text) == reason


def test_there_are_only_so_many_reasons():
    letters = [chr(97 + n % 26) * (1 + n // 26) for n in range(50)]
    found = tally(Decoded([], [], [Rejected(0, f"{letter}", b"") for letter in letters]))
    assert len(found.reasons) == REASONS + 1
    assert found.reasons[OTHER] == 50 - REASONS


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=2, max_size=8), st.integers(1, 7))
def test_two_tallies_added_say_what_one_would(sizes: list[tuple[int, int, int]], cut: int):
    batches = [batch(*size) for size in sizes]
    cut = min(cut, len(batches) - 1)
    whole, first = tally(*batches), tally(*batches[:cut])
    first.add(tally(*batches[cut:], at=NOON + cut * SECOND))
    first.counts, whole.counts = +first.counts, +whole.counts
    assert first == whole
