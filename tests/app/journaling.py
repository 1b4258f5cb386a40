"""A journal in a folder of a test, with a clock that the test sets."""

from collections.abc import Iterator
from pathlib import Path

import zstandard

from app.ingest.decode import decode_events, decode_lines
from app.journal.format import FOLDER
from app.journal.journal import JournalWriter
from app.journal.masking import pack
from app.journal.reader import JournalReader
from detectors.event import Batch
from detectors.redact import SecretFinder
from detectors.scanner import Scanner, load_patterns

HOUR_MS = 3_600_000
START = 500_000 * HOUR_MS
"""A full hour in 2027."""


class Clock:
    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Desk:
    """A writer, its clock, its counts, and what it wrote read back."""

    def __init__(self, folder: Path, *, hours: int = 24, size_bytes: int = 2**20, slot: int = 0) -> None:
        self.folder = folder / FOLDER
        self.clock = Clock()
        self.counts: dict[str, int] = {}
        self.scanner = Scanner(load_patterns("keys") + load_patterns("attacks"))
        self.secrets = SecretFinder(self.scanner, b"k" * 32)
        self.writer = self._writer(hours, size_bytes, slot)

    def _writer(self, hours: int, size_bytes: int, slot: int) -> JournalWriter:
        def count(result: str, events: int) -> None:
            self.counts[result] = self.counts.get(result, 0) + events

        return JournalWriter(
            self.folder, slot, self.clock, keep_ms=hours * HOUR_MS, most_bytes=size_bytes, count=count
        )

    def take(self, body: bytes, format_name: str | None = None) -> Batch:
        """Decode, scan and journal a body as the service does; the batch as it was counted."""
        now = self.clock.now
        decoded = decode_events(body, now) if format_name is None else decode_lines(body, format_name, now)
        batch = Batch(decoded.events, decoded.records, now, "test", None, decoded.read_as)
        self.add(batch)
        return batch

    def add(self, batch: Batch) -> None:
        packed = pack(batch, self.scanner.scan(batch.records))
        self.writer.add(packed, self.secrets, len(packed.entry.packed))

    def write(self, body: bytes, format_name: str | None = None) -> Batch:
        batch = self.take(body, format_name)
        self.writer.flush()
        return batch

    def reader(self, since_ms: int = START, until_ms: int | None = None) -> JournalReader:
        until = self.clock.now if until_ms is None else until_ms
        return JournalReader(self.folder, begin_ms=since_ms, since_ms=since_ms, until_ms=until)

    def batches(self) -> list[Batch]:
        return [batch for batch, _ in self.reader().batches()]

    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir()) if self.folder.exists() else []

    def plain_bytes(self) -> bytes:
        """All that is stored, decompressed."""
        return b"".join(self._decompressed())

    def _decompressed(self) -> Iterator[bytes]:
        for path in self.files():
            with path.open("rb") as file:
                yield zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
