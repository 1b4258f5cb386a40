"""From a finding to its effects: reads the findings streams and runs the actions that each finding names.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:attempts:FINDING` | string, count | 1 day | one per finding taken over after a crash |
| `bartizan:{act}:dead` | stream | none | about 1,000 findings that could not be handled |

A finding is taken off its stream only when all its actions are done, so a crash in between means that it is
taken again. Every action is idempotent, so that twice is once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from actions import alert_admin, block_ip, create_incident, investigate
from actions.incident import Incident
from actions.storage import DAY_MS, act_key, ensure_group, rows_of, short, storage_errors
from actions.world import World
from detectors.errors import StorageError
from detectors.finding import Action, Finding, Mode
from detectors.windows import findings_key, read_finding

GROUP = "responder"
CLAIM_IDLE_MS = 5_000
"""A finding that its taker has left for so long is taken by another. Handling one takes milliseconds."""
TAKEOVERS = 5
"""A finding taken over more often than this has probably killed its takers: it is set aside."""
BATCH = 64
DEAD_MAXLEN = 1_000
BLOCK_MS = 1_000
SWEEP_S = 1.0
LONGEST_PAUSE_S = 5.0
CONSUMER_KEPT_MS = DAY_MS

Run = Callable[[Finding, Incident, World], Awaitable[None]]

ACTIONS: dict[Action, Run] = {
    Action.BLOCK_IP: block_ip.run,
    Action.ALERT_ADMIN: alert_admin.run,
    Action.INVESTIGATE: investigate.run,
    Action.CREATE_INCIDENT: create_incident.run,
    Action.CREATE_INCIDENT_IMMEDIATE: create_incident.run_immediate,
}
TELLING = frozenset({Action.ALERT_ADMIN, Action.CREATE_INCIDENT, Action.CREATE_INCIDENT_IMMEDIATE})
"""The actions that tell people; the others work quietly, and their incident shows what they did."""

log = structlog.get_logger("bartizan.responder")


def attempts_key(finding_id: str) -> str:
    """How often a finding was taken over."""
    return act_key("attempts", short(finding_id))


def dead_key() -> str:
    """Findings that could not be handled, as they came."""
    return act_key("dead")


class Responder:
    """Handles findings, ends blocks on time and delivers messages. Any number of processes may help."""

    def __init__(
        self,
        world: World,
        *,
        shards: int = 1,
        consumer: str = "one",
        claim_idle_ms: int = CLAIM_IDLE_MS,
        actions: dict[Action, Run] | None = None,
    ) -> None:
        """`consumer`: this process's name, different from every other's running at the same time.

        A name that stays the same over restarts resumes its own findings at once; others wait for
        `claim_idle_ms`.
        """
        self._world = world
        self._shards = shards
        self._consumer = consumer
        self._claim_idle_ms = claim_idle_ms
        self._actions = ACTIONS if actions is None else actions

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; outlives every outage of Redis.

        A finding being handled is finished first. Cancelling instead is safe as well: what was begun is taken
        again later.
        """
        async with asyncio.TaskGroup() as tasks:
            for shard in range(self._shards):
                tasks.create_task(self._follow(shard, stop), name=f"responder-{shard}")
            tasks.create_task(self._repeat("sweeping", self.sweep, stop), name="sweeper")
            tasks.create_task(self._repeat("delivering", self._deliver, stop), name="outbox")

    async def drain(self) -> int:
        """Handles every finding that waits or was left behind, and delivers the messages; says how many findings.

        Raises: StorageError.
        """
        handled = 0
        for shard in range(self._shards):
            await self._prepare(shard)
            handled += await self._resume(shard)
            while taken := await self._take(shard, block_ms=0):
                handled += taken
        while await self._world.outbox.deliver():
            pass
        return handled

    async def sweep(self) -> None:
        """Ends what is over: blocks, proposals, allowlist entries. Raises: StorageError."""
        ended = await self._world.blocklist.expire_due()
        await self._world.allowlist.expire_due()
        if ended:
            self._world.counters.count("blocks_expired", ended)

    async def handle(self, finding: Finding) -> None:
        """Carries one finding through: its incident first, then each action. Twice is once.

        An action that fails is counted, logged and put on the timeline, and the others go on.
        Raises: StorageError; then it must be handled again.
        """
        world = self._world
        world.counters.count("findings", rule=finding.rule, mode=finding.mode.value)
        if finding.mode == Mode.OBSERVE:
            await world.observed.record(finding)
            return
        await world.neighbours.remember(finding)
        opened = await world.incidents.open_or_join(
            finding,
            tell=not TELLING.isdisjoint(finding.actions),
            immediate=Action.CREATE_INCIDENT_IMMEDIATE in finding.actions,
        )
        for action in finding.actions:
            await self._act(action, finding, opened.incident)

    async def _act(self, action: Action, finding: Finding, incident: Incident) -> None:
        try:
            await self._actions[action](finding, incident, self._world)
        except StorageError:
            raise
        except Exception as error:
            self._world.counters.count("action_failures", action=action.value)
            log.exception("action failed", action=action.value, finding=finding.id, incident=incident.id)
            text = f"{action} failed: {type(error).__name__}"
            once = f"{finding.id} {action} failed"
            await self._world.timeline.note_once(incident.id, once, "action_failed", text)

    async def _follow(self, shard: int, stop: asyncio.Event) -> None:
        """Takes this shard's findings until stopped; starts over, slower each time, while Redis is away."""
        pause_s, prepared = 0.1, False
        while not stop.is_set():
            try:
                if not prepared:
                    await self._prepare(shard)
                    prepared = True
                await self._resume(shard)
                await self._take(shard, block_ms=BLOCK_MS)
                pause_s = 0.1
            except StorageError as error:
                self._world.counters.count("storage_errors", where="responder")
                log.warning("findings wait", shard=shard, error=str(error), again_in_s=pause_s)
                prepared = False
                await _pause(stop, pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _repeat(self, doing: str, step: Callable[[], Awaitable[Any]], stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await step()
            except StorageError as error:
                self._world.counters.count("storage_errors", where=doing)
                log.warning("failed for now", doing=doing, error=str(error))
            await _pause(stop, SWEEP_S)

    async def _deliver(self) -> None:
        while await self._world.outbox.deliver():
            pass

    async def _prepare(self, shard: int) -> None:
        """Makes the group, and takes again what this very consumer had begun."""
        stream, redis = findings_key(shard), self._world.redis
        with storage_errors("preparing the responder"):
            await ensure_group(redis, stream, GROUP)
            await self._forget_consumers(stream)
        while True:
            with storage_errors("reading findings"):
                reply: Any = await redis.xreadgroup(GROUP, self._consumer, {stream: "0"}, count=BATCH)
            rows = rows_of(reply)
            await self._handle_rows(shard, rows, taken_over=False)
            if len(rows) < BATCH:
                return

    async def _forget_consumers(self, stream: str) -> None:
        """Removes consumers that have nothing left and have not been seen for a day."""
        consumers: Any = await self._world.redis.xinfo_consumers(stream, GROUP)
        for consumer in consumers:
            if consumer["pending"] == 0 and consumer["idle"] > CONSUMER_KEPT_MS:
                await self._world.redis.xgroup_delconsumer(stream, GROUP, consumer["name"])

    async def _resume(self, shard: int) -> int:
        """Takes over what others have begun and left; says how many were handled."""
        with storage_errors("claiming findings"):
            reply: Any = await self._world.redis.xautoclaim(
                findings_key(shard), GROUP, self._consumer, self._claim_idle_ms, count=BATCH
            )
        return await self._handle_rows(shard, reply[1], taken_over=True)

    async def _take(self, shard: int, block_ms: int) -> int:
        with storage_errors("reading findings"):
            reply: Any = await self._world.redis.xreadgroup(
                GROUP, self._consumer, {findings_key(shard): ">"}, count=BATCH, block=block_ms or None
            )
        return await self._handle_rows(shard, rows_of(reply), taken_over=False)

    async def _handle_rows(self, shard: int, rows: list[Any], *, taken_over: bool) -> int:
        for entry_id, fields in rows:
            if entry_id is None:  # Redis 6.2 claims entries that were deleted from the stream as nil
                continue
            if fields:
                await self._handle_row(shard, entry_id, fields, taken_over=taken_over)
            await self._done(shard, entry_id)
        return len(rows)

    async def _handle_row(
        self, shard: int, entry_id: bytes, fields: dict[bytes, bytes], *, taken_over: bool
    ) -> None:
        try:
            finding = read_finding(shard, entry_id, fields)
        except (ValueError, TypeError) as error:
            await self._bury(shard, entry_id, fields, f"unreadable: {error}")
            return
        if taken_over and await self._takeovers(finding.id) > TAKEOVERS:
            await self._bury(shard, entry_id, fields, f"taken over more than {TAKEOVERS} times")
            return
        await self.handle(finding)

    async def _takeovers(self, finding_id: str) -> int:
        """Counts a takeover. Not Redis's own count of deliveries: an outage must not bury a good finding."""
        with storage_errors("counting takeovers"):
            async with self._world.redis.pipeline(transaction=True) as pipe:
                pipe.incr(attempts_key(finding_id))
                pipe.pexpire(attempts_key(finding_id), DAY_MS)
                return int((await pipe.execute())[0])

    async def _bury(self, shard: int, entry_id: bytes, fields: dict[bytes, bytes], why: str) -> None:
        self._world.counters.count("findings_dead")
        log.error("finding set aside", shard=shard, entry=entry_id.decode(), why=why)
        row: dict[Any, Any] = {**fields, b"shard": shard, b"entry": entry_id, b"why": why}
        with storage_errors("setting a finding aside"):
            await self._world.redis.xadd(dead_key(), row, maxlen=DEAD_MAXLEN, approximate=True)

    async def _done(self, shard: int, entry_id: bytes) -> None:
        with storage_errors("acknowledging a finding"):
            async with self._world.redis.pipeline(transaction=True) as pipe:
                pipe.xack(findings_key(shard), GROUP, entry_id)
                pipe.xdel(findings_key(shard), entry_id)
                await pipe.execute()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Waits so long, or until stopped."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
