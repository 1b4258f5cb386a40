"""The end of a firing: noticed once, in the same step as everything else, against the oracle."""

import math
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from window_oracle import bucket_findings, recovering_streak_findings

from detectors.defaults import DEFAULTS, RECOVERING
from detectors.event import Batch, Event
from detectors.finding import Action, Severity, SubjectKind
from detectors.rule import Kind, Rule
from detectors.slow_responses import SlowResponses
from detectors.windows import Group, Windows, findings_key, meta_of, read_finding, window_key

T0 = 1_764_000_000_000
BUCKET = 10
WINDOW = 100
HOST = "api.example"
DAY_MS = 86_400_000
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rule_of(kind: Kind, n: int, name: str = "high_error_rate", window_ms: int = WINDOW, **more) -> Rule:
    fields = {"recovers": 80, **more}
    return Rule(
        name, n, window_ms, (Action.CREATE_INCIDENT,), Severity.HIGH, kind, (SubjectKind.HOST,), **fields
    )


RATIO = rule_of(Kind.RATIO, 10, min_volume=20)
STREAK = rule_of(Kind.STREAK, 3, "health_check_failure", DAY_MS, recovers=2)
SLOW = rule_of(Kind.PERCENTILE, 2000, "slow_responses", min_volume=20, percentile=95)


def group(rule: Rule, times, values) -> Group:
    return Group(rule, HOST, rule.name, meta_of(rule, HOST), list(times), list(values), [])


async def fed(redis: Redis, one: Group, mark: str | None = None):
    _, crossed = await Windows(redis).apply([one], mark)
    return [(c.first_at, c.at, c.count, bool(c.recovered)) for c in crossed]


async def stream(redis: Redis):
    return [read_finding(0, i, f) for i, f in await redis.xrange(findings_key(0))]


def histogram(durations: list[float], rule: Rule = SLOW) -> list[int]:
    """The bins of these durations, as the detector makes them."""
    events = [Event(timestamp=T0 / 1000, host=HOST, duration_ms=d) for d in durations]
    return SlowResponses(rule).tally(Batch(events, [b""] * len(events), T0, "test"))[HOST][1][0]


def ratio_of(rule: Rule):
    def judge(rows: list[tuple[int, int]]) -> tuple[bool, bool, int]:
        total, bad = sum(t for t, _ in rows), sum(b for _, b in rows)
        too_much = total >= rule.min_volume and bad > 0 and bad / total >= rule.threshold / 100
        return too_much, total >= rule.min_volume and 1000 * bad < 8 * rule.threshold * total, bad

    return judge


def percentile_of(rule: Rule):
    def judge(rows: list[list[float]]) -> tuple[bool, bool, int]:
        every = sorted(d for row in rows for d in row)
        if len(every) < rule.min_volume:
            return False, False, 0
        reached = every[math.ceil(len(every) * rule.percentile / 100) - 1]
        return (
            reached > rule.threshold,
            reached <= 0.8 * rule.threshold,
            sum(d > rule.threshold for d in every),
        )

    return judge


STEPS = st.tuples(st.sampled_from([0, 10, 10, 10, 20, 60, 150]), st.sampled_from([0, 0, 0, 10, 30, 90]))


def arrivals_of(brought):
    """Buckets in order of arrival, some late, and what each brings."""

    def walk(steps):
        newest, found = T0, []
        for (ahead, behind), value in steps:
            newest += ahead
            found.append((newest - behind, value))
        return found

    return st.lists(st.tuples(STEPS, brought), min_size=1, max_size=60).map(walk)


COUNTS = st.sampled_from([(10, 0), (10, 0), (30, 0), (30, 1), (30, 2), (10, 5), (30, 10), (5, 5)])
QUICK, NEARLY, SLOWER = [100.0] * 10, [100.0] * 9 + [1700.0] * 2, [3000.0] * 3 + [10.0] * 8
AT_THE_LIMITS = ([2000.0] * 9, [1600.0] * 9)
TIMES = st.sampled_from([QUICK, QUICK, QUICK, NEARLY, SLOWER, *AT_THE_LIMITS])


