"""What goes on beside the findings: ends, clocks, messages, bots that are judged again. Each in a task of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from actions.blocks.spared import judge_again
from actions.incidents import recovery
from actions.world import World
from detectors.errors import StorageError

BLOCK_MS = 1_000
SWEEP_S = 1.0

log = structlog.get_logger("bartizan.chores")


class Chores:
    """The tasks of one process. Any number of processes may do them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def jobs(self, stop: asyncio.Event) -> dict[str, Coroutine[Any, Any, None]]:
        """The tasks by name, to be run until `stop` is set. Each outlives every outage of Redis."""
        return {
            "sweeper": self._repeat("sweeping", self.sweep, stop),
            "dispatcher": self._dispatch(stop),
            "sender": self._world.sender.run(stop),
            "repeats": self._repeat("telling again", self._tell_again, stop),
            "bots": self._repeat("judging bots", self.judge_bots_again, stop),
        }

    async def sweep(self) -> None:
        """Ends what is over (blocks, proposals, allowlist entries, incidents), and lets the incidents' clocks strike.

        Raises: StorageError.
        """
        ended = await self._world.blocklist.expire_due()
        await self._world.allowlist.expire_due()
        await recovery.resolve_lasting(self._world)
        if ended:
            self._world.counters.count("blocks_expired", ended)
        await self._world.clocks.strike()

    async def judge_bots_again(self) -> None:
        """Lifts blocks of bots that the DNS confirms only now. Raises: StorageError."""
        await judge_again(self._world)

    async def _repeat(self, doing: str, step: Callable[[], Awaitable[Any]], stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await step()
            except StorageError as error:
                self._world.counters.count("storage_errors", where=doing)
                log.warning("failed for now", doing=doing, error=str(error))
            await pause(stop, SWEEP_S)

    async def _dispatch(self, stop: asyncio.Event) -> None:
        """Makes letters of messages until stopped, and has them sent at once."""
        while not stop.is_set():
            try:
                if await self._world.dispatcher.step(BLOCK_MS):
                    self._world.sender.wake()
            except StorageError as error:
                self._world.counters.count("storage_errors", where="dispatching")
                log.warning("messages wait", error=str(error))
                await pause(stop, SWEEP_S)

    async def _tell_again(self) -> None:
        await self._world.repeats.step()
        await self._world.sender.retire()


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Waits so long, or until stopped."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
