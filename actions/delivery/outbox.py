"""What people must be told: durable rows, written with the change they speak of; and the log of what became of them.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:outbox` | stream, group `delivery` | none | what waits; few per incident, see Incidents |
| `bartizan:{act}:notifications` | stream | none | about 10,000 entries, the oldest go first |

The outbox is never cut: that would drop what nobody has been told. dispatch.py takes its rows and makes a letter for
each channel, sending.py sends those. docs/delivery.md tells the whole way.
"""

import enum
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from redis.asyncio.client import Pipeline

from actions.audit import is_stream_id
from actions.delivery.letters import NOTIFICATIONS_MAXLEN, notifications_key, outbox_key
from actions.delivery.message import Letter, Message, Rate
from actions.storage import Client, storage_errors, text_of
from detectors.finding import Priority

__all__ = ["NOTIFICATIONS_MAXLEN", "Outbox", "notifications_key", "outbox_key"]
SCAN_PAGE, SCAN_PAGES = 500, 10


class DeliveryStatus(enum.StrEnum):
    """What became of a message at one channel."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """It is a dead letter now."""
    MUTED = "muted"
    DIGEST = "digest"
    UNROUTED = "unrouted"
    """No route of the policy names a channel for it."""
    SUPERSEDED = "superseded"
    """It had become untrue, or another letter says it; nothing was sent."""


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One message at one channel, as the log of deliveries shows it."""

    id: str
    at: int
    channel: str
    """Empty where a message went to none."""
    status: str
    """A DeliveryStatus."""
    error: str
    """Why, where it was not delivered."""
    message: Message


class LogChannel:
    """Tells the service's own log. Cannot fail."""

    name = "log"
    type = "log"
    rate: Rate | None = None
    groups = False

    async def send(self, letter: Letter) -> str:
        """One line a message, a warning from P1 up. Text from logs goes into fields, never into the event's name."""
        alerts = structlog.get_logger("bartizan.alert")
        for message in letter.messages:
            urgent = message.immediate or message.priority in (Priority.P0, Priority.P1)
            say = alerts.warning if urgent else alerts.info
            say("alert", **msgspec.to_builtins(message))
        return ""


class Outbox:
    """Writes messages, and shows what became of them."""

    def __init__(self, redis: Client, now: Callable[[], int]) -> None:
        self._redis = redis
        self._now = now

    def stage(self, pipe: Pipeline, message: Message) -> None:
        """Queues one message on the MULTI of the change it speaks of."""
        pipe.xadd(outbox_key(), {"m": msgspec.json.encode(message)})

    async def waiting(self) -> int:
        """How many messages no channel has a letter of yet. Raises: StorageError."""
        with storage_errors("counting messages"):
            return int(await self._redis.xlen(outbox_key()))

    async def notifications(
        self,
        *,
        incident_id: str | None = None,
        channel: str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> tuple[list[Notification], str | None]:
        """What became of messages, newest first, and the cursor of the next page or None.

        One call looks at no more than 5,000: a page may be short although its cursor says that there is more.
        Raises: ValueError where the cursor is not one of ours; StorageError.
        """
        if cursor is not None and not is_stream_id(cursor):
            raise ValueError("cursor: not one of ours")
        found: list[Notification] = []
        last = cursor
        with storage_errors("reading notifications"):
            for _ in range(SCAN_PAGES):
                end = f"({last}" if last else "+"
                rows: Any = await self._redis.xrevrange(notifications_key(), end, "-", count=SCAN_PAGE)
                for row in rows:
                    one = _notification(*row)
                    last = one.id
                    wanted = (incident_id, channel, status)
                    has = (one.message.incident_id, one.channel, one.status)
                    if all(w in (None, h) for w, h in zip(wanted, has, strict=True)):
                        found.append(one)
                    if len(found) == limit:
                        return found, last
                if len(rows) < SCAN_PAGE:
                    return found, None
        return found, last


def _notification(entry_id: bytes, fields: dict[bytes, bytes]) -> Notification:
    return Notification(
        id=text_of(entry_id),
        at=int(fields[b"at"]),
        channel=text_of(fields[b"channel"]),
        status=text_of(fields[b"status"]),
        error=text_of(fields[b"error"]),
        message=msgspec.json.decode(fields[b"m"], type=Message),
    )
