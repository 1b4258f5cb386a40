"""Silences: what nobody needs to be told for a while, because a person said so and why.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:silences` | hash, id to JSON | 30 days after the last end | 1,000; expired ones for 30 days |
| `bartizan:{act}:silences:count` | string, count | none | one |

A silence mutes messages only: findings are counted, incidents opened and addresses blocked all the same.
What none of them can mute: muting.py.
"""

import enum
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import Actor, Audit
from actions.errors import ConflictError, UnknownError
from actions.quiet.area import NEVER_MUTED_RULES
from actions.quiet.matchers import Matcher, MatchField, check_matchers, match_everything
from actions.storage import DAY_MS, Client, act_key, begin, change, storage_errors, text_of

MOST = 1_000
KEPT_MS = 30 * DAY_MS
LONGEST_MS = 30 * DAY_MS
"""From its beginning, or from now, to its end: what is longer is a change of the policy."""
FARTHEST_MS = 366 * DAY_MS
"""How far ahead one may begin."""
LONGEST_COMMENT = 500
FRESH_MS = 1_000
"""A read serves this long: another process's new silence is known within a second."""

_encode = msgspec.json.Encoder().encode


class SilenceState(enum.StrEnum):
    """Where now lies."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Mutes the messages that all matchers match, from `starts_at` until before `ends_at`. Times are epoch ms."""

    id: str
    """`SIL-0001`, counted up for good."""
    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    author: str
    comment: str
    created_at: int

    def state(self, now: int) -> SilenceState:
        """What it is at this moment."""
        if now >= self.ends_at:
            return SilenceState.EXPIRED
        return SilenceState.PENDING if now < self.starts_at else SilenceState.ACTIVE


_decode = msgspec.json.Decoder(Silence).decode


def silences_key(*parts: str) -> str:
    """All silences, or their count."""
    return act_key("silences", *parts)


