"""The time at Redis, as a process knows it."""

from detectors.redis_clock import NO_DEADLINE, RedisClock


def test_a_deadline_goes_with_the_clock_of_redis_and_the_time_that_has_passed_here():
    passed = [100.0]
    clock = RedisClock(lambda: passed[0])
    assert not clock.is_known
    assert clock.deadline(1500) == NO_DEADLINE
    clock.learn(1_764_000_000_000)
    assert clock.is_known
    assert clock.deadline(1500) == 1_764_000_001_500
    passed[0] += 2
    assert clock.deadline(1500) == 1_764_000_003_500
    clock.learn(1_763_999_000_000)
    assert clock.deadline(0) == 1_763_999_000_000
