"""The journal read back, in order of receipt over all processes, and which part of the time it covers.

Reads beside a service that writes: a frame that is not finished yet, or torn by a crash, ends its segment.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby
from pathlib import Path

import msgspec
import zstandard

from app.ingest.decode import PLAIN
from app.ingest.formats.registry import parser_for
from app.journal.format import HOUR_MS, VERSION, Entry, Frame, FrameCodec, Lost, Segment, segments
from detectors.errors import ConfigError, DecodeError
from detectors.event import Batch, Event
from detectors.redact import Secret

READ_BYTES = 1024 * 1024
MARK_GAP_MS = 150_000
"""Two frames of one process further apart than this, and it did not write between them; one is due every minute."""

Span = tuple[int, int]
"""From and to, epoch milliseconds."""
Masks = dict[str, Secret]


@dataclass
class Coverage:
    """What a journal says of itself. Whole once it has been read."""

    since_ms: int
    until_ms: int
    spans: list[Span] = field(default_factory=list)
    """When at least one process wrote; apart from each other and in order."""
    lost: list[Lost] = field(default_factory=list)
    damaged: int = 0
    """Segments that end in a frame which cannot be read, and batches that cannot."""
    events: int = 0
    """Received in this time."""

    def note(self, from_ms: int, to_ms: int) -> None:
        """Something was written from here to there."""
        self.spans = _joined([*self.spans, (from_ms, to_ms)])

    def covered_ms(self, since_ms: int | None = None, until_ms: int | None = None) -> int:
        """How much of a time is covered; of the whole, where none is named."""
        since, until = self._within(since_ms, until_ms)
        return sum(max(0, min(to, until) - max(at, since)) for at, to in self.spans)

    def gaps(self) -> list[Span]:
        """What is not covered."""
        found, at = [], self.since_ms
        for begun, ended in [*self.spans, (self.until_ms, self.until_ms)]:
            if begun > at:
                found.append((at, min(begun, self.until_ms)))
            at = max(at, ended)
        return [(a, b) for a, b in found if a < b]

    def _within(self, since_ms: int | None, until_ms: int | None) -> Span:
        return (
            self.since_ms if since_ms is None else since_ms,
            self.until_ms if until_ms is None else until_ms,
        )


class JournalReader:
    """The journal of one folder. Iterate `batches` once; then `coverage` is whole."""

    def __init__(
        self,
        folder: Path,
        *,
        begin_ms: int,
        since_ms: int,
        until_ms: int,
    ) -> None:
        """Reads what was received from `begin_ms` on; `since_ms` is where the coverage is asked for.

        Raises: ConfigError where the folder cannot be read.
        """
        self._begin_ms, self._until_ms = begin_ms, until_ms
        self.on_read: Callable[[int], object] = lambda _bytes: None
        self._codec = FrameCodec()
        try:
            found = segments(folder)
        except OSError as error:
            raise ConfigError(f"{folder}: {error.strerror}") from error
        self.is_empty = not found
        self._segments = [
            s for s in found if (s.hour + 1) * HOUR_MS > begin_ms and s.hour * HOUR_MS <= until_ms
        ]
        self.coverage = Coverage(since_ms, until_ms)
        self.warm_up = Coverage(begin_ms, since_ms)

    @property
    def size_bytes(self) -> int:
        """Of all that will be read."""
        return sum(s.path.stat().st_size for s in self._segments if s.path.exists())

    def batches(self) -> Iterator[tuple[Batch, Masks]]:
        """Every batch, in order of receipt, with what the masks in it stand for."""
        by_slot = groupby(sorted(self._segments, key=lambda s: (s.slot, s)), key=lambda s: s.slot)
        streams = [self._entries_of(list(group)) for _, group in by_slot]
        for entry in heapq.merge(*streams, key=lambda e: e.received_ms):
            if self._begin_ms <= entry.received_ms <= self._until_ms:
                try:
                    batch = batch_of(entry)
                except (msgspec.MsgspecError, DecodeError, IndexError):
                    self.coverage.damaged += 1
                    continue
                if entry.received_ms >= self.coverage.since_ms:
                    self.coverage.events += len(batch.events)
                yield batch, _masks_of(entry)

    def newest_hour_first(self) -> Iterator[tuple[int, Iterator[Entry]]]:
        """Hour by hour, its beginning (epoch ms) and what was written in it, one process after another.

        An hour must be read to its end before the next is taken; what was not read is not covered.
        """
        newest = sorted(self._segments, key=lambda s: (-s.hour, s))
        for hour, group in groupby(newest, key=lambda s: s.hour):
            by_slot = groupby(group, key=lambda s: s.slot)
            streams = [self._entries_of(list(found)) for _, found in by_slot]
            yield hour * HOUR_MS, chain.from_iterable(streams)

    def _entries_of(self, found: list[Segment]) -> Iterator[Entry]:
        """What one process after another wrote under one slot; notes when they wrote."""
        before: int | None = None
        for segment in found:
            for frame in self._frames(segment):
                begun = min([frame.at, *(entry.received_ms for entry in frame.entries)])
                if before is not None and 0 <= begun - before <= MARK_GAP_MS:
                    begun = before
                self.coverage.note(begun, frame.at)
                self.warm_up.note(begun, frame.at)
                before = frame.at
                self.coverage.lost += [one for one in frame.lost if one.last_ms >= self._begin_ms]
                yield from frame.entries
        if before is not None and 0 <= self._until_ms - before <= MARK_GAP_MS:
            self.coverage.note(before, self._until_ms)

    def _frames(self, segment: Segment) -> Iterator[Frame]:
        try:
            for payload in self._payloads(segment.path):
                frame = self._codec.read(payload)
                if frame.version != VERSION:
                    raise msgspec.ValidationError("of another version")
                yield frame
        except FileNotFoundError:
            return  # deleted meanwhile; the coverage says what is missing
        except (OSError, zstandard.ZstdError, msgspec.MsgspecError):
            self.coverage.damaged += 1

    def _payloads(self, path: Path) -> Iterator[bytes]:
        """The frames of a file, decompressed. Raises: ZstdError where one is torn."""
        with path.open("rb") as file:
            machine, parts = zstandard.ZstdDecompressor().decompressobj(), list[bytes]()
            is_begun = False
            while block := file.read(READ_BYTES):
                self.on_read(len(block))
                while block:
                    is_begun = True
                    parts.append(machine.decompress(block))
                    if not machine.eof:
                        break
                    yield b"".join(parts)
                    block = machine.unused_data
                    machine, parts, is_begun = zstandard.ZstdDecompressor().decompressobj(), [], False
            if is_begun:
                raise zstandard.ZstdError("the last frame is not whole")


def batch_of(entry: Entry) -> Batch:
    """The batch of an entry, as it was counted but for its masks.

    Raises: msgspec.MsgspecError, DecodeError where it is not what a journal writes.
    """
    events, records = _decode_packed(entry.packed)
    if events is None:
        events = _read_again(records, entry.read_as, entry.received_ms)
    for one in entry.masked:
        events[one.index], records[one.index] = one.event, one.record
    return Batch(events, records, entry.received_ms, entry.source)


def _masks_of(entry: Entry) -> Masks:
    return {
        mask: Secret(kind, mask, fingerprint, severity)
        for mask, (kind, fingerprint, severity) in entry.masks.items()
    }


_decode_packed = msgspec.msgpack.Decoder(tuple[list[Event] | None, list[bytes]]).decode
_decode_event = msgspec.json.Decoder(Event).decode


def _read_again(records: list[bytes], read_as: str, received_ms: int) -> list[Event]:
    if read_as == PLAIN:
        return [_decode_event(record) if record else Event() for record in records]
    parse = parser_for(read_as)
    found = []
    for record in records:
        event = parse(str(record, "utf-8", "replace"), received_ms) if record else Event()
        if event is None:
            raise DecodeError(f"a line is no longer one of the format {read_as}")
        found.append(event)
    return found


def _joined(spans: list[Span]) -> list[Span]:
    found: list[Span] = []
    for begun, ended in sorted(spans):
        if found and begun <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ended))
        else:
            found.append((begun, ended))
    return found
