"""Many blocks at once: the same rules as for one, once and for all, and taken back together."""

import asyncio
import time

import pytest
from acting import ALICE, DAY, HOUR, IP, Clock, a_manual, a_request

from actions.blocks.block import BlockFilter, BlockRequest, BlockStatus, DecisionType, Origin, Scope
from actions.blocks.import_progress import import_key
from actions.blocks.imports import Refusal
from actions.errors import UnknownError
from actions.world import World
from app.lookup.feed import Feed
from app.lookup.follower import Follower

NUMBER = 100_000
LONGEST_S = 60
"""100,000 take about 6 s by themselves; the machine may be busy."""


def wish(value: str, **fields: object) -> BlockRequest:
    return a_manual("", value, **{"origin": Origin.IMPORT, "duration_ms": DAY, **fields})


async def test_each_entry_becomes_a_block_or_is_told_why_not(world: World, clock: Clock) -> None:
    await world.reviews.allow("198.51.100.0/24", "office", ALICE)
    await world.blocklist.block(a_request())
    wishes = [
        wish("203.0.113.77/24"),
        wish(IP),
        wish("198.51.100.7"),
        wish("127.0.0.1"),
        wish("10.0.0.0/8"),
        wish("203.0.0.0/8"),
        wish("nonsense"),
        wish("fr", scope=Scope.COUNTRY, type=DecisionType.CAPTCHA),
        wish("2001:DB8::1", duration_ms=None),
    ]
    done = await world.imports.run(wishes, ALICE, "imp1", "a partner's list", digest="sha256:12")
    assert (done.made, done.already) == (3, 1)
    assert [(one.index, one.value) for one in done.refused] == [
        *((2, "198.51.100.7"), (3, "127.0.0.1"), (4, "10.0.0.0/8"), (5, "203.0.0.0/8"), (6, "nonsense"))
    ]
    assert [one.why.value for one in done.refused] == [
        *("allowlist", "never_block", "never_block", "too_wide", "invalid")
    ]
    assert "allowlist 198.51.100.0/24 (office)" in done.refused[0].error
    block = await world.blocklist.find_active("203.0.113.0/24")
    assert block is not None
    assert (block.origin, block.actor, block.note) == (Origin.IMPORT, "alice", "import imp1")
    assert (block.until, block.created_at) == (clock.ms + DAY, clock.ms)
    forever = await world.blocklist.find_active("2001:db8::1")
    assert forever is not None
    assert forever.until is None
    country = await world.blocklist.find_active("Country:FR")
    assert country is not None
    assert country.type is DecisionType.CAPTCHA
    assert {d.key for d in (await world.feed.snapshot()).decisions} == {
        *(IP, "203.0.113.0/24", "2001:db8::1", "Country:FR")
    }
    assert len((await world.feed.changes("0-0")).entries) == 5
    assert [b.id for b in await world.blocklist.history("203.0.113.0/24")] == [block.id]
    (entry,), _ = await world.audit.page(action="block.import")
    assert entry.after["digest"] == "sha256:12"
    assert (entry.target, entry.after["made"], entry.reason) == ("import:imp1", 3, "a partner's list")


async def test_what_was_imported_ends_on_time(world: World, clock: Clock) -> None:
    await world.imports.run([wish("203.0.113.1"), wish("203.0.113.2", duration_ms=2 * DAY)], ALICE, "i", "r")
    clock.forward(DAY)
    assert await world.blocklist.expire_due() == 1
    assert {d.value for d in (await world.feed.snapshot()).decisions} == {"203.0.113.2"}


async def test_an_import_that_is_repeated_makes_nothing_twice(world: World) -> None:
    wishes = [wish(f"203.0.113.{n}") for n in range(20)]
    first = await world.imports.run(wishes[:10], ALICE, "imp1", "cut short")
    again = await world.imports.run(wishes, ALICE, "imp1", "again")
    other = await world.imports.run(wishes, ALICE, "imp2", "the same file")
    assert [(i.made, i.already) for i in (first, again, other)] == [(10, 0), (10, 10), (0, 20)]
    assert (await world.blocklist.counts())["active"] == 20


async def test_a_dry_run_says_what_would_be_and_does_nothing(world: World) -> None:
    await world.blocklist.block(a_request())
    done = await world.imports.run([wish(IP), wish("203.0.113.2"), wish("::1")], ALICE, "i", "r", dry=True)
    assert (done.made, done.already, len(done.refused)) == (1, 1, 1)
    assert (await world.blocklist.counts())["active"] == 1
    assert (await world.audit.page(action="block.import"))[0] == []


@pytest.mark.parametrize("dry", [False, True])
async def test_a_value_that_is_named_again_counts_once_and_as_it_was_named_first(
    world: World, dry: bool
) -> None:
    await world.blocklist.block(a_request())
    few = [
        *(wish("203.0.113.2", type=DecisionType.CAPTCHA), wish("203.0.113.2/32"), wish("203.0.113.2")),
        *(wish(IP), wish(IP), wish("::1"), wish("0::1"), wish("nonsense"), wish("nonsense")),
        *(wish("fr", scope=Scope.COUNTRY), wish("Country:FR", scope=None)),
    ]
    many = [wish(f"198.51.{n // 250 % 3}.{n % 250}") for n in range(1500)]
    done = await world.imports.run([*few, *many], ALICE, "i", "r", dry=dry)
    assert (done.made, done.already, done.repeated) == (2 + 750, 1, 5 + 750)
    assert [one.why for one in done.refused] == [Refusal.NEVER_BLOCK, Refusal.INVALID, Refusal.INVALID]
    block = await world.blocklist.find_active("203.0.113.2")
    assert (block is None) if dry else (block is not None and block.type is DecisionType.CAPTCHA)
    told = (await world.audit.page(action="block.import"))[0]
    assert [entry.after["repeated"] for entry in told] == ([] if dry else [755])


