"""What the tests of the sources are made of: a clock, a source on a real Redis, and the look at it."""

from dataclasses import dataclass, field
from functools import cache

from redis.asyncio import Redis

from app.ingest.decode import Decoded, Rejected
from app.metrics import Metrics
from app.policies.policy import Policy, load_policy
from app.sources.keys import sources_key
from app.sources.rejected import RejectedRecords
from app.sources.sources import Sources
from app.sources.store import Source, SourceStore
from app.sources.watch import LOOK_S, SourceWatch
from detectors.event import Event
from detectors.finding import Finding
from detectors.redact import SecretFinder
from detectors.scanner import Scanner, load_patterns
from detectors.windows import Windows, findings_key, read_finding

NOON = 1_795_003_200_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
LOOK_MS = int(LOOK_S * SECOND)
TOKEN = "tok_0123456789ab"
EVENTS, RAW = f"{TOKEN}/events", f"{TOKEN}/raw"
BOTH_RULES = """
incident_detection:
  source_unreadable: {threshold: 100, action: alert_admin}
  source_silent: {threshold: 3, action: alert_admin}
"""
NO_RULE = "security_alerts:\n  auth_failures:\n"


@cache
def finder() -> SecretFinder:
    return SecretFinder(Scanner(load_patterns("keys")), b"k" * 32)


def batch(good: int = 0, useless: int = 0, rejected: int = 0, at: int | None = None) -> Decoded:
    """So many events that say who and what, that say neither, and records that could not be read."""
    events = [Event(timestamp=at, client_ip="203.0.113.9", status=401) for _ in range(good)]
    events += [Event(timestamp=at, message="started") for _ in range(useless)]
    refused = [Rejected(index, "not JSON", b'{"a":') for index in range(rejected)]
    return Decoded(events, [b"{}"] * len(events), refused)


@dataclass
class Tending:
    """One process with its sources, and the look at them."""

    redis: Redis
    ms: int = NOON
    policy: Policy = field(default_factory=lambda: load_policy(BOTH_RULES, "test"))
    names: dict[str, str] = field(default_factory=lambda: {TOKEN: "nginx on web1"})

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.store = SourceStore(self.redis, self.now)
        self.rejected = RejectedRecords(self.redis, self.now)
        self.seconds = [0.0]
        """What the clock of the flush says, one look after the other; the last one stays."""
        self.sources = Sources(self.store, self.rejected, finder, self.metrics, self.clock)
        windows = Windows(self.redis)
        self.watch = SourceWatch(
            *(self.store, self.rejected, windows, lambda: self.policy, lambda: self.names),
            *(self.now, self.metrics),
        )

    def clock(self) -> float:
        return self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]

    def now(self) -> int:
        return self.ms

    async def send(self, decoded: Decoded | None = None, kind: str = "events", **options: object) -> None:
        """A request comes, and Redis is told."""
        self.sources.note(TOKEN, kind, batch(good=1) if decoded is None else decoded, self.ms, **options)  # type: ignore[arg-type]
        await self.sources.flush()

    async def look(self) -> None:
        """It is this process's turn: the last one was as long ago as usual, or longer."""
        heard_at = await self.redis.hget(sources_key("heard"), "heard_at")
        if heard_at is not None:
            usual = min(int(heard_at), self.ms - LOOK_MS)
            await self.redis.hset(sources_key("heard"), "heard_at", str(usual))
        assert await self.watch.look()

    async def pass_time(self, ms: int) -> None:
        """Somebody listens all the while."""
        key = sources_key("heard")
        await self.redis.hsetnx(key, "since", str(self.ms))
        self.ms += ms
        await self.redis.hset(key, "heard_at", str(self.ms))

    async def live(self, ms: int, every_ms: int) -> None:
        """The source sends regularly, from now on, for so long."""
        end = self.ms + ms
        await self.send()
        while self.ms < end:
            await self.pass_time(every_ms)
            await self.send()

    async def source(self, source: str = EVENTS) -> Source:
        [found] = [one for one in await self.store.all() if one.id == source]
        return found

    async def findings(self) -> list[Finding]:
        """What stands on the findings stream."""
        rows = await self.redis.xrange(findings_key(0))
        return [read_finding(0, entry_id, fields) for entry_id, fields in rows]

    async def told(self) -> list[tuple[str, bool]]:
        """Each finding's rule, and whether it says that it is over."""
        return [(found.rule, found.recovered) for found in await self.findings()]
