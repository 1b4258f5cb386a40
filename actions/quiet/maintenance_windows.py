"""All maintenance windows: those of the policy, and those that people announced, such as for an emergency.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:maintenance` | hash, id to JSON | 30 days after the last end | 200; past ones for 30 days |
| `bartizan:{act}:maintenance:count` | string, count | none | one |
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import Actor, Audit
from actions.errors import ConflictError, UnknownError
from actions.quiet.maintenance import LONGEST_MS, Occurrence, Window, occurrences
from actions.quiet.matchers import Matcher, check_matchers
from actions.storage import DAY_MS, Client, act_key, begin, change, storage_errors, text_of

MOST = 200
MOST_PLANNED = 100
KEPT_MS = 30 * DAY_MS
FARTHEST_MS = 2 * 366 * DAY_MS
"""How far ahead one may be announced."""
LONGEST_NAME = 100
LONGEST_COMMENT = 500
FRESH_MS = 1_000
"""A read serves this long: what another process was told is known within a second."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Window).decode


def maintenance_key(*parts: str) -> str:
    """The announced windows, or their count."""
    return act_key("maintenance", *parts)


class Maintenance:
    """The windows in force. Every change by a person is audited in its own MULTI."""

    def __init__(self, redis: Client, now: Callable[[], int], audit: Audit) -> None:
        self._redis = redis
        self._now = now
        self._audit = audit
        self._read_at: int | None = None
        self._announced: tuple[Window, ...] = ()
        self.planned: tuple[Window, ...] = ()
        """The policy's; set whenever the policy changes."""

    async def announce(
        self,
        name: str,
        actor: Actor,
        comment: str,
        *,
        ends_at: int,
        starts_at: int | None = None,
        notice_ms: int | None = None,
        matchers: Sequence[Matcher] = (),
        channels: Sequence[str] = (),
    ) -> Window:
        """A window of once. One that would have begun earlier, or has no beginning, begins now.

        `notice_ms` None: people are told at once. Raises: ValueError naming what is wrong; ConflictError where 200
        lie ahead; StorageError.
        """
        now = self._now()
        name, comment = _text("name", name, LONGEST_NAME), _text("comment", comment, LONGEST_COMMENT)
        check_matchers(matchers)
        starts_at = now if starts_at is None else max(starts_at, now)
        _check_times(starts_at, ends_at, now)

        async def step(pipe: Pipeline) -> Window:
            kept = [_decode(row) for row in (await pipe.hgetall(maintenance_key())).values()]
            gone = _to_forget(kept, now)
            if len(kept) - len(gone) >= MOST:
                raise ConflictError(f"{MOST} maintenance windows lie ahead: remove some first")
            number: int = await pipe.incr(maintenance_key("count"))
            made = Window(
                name=name,
                duration_ms=ends_at - starts_at,
                starts=(starts_at,),
                notice_ms=starts_at - now if notice_ms is None else notice_ms,
                matchers=tuple(matchers),
                channels=tuple(channels),
                id=f"MNT-{number:04d}",
                author=actor.name,
                comment=comment,
                created_at=now,
            )
            begin(pipe)
            if gone:
                pipe.hdel(maintenance_key(), *gone)
            pipe.hset(maintenance_key(), made.id, text_of(_encode(made)))
            last = max(_end_of(window) for window in (made, *kept))
            pipe.pexpire(maintenance_key(), max(1, last - now + KEPT_MS))
            target = f"maintenance:{made.id}"
            self._audit.stage(pipe, actor, "maintenance.announce", target, after=made, reason=comment)
            return made

        return await self._change("announcing maintenance", step)

    async def remove(self, window_id: str, actor: Actor, reason: str = "") -> Window:
        """Takes an announced window out, open or not: it mutes nothing any more.

        Raises: ConflictError for one of the policy's, which the policy has to drop; UnknownError, StorageError.
        """
        if any(window.name == window_id for window in self.planned):
            raise ConflictError(f"{window_id!r} is a window of the policy: remove it there")

        async def step(pipe: Pipeline) -> Window:
            row = await pipe.hget(maintenance_key(), window_id)
            if row is None:
                raise UnknownError(f"maintenance window {window_id!r} is not known")
            old = _decode(row)
            begin(pipe)
            pipe.hdel(maintenance_key(), window_id)
            target = f"maintenance:{window_id}"
            self._audit.stage(pipe, actor, "maintenance.remove", target, before=old, reason=reason)
            return old

        return await self._change("removing maintenance", step)

    async def windows(self, now: int) -> list[Window]:
        """The policy's windows, then the announced ones that are not 30 days over, by their beginning.

        The latter as Redis had them at most a second ago. Raises: StorageError.
        """
        if self._read_at is None or not 0 <= now - self._read_at < FRESH_MS:
            with storage_errors("reading maintenance windows"):
                kept = [_decode(row) for row in (await self._redis.hgetall(maintenance_key())).values()]
                # Nobody changes what has long been over, so this needs no transaction.
                if old := [window.id for window in kept if _is_old(window, now)]:
                    await self._redis.hdel(maintenance_key(), *old)
            announced = (window for window in kept if not _is_old(window, now))
            self._announced = tuple(sorted(announced, key=lambda window: (window.starts, window.id)))
            self._read_at = now
        return [*self.planned, *self._announced]

    async def upcoming(self, now: int, horizon_ms: int) -> list[Occurrence]:
        """What is open now or begins within `horizon_ms`, by its beginning. Raises: StorageError."""
        found = [
            one for window in await self.windows(now) for one in occurrences(window, now, now + horizon_ms)
        ]
        return sorted(found, key=lambda one: (one.starts_at, one.ends_at, one.window.name))

    async def _change(self, doing: str, step: Callable[[Pipeline], Awaitable[Window]]) -> Window:
        changed = await change(self._redis, doing, [maintenance_key()], step)
        self._read_at = None
        return changed


def _text(field: str, text: str, longest: int) -> str:
    text = text.strip()
    if not text:
        raise ValueError(f"{field}: is empty")
    if len(text) > longest:
        raise ValueError(f"{field}: has more than {longest} characters")
    return text


def _check_times(starts_at: int, ends_at: int, now: int) -> None:
    if ends_at <= starts_at:
        raise ValueError("until: must be later than now and than the beginning")
    if ends_at - starts_at > LONGEST_MS:
        raise ValueError(f"until: a maintenance window may last {LONGEST_MS // DAY_MS} days at most")
    if starts_at > now + FARTHEST_MS:
        raise ValueError("from: is more than two years ahead")


def _end_of(window: Window) -> int:
    return max(window.starts, default=0) + window.duration_ms


def _is_old(window: Window, now: int) -> bool:
    return now - _end_of(window) >= KEPT_MS


def _to_forget(kept: Sequence[Window], now: int) -> set[str]:
    """The old ones, and where that leaves no room for another, those that have been over the longest."""
    over = sorted((w for w in kept if _end_of(w) <= now), key=lambda window: (_end_of(window), window.id))
    old = sum(_is_old(window, now) for window in over)
    return {window.id for window in over[: max(old, len(kept) + 1 - MOST, 0)]}