async def test_how_far_an_import_has_come_is_known_while_it_runs(world: World) -> None:
    assert await world.imports.progress.of("i") is None
    wishes = [wish(f"203.0.{n // 250}.{n % 250}") for n in range(3000)]
    seen = []
    task = asyncio.create_task(world.imports.run(wishes, ALICE, "i", "r"))
    while not task.done():
        found = await world.imports.progress.of("i")
        seen += [found.done] if found is not None and found.total == 3000 else []
    assert seen == sorted(seen)
    assert 0 < seen[0] < 3000
    found = await world.imports.progress.of("i")
    assert found is not None
    assert (found.done, found.total) == (3000, 3000)
    assert 0 < await world.redis.pttl(import_key("i", "progress")) <= HOUR


async def test_a_weaker_block_and_one_that_is_over_give_way(world: World, clock: Clock) -> None:
    await world.blocklist.block(a_request("b1", "203.0.113.1", type=DecisionType.THROTTLE))
    await world.blocklist.block(a_request("b2", "203.0.113.2"))
    clock.forward(5 * HOUR)
    await world.blocklist.block(a_request("b3", "203.0.113.1", type=DecisionType.THROTTLE))
    done = await world.imports.run([wish("203.0.113.1"), wish("203.0.113.2")], ALICE, "i", "r")
    assert (done.made, done.already, done.refused) == (2, 0, [])
    assert (await world.blocklist.get("b3")).status is BlockStatus.LIFTED
    assert await world.imports.undo("i", ALICE, "wrong file") == 2


async def test_a_dry_run_sees_what_would_give_way(world: World, clock: Clock) -> None:
    await world.blocklist.block(a_request("b1", "203.0.113.1", type=DecisionType.THROTTLE))
    await world.blocklist.block(a_request("b2", "203.0.113.2"))
    wishes = [wish("203.0.113.1"), wish("203.0.113.2")]
    dry = await world.imports.run(wishes, ALICE, "i", "r", dry=True)
    done = await world.imports.run(wishes, ALICE, "i", "r")
    assert (dry.made, dry.already) == (done.made, done.already) == (1, 1)


async def test_an_import_that_was_undone_is_not_said_to_be_in_force(world: World) -> None:
    await world.imports.run([wish("203.0.113.1")], ALICE, "i", "r")
    await world.imports.undo("i", ALICE, "wrong file")
    again = await world.imports.run([wish("203.0.113.1"), wish("203.0.113.2")], ALICE, "i", "r")
    assert (again.made, again.already, [one.why for one in again.refused]) == (1, 0, [Refusal.OVER])
    assert (await world.imports.run([wish("203.0.113.1")], ALICE, "j", "r")).made == 1


async def test_an_allowlist_that_changes_meanwhile_is_looked_at_again(world: World) -> None:
    await world.imports.run([wish("203.0.113.1")], ALICE, "i1", "r")
    other = await world.allowlist.put("203.0.113.2", "somebody", ALICE)
    world.allowlist._version, world.allowlist._entries = "0", []
    done = await world.imports.run([wish("203.0.113.2"), wish("203.0.113.3")], ALICE, "i2", "r")
    assert done.made == 1
    assert [one.value for one in done.refused] == [other.value]


async def test_an_import_is_taken_back_as_a_whole(world: World) -> None:
    wishes = [wish(f"203.0.{n // 250}.{n % 250}") for n in range(1200)]
    await world.imports.run(wishes, ALICE, "imp1", "wrong file")
    await world.blocklist.block(a_manual("m1", "198.51.100.1"), ALICE)
    await world.reviews.unblock("203.0.0.7", ALICE)
    assert await world.imports.undo("imp1", ALICE, "wrong file") == 1199
    assert [d.value for d in (await world.feed.snapshot()).decisions] == ["198.51.100.1"]
    blocks, _ = await world.blocklist.page(BlockFilter(value="203.0.0.9"))
    assert (blocks[0].status, blocks[0].changed_by) == (BlockStatus.LIFTED, "alice")
    assert "import imp1 undone: wrong file" in blocks[0].note
    assert await world.imports.undo("imp1", ALICE, "again") == 0
    with pytest.raises(UnknownError):
        await world.imports.undo("imp9", ALICE, "never was")


async def test_the_memory_of_an_import_ends(world: World) -> None:
    await world.imports.run([wish("203.0.113.1")], ALICE, "imp1", "r")
    assert 0 < await world.redis.pttl(import_key("imp1")) <= 90 * DAY


async def test_a_hundred_thousand_take_seconds_and_those_who_follow_miss_none(world: World) -> None:
    """The changes stream keeps about as many: who is far behind starts over, and has them all the same."""
    feed = Feed(world.now)
    follower = Follower(world.feed, feed, world.now)
    await follower.step()
    wishes = [wish(f"203.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(NUMBER)]
    begun = time.perf_counter()
    done = await world.imports.run(wishes, ALICE, "imp1", "large")
    assert time.perf_counter() - begun < LONGEST_S
    assert (done.made, done.refused) == (NUMBER, [])
    await world.blocklist.block(a_manual("m1", "198.51.100.1"), ALICE)
    newest = await world.feed.cursor()
    while feed.cursor != newest:
        await follower.step()
    assert len(feed.table) == NUMBER + 1
