"""The sliding windows in Redis: one Lua call per batch and shard, exact, retry-safe, bounded.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{SHARD}:batch:MARK` | string | 15 minutes | one per marked batch |
| `bartizan:{SHARD}:findings` | stream, group `responder` | none | what waits; entries are deleted once handled |
| `bartizan:{SHARD}:w:RULE:SUBJECT` | string, cmsgpack | two windows, 15 minutes; 1, 7 or 30 days | see Bounds |

Bounds: 4 times the threshold of times (35 times of points), 10 texts, 32 networks of a user, 64 users of an address.
Windows that remember a network or address of a user live for 30 days, those of shared addresses for 7, those that wait
for their subject to recover for a day at least. Percentiles keep 60 buckets of at most 151 bins.
"""

import asyncio
import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from detectors.errors import StorageError
from detectors.finding import Evidence, Finding
from detectors.redis_clock import NO_DEADLINE, RedisClock
from detectors.rule import Kind, Rule
from detectors.sentence import phrase_of, why

MARK_TTL_MS = 15 * 60_000
"""A sender's retry within this time counts nothing twice. The longest first retry of the senders measured is a
minute (syslog-ng, Fluentd); 15 minutes covers several. Source: docs/ingest.md."""
COUNT_WITHIN_MS = 800
"""What Redis has not begun to count by then, it does not count any more: soon after that the sender is told to send it
again (app/ingest/taking.py, LAST_S)."""
LATE_DELIVERY_MS = 15 * 60_000
"""How long a window outlives its events, so that what is delivered late still meets them."""
SHARED_ADDRESS = "shared_address"
"""Instead of a rule's name in the key of who got in from an address."""
SHARED_MEMORY_MS = 7 * 86_400_000
"""For how long a user who got in makes an address a shared one: people come back to their office within a week."""
LONGEST_SUBJECT_BYTES = 128
"""Longer subjects stand hashed in a key: their text is an attacker's."""


class Group(msgspec.Struct):
    """What one batch brought for one rule and subject. `values` by kind: see lua/count_batch/."""

    rule: Rule
    subject: str
    key: str
    meta: str
    times: list[int]
    values: list[Any]
    evidence: list[tuple[int, str]]
    is_aside: bool = False
    """Made from what this process remembers, not from the batch alone: a repeat of the batch may bring it where the
    first did not, so it must not decide whether the batch is known."""


class Meta(msgspec.Struct, frozen=True):
    """What a rule alone says of its findings; travels through Redis as JSON, with `subject` and `place`."""

    rule: str
    subject_kind: str
    threshold: int
    window_ms: int
    severity: str
    actions: tuple[str, ...]
    mode: str
    duration_ms: int
    max_duration_ms: int
    block_type: str
    references: tuple[str, ...] = ()
    phrase: str = ""


class Crossed(msgspec.Struct, frozen=True):
    """A threshold that a batch crossed: the group, the times of its first and last event, how many."""

    group: Group
    first_at: int
    at: int
    count: int
    shared_users: int = 0
    """As in `Finding`."""
    recovered: int = 0
    """1: the subject has recovered, no threshold was crossed."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a finding says that was not counted from events. Times are epoch ms; the others as in `Finding`."""

    first_at: int
    at: int
    count: int = 1
    evidence: tuple[Evidence, ...] = ()
    recovered: bool = False


def window_key(shard: int, rule: str, subject: str) -> str:
    """The window of one rule and subject; the hash tag keeps one shard on one cluster node."""
    return f"bartizan:{{{shard}}}:w:{rule}:{short_subject(subject)}"


def short_subject(subject: str) -> str:
    """The subject as it may stand in a key: itself, or its hash where it is long."""
    raw = subject.encode("utf-8", "replace")
    return subject if len(raw) <= LONGEST_SUBJECT_BYTES else "sha256:" + hashlib.sha256(raw).hexdigest()


def batch_key(shard: int, mark: str) -> str:
    """The mark of one applied batch."""
    return f"bartizan:{{{shard}}}:batch:{mark}"


def findings_key(shard: int) -> str:
    """The findings stream of one shard; the responder's consumer group reads it."""
    return f"bartizan:{{{shard}}}:findings"