@MANY
@given(arrivals=arrivals_of(COUNTS))
async def test_a_ratio_and_its_end_agree_with_the_oracle_in_any_order(redis: Redis, arrivals):
    await redis.flushall()
    found = []
    for t, counts in arrivals:
        found += await fed(redis, group(RATIO, [t], counts))
    assert found == bucket_findings(arrivals, WINDOW, ratio_of(RATIO))


@MANY
@given(arrivals=arrivals_of(TIMES))
async def test_a_percentile_and_its_end_agree_with_sorted_durations_in_any_order(redis: Redis, arrivals):
    await redis.flushall()
    found = []
    for t, durations in arrivals:
        found += await fed(redis, group(SLOW, [t], [histogram(durations)]))
    assert found == bucket_findings(arrivals, WINDOW, percentile_of(SLOW))


@MANY
@given(
    goods=st.lists(st.booleans(), min_size=1, max_size=60),
    n=st.integers(1, 4),
    recovers=st.integers(1, 3),
    cut=st.integers(1, 60),
)
async def test_a_streak_and_its_end_agree_with_the_oracle_however_cut(redis: Redis, goods, n, recovers, cut):
    await redis.flushall()
    rule = rule_of(Kind.STREAK, n, "health_check_failure", 100, recovers=recovers)
    arrivals = [(T0 + 10 * i, good) for i, good in enumerate(goods)]
    found = []
    for start in range(0, len(arrivals), cut):
        part = arrivals[start : start + cut]
        found += await fed(redis, group(rule, [t for t, _ in part], [int(good) for _, good in part]))
    assert found == recovering_streak_findings(arrivals, n, 100, recovers)


async def test_three_failures_fire_and_two_good_checks_end_it_once(redis: Redis):
    assert await fed(redis, group(STREAK, [T0, T0 + 1, T0 + 2], [0, 0, 0])) == [(T0, T0 + 2, 3, False)]
    assert await fed(redis, group(STREAK, [T0 + 3], [1])) == []
    assert await fed(redis, group(STREAK, [T0 + 4, T0 + 5], [0, 1])) == []
    assert await fed(redis, group(STREAK, [T0 + 60_000], [1])) == [(T0 + 5, T0 + 60_000, 2, True)]
    assert await fed(redis, group(STREAK, [T0 + 60_001, T0 + 60_002], [1, 1])) == []
    fired, over = await stream(redis)
    assert (fired.recovered, over.recovered) == (False, True)
    assert over.why == "api.example is well again: 2 checks passed in a row in 60 s"
    assert not await redis.exists(window_key(0, STREAK.name, HOST))


async def test_who_never_fired_does_not_recover_and_leaves_nothing_behind(redis: Redis):
    assert await fed(redis, group(STREAK, [T0, T0 + 1, T0 + 2, T0 + 3], [0, 0, 1, 1])) == []
    assert not await redis.exists(window_key(0, STREAK.name, HOST))


async def test_a_batch_that_comes_again_ends_nothing_twice(redis: Redis):
    times = range(T0, T0 + 5)
    once = await fed(redis, group(STREAK, times, [0, 0, 0, 1, 1]), "m")
    assert [recovered for *_, recovered in once] == [False, True]
    assert await fed(redis, group(STREAK, times, [0, 0, 0, 1, 1]), "m") == []
    assert [f.recovered for f in await stream(redis)] == [False, True]


async def test_the_end_stands_by_itself_in_the_stream_between_merged_findings(redis: Redis):
    goods = [0] * 9 + [1, 1] + [0] * 6
    await fed(redis, group(STREAK, [T0 + i for i in range(len(goods))], goods))
    assert [(f.count, f.recovered) for f in await stream(redis)] == [
        (3, False), (6, False), (2, True), (3, False), (3, False),
    ]  # fmt: skip


@pytest.mark.parametrize(("rule", "values"), [(RATIO, [20, 10, 1, 0]), (STREAK, [0, 0, 0])])
async def test_that_it_has_fired_is_remembered_for_a_day(redis: Redis, rule: Rule, values):
    times = [T0, T0 + 10] if rule is RATIO else [T0, T0 + 1, T0 + 2]
    assert await fed(redis, group(rule, times, values))
    assert await redis.pttl(window_key(0, rule.name, HOST)) > DAY_MS - 60_000


