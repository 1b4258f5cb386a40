"""External lists on disk, a file each: their numbers as they stand in memory, so that a million are read in 0.1 s.

A file is its magic line, the length of its head (4 bytes), the head (MessagePack), the numbers, and the CRC-32 of all
after the magic line. It is in this machine's byte order and replaced in one step. One that cannot be believed is as
good as none: whatever the files say is made right by the first look at Redis.
"""

import os
import re
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import msgspec
import structlog

from app.lookup.addresses import WIDTH
from app.lookup.packed import PackedList
from detectors.finding import DecisionType

FOLDER, SUFFIX = "blocklists", ".list"
VERSION = 1
MAGIC = b"bartizan list %d %b\n" % (VERSION, sys.byteorder.encode())
LENGTH_BYTES = CHECKSUM_BYTES = 4
AT_A_TIME = 10_000
"""Numbers that are packed in one go: under a millisecond, in which nothing else runs."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""Such names are file names; the policy has no others."""

log = structlog.get_logger(__name__)


class Level(msgspec.Struct, frozen=True, gc=False):
    """How many networks of one version and length follow."""

    version: int
    shift: int
    number: int


class Head(msgspec.Struct, frozen=True, gc=False):
    """What a file says of its list. Times are epoch ms."""

    name: str
    digest: str
    type: DecisionType
    reason: str
    fetched_at: int
    ends_at: int | None
    v4: int
    """How many single IPv4 addresses come first, 4 bytes each; then come the levels."""
    levels: list[Level]


class ListCopy(msgspec.Struct, frozen=True):
    """A list as a file has it."""

    packed: PackedList
    ends_at: int | None
    """When it is too old to be in force; None where that is not known."""


class ListFiles:
    """The files of one data folder. Its methods block; they are meant for a thread."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / FOLDER

    def load(self) -> list[ListCopy]:
        """Every list of which there is a file of this version that is whole; of any other it is logged why not."""
        found = []
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            try:
                found.append(_read(path.read_bytes(), path.stem))
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                log.warning("list_file_not_read", path=str(path), error=_said(error))
        return found

    def save(self, packed: PackedList, ends_at: int | None) -> str:
        """Replace a list's file, mode 0600; why that failed, and the old one stays, or ""."""
        path = self.folder / f"{packed.name}{SUFFIX}"
        draft = path.with_suffix(".draft")
        try:
            if not _NAME.fullmatch(packed.name):
                raise ValueError("its name is no file name")
            self.folder.mkdir(mode=0o700, exist_ok=True)
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                for piece in _pieces(packed, ends_at):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except (OSError, ValueError) as error:
            return _said(error)
        return ""

    def drop_others(self, names: Iterable[str]) -> None:
        """Delete the files of all lists but these."""
        kept = {f"{name}{SUFFIX}" for name in names}
        for path in self.folder.glob("*"):
            if path.name not in kept and path.suffix in (SUFFIX, ".draft"):
                try:
                    path.unlink()
                    log.info("list_file_dropped", path=str(path))
                except OSError as error:
                    log.warning("list_file_not_dropped", path=str(path), error=_said(error))


def _said(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


def _is_wide(version: int, shift: int) -> bool:
    return WIDTH[version] - shift > 64


def _pieces(packed: PackedList, ends_at: int | None) -> Iterator[bytes]:
    levels = [Level(version, shift, len(numbers)) for version, shift, numbers in packed.levels()]
    said = (packed.name, packed.digest, packed.type, packed.reason, packed.fetched_at, ends_at)
    head = msgspec.msgpack.encode(Head(*said, len(packed.v4), levels))
    yield MAGIC
    checksum = 0
    for piece in chain([len(head).to_bytes(LENGTH_BYTES), head], _numbers(packed)):
        checksum = zlib.crc32(piece, checksum)
        yield piece
    yield checksum.to_bytes(CHECKSUM_BYTES)


def _numbers(packed: PackedList) -> Iterator[bytes]:
    for start in range(0, len(packed.v4), AT_A_TIME):
        yield packed.v4[start : start + AT_A_TIME].tobytes()
    for version, shift, numbers in packed.levels():
        left = iter(numbers)
        while some := tuple(islice(left, AT_A_TIME)):
            if _is_wide(version, shift):
                yield b"".join([number.to_bytes(16) for number in some])
            else:
                yield array("Q", some).tobytes()


def _read(data: bytes, name: str) -> ListCopy:
    """Raises: ValueError, MsgspecError."""
    if not data.startswith(MAGIC):
        raise ValueError("another version or another machine's byte order")
    body, checksum = memoryview(data)[len(MAGIC) : -CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    if zlib.crc32(body).to_bytes(CHECKSUM_BYTES) != checksum:
        raise ValueError("the checksum is wrong")
    place = LENGTH_BYTES + int.from_bytes(body[:LENGTH_BYTES])
    head = msgspec.msgpack.decode(body[LENGTH_BYTES:place], type=Head)
    if head.name != name:
        raise ValueError(f"it is the file of the list {head.name[:64]!r}")
    v4, networks = array("I"), dict[int, dict[int, set[int]]]({4: {}, 6: {}})
    v4.frombytes(_part(body, place, 4 * head.v4))
    place += 4 * head.v4
    for level in head.levels:
        width = 16 if _is_wide(level.version, level.shift) else 8
        part = _part(body, place, width * level.number)
        networks[level.version][level.shift] = _read_numbers(part, width)
        place += width * level.number
    packed = PackedList(
        *(head.name, v4, networks),
        type=head.type,
        reason=head.reason,
        fetched_at=head.fetched_at,
        digest=head.digest,
    )
    return ListCopy(packed, head.ends_at)


def _part(body: memoryview, start: int, length: int) -> memoryview:
    if start + length > len(body):
        raise ValueError("fewer numbers than its head says")
    return body[start : start + length]


def _read_numbers(part: memoryview, width: int) -> set[int]:
    if width == 16:
        return {int.from_bytes(part[at : at + 16]) for at in range(0, len(part), 16)}
    numbers = array("Q")
    numbers.frombytes(part)
    return set(numbers)
