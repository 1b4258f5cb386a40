"""Keeps the files of external lists as the process's table is, and a list no longer than it may be in force.

While Redis is there, one process ends what is too old for all (app/blocklists/refresher.py). While it is away nobody
can fetch a list, and each process ends its own copy.
"""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from actions.blocks.lists import ListInfo
from app.lookup.feed import Feed
from app.lookup.list_files import ListFiles
from app.lookup.packed import PackedList
from detectors.finding import DecisionType

AWAY_MS = 60_000
"""Without a word from Redis for so long, it is away: to load a million decisions takes seconds."""
LATE = 50
"""A file is written anew where the end that it says is early by more than a fiftieth of what is left: an hour and
a half of three days. A list that is looked at every ten seconds is not written as often."""

log = structlog.get_logger(__name__)


class ListKeeper:
    """One per process."""

    def __init__(
        self, feed: Feed, files: ListFiles, now: Callable[[], int], heard_at: Callable[[], int | None]
    ) -> None:
        """`heard_at`: when this process last heard of the blocklist from Redis, epoch ms."""
        self._feed, self._files, self._now, self._heard_at = feed, files, now, heard_at
        self._ends: dict[str, int | None] = {}
        self._saved: dict[str, tuple[str, DecisionType, int | None]] = {}
        """Digest, type and end of each list, as its file says."""
        self._errors: dict[str, str] = {}

    def note(self, infos: Mapping[str, ListInfo]) -> None:
        """How the lists are doing, as Redis has it now."""
        self._ends = {name: info.ends_at for name, info in infos.items()}

    async def restore(self) -> int:
        """Put in force what the files say, before anybody is served; how many lists that are."""
        now, restored = self._now(), 0
        for copy in await asyncio.to_thread(self._files.load):
            packed, ends_at = copy.packed, copy.ends_at
            if ends_at is not None and ends_at <= now:
                log.warning("list_file_too_old", list=packed.name)
                continue
            self._feed.take_list(packed.name, packed)
            self._ends[packed.name] = ends_at
            self._saved[packed.name] = (packed.digest, packed.type, ends_at)
            restored += 1
            log.info("list_restored", list=packed.name, entries=len(packed))
        return restored

    async def look(self, saved: str | None) -> None:
        """End what is too old while Redis is away, and write what has changed.

        `saved`: the cursor of the copy of our own decisions on disk; None where another process writes. A list newer
        than that copy is not written: somebody who followed us before a restart would never hear of its change.
        """
        self._end_old()
        if saved and self._feed.is_ready:
            await self._save(saved)

    def _end_old(self) -> None:
        now, heard_at = self._now(), self._heard_at()
        if heard_at is not None and now - heard_at < AWAY_MS:
            return
        for name in [*self._feed.table.lists]:
            ends_at = self._ends.get(name)
            if ends_at is not None and ends_at <= now:
                self._feed.end_list(name)
                log.error("blocklist_expired", list=name, error="nothing newer could be had: Redis is away")

    async def _save(self, saved: str) -> None:
        lists = dict(self._feed.table.lists)
        for name, packed in lists.items():
            if self._is_to_be_written(packed) and self._feed.has_list_at(name, saved):
                ends_at = self._ends.get(name)
                error = await asyncio.to_thread(self._files.save, packed, ends_at)
                if not error:
                    self._saved[name] = (packed.digest, packed.type, ends_at)
                elif self._errors.get(name) != error:  # once, not every half minute
                    log.warning("list_file_not_written", list=name[:64], error=error)
                self._errors[name] = error
        if self._heard_at() is not None:  # else a list whose file is damaged may well be wanted
            for name in self._saved.keys() - lists.keys():
                del self._saved[name]
            await asyncio.to_thread(self._files.drop_others, lists)

    def _is_to_be_written(self, packed: PackedList) -> bool:
        saved, ends_at = self._saved.get(packed.name), self._ends.get(packed.name)
        if saved is None or saved[:2] != (packed.digest, packed.type):
            return True
        early = None if ends_at is None or saved[2] is None else ends_at - saved[2]
        if early is None or ends_at is None:
            return saved[2] != ends_at
        return early < 0 or early > max(0, ends_at - self._now()) / LATE
