"""A copy of the blocklist on disk, so that a process begins with it: before Redis is asked, and where it is away.

It is one process's table, in this machine's byte order, replaced in one step. Whatever it says is made right by the
first look at Redis, seconds later; a file that cannot be read is as good as none.
"""

import asyncio
import sys
import zlib
from pathlib import Path

import msgspec
import structlog

from app.lookup.feed import Feed
from app.lookup.table import PackedTable, Table
from app.settings import write_new_private

FILE = "blocklist.snapshot"
VERSION = 1
MAGIC = b"bartizan blocklist %d %b\n" % (VERSION, sys.byteorder.encode())
CHECKSUM_BYTES = 4
PACKED_AT_ONCE = 50_000
"""Decisions that are packed in the event loop: 15 ms."""
ATTEMPTS = 5
SAVE_EVERY_S = 30.0
WAITED_FOR = 100_000
"""Where a process begins with more decisions than this from the file, it does not wait for Redis: that takes a second
and more."""

log = structlog.get_logger(__name__)


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """A table and the place in the changes stream that it had come to."""

    cursor: str
    table: PackedTable


class SnapshotFile:
    """The file of one data folder. Its methods block; they are meant for a thread."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / FILE

    def load(self) -> tuple[str, Table] | None:
        """The cursor and the table; None where there is no file of this version, or a damaged one."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("blocklist_snapshot_not_read", path=str(self.path), error=error.strerror)
            return None
        try:
            return _read(data)
        except (ValueError, msgspec.MsgspecError) as error:
            log.warning("blocklist_snapshot_not_read", path=str(self.path), error=str(error))
            return None

    def save(self, cursor: str, table: PackedTable) -> None:
        """Replace the file, mode 0600; a failure is logged, and the old one stays."""
        body = msgspec.msgpack.encode(Snapshot(cursor, table))
        draft = self.path.with_name(f".{FILE}.draft")
        try:
            draft.unlink(missing_ok=True)
            write_new_private(draft, MAGIC + zlib.crc32(body).to_bytes(CHECKSUM_BYTES) + body)
            draft.replace(self.path)
        except OSError as error:
            log.warning("blocklist_snapshot_not_written", path=str(self.path), error=error.strerror)


def _read(data: bytes) -> tuple[str, Table]:
    """Raises: ValueError, MsgspecError."""
    if not data.startswith(MAGIC):
        raise ValueError("another version or another machine's byte order")
    checksum, body = data[len(MAGIC) :][:CHECKSUM_BYTES], data[len(MAGIC) + CHECKSUM_BYTES :]
    if zlib.crc32(body).to_bytes(CHECKSUM_BYTES) != checksum:
        raise ValueError("the checksum is wrong")
    snapshot = msgspec.msgpack.decode(body, type=Snapshot)
    return snapshot.cursor, Table.unpacked(snapshot.table)


class SnapshotKeeper:
    """Keeps the file as the process's table is."""

    def __init__(self, feed: Feed, file: SnapshotFile) -> None:
        self._feed = feed
        self._file = file
        self._saved = ""

    @property
    def saved(self) -> str:
        """The cursor of what the file says; empty where nothing is known of it."""
        return self._saved

    async def restore(self) -> int:
        """Put in force what the file says, where there is one; how many decisions that are."""
        found = await asyncio.to_thread(self._file.load)
        if found is None:
            return 0
        cursor, table = found
        self._feed.load(cursor, table)
        self._saved = cursor
        log.info("blocklist_restored", blocks=len(table), cursor=cursor)
        return len(table)

    async def save(self) -> None:
        """Write the file, where something has changed."""
        feed = self._feed
        for _ in range(ATTEMPTS):
            cursor, table = feed.cursor, feed.table
            if cursor == self._saved or not feed.is_ready:
                return
            packed = await self._packed(table)
            if packed is not None and feed.cursor == cursor:
                await asyncio.to_thread(self._file.save, cursor, packed)
                self._saved = cursor
                return
        log.info("blocklist_snapshot_put_off", cursor=feed.cursor)

    async def _packed(self, table: Table) -> PackedTable | None:
        """In a thread where it takes long; None where it changed under its hands."""
        if len(table) <= PACKED_AT_ONCE:
            return table.packed()
        try:
            return await asyncio.to_thread(table.packed)
        except (RuntimeError, ValueError):
            return None
