"""The segment files of the journal: written by one process each, deleted by age and when there are too many bytes."""

import contextlib
import fcntl
import os
from pathlib import Path

from app.journal.format import HOUR_MS, segment_name, segments

FOLDER_MODE, FILE_MODE = 0o700, 0o600
PARTS = 4
"""A process begins a new segment at this part of its share of the room, so that old ones can be deleted."""


class SegmentWriter:
    """Appends frames to the segment of this hour. Whoever writes one holds a lock on it, so that nobody deletes it."""

    def __init__(self, folder: Path, slot: int, *, roll_bytes: int) -> None:
        self.folder = folder
        self._slot = slot
        self._roll_bytes = roll_bytes
        self._file: int | None = None
        self._hour = -1
        self._size = 0

    def append(self, frame: bytes, at: int) -> None:
        """The frame whole, or not at all. Raises: OSError."""
        hour = at // HOUR_MS
        if (
            self._file is None
            or hour != self._hour
            or (self._size and self._size + len(frame) > self._roll_bytes)
        ):
            self.close()
            self._open(hour)
        assert self._file is not None  # noqa: S101 - opened above
        rest = memoryview(frame)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            # What cannot be taken back is torn, and must be the end of its segment.
            try:
                os.ftruncate(self._file, self._size)
            except OSError:
                self.close()
            raise
        self._size += len(frame)

    def _open(self, hour: int) -> None:
        self.folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        parts = [s.part for s in segments(self.folder) if (s.hour, s.slot) == (hour, self._slot)]
        path = self.folder / segment_name(hour, self._slot, max(parts, default=-1) + 1)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self._file, self._hour, self._size = file, hour, 0

    def close(self) -> None:
        """Let go of the segment."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def prune(folder: Path, *, now: int, keep_ms: int, most_bytes: int) -> int:
    """Delete segments that ended longer ago than `keep_ms`, then the oldest until the others fit; how many.

    One that is being written is left alone. What cannot be deleted is left for the next time.
    """
    deleted, sizes = 0, []
    with contextlib.suppress(OSError):
        for segment in segments(folder):
            is_over = (segment.hour + 1) * HOUR_MS <= now - keep_ms
            if is_over and _delete(segment.path):
                deleted += 1
                continue
            with contextlib.suppress(FileNotFoundError):
                sizes.append((segment.path, segment.path.stat().st_size))
        total = sum(size for _, size in sizes)
        for path, size in sizes:
            if total <= most_bytes:
                break
            if _delete(path):
                deleted += 1
                total -= size
    return deleted


def _delete(path: Path) -> bool:
    """Whether a segment is gone now: not while somebody writes it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return not path.exists()
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(file)


def roll_bytes(most_bytes: int, workers: int) -> int:
    """How long a segment gets: what all processes write at a time must fit several times."""
    return max(1, most_bytes // (PARTS * workers))