_PARTS = ("head", *(kind.value for kind in Kind if kind is not Kind.WATCH), "tail")


def count_batch_script() -> str:
    """The Lua script of `Windows.apply`, put together from its files: one for each kind of window."""
    folder = files("detectors").joinpath("lua", "count_batch")
    return "\n".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in _PARTS)


class Windows:
    """Applies batches to Redis. One per process."""

    def __init__(
        self,
        redis: Redis,
        *,
        shards: int = 1,
        emit: bool = True,
        late_delivery_ms: int = LATE_DELIVERY_MS,
        on_reset: Callable[[int], object] = lambda _windows: None,
    ) -> None:
        """`emit`: whether findings go to the stream; a replay only wants them returned.

        `on_reset` is told how many windows of a batch could not be read and began anew.
        """
        self._on_reset = on_reset
        self.shards = shards
        self._redis = redis
        self._emit = b"1" if emit else b"0"
        self._late_delivery_ms = late_delivery_ms
        self._encode = msgspec.msgpack.Encoder().encode
        self._script = redis.register_script(count_batch_script())
        self._redis = redis
        self._clock = RedisClock()

    def shard_of(self, text: str) -> int:
        """Which shard a subject or a batch belongs to; the same in every process and version."""
        return zlib.crc32(text.encode("utf-8", "replace")) % self.shards if self.shards > 1 else 0

    async def apply(self, groups: Iterable[Group], mark: str | None) -> tuple[bool, list[Crossed]]:
        """Counts the groups; says whether the batch was new, and what thresholds it crossed.

        A batch with a mark is always applied to its home shard as well, so that a repeat of a batch in which
        nothing counted is known too. After a crash half way, a repeat applies just the shards that are missing.
        Raises: StorageError; the caller must not acknowledge, and the sender's retry completes the work. A Redis that
        hung does not count it later on, when the caller has given up (see RedisClock).
        """
        by_shard: dict[int, list[Group]] = {}
        aside: dict[int, list[Group]] = {}
        for group in groups:
            shard = self.shard_of(group.subject)
            groups_of = (aside if group.is_aside else by_shard).setdefault(shard, [])
            # Who got in is written down before the others of the batch ask for it.
            groups_of.insert(0 if group.rule.kind is Kind.SHARED else len(groups_of), group)
        if mark is not None:
            by_shard.setdefault(self.shard_of(mark), [])
        for shard in by_shard.keys() & aside.keys():
            by_shard[shard] += aside.pop(shard)
        try:
            replies = await asyncio.gather(*(self._call(s, g, mark) for s, g in by_shard.items()))
            is_new = any(applied for applied, _ in replies) or not by_shard
            if is_new and aside:
                replies += await asyncio.gather(*(self._call(s, g, None) for s, g in aside.items()))
        except (RedisError, OSError, TimeoutError) as error:
            raise StorageError(f"counting failed: {type(error).__name__}: {error}") from error
        crossed = [c for applied, found in replies if applied for c in found]
        return is_new, crossed

    async def report(self, rule: Rule, subject: str, *, told: Told) -> None:
        """Puts a finding on the stream that no events were counted for. Twice is two findings. Raises: StorageError."""
        texts = [msgspec.json.encode(one).decode() for one in told.evidence]
        fields: dict[Any, Any] = {
            "meta": meta_of(rule, subject),
            "first_at": told.first_at,
            "at": told.at,
            "count": told.count,
            "evidence": self._encode(texts),
        }
        if told.recovered:
            fields["recovered"] = 1
        try:
            await self._redis.xadd(findings_key(self.shard_of(subject)), fields)
        except (RedisError, OSError, TimeoutError) as error:
            raise StorageError(f"telling of {rule.name} failed: {type(error).__name__}: {error}") from error

    async def _call(
        self, shard: int, groups: Sequence[Group], mark: str | None
    ) -> tuple[bool, list[Crossed]]:
        keys = [batch_key(shard, mark or "none"), findings_key(shard)]
        keys += [window_key(shard, group.key, group.subject) for group in groups]
        args: list[Any] = []
        shared: dict[str, int] = {}
        for group in groups:
            rule = group.rule
            place = 0
            if rule.shared_from:
                key = window_key(shard, SHARED_ADDRESS, group.subject)
                place = shared.setdefault(key, len(keys) + len(shared) + 1)
            args.append(
                self._encode(
                    (
                        rule.kind.value,
                        rule.threshold,
                        rule.window_ms,
                        2 * rule.window_ms + self._late_delivery_ms,
                        rule.min_volume,
                        group.meta,
                        group.times,
                        group.values,
                        [part for pair in group.evidence for part in pair],
                        place,
                        rule.shared_from,
                        int(rule.raised_for_shared),
                        rule.memory_ms or SHARED_MEMORY_MS,
                        int(rule.spares_known),
                        rule.percentile,
                        rule.recovers,
                    )
                )
            )
        reply = await self._in_time([*keys, *shared], [MARK_TTL_MS if mark else 0, self._emit], args)
        found = [Crossed(groups[reply[i]], *reply[i + 1 : i + 6]) for i in range(3, len(reply), 6)]
        if reply[1]:
            self._on_reset(reply[1])
        return bool(reply[0]), found

    async def _in_time(self, keys: list[str], head: list[Any], groups: list[Any]) -> list[Any]:
        """The script's reply, once more where it came too late: the clock of Redis may have been set meanwhile."""
        if not self._clock.is_known:
            seconds, microseconds = await self._redis.time()
            self._clock.learn(seconds * 1000 + microseconds / 1000)
        for _ in range(2):
            # Nobody waits for a replay's answer, and nobody resends what it counts.
            until = self._clock.deadline(COUNT_WITHIN_MS) if self._emit == b"1" else NO_DEADLINE
            reply: list[Any] = await self._script(keys=keys, args=[*head, until, *groups])
            self._clock.learn(reply[2])
            if reply[0] >= 0:
                return reply
        raise StorageError("counting failed: Redis is too slow; nothing was counted")


