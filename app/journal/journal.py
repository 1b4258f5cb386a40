"""The journal: what was counted in the last hours, so that `bartizan policy try` can count it again.

A thread of its own masks, packs and writes. Counting never waits for it: what the disk or this process cannot keep up
with is left out, counted (`bartizan_journal_events_total`), said once in the log, and noted in the journal itself.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import hyperscan
import msgspec
import structlog

from app.journal.format import FOLDER, HOUR_MS, VERSION, Entry, Frame, FrameCodec, Lost
from app.journal.masking import Packed, entry_of, mended, pack
from app.journal.segments import SegmentWriter, prune, roll_bytes
from app.metrics import Metrics
from app.settings import Settings
from detectors.event import Batch
from detectors.redact import SecretFinder
from detectors.scanner import Hits

QUEUE_BYTES = 16 * 1024 * 1024
"""Packed batches that may wait: a second or two of all that one process can count."""
FRAME_BYTES = 1024 * 1024
FRAME_S = 1.0
"""A frame is written at this size, or when its first batch has waited so long: what a crash can lose."""
MARK_MS = 60_000
"""How often at least a frame is written, so that a quiet hour can be told from one without a journal."""
PRUNE_EVERY_BYTES = 1024 * 1024
STOP_TIMEOUT_S = 5.0

UNMASKABLE = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, hyperscan.error)
"""What an attacker's record might provoke; it must not end the journal."""

Count = Callable[[str, int], object]
log = structlog.get_logger(__name__)


class _Waiting(NamedTuple):
    """A batch on its way to the writer."""

    packed: Packed
    secrets: SecretFinder
    size_bytes: int


class JournalWriter:
    """The writing itself, all in one thread. Nothing here raises for a disk that is full or gone."""

    def __init__(
        self,
        folder: Path,
        slot: int,
        now: Callable[[], int],
        *,
        keep_ms: int,
        most_bytes: int,
        workers: int = 1,
        count: Count = lambda _result, _events: None,
    ) -> None:
        self._folder, self._now, self._count = folder, now, count
        roll = roll_bytes(most_bytes, workers)
        # What all processes write before they look again fits beside what is left.
        self._keep_ms, self._most_bytes = keep_ms, most_bytes - roll * workers
        self._prune_every = min(PRUNE_EVERY_BYTES, roll)
        self._file = SegmentWriter(folder, slot, roll_bytes=roll)
        self._codec = FrameCodec()
        self._finder: tuple[SecretFinder, SecretFinder] | None = None
        self._entries: list[Entry] = []
        self._lost: list[Lost] = []
        self._marked_at: int | None = None
        self._unpruned = self._prune_every
        self._is_failing = False
        self._lock = threading.Lock()
        self.size_bytes = 0

    def add(self, packed: Packed, secrets: SecretFinder, size_bytes: int) -> None:
        """Take a batch; one that fails to be masked is lost, never kept unmasked."""
        try:
            self._entries.append(entry_of(packed, self._own(secrets)))
        except UNMASKABLE as error:
            log.error("journal_batch_lost", error=type(error).__name__)
            self.lose(packed.entry.received_ms, packed.entry.count, "unreadable")
            return
        self.size_bytes += size_bytes

    def _own(self, secrets: SecretFinder) -> SecretFinder:
        """This thread's own finder of the same secrets: the scanner is not for several threads."""
        if self._finder is None or self._finder[0] is not secrets:
            self._finder = secrets, secrets.twin()
        return self._finder[1]

    def lose(self, received_ms: int, events: int, why: str) -> None:
        """Note a batch that is not kept; from any thread."""
        self._count(why, events)
        with self._lock:
            last = self._lost.pop() if self._lost else Lost(0, 0, received_ms, received_ms)
            first_ms, last_ms = min(last.first_ms, received_ms), max(last.last_ms, received_ms)
            self._lost.append(Lost(last.batches + 1, last.events + events, first_ms, last_ms))
            is_news, self._is_failing = not self._is_failing, True
        if is_news:
            log.error("journal_drops", why=why, folder=str(self._folder))

    def flush(self) -> None:
        """Write what was taken, if anything, or the mark that is due; delete what is too old or too much."""
        now = self._now()
        is_mark_due = self._marked_at is None or not 0 <= now - self._marked_at < MARK_MS
        if not self._entries and not is_mark_due:
            return
        entries, self._entries, self.size_bytes = self._entries, [], 0
        with self._lock:
            lost, self._lost = self._lost, []
        try:
            frame = self._packed(Frame(VERSION, now, entries, lost))
            self._file.append(frame, now)
        except (OSError, ValueError, OverflowError, msgspec.MsgspecError) as error:
            with self._lock:
                self._lost = lost + self._lost
            for entry in entries:
                why = "disk" if isinstance(error, OSError) else "unreadable"
                self.lose(entry.received_ms, entry.count, why)
        else:
            self._marked_at = now
            self._count("written", sum(entry.count for entry in entries))
            self._unpruned += len(frame)
            if entries and self._is_failing:
                self._is_failing = False
                log.info("journal_resumed", lost=[(part.batches, part.events) for part in lost])
        if self._unpruned >= self._prune_every or is_mark_due:
            self._unpruned = 0
            prune(self._folder, now=now, keep_ms=self._keep_ms, most_bytes=self._most_bytes)

    def _packed(self, frame: Frame) -> bytes:
        try:
            return self._codec.write(frame)
        except (ValueError, OverflowError, msgspec.MsgspecError):
            for entry in frame.entries:
                for one in entry.masked:
                    one.event = mended(one.event)
            return self._codec.write(frame)

    def close(self) -> None:
        """Write what was taken, and let go."""
        self._marked_at = None
        self.flush()
        self._file.close()


