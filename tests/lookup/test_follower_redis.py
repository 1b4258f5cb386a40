"""The follower on the real blocklist in a real Redis."""

from typing import Any

from redis.asyncio import Redis

from actions.audit import Actor
from actions.blocks.block import BlockRequest, Origin
from actions.world import World
from app.lookup.feed import Feed
from app.lookup.follower import Follower

NOW = 1_764_000_000_000
ADA = Actor("ada", "admin")


class House:
    """The stores, and a follower that takes one step at a time."""

    def __init__(self, redis: Redis) -> None:
        self.clock = NOW
        self.actions = World.make(redis, lambda: self.clock)
        self.feed = Feed(lambda: self.clock)
        self.pauses: list[float] = []
        self.follower = Follower(self.actions.feed, self.feed, lambda: self.clock, sleep=self._pause)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def block(self, value: str, **fields: Any) -> str:
        request = BlockRequest(
            id=f"id of {value}", value=value, origin=Origin.ADMIN, reason="x", duration_ms=60_000, **fields
        )
        result = await self.actions.blocklist.block(request, ADA)
        assert result.block is not None, result
        return result.block.id

    async def lookup(self, address: str) -> str | None:
        """What blocks an address after the follower has taken what there is."""
        await self.follower.step()
        decision, _ = self.feed.table.lookup(address, self.clock)
        return None if decision is None else decision.value


async def test_every_change_of_the_blocklist_reaches_the_table(redis: Redis) -> None:
    house = House(redis)
    await house.block("203.0.113.1")
    assert await house.lookup("203.0.113.1") == "203.0.113.1"
    block = await house.block("203.0.113.0/24")
    assert await house.lookup("203.0.113.2") == "203.0.113.0/24"
    await house.actions.reviews.extend(block, NOW + 3_600_000, ADA)
    await house.follower.step()
    house.clock = NOW + 60_000
    assert house.feed.table.lookup("203.0.113.2", house.clock)[0] is not None
    await house.actions.blocklist.expire_due()
    await house.actions.reviews.unblock(block, ADA)
    assert await house.lookup("203.0.113.2") is None
    assert len(house.feed.table) == 0


async def test_an_allowed_address_is_let_through_by_the_table(redis: Redis) -> None:
    house = House(redis)
    await house.block("203.0.113.0/24")
    await house.actions.reviews.allow("203.0.113.7", "office", ADA)
    assert await house.lookup("203.0.113.7") is None
    assert house.feed.table.lookup("203.0.113.7", NOW) == (None, True)
    await house.actions.allowlist.remove("203.0.113.7", ADA)
    assert await house.lookup("203.0.113.7") == "203.0.113.0/24"


async def test_a_redis_that_lost_its_memory_makes_the_table_start_over(redis: Redis) -> None:
    house = House(redis)
    await house.block("203.0.113.1")
    assert await house.lookup("203.0.113.1") == "203.0.113.1"
    await redis.flushall()
    assert await house.lookup("203.0.113.1") == "203.0.113.1"
    assert await house.lookup("203.0.113.1") is None
    assert house.feed.cursor == "0-0"


async def test_a_redis_that_is_not_there_leaves_the_table_as_it_is() -> None:
    async with Redis(unix_socket_path="/nonexistent/r.sock") as nowhere:
        house = House(nowhere)
        await house.follower.step()
        await house.follower.step()
    assert not house.feed.is_ready
    assert len(house.pauses) == 2
