"""The letters that wait for each channel. dispatch.py makes them of messages, sending.py takes and ends them.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:channels` | set of names | none | the channels that ever had a letter |
| `bartizan:{act}:channel:CHANNEL` | hash: health, tokens, groups | none | one field per rule and kind, and ten more |
| `bartizan:{act}:letters:item:CHANNEL` | hash, id to JSON | none | what waits |
| `bartizan:{act}:letters:due:CHANNEL` | sorted set, id by time | none | what waits |
| `bartizan:{act}:letters:line:CHANNEL` | sorted set, `INCIDENT ORDER LETTER` by text | none | what waits |
| `bartizan:{act}:repeats` | sorted set, `CHANNEL INCIDENT` by time | none | one per channel and open incident |
| `bartizan:{act}:dead_letters` | stream | none | 10,000, the oldest go first |

A letter that is being sent is due again when its lease ends, so that a crash loses nothing. Letters that speak of one
incident leave one after the other: `line` has their order, and a later one is due at `+inf` until it is the first.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from actions.delivery.message import Message, MessageKind, Rate
from actions.delivery.told import Told, told_key, told_of
from actions.incidents.timeline import INCIDENT_TTL_MS, timeline_key
from actions.storage import Client, act_key, load_script, storage_errors, text_of

NOTIFICATIONS_MAXLEN = 10_000
DEAD_MAXLEN = 10_000
MESSAGES_KEPT = 50
"""In one letter; those above are counted."""
LOOKED_AT = 100
"""Due letters at most of which one is taken: the others are behind one of the same incident."""
UNHEALTHY_AFTER_MS = 600_000
"""A channel that has failed for so long is unhealthy. A webhook's short outage tells nobody."""
NOTICE_EVERY_MS = 3_600_000

_encode = msgspec.json.Encoder().encode


class Counted(msgspec.Struct, frozen=True):
    """A message that a letter only counts."""

    incident: str
    kind: MessageKind
    episode: int


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A letter as it is kept. Written by the scripts in lua/ too."""

    order: str
    """Its place in the lines of its incidents: when its first message was written, as text that sorts."""
    messages: tuple[str, ...]
    """JSON of Message, at most MESSAGES_KEPT."""
    rest: tuple[Counted, ...] = ()
    attempts: int = 0
    since: int = 0
    """When it was first taken to be sent, epoch ms; 0: not yet."""
    created: int = 0
    group: str = ""

    def read(self) -> tuple[Message, ...]:
        """Its messages."""
        return tuple(msgspec.json.decode(text, type=Message) for text in self.messages)


class Taken(msgspec.Struct, frozen=True):
    """A letter that this process may send while its lease lasts."""

    channel: str
    id: str
    letter: Stored
    attempts: int


class Note(msgspec.Struct, frozen=True):
    """One line for the log of deliveries."""

    status: str
    error: str
    m: str
    """JSON of Message."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one incident's part in a letter came to."""

    incident: str
    told: bool
    kind: str
    episode: int
    entry: str
    """Kind of the line on its timeline; "": none."""
    text: str
    repeat_at: int = 0
    """When it is told again, epoch ms; 0: it is not."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How one letter ends."""

    result: str
    """`delivered`, `superseded` or `dead`."""
    error: str = ""
    ref: str = ""
    notice: str = ""
    """JSON of the message for other channels."""
    notice_every: int = NOTICE_EVERY_MS
    notes: tuple[Note, ...] = ()
    incidents: tuple[Outcome, ...] = ()


class Goal(msgspec.Struct, frozen=True):
    """One channel's part in the plan of a message."""

    channel: str
    letter: str
    group: str
    wait: int


class Untold(msgspec.Struct, frozen=True):
    """A channel that is not told, and why."""

    channel: str
    status: str
    reason: str
    again: int = 0
    """When to ask whether it may be told by now, epoch ms; 0: not."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a message."""

    incident: str
    kind: str
    episode: int
    hurry: bool
    """Letters that wait for others leave at once where they speak of its incident."""
    targets: tuple[Goal, ...]
    notes: tuple[Untold, ...]
    timeline: tuple[str, ...]


def outbox_key() -> str:
    """Messages that wait."""
    return act_key("outbox")


def notifications_key() -> str:
    """The log of deliveries."""
    return act_key("notifications")


def letters_key(what: str, channel: str) -> str:
    """`item`, `due` or `line` of one channel."""
    return act_key("letters", what, channel)


def channel_key(channel: str) -> str:
    """One channel's record."""
    return act_key("channel", channel)


def channels_key() -> str:
    """The channels that ever had a letter."""
    return act_key("channels")


def dead_letters_key() -> str:
    """Letters that cannot be delivered."""
    return act_key("dead_letters")


def repeats_key() -> str:
    """What is told again, and when."""
    return act_key("repeats")


def keys_of(channel: str) -> list[str]:
    """The four keys of a channel, in the order in which the scripts want them."""
    return [*(letters_key(what, channel) for what in ("item", "due", "line")), channel_key(channel)]


