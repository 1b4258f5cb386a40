"""What every in-memory table follows."""

import asyncio

import pytest
from acting import ALICE, IP, a_manual, a_request
from redis.asyncio import Redis

from actions.blocks import feed
from actions.blocks.feed import Feed
from actions.blocks.keys import changes_key
from actions.world import World


async def test_a_snapshot_and_the_changes_after_it_are_the_list(world: World) -> None:
    await world.blocklist.block(a_request("b1", "192.0.2.1"))
    await world.reviews.allow("198.51.100.0/24", "office", ALICE)
    snapshot = await world.feed.snapshot()
    assert [d.value for d in snapshot.decisions] == ["192.0.2.1"]
    assert [a.value for a in snapshot.allowed] == ["198.51.100.0/24"]
    assert (await world.feed.changes(snapshot.cursor)).entries == []
    await world.blocklist.block(a_request("b2", "192.0.2.2"))
    await world.reviews.unblock("b1", ALICE)
    await world.allowlist.remove("198.51.100.0/24", ALICE)
    changes = await world.feed.changes(snapshot.cursor)
    assert [c.op for c in changes.entries] == ["add", "remove", "allow_remove"]
    assert changes.cursor == changes.entries[-1].cursor == await world.feed.cursor()
    assert not changes.reset
    assert changes.entries[1].decision is not None
    assert changes.entries[1].decision.id == "b1"


async def test_an_empty_list_has_a_cursor_too(world: World) -> None:
    snapshot = await world.feed.snapshot()
    assert (snapshot.cursor, snapshot.decisions, snapshot.allowed) == ("0-0", [], [])
    assert await world.feed.changes("0-0") == feed.Changes("0-0", [])


async def test_a_decision_carries_what_enforcement_needs(world: World) -> None:
    block = (await world.blocklist.block(a_request(incident_id="INC-2026-0001"))).block
    assert block is not None
    [decision] = (await world.feed.snapshot()).decisions
    [change] = (await world.feed.changes("0-0")).entries
    assert decision == change.decision == block.decision()


async def test_a_reader_is_woken_by_the_change(world: World) -> None:
    waiting = asyncio.create_task(world.feed.changes("0-0", block_ms=1000))
    await asyncio.sleep(0)
    await world.blocklist.block(a_request())
    assert [c.op for c in (await waiting).entries] == ["add"]


async def test_waiting_in_vain_ends_with_the_same_cursor(world: World) -> None:
    await world.blocklist.block(a_request())
    cursor = await world.feed.cursor()
    assert await world.feed.changes(cursor, block_ms=1) == feed.Changes(cursor, [])


async def test_pages_of_changes_follow_each_other(world: World) -> None:
    for n in range(5):
        await world.blocklist.block(a_request(f"b{n}", f"192.0.2.{n}"))
    seen, cursor = [], "0-0"
    while page := (await world.feed.changes(cursor, limit=2)).entries:
        seen += page
        cursor = page[-1].cursor
    assert [c.decision.id for c in seen if c.decision] == [f"b{n}" for n in range(5)]


async def test_a_cursor_older_than_the_cut_stream_gets_a_reset(
    world: World, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        await world.blocklist.block(a_request(f"b{n}", f"192.0.2.{n}"))
    first = (await world.feed.changes("0-0")).entries[0].cursor
    await redis.xtrim(changes_key(), maxlen=3, approximate=False)
    monkeypatch.setattr(feed, "CHANGES_MAXLEN", 3)
    for cursor in ("0-0", first):
        changes = await world.feed.changes(cursor)
        assert changes.reset
        assert changes.entries == []
        assert changes.cursor == await world.feed.cursor()
    assert not (await world.feed.changes(changes.cursor)).reset


async def test_a_cursor_ahead_of_the_stream_gets_a_reset_because_redis_lost_its_memory(
    world: World, redis: Redis
) -> None:
    await world.blocklist.block(a_request())
    assert (await world.feed.changes("99999999999999-0")).reset
    await redis.delete(changes_key())
    assert (await world.feed.changes("1795000000000-0")).reset


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-", "-1", "1-x", "1-1-1", "$", "+", "9" * 30 + "-0"])
async def test_what_is_no_cursor_is_refused(redis: Redis, cursor: str) -> None:
    with pytest.raises(ValueError, match="since"):
        await Feed(redis).changes(cursor)


async def test_a_list_of_many_pages_comes_whole(world: World) -> None:
    for n in range(700):
        await world.blocklist.block(a_manual(f"m{n}", f"198.51.{n // 250}.{n % 250}"), ALICE)
    snapshot = await world.feed.snapshot()
    assert len(snapshot.decisions) == len({d.value for d in snapshot.decisions}) == 700
    assert IP not in {d.value for d in snapshot.decisions}
