"""Sends each period's digest once, whatever crashes and however many processes there are.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:digest:RHYTHM:DAY` | string: sent, empty or begun | 40 days | one per period |

The mark and the message change in one MULTI: no mark without its message, no message without its mark. A service that
was down at the time of sending sends at its next start, unless the next digest is due already; that one then says which
periods got none.
"""

from collections.abc import Callable

from redis.asyncio.client import Pipeline

from actions.audit import Actor
from actions.digests.digest import IsFor, Maintenance, digest_of, is_gathered, nothing_ahead
from actions.digests.periods import DigestPlan, Period, Schedule, earlier, latest_due
from actions.digests.rendering import message_of
from actions.digests.report import Digest
from actions.errors import ConflictError
from actions.storage import DAY_MS, act_key, begin, change, storage_errors
from actions.world import World

MARK_TTL_MS = 40 * DAY_MS
LOOKED_BACK_DAYS = 35
"""Marks of periods older than that may be gone."""
SENT, EMPTY, BEGUN = b"sent", b"empty", b"begun"


def digest_key(period: Period) -> str:
    """Remembers that a period's digest has been dealt with."""
    return act_key("digest", period.rhythm.value, period.first_day.isoformat())


class DigestSender:
    """Sends what is due. Any number of processes may."""

    def __init__(
        self,
        world: World,
        plan: Callable[[], DigestPlan],
        *,
        is_for: IsFor = is_gathered,
        maintenance: Maintenance = nothing_ahead,
    ) -> None:
        """`plan`: the one in force at the moment."""
        self._world = world
        self._plan = plan
        self._is_for = is_for
        self._maintenance = maintenance

    async def send_due(self) -> list[Period]:
        """Sends every digest that is due and not sent; says of which periods this process did. Raises: StorageError."""
        plan = self._plan()
        return [
            period
            for schedule in plan.schedules
            if (period := await self._send_latest(schedule, plan.timezone)) is not None
        ]

    async def digest(self, period: Period, missed: tuple[Period, ...] = ()) -> Digest:
        """What the digest of a period says, or would say now. Raises: StorageError."""
        return await digest_of(
            self._world, period, missed=missed, is_for=self._is_for, maintenance=self._maintenance
        )

    async def send_copy(self, period: Period, actor: Actor) -> Digest:
        """Sends a digest now because somebody asks for it; the one that is due comes besides. Answers what it says.

        Raises: ConflictError where the policy sends no such digest; StorageError.
        """
        schedule = self._plan().schedule(period.rhythm)
        if schedule is None:
            raise ConflictError(f"the policy names no {period.rhythm} digest: nobody knows where to send it")
        digest = await self.digest(period)
        message = message_of(digest, schedule.channels, is_copy=True)
        target = f"digest:{period.rhythm}:{period.first_day}"
        after = {"channels": schedule.channels, "title": message.title}
        with storage_errors("sending a copy of a digest"):
            async with self._world.redis.pipeline(transaction=True) as pipe:
                self._world.outbox.stage(pipe, message)
                self._world.audit.stage(pipe, actor, "digest.send", target, after=after)
                await pipe.execute()
        return digest

    async def _send_latest(self, schedule: Schedule, timezone: str) -> Period | None:
        period = latest_due(schedule, timezone, self._world.now())
        key = digest_key(period)
        with storage_errors("looking for a digest"):
            if await self._world.redis.exists(key):  # as nearly always
                return None
        missed = await self._missed(period)
        if missed is None:
            await self._marked(period, BEGUN, None)
            return None
        digest = await self.digest(period, missed)
        if schedule.skip_empty and digest.is_empty:
            await self._marked(period, EMPTY, None)
            return None
        is_ours = await self._marked(period, SENT, (digest, schedule))
        return period if is_ours else None

    async def _marked(self, period: Period, mark: bytes, sent: tuple[Digest, Schedule] | None) -> bool:
        """Marks a period as dealt with, and queues its message with that; False where another process has."""
        key = digest_key(period)
        message = message_of(sent[0], sent[1].channels) if sent else None

        async def step(pipe: Pipeline) -> bool:
            if await pipe.exists(key):
                return False
            begin(pipe)
            pipe.set(key, mark, px=MARK_TTL_MS)
            if message is not None:
                self._world.outbox.stage(pipe, message)
            return True

        return await change(self._world.redis, "sending a digest", [key], step)

    async def _missed(self, period: Period) -> tuple[Period, ...] | None:
        """The periods since the last one that was dealt with, the oldest first; None where none ever was.

        Where none was, digests have just been switched on: nothing is sent of the time before.
        """
        looked = list(earlier(period, LOOKED_BACK_DAYS // period.rhythm.days))
        with storage_errors("looking for a digest"):
            marks = await self._world.redis.mget([digest_key(one) for one in looked])
        for index, mark in enumerate(marks):
            if mark is not None:
                return tuple(reversed(looked[:index]))
        return None