class Letters:
    """The stored letters. Each method is one atomic step."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        names = ("dispatch_message", "take_letter", "finish_letter", "retry_letter")
        self._scripts = {name: load_script(redis, name) for name in names}

    async def dispatch(self, group: str, row: bytes, message: bytes, plan: Plan, now: int) -> bool:
        """Makes the letters of a message and takes it off the outbox; False where that was done before.

        Raises: StorageError.
        """
        keys = [outbox_key(), notifications_key(), timeline_key(plan.incident), channels_key()]
        keys.append(repeats_key())
        keys += [key for goal in plan.targets for key in keys_of(goal.channel)]
        args = [group, row, now, NOTIFICATIONS_MAXLEN, INCIDENT_TTL_MS, message, MESSAGES_KEPT, _encode(plan)]
        return bool(await self._run("dispatch_message", keys, args))

    async def take(
        self, channel: str, now: int, *, lease_ms: int, rate: Rate | None, group_interval_ms: int
    ) -> Taken | int | None:
        """The letter that is due first; else when to ask again (epoch ms), or None where nothing waits.

        Raises: StorageError.
        """
        per_minute, burst = (rate.per_minute, max(1, rate.burst)) if rate else (0, 0)
        args = [now, lease_ms, per_minute, burst, group_interval_ms, LOOKED_AT]
        reply = await self._run("take_letter", keys_of(channel), args)
        if reply[0]:
            return Taken(channel, text_of(reply[0]), msgspec.json.decode(reply[1], type=Stored), reply[2])
        return None if reply[1] < 0 else int(reply[1])

    async def finish(self, taken: Taken, ending: Ending, now: int) -> tuple[bool, bool, bool]:
        """Ends a letter. Answers whether this call did, whether the channel was unhealthy, whether others hear of it.

        Raises: StorageError.
        """
        channel = taken.channel
        keys = [*keys_of(channel), notifications_key(), dead_letters_key(), repeats_key(), outbox_key()]
        for each in ending.incidents:
            keys += [timeline_key(each.incident), told_key(channel, each.incident)]
        args = [taken.id, now, NOTIFICATIONS_MAXLEN, DEAD_MAXLEN, INCIDENT_TTL_MS, channel, _encode(ending)]
        is_done, was_ill, is_noticed = await self._run("finish_letter", keys, args)
        return bool(is_done), bool(was_ill), bool(is_noticed)

    async def retry(
        self, taken: Taken, now: int, *, due: int, held_until: int, error: str, notice: bytes
    ) -> tuple[bool, bool]:
        """Puts a letter off. `held_until`: until then the whole channel rests; 0: it does not. `error` "": no attempt.

        Answers whether this call did, and whether other channels hear of it. Raises: StorageError.
        """
        items, dues, _, record = keys_of(taken.channel)
        args = [
            *(taken.id, now, taken.attempts, due, held_until, error),
            *(UNHEALTHY_AFTER_MS, notice, NOTICE_EVERY_MS),
        ]
        reply = await self._run("retry_letter", [items, dues, record, outbox_key()], args)
        return bool(reply[0]), bool(reply[1])

    async def has_earlier(self, taken: Taken, incident: str) -> bool:
        """Whether an older message may still come before this letter: one without letters yet, because its taker may
        have died, or one of this incident with a letter that was made meanwhile.

        Raises: StorageError.
        """
        line = letters_key("line", taken.channel)
        with storage_errors("looking for earlier messages"):
            if await self._redis.xrange(outbox_key(), "-", f"({taken.id.partition('.')[0]}", count=1):
                return True
            first = await self._redis.zrangebylex(line, f"[{incident} ", f"({incident}!", start=0, num=1)
        return bool(first) and not text_of(first[0]).endswith(f" {taken.id}")

    async def told(self, channel: str, incidents: Sequence[str]) -> list[Told | None]:
        """What a channel was told of each of these. Raises: StorageError."""
        if not incidents:
            return []
        with storage_errors("reading what a channel was told"):
            async with self._redis.pipeline(transaction=False) as pipe:
                for incident in incidents:
                    pipe.hgetall(told_key(channel, incident))
                return [told_of(fields) for fields in await pipe.execute()]

    async def knowing(self, channels: Sequence[str], incident: str) -> list[str]:
        """Which of these channels were told of an incident, or are about to be. Raises: StorageError."""
        if not channels:
            return []
        low, high = f"[{incident} ", f"({incident}!"
        with storage_errors("reading who was told"):
            async with self._redis.pipeline(transaction=True) as pipe:
                for channel in channels:
                    pipe.exists(told_key(channel, incident))
                    pipe.zrangebylex(letters_key("line", channel), low, high, start=0, num=1)
                found: Any = await pipe.execute()
        return [
            name
            for name, told, waiting in zip(channels, found[::2], found[1::2], strict=True)
            if told or waiting
        ]

    async def channels(self) -> set[str]:
        """The names of the channels that ever had a letter. Raises: StorageError."""
        with storage_errors("reading channels"):
            return {text_of(name) for name in await self._redis.smembers(channels_key())}

    async def _run(self, name: str, keys: list[str], args: list[Any]) -> Any:
        with storage_errors(name.replace("_", " ")):
            return await self._scripts[name](keys=keys, args=args)
