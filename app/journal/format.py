"""How the journal stands on disk: segments of zstd frames, each a MessagePack `Frame`. docs/journal.md.

A frame is whole or it is not there: a torn one, after a crash or on a full disk, is the last of its segment, because
every process begins a new segment when it starts.
"""

import re
from pathlib import Path
from typing import NamedTuple

import msgspec
import zstandard

from detectors.event import Event

VERSION = 1
FOLDER = "journal"
HOUR_MS = 3_600_000
LEVEL = 1
"""Measured: half the size of level -1 at the same CPU, and level 3 is no smaller (docs/journal.md)."""
_NAME = re.compile(r"([0-9]{10,12})-([0-9]{1,4})-([0-9]{3,6})\.zst")


class Masked(msgspec.Struct, array_like=True, gc=False):
    """A record in which credentials were masked, with its event."""

    index: int
    event: Event
    record: bytes


class Entry(msgspec.Struct, array_like=True, gc=False):
    """A batch that was applied, without its credentials."""

    received_ms: int
    source: str
    count: int
    read_as: str
    """How the records give their events once more (`Batch.read_as`), where `packed` has none."""
    packed: bytes
    """MessagePack of (events or None, records), empty where `masked` has them."""
    masked: list[Masked] = []
    masks: dict[str, tuple[str, str, str]] = {}
    """What the masks in the records stand for: kind, whole fingerprint and severity."""


class Lost(msgspec.Struct, array_like=True, frozen=True):
    """What was counted but not written: the disk or this process could not keep up."""

    batches: int
    events: int
    first_ms: int
    last_ms: int


class Frame(msgspec.Struct, array_like=True, gc=False):
    """What is written in one go. Without entries it says that the journal was on and nothing came."""

    version: int
    at: int
    entries: list[Entry]
    lost: list[Lost] = []


class Segment(NamedTuple):
    """One file: what one process wrote within one hour, or a part of that. In order of time, as names are."""

    hour: int
    """Since the epoch."""
    slot: int
    part: int
    path: Path


class FrameCodec:
    """Frames to bytes and back. Not for use from several threads at once."""

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Frame).decode
        self._compress = zstandard.ZstdCompressor(LEVEL, write_checksum=True).compress

    def write(self, frame: Frame) -> bytes:
        """Raises: ValueError, OverflowError or msgspec.MsgspecError where a value cannot be encoded."""
        return self._compress(self._encode(frame))

    def read(self, payload: bytes) -> Frame:
        """A decompressed frame. Raises: msgspec.MsgspecError where it is none, or of a later version."""
        return self._decode(payload)


def segment_name(hour: int, slot: int, part: int) -> str:
    """Names sort as the segments should be read and deleted."""
    return f"{hour:010d}-{slot:04d}-{part:06d}.zst"


def segments(folder: Path) -> list[Segment]:
    """All segments, the oldest first; other files are nobody's business. Raises: OSError."""
    if not folder.is_dir():
        return []
    found = []
    for path in folder.iterdir():
        name = _NAME.fullmatch(path.name)
        if name:
            found.append(Segment(int(name[1]), int(name[2]), int(name[3]), path))
    return sorted(found)


__all__ = [
    "FOLDER",
    "HOUR_MS",
    "Entry",
    "Frame",
    "FrameCodec",
    "Lost",
    "Masked",
    "Segment",
    "segment_name",
    "segments",
]
