"""Who sends what: noted beside every request, at the cost of a look at each event, and told to Redis once a second.

What a killed process had noted since its last telling, a second at most, is missing from the statistics; the events
themselves were counted before their request was answered.
"""

import asyncio
import itertools
import re
import secrets
import time
from collections import deque
from collections.abc import Callable

import msgspec
import structlog

from app.health_check import wait_for_stop
from app.ingest.decode import BODY, RECORD, Decoded, Rejected
from app.metrics import Metrics
from app.sources.rejected import LONGEST_BYTES, PER_SOURCE, Kept, RejectedRecords, id_of
from app.sources.store import SourceStore
from app.sources.tally import Tally
from detectors.errors import StorageError
from detectors.redact import LONGEST_MATCH, SecretFinder

FLUSH_S = 1.0
PER_FLUSH = 100
"""Rejected records that are masked and kept in one go, at most. The others wait."""
BUDGET_S = 0.02
"""How long that may take: an ordinary record costs 40 microseconds at most, one made of what looks like keys 5 ms."""
WAITING_BYTES = 8 * 1024 * 1024
"""Rejected records that wait in this process, at most. A further one is not kept."""

_LONG_WORD = re.compile(r"[A-Za-z0-9+/_=-]{100,}")
"""As base64 is, and hardly anything that people read."""

MARGIN_BYTES = LONGEST_MATCH
"""Looked at behind the cut, so that a credential which it would halve is found whole."""

log = structlog.get_logger(__name__)


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """A rejected record on its way to be kept, as it came."""

    id: str
    source: str
    received_ms: int
    index: int
    reason: str
    format_name: str | None
    record: bytes
    """Cut already, a little behind where it will be."""
    is_cut: bool
    form: str = RECORD


