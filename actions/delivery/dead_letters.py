"""Letters that could not be delivered: shown, sent again, or dropped by people. Keys: letters.py."""

from collections.abc import Callable
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import Actor, Audit, is_stream_id
from actions.delivery.letters import Stored, dead_letters_key, keys_of
from actions.delivery.message import Message
from actions.errors import ConflictError, UnknownError
from actions.storage import Client, begin, change, storage_errors, text_of

PAGE = 500
MOST_AT_ONCE = 500


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One letter that could not be delivered."""

    id: str
    at: int
    """When it was given up, epoch ms."""
    channel: str
    error: str
    letter_id: str
    attempts: int
    total: int
    """How many messages it stands for."""
    messages: tuple[Message, ...]
    letter: Stored


class DeadLetters:
    """The dead letters. What people do with them is audited in the same MULTI."""

    def __init__(self, redis: Client, now: Callable[[], int], audit: Audit) -> None:
        self._redis = redis
        self._now = now
        self._audit = audit

    async def page(
        self, *, channel: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[DeadLetter], str | None]:
        """Dead letters newest first, and the cursor of the next page or None.

        Raises: ValueError where the cursor is not one of ours; StorageError.
        """
        if cursor is not None and not is_stream_id(cursor):
            raise ValueError("cursor: not one of ours")
        found: list[DeadLetter] = []
        last = cursor
        with storage_errors("reading dead letters"):
            while True:
                end = f"({last}" if last else "+"
                rows: Any = await self._redis.xrevrange(dead_letters_key(), end, "-", count=PAGE)
                for row in rows:
                    one = _dead_letter(*row)
                    last = one.id
                    if channel in (None, one.channel):
                        found.append(one)
                    if len(found) == limit:
                        return found, last
                if len(rows) < PAGE:
                    return found, None

    async def counts(self) -> dict[str, int]:
        """How many, by channel. Raises: StorageError."""
        counted: dict[str, int] = {}
        with storage_errors("counting dead letters"):
            if not await self._redis.xlen(dead_letters_key()):
                return counted
        cursor: str | None = None
        while True:
            page, cursor = await self.page(cursor=cursor, limit=PAGE)
            for one in page:
                counted[one.channel] = counted.get(one.channel, 0) + 1
            if cursor is None:
                return counted

    async def retry(self, dead_id: str, actor: Actor, *, known: frozenset[str] | set[str]) -> DeadLetter:
        """Sends one again, at once. `known`: the channels that there are.

        Raises: UnknownError; ConflictError where its channel is gone; StorageError.
        """

        async def step(pipe: Pipeline) -> DeadLetter:
            one = await self._find(pipe, dead_id)
            if one.channel not in known:
                raise ConflictError(f"dead letter {dead_id}: the policy has no channel {one.channel}")
            items, due, line, _ = keys_of(one.channel)
            letter = msgspec.structs.replace(one.letter, attempts=0, since=0, group="")
            begin(pipe)
            pipe.xdel(dead_letters_key(), dead_id)
            pipe.hset(items, one.letter_id, _stored(letter))
            pipe.zadd(due, {one.letter_id: self._now()})
            for incident in _incidents_of(one):
                pipe.zadd(line, {f"{incident} {letter.order} {one.letter_id}": 0})
            self._audit.stage(pipe, actor, "notification.retry", f"letter:{one.letter_id}", before=_seen(one))
            return one

        return await change(self._redis, "sending a dead letter again", [dead_letters_key()], step)

    async def retry_all(self, channel: str, actor: Actor, *, known: frozenset[str] | set[str]) -> int:
        """Sends all of a channel again, the oldest first, at most 500; says how many.

        Raises: ConflictError where the channel is gone; StorageError.
        """
        if channel not in known:
            raise ConflictError(f"channel: the policy has no channel {channel}")
        dead, cursor = await self.page(channel=channel, limit=PAGE)
        while cursor is not None:
            more, cursor = await self.page(channel=channel, cursor=cursor, limit=PAGE)
            dead += more
        count = 0
        for one in dead[::-1][:MOST_AT_ONCE]:
            try:
                await self.retry(one.id, actor, known=known)
            except UnknownError:  # somebody else was faster
                continue
            count += 1
        return count

    async def drop(self, dead_id: str, actor: Actor, reason: str = "") -> DeadLetter:
        """Forgets one. Raises: UnknownError, StorageError."""

        async def step(pipe: Pipeline) -> DeadLetter:
            one = await self._find(pipe, dead_id)
            begin(pipe)
            pipe.xdel(dead_letters_key(), dead_id)
            before = _seen(one)
            self._audit.stage(
                pipe, actor, "notification.drop", f"letter:{one.letter_id}", before=before, reason=reason
            )
            return one

        return await change(self._redis, "dropping a dead letter", [dead_letters_key()], step)

    async def _find(self, pipe: Pipeline, dead_id: str) -> DeadLetter:
        rows: Any = await pipe.xrange(dead_letters_key(), dead_id, dead_id) if is_stream_id(dead_id) else []
        if not rows:
            raise UnknownError(f"dead letter {dead_id!r} is not known")
        return _dead_letter(*rows[0])


def _dead_letter(entry_id: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    letter = msgspec.json.decode(fields[b"letter"], type=Stored)
    return DeadLetter(
        id=text_of(entry_id),
        at=int(fields[b"at"]),
        channel=text_of(fields[b"channel"]),
        error=text_of(fields[b"error"]),
        letter_id=text_of(fields[b"id"]),
        attempts=letter.attempts,
        total=len(letter.messages) + len(letter.rest),
        messages=letter.read(),
        letter=letter,
    )


def _stored(letter: Stored) -> bytes:
    """As the scripts write it: an empty list is left out, because Lua would give an empty mapping back."""
    fields = msgspec.structs.asdict(letter)
    if not letter.rest:
        del fields["rest"]
    return msgspec.json.encode(fields)


def _incidents_of(one: DeadLetter) -> list[str]:
    names = [m.incident_id for m in one.messages] + [c.incident for c in one.letter.rest]
    return [name for name in dict.fromkeys(names) if name]


def _seen(one: DeadLetter) -> dict[str, Any]:
    return {"channel": one.channel, "error": one.error, "messages": one.total}