class Silences:
    """The stored silences. Every change is audited in its own MULTI."""

    def __init__(self, redis: Client, now: Callable[[], int], audit: Audit) -> None:
        self._redis = redis
        self._now = now
        self._audit = audit
        self._read_at: int | None = None
        self._live: tuple[Silence, ...] = ()

    async def create(
        self,
        matchers: Sequence[Matcher],
        actor: Actor,
        comment: str,
        *,
        ends_at: int,
        starts_at: int | None = None,
    ) -> Silence:
        """A new silence; one that would have begun earlier, or has no beginning, begins now.

        Raises: ValueError naming what is wrong; ConflictError where 1,000 are pending or active; StorageError.
        """
        now, comment = self._now(), _checked_comment(comment)
        check_matchers(matchers)
        if match_everything(matchers):
            raise ValueError("matchers: match every message; name a rule, subject, host, severity or area")
        if never := next((m for m in matchers if _is_never_muted(m)), None):
            raise ValueError(f"matchers: {', '.join(never.values)} can never be muted")
        starts_at = now if starts_at is None else max(starts_at, now)
        if starts_at > now + FARTHEST_MS:
            raise ValueError("starts_at: is more than a year ahead")
        _check_end(ends_at, starts_at)

        async def step(pipe: Pipeline) -> Silence:
            rows = await pipe.hgetall(silences_key())
            kept = [_decode(row) for row in rows.values()]
            gone = _to_forget(kept, now, room_for=1)
            if len(kept) - len(gone) >= MOST:
                raise ConflictError(f"{MOST:,} silences are pending or active: expire some first")
            number: int = await pipe.incr(silences_key("count"))
            made = Silence(
                id=f"SIL-{number:04d}",
                matchers=tuple(matchers),
                starts_at=starts_at,
                ends_at=ends_at,
                author=actor.name,
                comment=comment,
                created_at=now,
            )
            begin(pipe)
            if gone:
                pipe.hdel(silences_key(), *gone)
            self._stage(pipe, made, [s for s in kept if s.id not in gone])
            self._audit.stage(
                pipe, actor, "silence.create", f"silence:{made.id}", after=made, reason=made.comment
            )
            return made

        return await self._change("silencing", step)

    async def extend(self, silence_id: str, actor: Actor, reason: str = "", *, ends_at: int) -> Silence:
        """Another end, earlier or later, for one that is not over.

        Raises: ValueError where the end is over or too far off; ConflictError where the silence is over;
        UnknownError, StorageError.
        """
        now = self._now()

        def moved(old: Silence) -> Silence:
            _check_end(ends_at, max(old.starts_at, now))
            return msgspec.structs.replace(old, ends_at=ends_at)

        return await self._move(silence_id, actor, "silence.extend", reason, moved)

    async def expire(self, silence_id: str, actor: Actor, reason: str = "") -> Silence:
        """Ends one now. Raises: ConflictError where it is over; UnknownError, StorageError."""
        now = self._now()

        def moved(old: Silence) -> Silence:
            return msgspec.structs.replace(old, starts_at=min(old.starts_at, now), ends_at=now)

        return await self._move(silence_id, actor, "silence.expire", reason, moved)

    async def get(self, silence_id: str) -> Silence:
        """One that is kept. Raises: UnknownError, StorageError."""
        with storage_errors("reading a silence"):
            row = await self._redis.hget(silences_key(), silence_id)
        found = None if row is None else _decode(row)
        if found is None or _is_old(found, self._now()):
            raise _unknown(silence_id)
        return found

    async def all(self) -> list[Silence]:
        """Every one that is kept, the newest first. Those that ended 30 days ago are gone. Raises: StorageError."""
        now = self._now()
        with storage_errors("reading silences"):
            kept = [_decode(row) for row in (await self._redis.hgetall(silences_key())).values()]
            # Nobody changes what has long been over, so this needs no transaction.
            if old := [silence.id for silence in kept if _is_old(silence, now)]:
                await self._redis.hdel(silences_key(), *old)
        found = [silence for silence in kept if not _is_old(silence, now)]
        return sorted(found, key=lambda silence: (silence.created_at, silence.id), reverse=True)

    async def active(self, now: int) -> list[Silence]:
        """Those in force at `now`, as Redis had them at most a second ago. Raises: StorageError."""
        if self._read_at is None or not 0 <= now - self._read_at < FRESH_MS:
            self._live = tuple(s for s in await self.all() if s.state(now) is not SilenceState.EXPIRED)
            self._read_at = now
        return [silence for silence in self._live if silence.state(now) is SilenceState.ACTIVE]

    async def _move(
        self, silence_id: str, actor: Actor, action: str, reason: str, moved: Callable[[Silence], Silence]
    ) -> Silence:
        async def step(pipe: Pipeline) -> Silence:
            kept = {s.id: s for s in map(_decode, (await pipe.hgetall(silences_key())).values())}
            old = kept.get(silence_id)
            if old is None or _is_old(old, self._now()):
                raise _unknown(silence_id)
            if old.state(self._now()) is SilenceState.EXPIRED:
                raise ConflictError(f"{silence_id} is over: make a new one")
            new = moved(old)
            begin(pipe)
            self._stage(pipe, new, [s for s in kept.values() if s.id != silence_id])
            self._audit.stage(
                pipe, actor, action, f"silence:{silence_id}", before=old, after=new, reason=reason
            )
            return new

        return await self._change("changing a silence", step)

    async def _change(self, doing: str, step: Callable[[Pipeline], Awaitable[Silence]]) -> Silence:
        changed = await change(self._redis, doing, [silences_key()], step)
        self._read_at = None
        return changed

    def _stage(self, pipe: Pipeline, silence: Silence, others: Sequence[Silence]) -> None:
        pipe.hset(silences_key(), silence.id, text_of(_encode(silence)))
        last = max(s.ends_at for s in (silence, *others))
        pipe.pexpire(silences_key(), max(1, last - self._now() + KEPT_MS))


def _is_never_muted(matcher: Matcher) -> bool:
    return (
        matcher.field is MatchField.RULE and not matcher.glob and NEVER_MUTED_RULES.issuperset(matcher.values)
    )


def _checked_comment(comment: str) -> str:
    comment = comment.strip()
    if not comment:
        raise ValueError("comment: say why nobody needs to be told")
    if len(comment) > LONGEST_COMMENT:
        raise ValueError(f"comment: has more than {LONGEST_COMMENT} characters")
    return comment


def _check_end(ends_at: int, since: int) -> None:
    if ends_at <= since:
        raise ValueError("until: must be later than now and than the beginning")
    if ends_at - since > LONGEST_MS:
        raise ValueError(
            "until: a silence may last 30 days at most; what is to be quiet for good is for the policy"
        )


def _is_old(silence: Silence, now: int) -> bool:
    return now - silence.ends_at >= KEPT_MS


def _to_forget(kept: Sequence[Silence], now: int, room_for: int) -> set[str]:
    """The old ones, and where that leaves no room, those that expired the longest ago."""
    over = sorted((s for s in kept if s.state(now) is SilenceState.EXPIRED), key=lambda s: (s.ends_at, s.id))
    old = sum(_is_old(s, now) for s in over)
    return {s.id for s in over[: max(old, len(kept) + room_for - MOST, 0)]}


def _unknown(silence_id: str) -> UnknownError:
    return UnknownError(f"silence {silence_id!r} is not known")
