"""Which investigations wait, and what became of those that somebody asked for without an incident.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:investigations` | sorted set, id by the time it is due | none | 200 that wait, one per incident |
| `bartizan:{act}:investigations:asked` | hash, id to JSON | none | one per id that waits |
| `bartizan:{act}:investigations:turn` | string, the process that investigates | 3 minutes | one |
| `bartizan:{act}:investigation:ID` | string, JSON | 7 days | one per entity that was asked about, 200 KB |

A row stays until its dossier is kept, in the same MULTI: what a process had begun when it died is done by the next.
Where 200 wait, the oldest is dropped that is not among the next hundred (they may be at work) and that no person asked
for, and its timeline says so.
"""

import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import SYSTEM, Actor, Audit
from actions.errors import UnknownError
from actions.incidents.timeline import Timeline, noted_key
from actions.investigations.dossiers import Dossier, Dossiers, dossier_key, encoded
from actions.investigations.investigation import Subject
from actions.storage import (
    DAY_MS,
    DONE_TTL_MS,
    Client,
    act_key,
    begin,
    change,
    short,
    storage_errors,
    text_of,
)

MOST_WAITING = 200
TAKEN_AT_ONCE = 100
"""Served by one pass over the events."""
DELAY_MS = 5_000
"""From a finding to its investigation: the attack goes on, and those of a flood are served together."""
AGAIN_MS = 10 * 60_000
"""At most one investigation per incident in this time, unless a person asks."""
TURN_MS = 3 * 60_000
"""Longer than any investigation: after it, whoever had the turn is dead."""
TRIES = 3
"""An investigation begun more often than this has probably killed its takers: it is given up."""
KEPT_MS = 7 * DAY_MS


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One investigation that waits."""

    id: str
    """The incident's, or `INV-...` where there is none."""
    subject: Subject
    incident_id: str = ""
    asked_at: int
    asked_by: str = SYSTEM.name
    mark: str = ""
    """Different each time it is asked."""
    tries: int = 0


