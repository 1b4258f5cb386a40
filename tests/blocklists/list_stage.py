"""What the tests of external lists are made of: processes on a real Redis, and a publisher whose list they want."""

from collections.abc import Callable

from publisher import Publisher
from redis.asyncio import Redis

from actions.blocks.lists import ListInfo
from actions.blocks.networks import NeverBlock
from actions.world import World
from app.blocklists.refresher import Refresher
from app.blocklists.stale import StaleLists
from app.lookup.feed import Feed
from app.lookup.follower import Follower
from app.policies.blocklists import ListSource
from app.policies.policy import Policy, load_policy
from detectors.windows import Windows

NOON = 1_795_000_000_000
HOUR, DAY = 3_600_000, 86_400_000
NO_RULE = "security_alerts:\n  auth_failures:\n"
"""A policy that names another rule only."""
LIST = b"# drop\n203.0.113.9 ; SBL1\n198.51.100.0/24\n2001:db8::/48\n"


class Process:
    """One process of the service, as far as lists go."""

    def __init__(
        self,
        redis: Redis,
        now: Callable[[], int],
        sources: list[ListSource],
        name: str,
        policy: Callable[[], Policy] = lambda: load_policy(NO_RULE, "test"),
    ) -> None:
        self.never = NeverBlock([("never_block", "192.0.2.0/24")])
        self.actions = World.make(redis, now, never_block=lambda network: self.never(network))
        self.shown: dict[str, ListInfo] = {}
        self.feed = Feed(now)
        self.follower = Follower(self.actions.feed, self.feed, now, lists=self.actions.lists)
        self.refresher = Refresher(
            self.actions.lists,
            lambda: tuple(sources),
            lambda: self.never,
            now,
            name,
            StaleLists(Windows(redis), policy, now),
            chance=lambda: 0.5,
            show=self.shown.update,
        )

    def origin(self, address: str) -> str | None:
        found, _ = self.feed.table.lookup(address, NOON)
        return None if found is None else found.origin


class Stage:
    """Two processes, and one publisher whose list they want."""

    def __init__(self, redis: Redis, publisher: Publisher) -> None:
        self.publisher = publisher
        self.ms = NOON
        self.sources = [ListSource("drop", publisher.url, None)]
        self.policy = load_policy(NO_RULE, "test")
        self.first, self.second = (
            Process(redis, lambda: self.ms, self.sources, name, lambda: self.policy)
            for name in ("a-0", "b-0")
        )

    async def look(self, ms: int = 0) -> None:
        """Time goes on, both look, both follow."""
        self.ms += ms
        for process in (self.first, self.second):
            await process.refresher.look()
        for process in (self.first, self.second):
            await process.follower.step()

    async def info(self) -> dict[str, object]:
        infos = await self.first.actions.lists.infos()
        return {name: getattr(infos["drop"], name) for name in ("entries", "failures", "error", "skipped")}

    def hits(self, address: str) -> list[str | None]:
        return [self.first.origin(address), self.second.origin(address)]