class Journal:
    """The queue before the writer, and its thread."""

    def __init__(self, writer: JournalWriter) -> None:
        self._writer = writer
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._put_bytes = 0
        self._taken_bytes = 0
        # Each counter has one thread that changes it; the difference is what waits.
        self._is_stopped = False

    def add(self, batch: Batch, hits: Hits, secrets: SecretFinder) -> None:
        """Take a batch that was applied, from the event loop; packs it and never waits."""
        packed = pack(batch, hits)
        size = len(packed.entry.packed) + sum(len(one.record) for one in packed.doubtful)
        waiting = self._put_bytes - self._taken_bytes
        if self._is_stopped or (waiting and waiting + size > QUEUE_BYTES):
            self._writer.lose(batch.received_ms, len(batch.events), "queue_full")
            return
        self._put_bytes += size
        self._queue.put(_Waiting(packed, secrets, size))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write as long as this lasts, and what waits at its end."""
        thread = threading.Thread(target=self._run, name="journal", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_stopped = True
            self._queue.put(None)
            thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        try:
            self._write_until_stopped()
        finally:
            self._is_stopped = True

    def _write_until_stopped(self) -> None:
        writer, due = self._writer, time.monotonic()
        while True:
            try:
                waiting = self._queue.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                writer.flush()
                due = time.monotonic() + FRAME_S
                continue
            if waiting is None:
                writer.close()
                return
            writer.add(waiting.packed, waiting.secrets, waiting.size_bytes)
            self._taken_bytes += waiting.size_bytes
            if writer.size_bytes >= FRAME_BYTES:
                writer.flush()
                due = time.monotonic() + FRAME_S


def open_journal(settings: Settings, slot: int, now: Callable[[], int], metrics: Metrics) -> Journal | None:
    """The journal of this process; None where it is off, and then what was kept is deleted."""
    folder = journal_folder(settings)
    if settings.journal_hours == 0:
        prune(folder, now=now(), keep_ms=-HOUR_MS, most_bytes=0)
        return None
    writer = JournalWriter(
        folder,
        slot,
        now,
        keep_ms=settings.journal_hours * HOUR_MS,
        most_bytes=settings.journal_mb * 2**20,
        workers=settings.workers,
        count=lambda result, events: metrics.journal_events.labels(result).inc(events),
    )
    return Journal(writer)


def journal_folder(settings: Settings) -> Path:
    """Where the journal of a data folder stands."""
    return settings.data_dir / FOLDER
