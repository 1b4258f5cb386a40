"""What is kept of each source of logs in Redis, and since when somebody listens to them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actions.storage import DAY_MS, Client, storage_errors, text_of
from app.sources.keys import day_key, day_of, days_before, load_script, source_key, sources_key
from app.sources.tally import REASONS, Tally
from detectors.source_silent import Habit

KEPT_MS = 30 * DAY_MS
MOST_SOURCES = 1_000
"""As many as there may be tokens; few of them send in more than one way."""
HABIT_DAYS = 7
DEAF_MS = 60_000
"""When nobody has listened for so long, a pause may be ours: a deployment takes less, an outage more."""
COUNTS = (
    *("accepted", "rejected", "refused", "duplicates", "reingested"),
    *("no_client_ip", "no_status"),
)
"""The sums of a day, as docs/sources.md explains them."""
_REASON = "reason:"


@dataclass(frozen=True, slots=True)
class Source:
    """One source: a token and a protocol. Times are epoch ms."""

    id: str
    """`tok_0123456789ab/events`"""
    first_seen: int
    last_seen: int
    seconds: int
    """In how many seconds it sent something, counted once per process."""
    last_event: int | None
    skew_ms: int | None
    ahead_ms: int
    useless: int
    """Records in a row, the newest, that could not be read or say neither who nor what."""
    useless_since: int
    useless_last: int
    silent_since: int | None
    """Its last receipt, where it is called silent."""
    unreadable_since: int | None
    """The receipt of the first useless record, where it is called unreadable."""
    silent_told: bool
    unreadable_told: bool

    @property
    def token_id(self) -> str:
        """Whose token it is."""
        return self.id.partition("/")[0]

    @property
    def kind(self) -> str:
        """The protocol: `events`, `raw`, `loki` ..."""
        return self.id.partition("/")[2]

    @property
    def state(self) -> str:
        """`ok`, `silent` or `unreadable`."""
        if self.silent_since is not None:
            return "silent"
        return "ok" if self.unreadable_since is None else "unreadable"


@dataclass(slots=True)
class Sums:
    """What came in of a source in some days."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    reasons: dict[str, int] = field(default_factory=dict)
    pause_ms: int = 0
    silence_ms: int = 0

    def add(self, day: Mapping[str, int]) -> None:
        """Takes in the sums of one day."""
        for name in COUNTS:
            self.counts[name] += day.get(name, 0)
        for name, number in day.items():
            if name.startswith(_REASON):
                reason = name.removeprefix(_REASON)
                self.reasons[reason] = self.reasons.get(reason, 0) + number
        self.pause_ms = max(self.pause_ms, day.get("pause_ms", 0))
        self.silence_ms = max(self.silence_ms, day.get("silence_ms", 0))


