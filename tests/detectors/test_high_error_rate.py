"""The error rate is added up in the fastest way that a batch's timestamps allow; all ways give the same."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from detectors.defaults import DEFAULTS
from detectors.event import Batch, Event
from detectors.high_error_rate import ANY_HOST, HighErrorRate
from detectors.timestamps import event_time_ms

RECEIVED_MS = 1_795_435_200_000
BUCKET_MS = 10_000
TIMES = (  # what only begins like a time in the first form is taken for one
    "2026-11-23T11:59:08.123Z",
    "2026-11-23T11:59:09Z",
    "2026-11-23T11:59:10.000Z",
    "2026-11-23T11:59:12+00:00",
    "23/Nov/2026:11:59:08 +0000",
    "23/Nov/2026:11:59:10 +0000",
    "Z",
    "",
    1_795_434_000,
    1_795_434_009.5,
    1_795_434_009_999,
    1_795_434_010_000,
    1_795_434_009_999_999,
    1_795_434_010_000_001,
    1_795_434_009_999_999_999,
    1_795_434_010_000_000_001,
    1_795_435_499_999,
    1_795_435_500_001,
    -1_795_434_009_999,
    10**20 + 7,
    True,
    None,
)
EVENTS = st.lists(
    st.builds(
        Event,
        timestamp=st.sampled_from(TIMES),
        host=st.sampled_from((None, "a.example", "b.example")),
        status=st.sampled_from((None, 200, 404, 500, 503)),
    )
)


@given(EVENTS)
def test_a_batch_adds_up_to_the_same_one_by_one(events: list[Event]) -> None:
    totals, bad = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for event in events:
        at = event_time_ms(event.timestamp, RECEIVED_MS)[0]
        key = (event.host or ANY_HOST, at - at % BUCKET_MS)
        if event.status is not None:
            totals[key] += 1
            bad[key] += event.status >= 500
    found = HighErrorRate(DEFAULTS["high_error_rate"]).tally(Batch(events, [], RECEIVED_MS, "test"))
    assert {host: times for host, (times, _) in found.items()} == {
        host: sorted(at for known, at in totals if known == host) for host, _ in totals
    }
    for host, (times, values) in found.items():
        expected = [count for at in times for count in (totals[host, at], bad[host, at])]
        assert values == expected
