"""Looks at the sources every few seconds, and has an incident opened where one goes dark.

A finding is told before it is written down that it was: after a crash in between it is told again, and joins the
incident that is open. One process looks at a time; a source is told of once, and once more when it is over.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec
import structlog

from app.health_check import wait_for_stop
from app.metrics import Metrics
from app.policies.policy import Policy
from app.sources.keys import day_of
from app.sources.rejected import RejectedRecords
from app.sources.store import Source, SourceStore
from detectors.defaults import DEFAULTS
from detectors.errors import StorageError
from detectors.finding import Evidence
from detectors.rule import Rule
from detectors.sentence import duration, on_one_line
from detectors.source_silent import SourceSilent
from detectors.source_unreadable import SourceUnreadable
from detectors.timestamps import to_rfc3339
from detectors.windows import Told, Windows

LOOK_S = 5.0
TURN_MS = 4_000
"""Shorter than the time between two looks of one process, so that each of them is somebody's turn."""
SWEEP_MS = 60_000
RECORD_CHARACTERS = 512
"""Of a rejected record, as evidence."""
LONGEST_NAME = 60
SILENT, UNREADABLE = "source_silent", "source_unreadable"

log = structlog.get_logger(__name__)


class SourceWatch:
    """Judges the sources by the policy in force."""

    def __init__(
        self,
        store: SourceStore,
        rejected: RejectedRecords,
        windows: Windows,
        policy: Callable[[], Policy],
        names: Callable[[], Mapping[str, str]],
        now: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        """`names`: those of all tokens that nobody has revoked, by id. Who has no name any more is not missed."""
        self._store = store
        self._rejected = rejected
        self._windows = windows
        self._policy = policy
        self._names = names
        self._now = now
        self._metrics = metrics
        self._swept_at: int | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Looks until told to stop; while Redis is away nothing is judged."""
        while not stop.is_set():
            try:
                await self.look()
            except StorageError as error:
                self._metrics.count("storage_errors", where="sources")
                log.warning("sources_not_looked_at", error=str(error))
            await wait_for_stop(stop, LOOK_S)

    async def look(self) -> bool:
        """Judges every source, if it is this process's turn; says whether it was. Raises: StorageError."""
        since = await self._store.listen(TURN_MS)
        if since is None:
            return False
        sources = await self._store.all()
        for source in sources:
            await self._look_whether_silent(source, since)
            await self._look_whether_unreadable(source)
        self._metrics.show_sources(Counter(source.state for source in sources))
        await self._sweep()
        return True

    async def _look_whether_silent(self, source: Source, since: int) -> None:
        rule, now = self._policy().rule(SILENT), self._now()
        if source.silent_since is not None:
            if source.last_seen > source.silent_since:
                await self._end(SILENT, source, source.silent_since, source.silent_told)
                return
            if source.silent_told or rule is None:
                return
        elif not await self._is_silent(source, since, rule or DEFAULTS[SILENT]):
            return
        if rule is not None:
            habit = await self._store.habit(source)
            usual = duration(max(habit.pause_ms, habit.silence_ms))
            matched = (
                f"a request at {to_rfc3339(source.last_seen)}; its longest pause of seven days was {usual}"
            )
            evidence = Evidence(source.last_seen, source.last_seen, matched)
            # It is one silence; what the limit was is said by the evidence.
            once = msgspec.structs.replace(rule, threshold=1)
            await self._begin(once, source, Told(first_at=source.last_seen, at=now, evidence=(evidence,)))
        await self._flag(SILENT, source, source.last_seen, is_told=rule is not None)

    async def _is_silent(self, source: Source, since: int, rule: Rule) -> bool:
        """Whether it has been quiet for too long while somebody listened. Asks for its habit only where it may be."""
        quiet_ms = self._now() - max(source.last_seen, since)
        if quiet_ms <= rule.window_ms or source.token_id not in self._names():
            return False
        return SourceSilent(rule).is_silent(await self._store.habit(source), quiet_ms)

    async def _look_whether_unreadable(self, source: Source) -> None:
        rule, now = self._policy().rule(UNREADABLE), self._now()
        if source.unreadable_since is not None and source.useless_since != source.unreadable_since:
            # One came that could be used, whatever came after it.
            await self._end(UNREADABLE, source, source.unreadable_since, source.unreadable_told)
            return
        if source.unreadable_since is not None and (source.unreadable_told or rule is None):
            return
        judge = SourceUnreadable(rule or DEFAULTS[UNREADABLE])
        if not judge.is_unreadable(source.useless, source.useless_since, source.useless_last, now):
            return
        if rule is not None:
            evidence = await self._evidence_of(source)
            told_of = Told(
                first_at=source.useless_since,
                at=max(source.useless_last, source.useless_since),
                count=source.useless,
                evidence=(evidence,),
            )
            await self._begin(rule, source, told_of)
        await self._flag(UNREADABLE, source, source.useless_since, is_told=rule is not None)

    async def _evidence_of(self, source: Source) -> Evidence:
        """Why its records are of no use: the commonest reason, and the newest record that was rejected."""
        sums = await self._store.sums(source.id, [day_of(source.useless_last)])
        reasons = Counter(sums.reasons).most_common(1)
        matched = "no address, no status, no outcome"
        if reasons:
            matched = f"{reasons[0][0]} ({reasons[0][1]:,} times today)"
        newest = await self._rejected.newest(source.id)
        record = newest.record[:RECORD_CHARACTERS] if newest is not None else ""
        return Evidence(source.useless_last, source.useless_last, matched, record=record)

    async def _begin(self, rule: Rule, source: Source, told: Told) -> None:
        await self._windows.report(self._named(rule, source), source.id, told=told)
        log.warning("source_went_dark", rule=rule.name, source=source.id)

    async def _end(self, name: str, source: Source, since: int, is_told: bool) -> None:
        """It is over: tells whoever was told that it began."""
        if is_told:
            rule = self._named(self._policy().rule(name) or DEFAULTS[name], source)
            told = Told(first_at=since, at=self._now(), recovered=True)
            await self._windows.report(rule, source.id, told=told)
        state = name.removeprefix("source_")
        await self._store.flag(source.id, {f"{state}_since": None, f"{state}_told": None})
        log.info("source_is_well", rule=name, source=source.id)

    async def _flag(self, name: str, source: Source, since: int, *, is_told: bool) -> None:
        state = name.removeprefix("source_")
        fields: dict[str, int | None] = {f"{state}_since": since}
        if is_told:
            fields[f"{state}_told"] = 1
        await self._store.flag(source.id, fields)

    def _named(self, rule: Rule, source: Source) -> Rule:
        """The rule, its sentence with the name that people gave the token."""
        name = on_one_line(self._names().get(source.token_id, ""))[:LONGEST_NAME]
        if not name:
            return rule
        plain = name.replace("{", "(").replace("}", ")")
        return msgspec.structs.replace(
            rule, phrase=rule.phrase.replace("{subject}", f"{{subject}} ({plain})", 1)
        )

    async def _sweep(self) -> None:
        """Drops records and names that are too old, once a minute."""
        now = self._now()
        if self._swept_at is not None and 0 <= now - self._swept_at < SWEEP_MS:
            return
        self._swept_at = now
        await self._rejected.sweep()
        await self._store.forget()
