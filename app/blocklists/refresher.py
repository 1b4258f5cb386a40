"""Keeps the external blocklists as the policy wants them: one process fetches each, all are told what changed."""

import asyncio
import hashlib
import random
from collections.abc import Callable, Mapping

import httpx
import msgspec
import structlog

from actions.blocks.lists import ListInfo, Lists
from actions.blocks.networks import NeverBlock
from app.block_files.reading import Form
from app.blocklists.fetching import LARGEST_BYTES, FetchError, fetch, make_client
from app.blocklists.selecting import Selected, select
from app.blocklists.stale import StaleLists
from app.policies.blocklists import ListSource
from detectors.errors import StorageError

LOOK_S = 5.0
CLAIM_EVERY_MS = 60_000
"""A tenth of the time that a claim lasts."""
FIRST_PAUSE_MS = 60_000
"""After a failure; it doubles up to the list's own interval."""
JITTER = 0.1
"""Of the interval, so that not all who use a list ask at the same minute."""
AT_ONCE = 4
"""Lists that are fetched beside each other: one that is slow keeps the others waiting for a minute at most."""

log = structlog.get_logger(__name__)


class Refresher:
    """One per process."""

    def __init__(
        self,
        lists: Lists,
        sources: Callable[[], tuple[ListSource, ...]],
        never_block: Callable[[], NeverBlock],
        now: Callable[[], int],
        process: str,
        stale: StaleLists,
        *,
        chance: Callable[[], float] = random.random,
        client: Callable[[], httpx.AsyncClient] = make_client,
        show: Callable[[Mapping[str, ListInfo]], object] = lambda infos: None,
    ) -> None:
        """`process`: its name, HOST-NUMBER. `show` is told at each look how all lists are doing."""
        self._lists, self._sources, self._never_block = lists, sources, never_block
        self._now, self._process, self._chance = now, process, chance
        self._host, self._stale = process.rpartition("-")[0], stale
        self._claimed, self._claimed_at = frozenset[str](), 0
        self._client, self._show = client, show
        self._seen: dict[str, str] = {}
        """What this process wanted of each list when it last acted on it. Where processes want different things,
        each fetches once, and not for ever against the others."""

    async def look(self) -> None:
        """Fetch what is due, drop what the policy no longer names. Redis away: it waits. Never raises StorageError."""
        try:
            sources = self._sources()
            await self._claim(frozenset(source.name for source in sources))
            infos = await self._lists.infos()
            self._show(infos)
            places = asyncio.Semaphore(AT_ONCE)
            async with asyncio.TaskGroup() as group:
                for source in sources:
                    group.create_task(self._keep(source, infos.get(source.name), places))
        except* StorageError as errors:
            log.warning("blocklists_wait", error=str(errors.exceptions[0]))

    async def _claim(self, names: frozenset[str]) -> None:
        """Say what this host wants, where that has changed or was said a while ago, and drop what nobody wants.

        Raises: StorageError.
        """
        now = self._now()
        if names == self._claimed and 0 <= now - self._claimed_at < CLAIM_EVERY_MS:
            return
        for name in await self._lists.claim(self._host, names, self._claimed - names):
            info = await self._lists.info(name)
            if info is not None:
                await self._stale.end(info, "no policy names it any more")
            if await self._lists.drop(name):
                log.info("blocklist_dropped", list=name)
        self._claimed, self._claimed_at = names, now

    async def _keep(self, source: ListSource, info: ListInfo | None, places: asyncio.Semaphore) -> None:
        """Raises: StorageError."""
        never_block = self._never_block()
        wanted = _digest_of(source, never_block)
        if not self._is_due(source.name, info, wanted):
            return
        async with places:
            if not await self._lists.take_turn(source.name, self._process):
                return
            try:
                info = await self._lists.info(source.name)  # another process may have fetched it meanwhile
                if self._is_due(source.name, info, wanted):
                    await self._refresh(source, info, wanted, never_block)
                    self._seen[source.name] = wanted
            finally:
                await self._lists.leave_turn(source.name)

    def _is_due(self, name: str, info: ListInfo | None, wanted: str) -> bool:
        if info is None or self._now() >= info.next_at:
            return True
        if info.wanted == wanted:
            self._seen[name] = wanted
        return self._seen.get(name) != wanted

    async def _refresh(
        self, source: ListSource, found: ListInfo | None, wanted: str, never_block: NeverBlock
    ) -> None:
        info = found or ListInfo(name=source.name, place=source.place, type=source.type)
        asked_at = info.asked_at or self._now()
        info = msgspec.structs.replace(info, asked_at=asked_at, expires_ms=source.expires_ms)
        if info.wanted != wanted:
            info = msgspec.structs.replace(info, place=source.place, wanted=wanted, etag="", last_modified="")
        try:
            async with self._client() as client:
                fetched = await fetch(source, client, info.etag, info.last_modified)
            selected = None
            if fetched.body is not None:
                selected = await _select(source, fetched.body, info, self._now(), never_block)
        except FetchError as error:
            is_changed = found is not None and found.wanted != wanted
            await self._fail(source, info, str(error), never_block if is_changed else None)
            return
        if info.failures:
            log.info("blocklist_refreshed_again", list=source.name)
        await self._stale.end(info)
        now = self._now()
        pause = source.every_ms * (1 + JITTER * (2 * self._chance() - 1))
        tags = {"etag": fetched.etag[:256], "last_modified": fetched.last_modified[:64]}
        good = msgspec.structs.replace(
            info,
            **tags,
            good_at=now,
            next_at=now + round(pause),
            failures=0,
            error="",
            stale_since=None,
        )
        if selected is None:
            await self._lists.note(good)
        else:
            await self._take(source, msgspec.structs.replace(good, skipped=selected.skipped), selected)

    async def _take(self, source: ListSource, info: ListInfo, selected: Selected) -> None:
        """Put a content in force, where it is another one or of another type."""
        if (info.digest, info.type) == (selected.digest, source.type):
            await self._lists.note(info)
            return
        changed = {"digest": selected.digest, "entries": selected.entries, "type": source.type}
        info = msgspec.structs.replace(info, **changed, fetched_at=self._now())
        await self._lists.put(info, selected.values or None)
        log.info("blocklist_refreshed", list=source.name, entries=selected.entries, skipped=selected.skipped)

    async def _fail(
        self, source: ListSource, info: ListInfo, error: str, never_block: NeverBlock | None
    ) -> None:
        """The last good copy stays in force, for a while; without what `never_block`, where it is new, forbids."""
        now = self._now()
        pause = min(source.every_ms, FIRST_PAUSE_MS * 2 ** min(info.failures, 10))
        next_at = now + round(pause * (1 - self._chance() / 2))
        bad = msgspec.structs.replace(info, failures=info.failures + 1, error=error, next_at=next_at)
        if not info.failures:
            log.warning("blocklist_not_refreshed", list=source.name, error=error, entries=info.entries)
        since = info.asked_at if info.good_at is None else info.good_at
        is_too_old = since is not None and now - since > source.expires_ms
        if is_too_old and info.stale_since is None:
            bad = msgspec.structs.replace(bad, stale_since=await self._stale.begin(bad))
        if info.entries and is_too_old:
            log.error("blocklist_expired", list=source.name, entries=info.entries)
            bad = msgspec.structs.replace(bad, digest="", entries=0, etag="", last_modified="")
            await self._lists.put(bad, None)
        elif info.entries and never_block is not None:
            kept = await self._lists.values(source.name) or b""
            left = await asyncio.to_thread(select, kept, Form.PLAIN, now, never_block, LARGEST_BYTES)
            await self._take(source, bad, left)
        else:
            await self._lists.note(bad)


async def _select(
    source: ListSource, body: bytes, info: ListInfo, now: int, never_block: NeverBlock
) -> Selected:
    """Raises: FetchError where the list must be a mistake."""
    try:
        selected = await asyncio.to_thread(select, body, source.form, now, never_block, LARGEST_BYTES)
    except ValueError as error:
        raise FetchError(f"cannot be read: {error}") from error
    if selected.entries > source.cap:
        raise FetchError(f"has {selected.entries:,} entries, more than its cap of {source.cap:,}")
    if not selected.entries and (info.entries or selected.skipped):
        raise FetchError("has no entry that could be put in force")
    return selected


def _digest_of(source: ListSource, never_block: NeverBlock) -> str:
    """What a list depends on but its content. Of the URL nothing can be read out of it."""
    said = (source.url, str(source.file), source.type, source.form, source.cap, never_block.entries)
    return hashlib.blake2b(repr(said).encode(), digest_size=8).hexdigest()