class Investigation(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asked about an entity without an incident."""

    id: str
    subject: Subject
    state: str
    """waiting, done, dropped (too many waited) or failed."""
    asked_at: int
    asked_by: str
    dossier: Dossier | None = None


class _Room(msgspec.Struct, frozen=True):
    known: Asked | None
    due: float | None
    dropped: Asked | None


_encode = msgspec.json.Encoder().encode
_asked = msgspec.json.Decoder(Asked).decode
_investigation = msgspec.json.Decoder(Investigation).decode


def queue_key(*parts: str) -> str:
    """The ids that wait, what was asked, or whose turn it is."""
    return act_key("investigations", *parts)


def investigation_key(investigation_id: str) -> str:
    """One investigation without an incident."""
    return act_key("investigation", short(investigation_id))


class Investigations:
    """The queue, and the investigations without an incident."""

    def __init__(
        self, redis: Client, now: Callable[[], int], dossiers: Dossiers, timeline: Timeline, audit: Audit
    ) -> None:
        self._redis = redis
        self._now = now
        self._dossiers = dossiers
        self._timeline = timeline
        self._audit = audit

    async def begin(self, quick: Dossier, subject: Subject, once: str, text: str, data: Any) -> bool:
        """Keeps a first dossier, notes it on the timeline and has the whole one made, in one step, once per `once`.

        What an earlier whole one said of events stays until the new one is made. Says whether it was news.
        Raises: StorageError.
        """
        name = quick.incident_id
        mark = noted_key(name, once)

        async def step(pipe: Pipeline) -> bool:
            if await pipe.exists(mark):
                return False
            old = await self._old(pipe, name)
            room = await self._room(pipe, name)
            now = self._now()
            due = now + DELAY_MS
            first = quick
            if old is not None and old.events is not None:
                due = max(due, old.made_at + AGAIN_MS)
                first = _with_old(quick, old)
            asked = Asked(id=name, subject=subject, incident_id=name, asked_at=now, mark=secrets.token_hex(6))
            begin(pipe)
            pipe.set(mark, b"1", px=DONE_TTL_MS)
            self._dossiers.stage(pipe, first)
            self._timeline.stage(pipe, name, "evidence_added", text, data=data)
            self._stage(pipe, asked, due, room)
            return True

        return await change(self._redis, "beginning an investigation", [mark], step)

    async def ask(self, subject: Subject, actor: Actor, incident_id: str = "") -> Asked:
        """A person wants a dossier made now; written to the audit trail. Raises: StorageError."""
        name = incident_id or f"INV-{secrets.token_hex(8)}"

        async def step(pipe: Pipeline) -> Asked:
            room = await self._room(pipe, name)
            now = self._now()
            asked = Asked(
                id=name, subject=subject, incident_id=incident_id, asked_at=now, asked_by=actor.name,
                mark=secrets.token_hex(6),
            )  # fmt: skip
            begin(pipe)
            self._stage(pipe, asked, now, room)
            kind = "incident" if incident_id else "investigation"
            self._audit.stage(pipe, actor, "investigation.ask", f"{kind}:{name}", after=subject)
            if not incident_id:
                self._stage_record(pipe, asked, "waiting")
            return asked

        return await change(self._redis, "asking for an investigation", [queue_key()], step)

    async def find(self, investigation_id: str) -> Investigation:
        """One that was asked for without an incident. Raises: UnknownError, StorageError."""
        with storage_errors("reading an investigation"):
            item = await self._redis.get(investigation_key(investigation_id))
        if item is None:
            raise UnknownError(f"investigation {investigation_id!r} is not known; they are kept for 7 days")
        return _investigation(item)

    async def waits(self, name: str) -> Asked | None:
        """What is asked under this id and not done yet. Raises: StorageError."""
        with storage_errors("reading the investigations"):
            item: Any = await self._redis.hget(queue_key("asked"), name)
        return _asked(item) if item else None

    async def take_turn(self, consumer: str) -> bool:
        """Whether this process may investigate now: one at a time. Raises: StorageError."""
        with storage_errors("taking the turn to investigate"):
            if await self._redis.set(queue_key("turn"), consumer, px=TURN_MS, nx=True):
                return True
            if text_of(await self._redis.get(queue_key("turn"))) != consumer:
                return False
            return bool(await self._redis.set(queue_key("turn"), consumer, px=TURN_MS))

    async def end_turn(self, consumer: str) -> None:
        """Lets others investigate. Raises: StorageError."""

        async def step(pipe: Pipeline) -> None:
            if text_of(await pipe.get(queue_key("turn"))) == consumer:
                begin(pipe)
                pipe.delete(queue_key("turn"))

        await change(self._redis, "ending the turn to investigate", [queue_key("turn")], step)

    async def take(self) -> list[Asked]:
        """Those that are due, the longest due first; they stay in the queue until `done`. Raises: StorageError."""

        async def step(pipe: Pipeline) -> list[Asked]:
            names: Any = await pipe.zrangebyscore(
                queue_key(), "-inf", self._now(), start=0, num=TAKEN_AT_ONCE
            )
            items: list[Any] = await pipe.hmget(queue_key("asked"), names) if names else []
            found = [_asked(item) for item in items if item]
            taken = [msgspec.structs.replace(one, tries=one.tries + 1) for one in found]
            begin(pipe)
            for name, item in zip(names, items, strict=True):
                if item is None:
                    pipe.zrem(queue_key(), name)
            for one in taken:
                if one.tries > TRIES:
                    self._stage_end(pipe, one, "failed", f"not investigated: given up after {TRIES} attempts")
                else:
                    pipe.hset(queue_key("asked"), one.id, _encode(one))
            return [one for one in taken if one.tries <= TRIES]

        return await change(self._redis, "taking investigations", [queue_key(), queue_key("asked")], step)

    async def done(self, asked: Asked, dossier: Dossier | None, text: str, data: Any = None) -> bool:
        """Keeps a dossier and takes its row off the queue. None: nothing is to be said any more.

        Where it was asked again meanwhile, that stays. Says whether it was news: what somebody else has done
        already is not done twice. Raises: StorageError.
        """

        async def step(pipe: Pipeline) -> bool:
            item: Any = await pipe.hget(queue_key("asked"), asked.id)
            if not item:
                return False
            now_asked = _asked(item)
            begin(pipe)
            if now_asked.mark == asked.mark:
                pipe.hdel(queue_key("asked"), asked.id)
                pipe.zrem(queue_key(), asked.id)
            else:
                again = self._now() + (AGAIN_MS if now_asked.asked_by == SYSTEM.name else 0)
                pipe.zadd(queue_key(), {asked.id: again})
            if dossier is not None and asked.incident_id:
                self._dossiers.stage(pipe, dossier)
                self._timeline.stage(pipe, asked.incident_id, "evidence_added", text, data=data)
            elif dossier is not None:
                self._stage_record(pipe, asked, "done", dossier)
            return True

        return await change(self._redis, "keeping an investigation", [queue_key("asked")], step)

    async def _old(self, pipe: Pipeline, incident_id: str) -> Dossier | None:
        await pipe.watch(dossier_key(incident_id))
        item = await pipe.get(dossier_key(incident_id))
        return msgspec.json.decode(item, type=Dossier) if item else None

    async def _room(self, pipe: Pipeline, name: str) -> _Room:
        """What is known under this name, and who must go where the queue is full. Watches the queue."""
        await pipe.watch(queue_key(), queue_key("asked"))
        item: Any = await pipe.hget(queue_key("asked"), name)
        due: Any = await pipe.zscore(queue_key(), name)
        if item:
            return _Room(_asked(item), due, None)
        if await pipe.zcard(queue_key()) < MOST_WAITING:
            return _Room(None, None, None)
        names: Any = await pipe.zrange(queue_key(), TAKEN_AT_ONCE, TAKEN_AT_ONCE + 19)
        items: Any = await pipe.hmget(queue_key("asked"), names)
        oldest = sorted(map(_asked, filter(None, items)), key=lambda one: one.asked_by != SYSTEM.name)
        return _Room(None, None, oldest[0] if oldest else None)

    def _stage(self, pipe: Pipeline, asked: Asked, due: int, room: _Room) -> None:
        if room.dropped is not None:
            text = f"not investigated: more than {MOST_WAITING} investigations waited"
            self._stage_end(pipe, room.dropped, "dropped", text)
        if room.known is not None and room.known.asked_by != SYSTEM.name:
            asked = msgspec.structs.replace(asked, asked_by=room.known.asked_by)
        pipe.hset(queue_key("asked"), asked.id, _encode(asked))
        pipe.zadd(queue_key(), {asked.id: due if room.due is None else min(due, room.due)})

    def _stage_end(self, pipe: Pipeline, asked: Asked, state: str, text: str) -> None:
        pipe.hdel(queue_key("asked"), asked.id)
        pipe.zrem(queue_key(), asked.id)
        if asked.incident_id:
            self._timeline.stage(pipe, asked.incident_id, "action_skipped", text)
        else:
            self._stage_record(pipe, asked, state)

    def _stage_record(self, pipe: Pipeline, asked: Asked, state: str, dossier: Dossier | None = None) -> None:
        if dossier is not None:
            dossier = msgspec.json.decode(encoded(dossier), type=Dossier)
        record = Investigation(
            id=asked.id, subject=asked.subject, state=state, asked_at=asked.asked_at, asked_by=asked.asked_by,
            dossier=dossier,
        )  # fmt: skip
        pipe.set(investigation_key(asked.id), _encode(record), px=KEPT_MS)


def _with_old(quick: Dossier, old: Dossier) -> Dossier:
    """The quick dossier with what only a whole one says, from the earlier whole one."""
    return msgspec.structs.replace(
        quick, made_at=old.made_at, events=old.events, steps=old.steps, spared=old.spared, alike=old.alike,
        earlier_incidents=old.earlier_incidents, allowed_by=old.allowed_by, shared_users=old.shared_users,
    )  # fmt: skip