async def test_a_silent_host_does_not_recover(redis: Redis):
    await fed(redis, group(RATIO, [T0, T0 + 10], [20, 10, 1, 0]))
    assert await fed(redis, group(RATIO, [T0 + 500_000], [19, 0])) == []
    assert await fed(redis, group(RATIO, [T0 + 500_200], [20, 0])) == []
    assert await fed(redis, group(RATIO, [T0 + 500_210], [1, 0])) == [(T0 + 500_200, T0 + 500_200, 0, True)]
    assert (await stream(redis))[-1].why == "api.example is well again: 20 of 20 requests fine in 0.1 s"


@pytest.mark.parametrize(
    ("rule", "bad", "good"), [(RATIO, [20, 10], [20, 0]), (SLOW, [[150, 20]], [[0, 20]])]
)
async def test_it_is_over_once_a_whole_window_has_passed_since_the_last_finding(
    redis: Redis, rule, bad, good
):
    found = await fed(redis, group(rule, [T0], bad))
    for at in range(T0 + BUCKET, T0 + WINDOW + 2 * BUCKET, BUCKET):
        found += await fed(redis, group(rule, [at], good))
    assert [(at, recovered) for _, at, _, recovered in found] == [(T0, False), (T0 + WINDOW, True)]


async def test_a_ratio_only_just_below_its_threshold_is_not_over(redis: Redis):
    await fed(redis, group(RATIO, [T0, T0 + 10], [20, 10, 1, 0]))
    for at in range(T0 + 200, T0 + 2000, 100):
        assert await fed(redis, group(RATIO, [at], [100, 8])) == []
    assert await fed(redis, group(RATIO, [T0 + 2100], [100, 7])) == []
    assert await fed(redis, group(RATIO, [T0 + 2200], [1, 0])) == [(T0 + 2100, T0 + 2100, 7, True)]


async def test_a_threshold_that_the_policy_changed_begins_new_bins_and_still_sees_the_end(redis: Redis):
    slow, fast = [9000.0] * 20, [100.0] * 20
    other = rule_of(Kind.PERCENTILE, 500, "slow_responses", min_volume=20, percentile=95)
    await fed(redis, group(SLOW, [T0], [histogram(slow)]))
    assert await fed(redis, group(SLOW, [T0 + 10], [histogram(fast)])) == [(T0, T0, 20, False)]
    assert await fed(redis, group(other, [T0 + 200], [histogram(fast, other)])) == []
    assert await fed(redis, group(other, [T0 + 210], [[0, 1]])) == [(T0 + 200, T0 + 200, 0, True)]


WORKER = """
import asyncio, sys
from redis.asyncio import Redis
sys.path.insert(0, sys.argv[3])
from test_recovery import RATIO, T0, group
from detectors.windows import Windows

async def main(url, worker):
    redis = Redis.from_url(url)
    windows = Windows(redis)
    for number in range(20):
        await windows.apply([group(RATIO, [T0 + 10], [20, 10])], None)
    for number in range(100):
        await windows.apply([group(RATIO, [T0 + 400 + 10 * number], [20, 0])], f"{worker}:{number}")
    await redis.aclose()

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


def run_workers(url: str, folder: str) -> None:
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, url, str(n), folder]) for n in range(4)]
    assert [worker.wait(60) for worker in workers] == [0] * 4


async def test_of_four_processes_one_notices_the_end(redis: Redis, redis_server: str, request):
    run_workers(redis_server, str(request.path.parent))
    found = [finding.recovered for finding in await stream(redis)]
    assert found.count(True) == 1
    assert found[-1]


def test_only_rules_about_the_services_own_health_recover():
    by_host = {"health_check_failure", "high_error_rate", "elevated_error_rate", "slow_responses"}
    by_source = {"source_unreadable", "source_silent", "blocklist_stale"}
    assert by_host | by_source == RECOVERING
    assert all(DEFAULTS[name].group_by == (SubjectKind.HOST,) for name in by_host)
    assert all(DEFAULTS[name].group_by == (SubjectKind.SOURCE,) for name in by_source)
