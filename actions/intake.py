"""One shard's findings stream, as one consumer reads it: what is new, what was left behind, what is done.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:attempts:FINDING` | string, count | 1 day | one per finding taken over after a crash |
| `bartizan:{act}:dead` | stream | none | about 1,000 findings that could not be handled |
"""

from typing import Any

import structlog

from actions.beside import Beside
from actions.held import Held, Row
from actions.storage import DAY_MS, act_key, ensure_group, load_script, rows_of, short, storage_errors
from actions.world import World
from detectors.windows import findings_key, read_finding

GROUP = "responder"
BATCH = 64
LOOKED_AT = 1_000
"""Entries that one look ahead goes through in Redis: about 4 ms."""
LOOKS = 10
"""Looks ahead in one turn, where nothing urgent is found."""
TAKEOVERS = 5
"""A finding taken over more often than this has probably killed its takers: it is set aside."""
DEAD_MAXLEN = 1_000
CONSUMER_KEPT_MS = DAY_MS

Entries = list[tuple[bytes, dict[bytes, bytes]]]
"""Ids and fields, as Redis delivers them."""

log = structlog.get_logger("bartizan.responder")


def attempts_key(finding_id: str) -> str:
    """How often a finding was taken over."""
    return act_key("attempts", short(finding_id))


def dead_key() -> str:
    """Findings that could not be handled, as they came."""
    return act_key("dead")


class Intake:
    """Takes findings off one shard's stream, and sets aside what cannot be handled.

    Every method may raise StorageError.
    """

    def __init__(self, world: World, shard: int, consumer: str, claim_idle_ms: int) -> None:
        self._world = world
        self._redis = world.redis
        self._shard = shard
        self._stream = findings_key(shard)
        self._consumer = consumer
        self._claim_idle_ms = claim_idle_ms
        self._urgent = load_script(world.redis, "take_urgent")
        self._looked_to = b"0-0"
        self._is_behind = False
        self.held = Held()
        self.beside = Beside()
        self.in_hand: set[bytes] = set()
        """Entries taken out of turn or carried through beside, and not done yet: they may be delivered again."""
        self.claimed_at: int | None = None
        """When what others have left was last looked for, epoch ms; None: look at once."""

    async def prepare(self) -> None:
        """Makes the group. What was held, or went on beside, comes again, from `begun`."""
        await self.beside.cancel()
        self.held.clear()
        self.in_hand.clear()
        self.claimed_at = None
        with storage_errors("preparing the responder"):
            await ensure_group(self._redis, self._stream, GROUP)
            await self._forget_consumers()

    async def _forget_consumers(self) -> None:
        """Removes consumers that have nothing left and have not been seen for a day."""
        consumers: Any = await self._redis.xinfo_consumers(self._stream, GROUP)
        for consumer in consumers:
            if consumer["pending"] == 0 and consumer["idle"] > CONSUMER_KEPT_MS:
                await self._redis.xgroup_delconsumer(self._stream, GROUP, consumer["name"])

    async def begun(self, after: bytes) -> Entries:
        """The oldest after an entry that this consumer has begun and not done, at most BATCH."""
        with storage_errors("reading findings"):
            reply: Any = await self._redis.xreadgroup(
                GROUP, self._consumer, {self._stream: after}, count=BATCH
            )
        return rows_of(reply)

    async def left_behind(self) -> Entries:
        """What others have begun and left, at most BATCH; from now on it is this consumer's."""
        with storage_errors("claiming findings"):
            reply: Any = await self._redis.xautoclaim(
                self._stream, GROUP, self._consumer, self._claim_idle_ms, count=BATCH
            )
        self.claimed_at = None if len(reply[1]) == BATCH else self._world.now()
        own = self.held.entries() | self.in_hand if reply[1] else set()
        # Redis 6.2 claims entries that were deleted from the stream as nil
        return [(entry_id, fields) for entry_id, fields in reply[1] if entry_id and entry_id not in own]

    async def new(self, block_ms: int) -> Entries:
        """What nobody has taken yet, at most BATCH. Waits up to `block_ms` for a first one (0: does not wait)."""
        with storage_errors("reading findings"):
            reply: Any = await self._redis.xreadgroup(
                GROUP, self._consumer, {self._stream: ">"}, count=BATCH, block=block_ms or None
            )
        entries = rows_of(reply)
        self._is_behind = len(entries) == BATCH
        if entries:
            self._looked_to = max(self._looked_to, entries[-1][0], key=_place_of)
        return [(entry_id, fields) for entry_id, fields in entries if entry_id not in self.in_hand]

    async def urgent(self) -> Entries:
        """Out of turn, the urgent ones among those that wait behind what was read last, at most BATCH.

        Nobody else is given them any more but a process whose turn comes to them before they are done; then they
        are handled twice, which is once.
        """
        found: Entries = []
        for _ in range(LOOKS if self._is_behind else 0):
            args: list[Any] = [GROUP, self._consumer, self._looked_to, LOOKED_AT, BATCH - len(found)]
            with storage_errors("looking ahead"):
                last, *rows = await self._urgent(keys=[self._stream], args=args)
            if not last:
                break
            self._looked_to = last
            found += [(row[0], dict(zip(row[1][::2], row[1][1::2], strict=True))) for row in rows]
            if len(found) >= BATCH:
                break
        self.in_hand.update(entry_id for entry_id, _ in found)
        return found

    async def read(self, entry_id: bytes, fields: dict[bytes, bytes]) -> Row | None:
        """The finding of an entry; None where it was deleted or cannot be read, and then it is done with."""
        if not fields:
            await self.done(entry_id)
            return None
        try:
            return Row(entry_id, read_finding(self._shard, entry_id, fields))
        except (ValueError, TypeError) as error:
            await self._set_aside(entry_id, fields, f"unreadable: {error}")
            return None

    async def is_given_up(self, row: Row, fields: dict[bytes, bytes]) -> bool:
        """Counts a takeover, and sets the finding aside when there were too many.

        Not Redis's own count of deliveries: an outage must not bury a good finding.
        """
        key = attempts_key(row.finding.id)
        with storage_errors("counting takeovers"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.incr(key)
                pipe.pexpire(key, DAY_MS)
                takeovers = int((await pipe.execute())[0])
        if takeovers <= TAKEOVERS:
            return False
        await self._set_aside(row.entry_id, fields, f"taken over more than {TAKEOVERS} times")
        return True

    async def _set_aside(self, entry_id: bytes, fields: dict[bytes, bytes], why: str) -> None:
        self._world.counters.count("findings_dead")
        log.error("finding set aside", shard=self._shard, entry=entry_id.decode(), why=why)
        row: dict[Any, Any] = {**fields, b"shard": self._shard, b"entry": entry_id, b"why": why}
        with storage_errors("setting a finding aside"):
            await self._redis.xadd(dead_key(), row, maxlen=DEAD_MAXLEN, approximate=True)
        await self.done(entry_id)

    async def done(self, *entry_ids: bytes) -> None:
        """Takes entries off the stream for good, all or none."""
        with storage_errors("acknowledging findings"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.xack(self._stream, GROUP, *entry_ids)
                pipe.xdel(self._stream, *entry_ids)
                await pipe.execute()
        self.in_hand.difference_update(entry_ids)


def _place_of(entry_id: bytes) -> tuple[int, int]:
    """An entry's place in its stream."""
    at, _, number = entry_id.partition(b"-")
    return int(at), int(number)
