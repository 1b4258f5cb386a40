"""A copy of the blocklist on disk, so that a process begins with it: before Redis is asked, and where it is away.

It is one process's table, in this machine's byte order, replaced in one step. Whatever it says is made right by the
first look at Redis, seconds later; a file that cannot be read is as good as none.
"""

import sys
import zlib
from pathlib import Path

import msgspec
import structlog

from app.lookup.table import PackedTable, Table
from app.settings import write_new_private

FILE = "blocklist.snapshot"
VERSION = 1
MAGIC = b"bartizan blocklist %d %b\n" % (VERSION, sys.byteorder.encode())
CHECKSUM_BYTES = 4

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
