"""Compressed uploads of systemd's journal (258 and newer), as they come: a stream that has no end.

The program compresses each piece that it hands to curl (64 KiB) by itself: a frame of zstd, a stream of xz, or a block
of lz4 behind the size of what it holds, as 64 bits (little endian). They follow each other without anything between,
and HTTP says nothing of where one ends. Nor does a block of lz4: it is over when it has made as much as was announced.
Source: systemd main, journal-upload.c (fd_input_callback, update_content_encoding_header) and basic/compress.c
(compress_blob_*); lz4_Block_format.md of lz4/lz4.
"""

import lzma
from collections.abc import Iterator

import cramjam
import zstandard

from app.ingest.body import BodyTooLarge
from detectors.errors import DecodeError

STEP_BYTES = 64
"""Of zstd: four bytes make at most 128 KiB, so that a step makes at most 2 MiB."""
OUTPUT_BYTES = 1024 * 1024
"""What xz makes in one step."""
ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
"""What every decoder should take. Source: RFC 8878 3.1.1.1.2."""
XZ_MEMORY_BYTES = 80 * 1024 * 1024
"""The decoder of the highest preset (9) takes 65 MiB."""
LZ4_BLOCK_BYTES = 2 * 1024 * 1024
"""The most that curl asks for at a time. Source: CURLOPT_UPLOAD_BUFFERSIZE."""
LZ4_SIZE_BYTES = 8
FREE_BYTES = 64 * 1024 * 1024
MOST_TIMES = 256
"""Beyond FREE_BYTES a request may hold so many times the bytes that came over the wire. Entries of a journal, each of
which has a cursor and times of its own, are compressed to a fortieth at best."""


class Stream:
    """One body, without its compression."""

    def __init__(self, encoding: str) -> None:
        """`encoding`: the Content-Encoding. Raises: DecodeError for one that is not known."""
        name = encoding.strip().lower()
        if name not in _DECODERS:
            raise DecodeError(
                "unknown content encoding; a journal may be zstd, xz, lz4 or not compressed: "
                "set Compression= in journal-upload.conf"
            )
        self._decoder = _DECODERS[name]()
        self._came = self._made = 0

    @property
    def is_whole(self) -> bool:
        """Whether the body may end here."""
        return self._decoder.is_whole

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """What a piece of the body holds, in pieces of up to 2 MiB. Raises: DecodeError, BodyTooLarge."""
        self._came += len(piece)
        for made in self._decoder.feed(piece):
            self._made += len(made)
            if self._made > FREE_BYTES + MOST_TIMES * self._came:
                raise BodyTooLarge(f"the body holds more than {MOST_TIMES} times its compressed size")
            yield made


class _Plain:
    """Not compressed."""

    is_whole = True

    def feed(self, piece: bytes) -> Iterator[bytes]:
        yield piece


class _Zstd:
    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
        self._frame = self._decompressor.decompressobj()
        self.is_whole = True

    def feed(self, piece: bytes) -> Iterator[bytes]:
        for start in range(0, len(piece), STEP_BYTES):
            pending = piece[start : start + STEP_BYTES]
            while pending:
                if self._frame.eof:
                    self._frame = self._decompressor.decompressobj()
                try:
                    made = self._frame.decompress(pending)
                except zstandard.ZstdError as error:
                    raise DecodeError(f"zstd: damaged ({error})") from error
                self.is_whole = self._frame.eof
                pending = self._frame.unused_data if self._frame.eof else b""
                if made:
                    yield made


class _Xz:
    def __init__(self) -> None:
        self._stream = self._new()
        self.is_whole = True

    def _new(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        pending = piece
        while pending or not self._stream.needs_input:
            if self._stream.eof:
                pending = pending or self._stream.unused_data
                if not pending:
                    return
                self._stream = self._new()
            try:
                made = self._stream.decompress(pending, OUTPUT_BYTES)
            except lzma.LZMAError as error:
                raise DecodeError(f"xz: damaged, or it needs too much memory ({error})") from error
            self.is_whole = self._stream.eof
            pending = self._stream.unused_data if self._stream.eof else b""
            if made:
                yield made
            if self._stream.eof and not pending:
                return


class _Lz4:
    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = LZ4_SIZE_BYTES
        """Where the next sequence of the block begins."""
        self._makes = 0
        """What the sequences before it make."""

    @property
    def is_whole(self) -> bool:
        return not self._buffer

    def feed(self, piece: bytes) -> Iterator[bytes]:
        self._buffer += piece
        while len(self._buffer) >= LZ4_SIZE_BYTES:
            size = int.from_bytes(self._buffer[:LZ4_SIZE_BYTES], "little")
            if not 0 < size <= LZ4_BLOCK_BYTES:
                raise DecodeError(f"lz4: not a block of systemd, or one of more than {LZ4_BLOCK_BYTES} bytes")
            if not self._reach_end(size):
                return
            block = bytes(self._buffer[LZ4_SIZE_BYTES : self._at])
            del self._buffer[: self._at]
            self._at, self._makes = LZ4_SIZE_BYTES, 0
            try:
                yield bytes(cramjam.lz4.decompress_block(block, output_len=size))
            except (cramjam.DecompressionError, ValueError, OverflowError) as error:
                raise DecodeError("lz4: damaged") from error

    def _reach_end(self, size: int) -> bool:
        """Pass over sequences until they make so much; whether they did. Raises: DecodeError."""
        buffer = self._buffer
        while self._makes < size:
            try:
                token = buffer[self._at]
                literals, at = _length(buffer, self._at + 1, token >> 4)
                at += literals
                made = self._makes + literals
                if at > len(buffer) and made <= size:
                    return False
                if made < size:
                    matched, at = _length(buffer, at + 2, token & 15)
                    made += matched + 4
            except IndexError:
                return False
            if made > size:
                raise DecodeError("lz4: damaged")
            self._at, self._makes = at, made
        return True


def _length(buffer: bytearray, at: int, begun: int) -> tuple[int, int]:
    """A length whose first four bits are these, and where what follows it begins. Raises: IndexError, DecodeError."""
    if begun == 15:
        while (more := buffer[at]) == 255:
            begun, at = begun + 255, at + 1
            if begun > LZ4_BLOCK_BYTES:
                raise DecodeError("lz4: damaged")
        begun, at = begun + more, at + 1
    return begun, at


_DECODERS: dict[str, type[_Plain] | type[_Zstd] | type[_Xz] | type[_Lz4]] = {
    "": _Plain, "identity": _Plain, "zstd": _Zstd, "xz": _Xz, "lz4": _Lz4,
}  # fmt: skip
