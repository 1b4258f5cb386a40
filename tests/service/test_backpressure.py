"""More than a service can take is put off at once, in bounded memory; nothing of it is lost or counted twice."""

import asyncio
from collections.abc import Iterable

import pytest

from benchmarks.backpressure import THRESHOLD, Load, blocked, burst, huge_batch, slow_bodies, tiny_requests
from benchmarks.service import Service, running_service

ANSWER_LIMIT_S = 2.0
"""And what this machine, busy with other tests, adds: the service stalls as its sender does."""
MEMORY_LIMIT_MIB = 1_000
"""Of which 150 are there without any load."""


def assert_within_bounds(load: Load) -> None:
    assert load.slowest_s < ANSWER_LIMIT_S + 3 * load.stall_s, load
    assert load.peak_mib < MEMORY_LIMIT_MIB, load
    assert set(load.statuses) <= {200, 503}


async def eventually_blocked(service: Service, expected: Iterable[str]) -> set[str]:
    wanted = set(expected)
    for _ in range(400):
        found = await blocked(service)
        if found >= wanted:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"not blocked: {sorted(wanted - found)[:5]}")


async def test_slow_bodies_hold_up_nobody() -> None:
    with running_service() as service:
        load = await slow_bodies(service, slow_ones=200, others=30)
    assert_within_bounds(load)
    assert load.statuses == {200: 230}


async def test_many_tiny_requests_are_answered_in_time() -> None:
    with running_service() as service:
        load = await tiny_requests(service, 100, requests=3_000)
    assert_within_bounds(load)
    assert load.statuses.total() == 3_000


@pytest.mark.slow
async def test_a_huge_batch_is_answered_in_time_and_counted_once() -> None:
    pairs = range(20)
    with running_service() as service:
        load = await huge_batch(service, records=900_000, pairs=pairs)
        found = await eventually_blocked(service, (f"198.51.0.{pair}" for pair in pairs))
    assert_within_bounds(load)
    assert load.statuses[503] >= 1, "it took no longer than a request may: take more records"
    assert found == {f"198.51.0.{pair}" for pair in pairs}, (
        "the careful ones fail once less than the threshold"
    )


@pytest.mark.slow
async def test_a_burst_after_an_outage_is_put_off_and_counted_once() -> None:
    senders = 20
    with running_service() as service:
        load = await burst(service, senders, bodies_each=10, events=1_000)
        found = await eventually_blocked(service, (f"198.51.0.{sender}" for sender in range(senders)))
    assert_within_bounds(load)
    assert load.statuses[200] == senders * 10
    assert found == {f"198.51.0.{sender}" for sender in range(senders)}


def test_the_threshold_is_the_one_of_the_policy() -> None:
    from detectors.defaults import DEFAULTS

    assert DEFAULTS["auth_failures"].threshold == THRESHOLD
