"""500 messages over four channels, a receiver that misbehaves in every way, and a killed process."""

from collections import defaultdict

import pytest

from benchmarks.delivery import CHANNELS, DEAD, DEAD_CHANNEL, Outcome, run


@pytest.mark.slow
def test_none_is_lost_and_only_what_can_never_arrive_is_dead():
    found = run()
    assert len(found.wanted) == 500
    assert found.lost == set()
    assert found.left == 0
    assert found.seconds < 40
    assert found.dead == [(DEAD_CHANNEL, "404")] * DEAD
    # Each is recorded once, whatever was sent twice; the notice about the dead channel comes on top.
    assert {c: found.log["delivered", c] for c in CHANNELS} == dict.fromkeys(CHANNELS, 500 // 4 + 1)
    # Twice only where the receiver accepted after the client had gone, or the kill came before it was recorded.
    of_the_kill = sum(found.doubles.values()) - found.of_stalls
    assert 0 <= of_the_kill <= 4 * (len(CHANNELS) + 1)
    assert found.of_stalls <= sum(found.receiver.stalled.values())
    assert_in_order(found)


def assert_in_order(found: Outcome) -> None:
    """Of one incident, what opened it arrived first, however often each was tried."""
    first: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for channel, _, incident, kind, at in found.receiver.accepted:
        first[channel, incident].setdefault(kind, at)
    orders = [kinds for kinds in first.values() if len(kinds) == 2]
    assert len(orders) == 84
    assert all(kinds["opened"] < kinds["acknowledged"] for kinds in orders)
