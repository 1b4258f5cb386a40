"""The public status page kept ready: Redis is asked at most once in ten seconds, however many read the page."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from actions.incidents.public_status import (
    HORIZON_MS,
    PublicIncident,
    PublicIncidents,
    PublicStatus,
    StatusPage,
    status_of,
)
from actions.quiet.maintenance import Occurrence
from detectors.errors import StorageError

FRESH_MS = 10_000

Write = Callable[[PublicStatus], bytes]
Upcoming = Callable[[int, int], Awaitable[Sequence[Occurrence]]]
"""What maintenance is open now, or begins within a horizon: both epoch ms and ms."""

log = structlog.get_logger(__name__)


async def no_maintenance(_now: int, _horizon_ms: int) -> Sequence[Occurrence]:
    """Where nobody plans any."""
    return ()


class StatusFeed:
    """One process's status page. Where Redis is away, it goes on with what it last knew."""

    def __init__(
        self,
        incidents: PublicIncidents,
        now: Callable[[], int],
        page: Callable[[], StatusPage],
        maintenance: Upcoming = no_maintenance,
    ) -> None:
        """`page`: how the policy in force wants it, asked at each look."""
        self._incidents = incidents
        self._now = now
        self._page = page
        self._maintenance = maintenance
        self._looking = asyncio.Lock()
        self._looked_at: int | None = None
        self._known: tuple[list[PublicIncident], Sequence[Occurrence]] | None = None
        self._status: PublicStatus | None = None
        self._failure: StorageError | None = None
        self._written: dict[Write, bytes] = {}

    async def written(self, write: Write) -> bytes:
        """The page in one form, written once per look. Raises: StorageError as `status` does."""
        status = await self.status()
        if write not in self._written:
            self._written[write] = write(status)
        return self._written[write]

    async def status(self) -> PublicStatus:
        """The page as it was at most ten seconds ago; the same object until the next look.

        Raises: StorageError where Redis has not answered since the start.
        """
        if not self._is_fresh() and not (self._looking.locked() and self._status is not None):
            async with self._looking:
                if not self._is_fresh():
                    await self._look()
        if self._status is None:
            raise self._failure or StorageError("the status page has not been read yet")
        return self._status

    def _is_fresh(self) -> bool:
        return self._looked_at is not None and 0 <= self._now() - self._looked_at < FRESH_MS

    async def _look(self) -> None:
        now = self._now()
        try:
            self._known = await self._incidents.published(), await self._maintenance(now, HORIZON_MS)
        except StorageError as error:
            if self._failure is None:  # once an outage
                log.warning("status_page_not_read", error=str(error))
            self._failure = error
        else:
            self._failure = None
        self._looked_at = now
        if self._known is not None:  # what is over goes with time, though Redis be away
            self._status = status_of(self._page(), *self._known, now, self._incidents.page_id)
            self._written.clear()