class SourceStore:
    """Reads and writes the sources. Every method may raise StorageError."""

    def __init__(self, redis: Client, now: Callable[[], int]) -> None:
        self._redis = redis
        self._now = now
        self._note = load_script(redis, "note_source")
        self._listen = load_script(redis, "listen")

    async def apply(self, tallies: Mapping[str, Tally]) -> None:
        """Adds what this process has seen. After a failure some of it may have been added."""
        with storage_errors("noting sources"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for source, tally in tallies.items():
                    keys = [
                        source_key(source),
                        day_key(source, day_of(tally.last_ms)),
                        sources_key(),
                        sources_key("heard"),
                    ]
                    await self._note(keys=keys, args=_arguments(source, tally), client=pipe)
                await pipe.execute()

    async def listen(self, turn_ms: int = 0) -> int | None:
        """Says that somebody listens now; gives since when without a break, None where somebody said so just before."""
        with storage_errors("listening to sources"):
            since: Any = await self._listen(keys=[sources_key("heard")], args=[self._now(), turn_ms, DEAF_MS])
        return None if since < 0 else int(since)

    async def forget(self) -> None:
        """Lets go of the names of sources whose items have expired."""
        with storage_errors("forgetting sources"):
            await self._redis.zremrangebyscore(sources_key(), "-inf", self._now() - KEPT_MS)

    async def all(self) -> list[Source]:
        """Every source, in order of id."""
        with storage_errors("reading sources"):
            names = [text_of(name) for name in await self._redis.zrange(sources_key(), 0, -1)]
            items = await self._hashes([source_key(name) for name in sorted(names)])
        pairs = zip(sorted(names), items, strict=True)
        return [_source(name, item) for name, item in pairs if "last_seen" in item]

    async def sums(self, source: str, days: Sequence[str]) -> Sums:
        """What came in of one source on these days, added up."""
        with storage_errors("reading a source"):
            items = await self._hashes([day_key(source, day) for day in days])
        found = Sums()
        for item in items:
            found.add({name: int(value) for name, value in item.items()})
        return found

    async def habit(self, source: Source) -> Habit:
        """How a source has sent, over the seven days up to its last request."""
        sums = await self.sums(source.id, days_before(source.last_seen, HABIT_DAYS))
        return habit_of(source, sums)

    async def flag(self, source: str, fields: Mapping[str, int | None]) -> None:
        """Sets what is said of a source; None takes it back."""
        key = source_key(source)
        set_to: list[Any] = [part for pair in fields.items() if pair[1] is not None for part in pair]
        with storage_errors("marking a source"):
            async with self._redis.pipeline(transaction=True) as pipe:
                taken_back = [name for name, value in fields.items() if value is None]
                if taken_back:
                    pipe.hdel(key, *taken_back)
                if set_to:
                    pipe.hset(key, items=set_to)
                pipe.pexpire(key, KEPT_MS)
                await pipe.execute()

    async def add(self, source: str, name: str, number: int) -> None:
        """Adds to one of today's sums."""
        key = day_key(source, day_of(self._now()))
        with storage_errors("noting sources"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hincrby(key, name, number)
                pipe.pexpire(key, KEPT_MS)
                await pipe.execute()

    async def _hashes(self, keys: Sequence[str]) -> list[dict[str, str]]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hgetall(key)
            rows = await pipe.execute()
        return [{text_of(name): text_of(value) for name, value in row.items()} for row in rows]


def habit_of(source: Source, sums: Sums) -> Habit:
    """How a source has sent, where the sums of its last seven days are known."""
    return Habit(source.first_seen, source.last_seen, source.seconds, sums.pause_ms, sums.silence_ms)


def _arguments(source: str, tally: Tally) -> list[Any]:
    counts = {name: number for name, number in tally.counts.items() if number}
    return [
        source,
        *(tally.first_ms, tally.last_ms, tally.pause_ms),
        *("" if value is None else value for value in (tally.last_event_ms, tally.skew_ms)),
        *(tally.ahead_ms, int(tally.is_useful), tally.useless, tally.useless_since_ms or ""),
        *(KEPT_MS, MOST_SOURCES, REASONS, DEAF_MS),
        len(counts),
        *(part for pair in counts.items() for part in pair),
        *(part for pair in tally.reasons.items() for part in pair),
    ]


def _source(name: str, item: Mapping[str, str]) -> Source:
    def number(key: str) -> int | None:
        return int(item[key]) if key in item else None

    return Source(
        id=name,
        first_seen=number("first_seen") or 0,
        last_seen=number("last_seen") or 0,
        seconds=number("seconds") or 0,
        last_event=number("last_event"),
        skew_ms=number("skew_ms"),
        ahead_ms=number("ahead_ms") or 0,
        useless=number("useless") or 0,
        useless_since=number("useless_since") or 0,
        useless_last=number("useless_last") or 0,
        silent_since=number("silent_since"),
        unreadable_since=number("unreadable_since"),
        silent_told="silent_told" in item,
        unreadable_told="unreadable_told" in item,
    )
