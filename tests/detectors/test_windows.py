"""The windows in a real Redis against the oracle: disorder, duplicates, retries, several clients at once."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from window_oracle import (
    count_findings,
    distinct_findings_in_order,
    first_distinct_fire,
    sequence_findings,
    streak_findings,
)

from detectors.errors import StorageError
from detectors.finding import Action, Severity, SubjectKind
from detectors.rule import Kind, Rule
from detectors.windows import (
    LATE_DELIVERY_MS,
    Group,
    Windows,
    batch_key,
    findings_key,
    meta_of,
    read_finding,
    window_key,
)

T0 = 1_764_000_000_000
WINDOW = 60_000
RULE = Rule("auth_failures", 10, WINDOW, (Action.BLOCK_IP,), Severity.HIGH)
SUBJECT = "198.51.100.7"
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def group(times, rule=RULE, values=(), subject=SUBJECT, evidence=()) -> Group:
    times = list(times)
    return Group(rule, subject, rule.name, meta_of(rule, subject), times, list(values), list(evidence))


def rule_of(kind: Kind, n: int, window_ms: int = WINDOW, **more) -> Rule:
    return Rule("auth_failures", n, window_ms, (Action.BLOCK_IP,), Severity.HIGH, kind=kind, **more)


async def fed(windows: Windows, groups, mark=None):
    _, crossed = await windows.apply(groups, mark)
    return [(c.first_at, c.at, c.count) for c in crossed]


@pytest.mark.parametrize(
    ("times", "fires"),
    [
        ([*range(0, 9000, 1000), 59_900], True),
        ([*range(0, 9000, 1000)], False),
        ([*range(0, 9000, 1000), 60_000], False),
        ([*range(0, 9000, 1000), 59_999], True),
        ([0] * 10, True),
        ([0] * 9, False),
    ],
)
async def test_ten_failures_within_a_minute_fire_and_nine_or_sixty_seconds_do_not(redis: Redis, times, fires):
    found = await fed(Windows(redis), [group(T0 + t for t in times)])
    assert found == ([(T0 + times[0], T0 + times[-1], 10)] if fires else [])


async def test_a_window_slides_over_the_minute_and_over_batches(redis: Redis):
    windows = Windows(redis)
    assert await fed(windows, [group(T0 + t for t in (0, 30_000, 40_000))]) == []
    assert await fed(windows, [group(T0 + 61_000 + t for t in range(7))]) == []
    assert await fed(windows, [group([T0 + 61_100])]) == [(T0 + 30_000, T0 + 61_100, 10)]


async def test_a_finding_consumes_its_events(redis: Redis):
    windows = Windows(redis)
    assert len(await fed(windows, [group(T0 + t for t in range(10))])) == 1
    assert await fed(windows, [group(T0 + 10 + t for t in range(9))]) == []
    assert len(await fed(windows, [group([T0 + 20])])) == 1


async def test_the_same_batch_twice_counts_once(redis: Redis):
    windows = Windows(redis)
    nine = [group(T0 + t for t in range(9))]
    assert await windows.apply(nine, "m") == (True, [])
    assert await windows.apply(nine, "m") == (False, [])
    assert len(await fed(windows, [group([T0 + 9])])) == 1


async def test_a_marked_batch_in_which_nothing_counted_is_known_again(redis: Redis):
    windows = Windows(redis, shards=8)
    assert (await windows.apply([], "m"))[0] is True
    assert (await windows.apply([], "m"))[0] is False


async def test_a_repeat_after_a_crash_half_way_applies_just_the_missing_shards(redis: Redis):
    windows = Windows(redis, shards=8)
    subjects = [f"198.51.100.{i}" for i in range(40)]
    groups = [group((T0 + t for t in range(5)), subject=s) for s in subjects]
    one = windows.shard_of(subjects[0])
    await windows._call(one, [g for g in groups if windows.shard_of(g.subject) == one], "m")
    assert (await windows.apply(groups, "m"))[0] is True
    crossed = (
        await windows.apply([group((T0 + 9 + t for t in range(5)), subject=s) for s in subjects], None)
    )[1]
    assert sorted(c.group.subject for c in crossed) == sorted(subjects)


async def test_a_hundred_at_once_fire_exactly_ten_times(redis: Redis):
    windows = Windows(redis)
    found = await asyncio.gather(*(fed(windows, [group([T0 + i])]) for i in range(100)))
    assert sum(map(len, found)) == 10
    assert await redis.xlen(findings_key(0)) == 10


async def test_every_key_expires_and_memory_is_bounded_by_the_threshold(redis: Redis):
    windows = Windows(redis)
    for start in range(0, 20_000, 1000):
        await fed(windows, [group((T0 + (start + i) * 7_000 for i in range(1000)), evidence=[])], f"m{start}")
    key = window_key(0, RULE.name, SUBJECT)
    assert await redis.strlen(key) < 18 * 9 + 64
    assert WINDOW < await redis.pttl(key) <= 2 * WINDOW + LATE_DELIVERY_MS
    assert 0 < await redis.pttl(batch_key(0, "m0")) <= 15 * 60_000
    for name in await redis.keys("*"):
        assert await redis.pttl(name) > 0, name


async def test_a_finding_carries_its_newest_evidence_and_its_rule(redis: Redis):
    windows = Windows(redis)
    evidence = [(T0 + i, f'{{"at":{T0 + i},"received_at":{T0},"matched":"status 401"}}') for i in range(12)]
    await fed(windows, [group([t for t, _ in evidence], rule=rule_of(Kind.COUNT, 12), evidence=evidence)])
    [(entry_id, fields)] = await redis.xrange(findings_key(0))
    finding = read_finding(0, entry_id, fields)
    assert (finding.subject, finding.subject_kind, finding.count) == (SUBJECT, SubjectKind.IP, 12)
    assert (finding.first_at, finding.at) == (T0, T0 + 11)
    assert finding.actions == (Action.BLOCK_IP,)
    assert [e.at for e in finding.evidence] == [T0 + i for i in range(2, 12)]
    assert (
        finding.why
        == "198.51.100.7 met the rule auth_failures 12 times in under 0.1 s (limit: 12 in 1 min); last: status 401"
    )


async def test_a_flood_of_findings_about_one_subject_takes_two_places_in_the_stream(redis: Redis):
    found = await fed(Windows(redis), [group(T0 + i for i in range(1000))])
    assert len(found) == 100
    entries = [read_finding(0, i, f) for i, f in await redis.xrange(findings_key(0))]
    assert [(e.count, e.at) for e in entries] == [(10, T0 + 9), (990, T0 + 999)]


async def test_a_replay_leaves_no_findings_in_the_stream(redis: Redis):
    assert len(await fed(Windows(redis, emit=False), [group(T0 + i for i in range(10))])) == 1
    assert await redis.xlen(findings_key(0)) == 0


async def test_a_redis_that_is_away_is_a_storage_error():
    away = Redis(unix_socket_path="/nonexistent/redis.sock")
    with pytest.raises(StorageError, match="counting failed"):
        await Windows(away).apply([group([T0])], None)


async def test_what_redis_gets_to_after_its_caller_gave_up_is_not_counted(redis: Redis, monkeypatch):
    windows = Windows(redis)
    await fed(windows, [group(T0 + i for i in range(9))])
    monkeypatch.setattr("detectors.windows.COUNT_WITHIN_MS", -1)
    with pytest.raises(StorageError, match="nothing was counted"):
        await windows.apply([group([T0 + 9])], None)
    with pytest.raises(StorageError, match="nothing was counted"):
        await windows.apply([group([T0 + 9])], "m")
    monkeypatch.undo()
    assert len(await fed(windows, [group([T0 + 9])], "m")) == 1
    assert await redis.xlen(findings_key(0)) == 1


@pytest.mark.parametrize("step_ms", [-3_600_000, 3_600_000])
async def test_a_clock_of_redis_that_is_set_costs_nothing(redis: Redis, step_ms):
    windows = Windows(redis)
    await fed(windows, [group(T0 + i for i in range(9))])
    seconds, microseconds = await redis.time()
    windows._clock.learn(seconds * 1000 + microseconds / 1000 - step_ms)
    assert len(await fed(windows, [group([T0 + 9])])) == 1


def late_by_at_most(window: int):
    """Times in order of arrival, none later than one window behind the newest before it."""

    def shuffle(steps):
        newest, arrivals = T0, []
        for ahead, behind in steps:
            newest += ahead
            arrivals.append(newest - min(behind, window))
        return arrivals

    step = st.tuples(
        st.sampled_from([0, 0, 1, 5, 20, 50, 99, 100, 130]), st.sampled_from([0, 0, 0, 10, 60, 99, 100])
    )
    return st.lists(step, min_size=1, max_size=60).map(shuffle)


@MANY
@given(arrivals=late_by_at_most(100), n=st.integers(1, 5), cuts=st.lists(st.integers(1, 9), min_size=1))
async def test_any_order_of_arrival_agrees_with_the_oracle(redis: Redis, arrivals, n, cuts):
    await redis.flushall()
    windows, rule, found = Windows(redis), rule_of(Kind.COUNT, n, 100), []
    for t in arrivals:
        found += await fed(windows, [group([t], rule)])
    assert found == count_findings(arrivals, n, 100)
    # In order, it does not matter how the stream is cut into batches.
    await redis.flushall()
    ordered, whole, i = sorted(arrivals), [], 0
    while i < len(ordered):
        size = cuts[i % len(cuts)]
        whole += await fed(windows, [group(ordered[i : i + size], rule)])
        i += size
    assert whole == count_findings(ordered, n, 100)


@MANY
@given(
    arrivals=late_by_at_most(100),
    values=st.lists(st.sampled_from("abcd"), min_size=60, max_size=60),
    n=st.integers(1, 4),
)
async def test_different_values_agree_with_the_oracle(redis: Redis, arrivals, values, n):
    rule = rule_of(Kind.DISTINCT, n, 100)
    windows = Windows(redis)
    await redis.flushall()
    pairs = list(zip(arrivals, values, strict=False))
    first = None
    for size, (t, value) in enumerate(pairs, 1):
        if await fed(windows, [group([t], rule, [value])]):
            first = size
            break
    assert first == first_distinct_fire(pairs, n, 100)
    await redis.flushall()
    ordered = sorted(pairs, key=lambda p: p[0])
    found = await fed(windows, [group([t for t, _ in ordered], rule, [v for _, v in ordered])])
    assert found == distinct_findings_in_order(ordered, n, 100)


@MANY
@given(
    steps=st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=50), n=st.integers(1, 4)
)
async def test_sequences_and_streaks_agree_with_the_oracle(redis: Redis, steps, n):
    t, arrivals = T0, []
    for ahead, good in steps:
        t += ahead
        arrivals.append((t, good))
    times, values = [t for t, _ in arrivals], [int(good) for _, good in arrivals]
    windows = Windows(redis)
    await redis.flushall()
    found = await fed(windows, [group(times, rule_of(Kind.SEQUENCE, n, 100), values)])
    assert found == sequence_findings(arrivals, n, 100)
    await redis.flushall()
    found = await fed(windows, [group(times, rule_of(Kind.STREAK, n, 100), values)])
    assert found == streak_findings(arrivals, n, 100)


async def test_a_ratio_is_judged_when_its_bucket_is_complete_however_batches_are_cut(redis: Redis):
    rule = rule_of(Kind.RATIO, 10, 300_000, min_volume=100)
    buckets = [(T0, 60, 3), (T0 + 10_000, 60, 20), (T0 + 20_000, 1, 0)]
    whole = [group([b[0] for b in buckets], rule, [x for b in buckets for x in b[1:]])]
    assert await fed(Windows(redis), whole) == [(T0, T0 + 10_000, 23)]
    await redis.flushall()
    found = []
    for start, total, bad in buckets:
        for part in (0, 1):
            half = [total // 2 + part * (total % 2), bad // 2 + part * (bad % 2)]
            found += await fed(Windows(redis), [group([start], rule, half)])
    assert found == [(T0, T0 + 10_000, 23)]


@pytest.mark.parametrize(("total", "bad", "fires"), [(100, 10, True), (100, 9, False), (99, 99, False)])
async def test_a_ratio_needs_its_percentage_and_its_volume(redis: Redis, total, bad, fires):
    rule = rule_of(Kind.RATIO, 10, 300_000, min_volume=100)
    found = await fed(Windows(redis), [group([T0, T0 + 10_000], rule, [total, bad, 1, 0])])
    assert bool(found) is fires