def meta_of(rule: Rule, subject: str, place: str = "") -> str:
    """A finding's fixed part as JSON."""
    known = {"subject": subject, "place": place} if place else {"subject": subject}
    return f"{msgspec.json.encode(known).decode()[:-1]},{_meta_of_rule(rule)}"


@lru_cache(maxsize=1024)
def _meta_of_rule(rule: Rule) -> str:
    """The members of `Meta`, for all subjects the same, and the closing brace."""
    meta = Meta(
        rule=rule.name,
        subject_kind=rule.group_by[0].value,
        threshold=rule.threshold,
        window_ms=rule.window_ms,
        severity=rule.severity.value,
        actions=tuple(a.value for a in rule.actions),
        mode=rule.mode.value,
        duration_ms=rule.duration_ms,
        max_duration_ms=rule.max_duration_ms,
        block_type=rule.block_type.value,
        references=rule.references,
        phrase=phrase_of(rule),
    )
    return msgspec.json.encode(meta).decode()[1:]


def read_finding(shard: int, entry_id: bytes, fields: dict[bytes, bytes]) -> Finding:
    """A finding from its entry in the stream. Raises: ValueError where the entry is not one of ours."""
    try:
        meta = msgspec.json.decode(fields[b"meta"])
        meta["threshold"] = int(fields.get(b"threshold", meta["threshold"]))
        texts = msgspec.msgpack.decode(fields[b"evidence"]) or []
        counted = {
            "id": f"{shard}:{entry_id.decode()}",
            "first_at": int(fields[b"first_at"]),
            "at": int(fields[b"at"]),
            "count": int(fields[b"count"]),
            "shared_users": int(fields.get(b"users", 0)),
            "total": int(fields.get(b"total", 0)),
            "measured": int(fields.get(b"measured", 0)),
            "recovered": fields.get(b"recovered") == b"1",
            "evidence": [msgspec.json.decode(text) for text in texts],
        }
        finding = msgspec.convert({**meta, **counted, "why": ""}, Finding)
        return msgspec.structs.replace(finding, why=why(finding))
    except (KeyError, msgspec.MsgspecError) as error:
        raise ValueError(f"finding {entry_id!r} cannot be read: {error}") from error


__all__ = ["Group", "Kind", "Windows", "meta_of", "read_finding", "window_key"]
