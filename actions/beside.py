"""Work that goes on beside the responder's turns: what waits for somebody else's server must not make others wait."""

import asyncio
from collections.abc import Coroutine
from typing import Any

MOST = 64
"""Pieces of work at a time, per shard."""
STORED_AT_ONCE = 2
"""Of those that need not wait any more. They change the same few keys, and with 64 at a time nearly all would find
that another was faster, and start again."""


class Beside:
    """A few tasks, and the first error among them, which `check` raises in the responder's own turn."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None
        self.turn = asyncio.Semaphore(STORED_AT_ONCE)
        """To be held while a piece of work changes what is stored."""

    @property
    def is_full(self) -> bool:
        """Whether no more may be started now."""
        return len(self._tasks) >= MOST

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begins a piece of work, and does not wait for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)

    def check(self) -> None:
        """Raises: the first error since the last check, if there was one."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def finish(self) -> None:
        """Waits for everything that was begun. Raises: as `check`."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        self.check()

    async def cancel(self) -> None:
        """Ends everything that was begun; it is left undone. Forgets an error."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._error = None

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and self._error is None:
            self._error = task.exception()