class Sources:
    """What this process knows of its senders. One per process."""

    def __init__(
        self,
        store: SourceStore,
        rejected: RejectedRecords,
        finder: Callable[[], SecretFinder],
        metrics: Metrics,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`finder`: the present policy's; masks credentials before a record is kept. `clock`: seconds, for BUDGET_S."""
        self.store = store
        self.rejected = rejected
        self._finder = finder
        self._metrics = metrics
        self._no_client_ip = metrics.events_missing.labels("client_ip")
        self._no_status = metrics.events_missing.labels("status")
        self._clock = clock
        self._tallies: dict[str, Tally] = {}
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._process = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._is_failing = False
        self._last_refused: dict[str, Rejected] = {}
        """Of each source the last body that was refused as a whole, at its beginning."""

    def note(
        self,
        source: str,
        kind: str,
        decoded: Decoded,
        received_ms: int,
        *,
        duplicate: bool = False,
        format_name: str | None = None,
    ) -> None:
        """A body was decoded and, where it held events, counted. `source`: the token's id.

        `format_name`: what its lines were read as, where its sender said so. Of a duplicate only the events are noted.
        """
        tally = self._tally(source, kind, received_ms)
        if duplicate:
            tally.counts["duplicates"] += len(decoded.events)
            return
        before = tally.counts["no_client_ip"], tally.counts["no_status"]
        tally.note_events(decoded, received_ms)
        self._no_client_ip.inc(tally.counts["no_client_ip"] - before[0])
        self._no_status.inc(tally.counts["no_status"] - before[1])
        for one in decoded.rejected[-PER_SOURCE:]:
            self._wait(f"{source}/{kind}", received_ms, one, format_name)

    def note_refused(
        self,
        source: str,
        kind: str,
        reason: str,
        received_ms: int,
        *,
        is_ours: bool = False,
        sent: bytes = b"",
    ) -> None:
        """A whole body was refused. `is_ours`: for want of storage or room, and not for what it is.

        `sent`: its beginning. The same again, from a sender that does not give up, is not kept again.
        """
        self._tally(source, kind, received_ms).note_refused(reason, received_ms, is_ours=is_ours)
        name, refused = f"{source}/{kind}", Rejected(0, reason, sent, BODY)
        if sent and self._last_refused.get(name) != refused:
            self._last_refused[name] = refused
            self._wait(name, received_ms, refused, None)

    async def run(self, stop: asyncio.Event) -> None:
        """Tells Redis every second, and once more at the end; while Redis is away the sums wait."""
        while not await wait_for_stop(stop, FLUSH_S):
            await self._try_to_flush()
        await self._try_to_flush()

    async def flush(self) -> None:
        """Tells Redis what was noted, and keeps some of the rejected records that wait. Raises: StorageError."""
        await self._flush_tallies()
        await self._flush_records()

    async def _try_to_flush(self) -> None:
        try:
            await self.flush()
        except StorageError as error:
            self._metrics.count("storage_errors", where="sources")
            if not self._is_failing:  # once an outage; the metric counts on
                log.warning("sources_not_noted", error=str(error))
            self._is_failing = True
        else:
            self._is_failing = False

    async def _flush_tallies(self) -> None:
        tallies, self._tallies = self._tallies, {}
        if not tallies:
            return
        try:
            await self.store.apply(tallies)
        except StorageError:
            for source, later in self._tallies.items():
                if source in tallies:
                    tallies[source].add(later)
                else:
                    tallies[source] = later
            self._tallies = tallies
            raise

    async def _flush_records(self) -> None:
        taken: list[Waiting] = []
        by_source: dict[str, list[Kept]] = {}
        ends_at = self._clock() + BUDGET_S
        while self._waiting and len(taken) < PER_FLUSH and (not taken or self._clock() < ends_at):
            one = self._waiting.popleft()
            taken.append(one)
            by_source.setdefault(one.source, []).append(kept_of(one, self._finder()))
        try:
            for source, records in by_source.items():
                await self.rejected.keep(source, records)
        except StorageError:
            self._waiting.extendleft(reversed(taken))  # keeping twice is keeping once
            raise
        self._waiting_bytes -= sum(len(one.record) for one in taken)
        self._metrics.records_kept.labels("kept").inc(len(taken))

    def _tally(self, source: str, kind: str, received_ms: int) -> Tally:
        name = f"{source}/{kind}"
        tally = self._tallies.get(name)
        if tally is None:
            tally = self._tallies[name] = Tally(received_ms, received_ms)
        tally.note_time(received_ms)
        return tally

    def _wait(self, source: str, received_ms: int, refused: Rejected, format_name: str | None) -> None:
        piece = refused.record[: LONGEST_BYTES + MARGIN_BYTES]
        if self._waiting_bytes + len(piece) > WAITING_BYTES:
            self._metrics.records_kept.labels("dropped").inc()
            return
        number = f"{next(self._numbers) & 0xFFFFFFFF:08x}{self._process}"
        one = Waiting(
            *(id_of(source, received_ms, number), source, received_ms, refused.index, refused.reason),
            *(format_name, piece),
            is_cut=len(refused.record) > LONGEST_BYTES,
            form=refused.form,
        )
        self._waiting.append(one)
        self._waiting_bytes += len(piece)


def kept_of(waiting: Waiting, finder: SecretFinder) -> Kept:
    """A record as it may be kept: each credential masked, bytes that are not UTF-8 as `\\xNN`.

    Masks are shorter than what they stand for, so that the end of the piece, where a credential may be halved, would
    come in front of the cut: it is left out. In what is no record, so are long words: base64 hides what is in it.
    """
    text = waiting.record.decode("utf-8", "backslashreplace")
    masked = finder.redact(text) or ""
    if len(waiting.record) >= LONGEST_BYTES + MARGIN_BYTES:
        masked = masked[:-MARGIN_BYTES]
    if waiting.form != RECORD:
        masked = _LONG_WORD.sub(_left_out, masked)
    return Kept(
        id=waiting.id,
        source=waiting.source,
        received_at=waiting.received_ms,
        index=waiting.index,
        reason=waiting.reason,
        format_name=waiting.format_name,
        form=waiting.form,
        record=masked[:LONGEST_BYTES],
        is_cut=waiting.is_cut,
        is_masked=masked != text,
    )


def _left_out(word: re.Match[str]) -> str:
    return f"[{len(word[0])} characters]"
