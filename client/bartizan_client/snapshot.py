"""A copy of the blocklist on disk, so that a restart while Bartizan is away still blocks.

Several workers may share one file: it is replaced in one step, never changed. It is believed only where
nobody else could have written it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bartizan_client.decision import Clock
from bartizan_client.snapshot_format import (
    SnapshotFile,
    TableContents,
    checksum,
    head_line,
    read_table,
    write_table,
)
from bartizan_client.wire import Listing

logger = logging.getLogger("bartizan_client")

SUFFIX = ".snapshot"


class Contents(NamedTuple):
    """What is to be written, copied so that a thread can write it while the table changes."""

    cursor: str
    etag: str | None
    table: TableContents


def default_path(url: str) -> Path | None:
    """A file per Bartizan below the user's state folder; None for a user without a home.

    Source: XDG Base Directory Specification.
    """
    state = os.environ.get("XDG_STATE_HOME")
    try:
        folder = Path(state) if state else Path.home() / ".local" / "state"
    except RuntimeError:
        logger.warning("no home folder, so no snapshot: a restart may begin without a list")
        return None
    return folder / "bartizan" / f"blocklist-{_mark(url)}{SUFFIX}"


def _mark(url: str) -> str:
    """Tells one Bartizan from another; not the address itself, which may carry a password."""
    return hashlib.sha256(url.encode()).hexdigest()[:12]


class Snapshot:
    """One file. Its methods block; they are meant for a thread."""

    def __init__(self, path: Path, url: str, now: Clock) -> None:
        self.path = path
        self._source = _mark(url)
        self._now = now
        self._lock = threading.Lock()
        self._works = True

    def abandon(self) -> None:
        """After a fork: a thread that was just writing does so in the parent, and holds the lock there."""
        self._lock = threading.Lock()

    def load(self) -> Listing | None:
        """The list as it was saved, or None where there is none that can be used."""
        try:
            return self._read()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, IndexError, StopIteration, RecursionError) as error:
            logger.warning("the snapshot %s is not used: %s", self.path, error)
            return None

    def save(self, contents: Contents) -> None:
        """Replace the file in one step, unless another worker has saved the same.

        A disk that is full or read-only is reported once, until it works again.
        """
        head = head_line(self._source, contents.etag, contents.cursor)
        with self._lock:
            try:
                if not self._starts_with(head):
                    self._write(head, contents)
                self._works = True
            except OSError as error:
                if self._works:
                    logger.warning("no snapshot, so a restart may begin without a list: %s", error)
                self._works = False

    def _read(self) -> Listing:
        """Raises: OSError, and what SnapshotFile and `read_table` raise."""
        with open(self.path, "rb", opener=_open_to_read) as file:
            _check_owner(os.fstat(file.fileno()))
            saved = SnapshotFile(file)
            table, head = read_table(saved, self._now), saved.head
        # An ETag is good only for the Bartizan that gave it.
        etag = head.get("etag") if head.get("source") == self._source else None
        return Listing(head["cursor"], table, etag if isinstance(etag, str) else None, 0)

    def _write(self, head: bytes, contents: Contents) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(6)}")
        try:
            with open(draft, "xb", opener=_open_to_write) as file:
                file.write(head)
                sum_so_far = checksum(head)
                for piece in write_table(contents.table):
                    file.write(piece)
                    sum_so_far = checksum(piece, sum_so_far)
                file.write(sum_so_far.to_bytes(4, "little"))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise

    def _starts_with(self, head: bytes) -> bool:
        try:
            with open(self.path, "rb", opener=_open_to_read) as file:
                return file.read(len(head)) == head
        except OSError:
            return False


def _open_to_read(path: str, flags: int) -> int:
    """Without waiting, should somebody have put a pipe there."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _open_to_write(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _check_owner(found: os.stat_result) -> None:
    """Raises: PermissionError where somebody else owns the file or may write it."""
    if not stat.S_ISREG(found.st_mode):
        raise PermissionError("it is no regular file")
    if hasattr(os, "geteuid") and (found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022):
        raise PermissionError("others may write it")
