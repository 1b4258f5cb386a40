"""What people must be told: durable rows, written with the change they speak of, gone only when delivered.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:outbox` | stream, group `delivery` | none | what waits; few per incident, see Incidents |
| `bartizan:{act}:notifications` | stream | none | about 10,000 entries, the oldest go first |

The outbox is never cut: that would drop what nobody has been told.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog
from redis.asyncio.client import Pipeline

from actions.audit import is_stream_id
from actions.counters import Counters, NoCounters
from actions.message import Channel, Letter, Message
from actions.storage import Client, act_key, ensure_group, load_script, rows_of, storage_errors, text_of
from detectors.errors import DeliveryError
from detectors.finding import Priority

GROUP = "delivery"
NOTIFICATIONS_MAXLEN = 10_000
CLAIM_IDLE_MS = 30_000
"""A row that its taker has left for so long is taken by another: longer than any send may last."""
ATTEMPTS = 10
"""Failed deliveries of one row through one process before it is recorded as failed."""

log = structlog.get_logger("bartizan.outbox")


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery, as the log of deliveries shows it."""

    id: str
    at: int
    channel: str
    status: str
    """`delivered` or `failed`."""
    error: str
    message: Message


class LogChannel:
    """Tells the service's own log. Cannot fail."""

    name = "log"

    async def send(self, letter: Letter) -> str:
        """One line a message, a warning from P1 up. Text from logs goes into fields, never into the event's name."""
        alerts = structlog.get_logger("bartizan.alert")
        for message in letter.messages:
            urgent = message.immediate or message.priority in (Priority.P0, Priority.P1)
            say = alerts.warning if urgent else alerts.info
            say("alert", **msgspec.to_builtins(message))
        return ""


def outbox_key() -> str:
    """Messages that wait."""
    return act_key("outbox")


def notifications_key() -> str:
    """The log of deliveries."""
    return act_key("notifications")


class Outbox:
    """Writes messages, and delivers them through the channels. Any number of processes may deliver."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        *,
        consumer: str = "one",
        channels: Sequence[Channel] = (LogChannel(),),
        counters: Counters | None = None,
        claim_idle_ms: int = CLAIM_IDLE_MS,
    ) -> None:
        """`consumer`: this process's name, different from every other's."""
        self._redis = redis
        self._now = now
        self._consumer = consumer
        self.channels = channels
        """Replaced as a whole when the policy changes."""
        self._counters = counters or NoCounters()
        self._claim_idle_ms = claim_idle_ms
        self._settle = load_script(redis, "settle_message")
        self._failures: dict[bytes, int] = {}

    def stage(self, pipe: Pipeline, message: Message) -> None:
        """Queues one message on the MULTI of the change it speaks of."""
        pipe.xadd(outbox_key(), {"m": msgspec.json.encode(message)})

    async def deliver(self, block_ms: int = 0) -> int:
        """Delivers what waits, first what another process left behind; says how many rows are done with.

        Waits up to `block_ms` for the first new one (0: does not wait). At least once: a crash between sending
        and recording sends again. Raises: StorageError.
        """
        with storage_errors("delivering messages"):
            await ensure_group(self._redis, outbox_key(), GROUP)
            claimed: Any = await self._redis.xautoclaim(
                outbox_key(), GROUP, self._consumer, self._claim_idle_ms, count=100
            )
            rows = [row for row in claimed[1] if row[1]]
            reply: Any = await self._redis.xreadgroup(
                GROUP, self._consumer, {outbox_key(): ">"}, count=100, block=block_ms or None
            )
            rows += rows_of(reply)
            return sum([await self._deliver_row(entry_id, fields) for entry_id, fields in rows])

    async def _deliver_row(self, entry_id: bytes, fields: dict[bytes, bytes]) -> bool:
        results: list[str] = []
        try:
            message = msgspec.json.decode(fields[b"m"], type=Message)
        except (KeyError, msgspec.MsgspecError) as unreadable:
            log.error("message unreadable, dropped", row=entry_id.decode(), error=str(unreadable))
            self._counters.count("messages", channel="none", result="unreadable")
            return await self._settled(entry_id, b"", results)
        for channel in self.channels:
            error = ""
            try:
                await channel.send(Letter(channel=channel.name, messages=(message,)))
            except DeliveryError as failure:
                tried = self._failures.get(entry_id, 0) + 1
                if not failure.permanent and tried < ATTEMPTS:
                    self._failures[entry_id] = tried
                    self._counters.count("messages", channel=channel.name, result="retried")
                    return False
                error = str(failure) or "failed"
            result = "failed" if error else "delivered"
            self._counters.count("messages", channel=channel.name, result=result)
            results += [channel.name, result, error]
        self._failures.pop(entry_id, None)
        return await self._settled(entry_id, fields[b"m"], results)

    async def _settled(self, entry_id: bytes, message: bytes, results: list[str]) -> bool:
        keys = [outbox_key(), notifications_key()]
        args: list[Any] = [GROUP, entry_id, NOTIFICATIONS_MAXLEN, self._now(), message, *results]
        return bool(await self._settle(keys=keys, args=args))

    async def waiting(self) -> int:
        """How many messages are not delivered yet. Raises: StorageError."""
        with storage_errors("counting messages"):
            return int(await self._redis.xlen(outbox_key()))

    async def notifications(
        self, *, incident_id: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Notification], str | None]:
        """Deliveries newest first, and the cursor of the next page or None.

        One call looks at no more than 5,000: a page may be short although its cursor says that there is more.
        Raises: ValueError where the cursor is not one of ours; StorageError.
        """
        if cursor is not None and not is_stream_id(cursor):
            raise ValueError("cursor: not one of ours")
        found: list[Notification] = []
        last = cursor
        with storage_errors("reading notifications"):
            for _ in range(10):
                end = f"({last}" if last else "+"
                rows: Any = await self._redis.xrevrange(notifications_key(), end, "-", count=500)
                for row in rows:
                    notification = _notification(*row)
                    last = notification.id
                    if incident_id in (None, notification.message.incident_id):
                        found.append(notification)
                    if len(found) == limit:
                        return found, last
                if len(rows) < 500:
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
