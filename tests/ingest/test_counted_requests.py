"""Which requests were counted lately, on a real Redis."""

import asyncio

from redis.asyncio import Redis

from app.ingest.counted_requests import AT_A_TIME, PERIOD_MS, TTL_MS, CountedRequests, counted_key
from tests.house.test_redis_keys import check_keys

NOW = 1_795_435_200_000


async def test_a_request_belongs_to_the_first_delivery_and_to_its_retries(redis: Redis) -> None:
    counted = CountedRequests(redis)
    assert await counted.claim(["a", "b"], "tok_1", "first", NOW) == [True, True]
    assert await counted.claim(["b", "c"], "tok_1", "second", NOW) == [False, True]
    assert await counted.claim(["a", "b"], "tok_1", "first", NOW) == [True, True]
    assert await counted.claim(["b", "c"], "tok_1", "second", NOW + 1) == [False, True]
    assert await counted.claim([], "tok_1", "third", NOW) == []


async def test_each_source_has_requests_of_its_own(redis: Redis) -> None:
    counted = CountedRequests(redis)
    assert await counted.claim(["a"], "tok_1", "first", NOW) == [True]
    assert await counted.claim(["a"], "tok_2", "second", NOW) == [True]


async def test_a_request_is_remembered_into_the_next_period_and_no_longer(redis: Redis) -> None:
    counted, last = CountedRequests(redis), NOW - NOW % PERIOD_MS + PERIOD_MS - 1
    assert await counted.claim(["a"], "tok_1", "first", last) == [True]
    assert await counted.claim(["a"], "tok_1", "second", last + 1) == [False]
    assert await counted.claim(["a"], "tok_1", "first", last + 1) == [True]
    assert await counted.claim(["b"], "tok_1", "second", last) == [True]
    assert await counted.claim(["b"], "tok_1", "third", last + 1 + PERIOD_MS) == [True]


async def test_of_many_at_once_exactly_one_has_it(redis: Redis) -> None:
    counted = CountedRequests(redis)
    names = [f"request {n}" for n in range(AT_A_TIME + 1)]
    claims = await asyncio.gather(*(counted.claim(names, "tok_1", str(n), NOW) for n in range(20)))
    assert [sum(column) for column in zip(*claims, strict=True)] == [1] * len(names)


async def test_what_is_kept_is_small_documented_and_expires(redis: Redis) -> None:
    await CountedRequests(redis).claim([f"{n:036d}" for n in range(1_000)], "tok_1", "first", NOW)
    key = counted_key(NOW // PERIOD_MS)
    assert 0 < await redis.pttl(key) <= TTL_MS
    assert await redis.memory_usage(key) < 100_000
    assert await check_keys(redis) == 1
