"""From messages to letters: which channel is told what and when, decided once for each row of the outbox.

What is not told is on the incident's timeline as `not_notified`, with the reason, and in the log of deliveries. All
of it, the letters and the row's end are one atomic step, so that a crash in between loses and doubles nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
import structlog

from actions.counters import Counters, NoCounters
from actions.delivery.letters import Goal, Letters, Plan, Untold, outbox_key
from actions.delivery.message import ENDING, Channel, Message, MessageKind
from actions.delivery.outbox import DeliveryStatus
from actions.delivery.routing import LOG, Routes, Target, Timing, When, group_of
from actions.delivery.told import OPENING
from actions.storage import Client, ensure_group, rows_of, storage_errors
from detectors.errors import StorageError

GROUP = "delivery"
CLAIM_IDLE_MS = 30_000
"""A row that its taker has left for so long is taken by another. Dispatching one takes milliseconds."""
AT_ONCE = 100
NO_ROUTE = "no route"
FOLLOWED = frozenset({MessageKind.ACKNOWLEDGED, MessageKind.MITIGATED, *ENDING})
"""Kinds that whoever was told of the incident hears: a pager left alone would go on calling."""

log = structlog.get_logger("bartizan.dispatch")


class Muting(Protocol):
    """Who knows of silences and maintenance windows."""

    async def muted_by(self, message: Message, now: int) -> str | None:
        """What keeps this message from being told, such as `silence 12`; None where nothing does.

        Raises: StorageError.
        """


class NeverMuted:
    """Lets everything be told."""

    async def muted_by(self, message: Message, now: int) -> str | None:
        """Nothing does."""
        return None


class Dispatcher:
    """Makes letters of messages. Any number of processes may."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        letters: Letters,
        *,
        consumer: str,
        channels: Mapping[str, Channel],
        routes: Routes,
        timing: Timing,
        counters: Counters | None = None,
    ) -> None:
        """`channels`, `routes`, `timing` and `muting` are to be set when the policy changes."""
        self._redis = redis
        self._now = now
        self._letters = letters
        self._consumer = consumer
        self._counters = counters or NoCounters()
        self.channels = channels
        self.routes = routes
        self.timing = timing
        self.muting: Muting = NeverMuted()
        self.claim_idle_ms = CLAIM_IDLE_MS
        self._is_prepared = False

    async def step(self, block_ms: int = 0) -> int:
        """Dispatches what waits, first what was left behind; says how many rows are done with.

        Waits up to `block_ms` for the first new one (0: does not wait). Raises: StorageError; what was begun is
        taken again.
        """
        try:
            with storage_errors("dispatching messages"):
                rows = await self._left_behind()
                reply: Any = await self._redis.xreadgroup(
                    GROUP,
                    self._consumer,
                    {outbox_key(): ">"},
                    count=AT_ONCE,
                    block=block_ms if block_ms and not rows else None,
                )
                rows += rows_of(reply)
            return sum([await self._dispatch(row, fields) for row, fields in rows])
        except StorageError:
            self._is_prepared = False
            raise

    async def _left_behind(self) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """What others have left and, after an error, what this process had begun itself."""
        rows: list[tuple[bytes, dict[bytes, bytes]]] = []
        if not self._is_prepared:
            await ensure_group(self._redis, outbox_key(), GROUP)
            begun: Any = await self._redis.xreadgroup(GROUP, self._consumer, {outbox_key(): "0"})
            rows += [row for row in rows_of(begun) if row[1]]
            self._is_prepared = True
        claimed: Any = await self._redis.xautoclaim(
            outbox_key(), GROUP, self._consumer, self.claim_idle_ms, count=AT_ONCE
        )
        known = {row for row, _ in rows}
        return rows + [row for row in claimed[1] if row[1] and row[0] not in known]

    async def _dispatch(self, row: bytes, fields: dict[bytes, bytes]) -> bool:
        try:
            raw = fields[b"m"]
            message = msgspec.json.decode(raw, type=Message)
        except (KeyError, msgspec.MsgspecError) as unreadable:
            log.error("message unreadable, dropped", row=row.decode(), error=str(unreadable))
            self._counters.count("messages", channel="none", result="unreadable")
            with storage_errors("dropping a message"):
                await self._redis.xack(outbox_key(), GROUP, row)
                return bool(await self._redis.xdel(outbox_key(), row))
        muted = await self.muting.muted_by(message, self._now()) if message.incident_id else None
        plan = self._plan(row.decode(), message, muted, await self._followers(message))
        is_done = await self._letters.dispatch(GROUP, row, raw, plan, self._now())
        for note in plan.notes if is_done else ():
            self._counters.count("messages", channel=note.channel or "none", result=note.status)
        return is_done

    async def _followers(self, message: Message) -> list[Target]:
        """Real-time channels that were told of the incident, whatever the routes say now: they hear how it goes on.

        Its grade or the policy may have changed since, and a level of the escalation has channels that no route names.
        """
        if not message.incident_id or message.kind not in FOLLOWED:
            return []
        now = {t.channel for t in self.routes.targets(message) if t.when is When.AT_ONCE}
        others = [name for name in self.routes.real_time() if name not in now and name in self.channels]
        return [
            Target(name, When.AT_ONCE) for name in await self._letters.knowing(others, message.incident_id)
        ]

    def _plan(self, row: str, message: Message, muted: str | None, followers: list[Target]) -> Plan:
        goals: list[Goal] = []
        notes: list[Untold] = []
        known = {target.channel for target in followers}
        targets = [t for t in self.routes.targets(message) if t.channel in self.channels.keys() - known]
        targets += followers
        for target in targets:
            name = target.channel
            if muted is not None and name != LOG:
                again = (
                    self._now() + self.timing.group_interval_ms if self._may_come_later(message, name) else 0
                )
                notes.append(Untold(name, DeliveryStatus.MUTED, f"muted_by {muted}", again))
            elif target.when is not When.AT_ONCE:
                notes.append(Untold(name, DeliveryStatus.DIGEST, f"{target.when} digest"))
            else:
                group = group_of(message) if self.channels[name].groups else ""
                goals.append(Goal(name, f"{row}.{name}", group, self.timing.group_wait_ms))
        is_unrouted = self.routes.has_people() and not any(t.channel != LOG for t in targets)
        timeline = [f"not told through {note.channel}: {note.reason}" for note in notes]
        if is_unrouted:
            timeline.append(f"not told: {NO_ROUTE}")
        if is_unrouted or not targets:
            notes.append(Untold("", DeliveryStatus.UNROUTED, NO_ROUTE))
        return Plan(
            incident=message.incident_id,
            kind=message.kind,
            episode=message.episode,
            hurry=not group_of(message) and message.kind not in ENDING,
            targets=tuple(goals),
            notes=tuple(notes),
            timeline=tuple(timeline) if message.incident_id else (),
        )

    def _may_come_later(self, message: Message, channel: str) -> bool:
        """Whether a channel hears of a muted message's incident when the silence is over and it is still untouched."""
        return message.kind in OPENING and channel in self.routes.real_time()
