"""Keeps the external blocklists as the policy wants them: one process fetches each, all are told what changed."""

import asyncio
import random
from collections.abc import Callable

import httpx
import msgspec
import structlog

from actions.blocks.lists import ListInfo, Lists
from actions.blocks.networks import Network
from app.blocklists.fetching import LARGEST_BYTES, Fetched, FetchError, fetch, make_client
from app.blocklists.selecting import Selected, select
from app.policies.blocklists import ListSource
from detectors.errors import StorageError

LOOK_S = 5.0
FIRST_PAUSE_MS = 60_000
"""After a failure; it doubles up to the list's own interval."""
JITTER = 0.1
"""Of the interval, so that not all who use a list ask at the same minute."""

log = structlog.get_logger(__name__)


class Refresher:
    """One per process."""

    def __init__(
        self,
        lists: Lists,
        sources: Callable[[], tuple[ListSource, ...]],
        never_block: Callable[[Network], str | None],
        now: Callable[[], int],
        process: str,
        *,
        chance: Callable[[], float] = random.random,
        client: Callable[[], httpx.AsyncClient] = make_client,
    ) -> None:
        self._lists, self._sources, self._never_block = lists, sources, never_block
        self._now, self._process, self._chance = now, process, chance
        self._client = client

    async def look(self) -> None:
        """Fetch what is due, drop what the policy no longer names. Redis away: it waits. Never raises StorageError."""
        try:
            infos = await self._lists.infos()
            sources = self._sources()
            for name in infos.keys() - {source.name for source in sources}:
                await self._lists.drop(name)
                log.info("blocklist_dropped", list=name)
            for source in sources:
                await self._keep(source, infos.get(source.name))
        except StorageError as error:
            log.warning("blocklists_wait", error=str(error))

    async def _keep(self, source: ListSource, info: ListInfo | None) -> None:
        """Raises: StorageError."""
        is_same = info is not None and (info.place, info.type) == (source.place, source.type)
        if info is not None and is_same and self._now() < info.next_at:
            return
        if not await self._lists.take_turn(source.name, self._process):
            return
        try:
            known = info if is_same and info is not None else None
            await self._refresh(source, known or _unknown(source), info)
        finally:
            await self._lists.leave_turn(source.name)

    async def _refresh(self, source: ListSource, info: ListInfo, before: ListInfo | None) -> None:
        try:
            async with self._client() as client:
                fetched = await fetch(source, client, info.etag, info.last_modified)
            selected = None if fetched.body is None else await self._select(source, fetched.body, info)
        except FetchError as error:
            await self._fail(source, info, str(error))
            return
        await self._take(source, info, before, fetched, selected)

    async def _select(self, source: ListSource, body: bytes, info: ListInfo) -> Selected:
        """Raises: FetchError where the list must be a mistake."""
        try:
            selected = await asyncio.to_thread(
                select, body, source.form, self._now(), self._never_block, LARGEST_BYTES
            )
        except ValueError as error:
            raise FetchError(f"cannot be read: {error}") from error
        if selected.entries > source.cap:
            raise FetchError(f"has {selected.entries:,} entries, more than its cap of {source.cap:,}")
        if not selected.entries and (info.entries or selected.skipped):
            raise FetchError("has no entry that could be put in force")
        return selected

    async def _take(
        self,
        source: ListSource,
        info: ListInfo,
        before: ListInfo | None,
        fetched: Fetched,
        selected: Selected | None,
    ) -> None:
        now = self._now()
        pause = source.every_ms * (1 + JITTER * (2 * self._chance() - 1))
        good = msgspec.structs.replace(
            info,
            etag=fetched.etag[:256],
            last_modified=fetched.last_modified[:64],
            good_at=now,
            next_at=now + round(pause),
            failures=0,
            error="",
        )
        if selected is not None:
            good = msgspec.structs.replace(good, skipped=selected.skipped)
        if info.failures:
            log.info("blocklist_refreshed_again", list=source.name)
        if selected is None or (selected.digest == info.digest and before == info):
            await self._lists.note(good)
            return
        changed = {"digest": selected.digest, "entries": selected.entries, "fetched_at": now}
        await self._lists.put(msgspec.structs.replace(good, **changed), selected.values)
        log.info("blocklist_refreshed", list=source.name, entries=selected.entries, skipped=selected.skipped)

    async def _fail(self, source: ListSource, info: ListInfo, error: str) -> None:
        """The last good copy stays in force, for a while."""
        now = self._now()
        pause = min(source.every_ms, FIRST_PAUSE_MS * 2 ** min(info.failures, 10))
        bad = msgspec.structs.replace(
            info,
            failures=info.failures + 1,
            error=error,
            next_at=now + round(pause * (1 - self._chance() / 2)),
        )
        if not info.failures:
            log.warning("blocklist_not_refreshed", list=source.name, error=error, entries=info.entries)
        is_too_old = info.good_at is not None and now - info.good_at > source.expires_ms
        if info.entries and is_too_old:
            log.error("blocklist_expired", list=source.name, entries=info.entries)
            bad = msgspec.structs.replace(bad, digest="", entries=0, etag="", last_modified="")
            await self._lists.put(bad, None)
            return
        await self._lists.note(bad)


def _unknown(source: ListSource) -> ListInfo:
    return ListInfo(name=source.name, place=source.place, type=source.type)
