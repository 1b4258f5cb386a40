"""The bytes a sender meant: a request's body, read and decompressed under two limits.

The decompressed size is enforced while decompressing, so that a bomb never materialises.
Source: RFC 1952 (gzip), RFC 1950 and 1951 (deflate), RFC 8878 (zstd), RFC 9110 8.4 (Content-Encoding),
google/snappy format_description.txt (one raw block, as Loki's clients, Vector and Fluent Bit send it).
"""

import zlib
from collections.abc import Callable

import cramjam
import zstandard
from starlette.requests import Request

from detectors.errors import DecodeError

WIRE_LIMIT_BYTES = 20 * 1024 * 1024
"""Twice the largest default body of the common shippers (Vector, rsyslog: 10 MB)."""
BODY_LIMIT_BYTES = 64 * 1024 * 1024
"""After decompression. Source: OTLP's advice, and Firehose's largest body."""
ENCODINGS_LIMIT = 3
"""`gzip, gzip` happens behind proxies; nobody means more."""
MEMBERS_LIMIT = 10_000
"""Members of one gzip body: a writer that flushes 64 KiB blocks makes 1,024 of the largest body."""
STEP_BYTES = 64 * 1024
ZSTD_STEP_BYTES = 512
"""zstandard gives no output limit; four bytes make at most 128 KiB, so one step makes at most 16 MiB."""
ZSTD_WINDOW_BYTES = 128 * 1024 * 1024
SNAPPY_RATIO = 32
"""No element of a block makes more than 22 bytes of one: what announces more than this is none."""

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class BodyTooLarge(DecodeError):
    """The body is over a limit; answered with 413. Sending it again cannot help."""

    def __init__(self, text: str, came: bytes = b"") -> None:
        """`came`: the first piece of a body that was not read to its end."""
        super().__init__(text)
        self.came = came


async def read_body(request: Request, limit: int, took: Callable[[int], None]) -> bytes:
    """The body as it came over the wire; `took` hears the size of each piece as it arrives.

    Raises: BodyTooLarge, before reading where Content-Length says so. What `took` raises passes through.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and len(announced) < 20 and int(announced) > limit:
        raise BodyTooLarge(f"the body has {announced} bytes; at most {limit} are taken")
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise BodyTooLarge(f"the body has more than {limit} bytes", pieces[0] if pieces else piece)
        took(len(piece))
        pieces.append(piece)
    return b"".join(pieces)


def decompress(data: bytes, content_encoding: str = "", limit: int = BODY_LIMIT_BYTES) -> bytes:
    """The body without its content encodings: gzip, deflate, zstd, snappy, identity.

    The header is a hint: gzip and zstd bytes are recognised without it, and JSON under a `gzip` header
    (some proxies decompress and leave the header) is taken as it is.
    Raises: DecodeError (damaged, truncated, unknown encoding), BodyTooLarge.
    """
    names = [n for n in (part.strip().lower() for part in content_encoding.split(",")) if n]
    names = [n for n in names if n != "identity"]
    if len(names) > ENCODINGS_LIMIT:
        raise DecodeError(f"more than {ENCODINGS_LIMIT} content encodings")
    if not data:
        return data
    for name in reversed(names):
        data = _undo(name, data, limit)
    if not names and data.startswith(GZIP_MAGIC):
        data = _gunzip(data, limit)
    elif not names and data.startswith(ZSTD_MAGIC):
        data = _unzstd(data, limit)
    if len(data) > limit:
        raise BodyTooLarge(f"the body has more than {limit} bytes")
    return data


def _undo(name: str, data: bytes, limit: int) -> bytes:
    if name not in ("gzip", "x-gzip", "deflate", "zstd", "snappy"):
        raise DecodeError("unknown content encoding; gzip, deflate, zstd, snappy and identity are known")
    if data.startswith(GZIP_MAGIC):
        return _gunzip(data, limit)
    if data.startswith(ZSTD_MAGIC):
        return _unzstd(data, limit)
    if name == "deflate":
        return _inflate(data, limit)
    if name == "snappy":
        return unsnappy(data, limit)
    if data.lstrip()[:1] in (b"{", b"["):
        return data
    raise DecodeError(f"Content-Encoding says {name}, but the body is not {name}")


class _Output:
    """Collects decompressed pieces up to the limit."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._limit = limit
        self._pieces: list[bytes] = []

    @property
    def room(self) -> int:
        """The most bytes to ask for: one more than fits, and never 0, which zlib takes for no limit."""
        return min(self._left + 1, 1024 * 1024)

    def add(self, piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise BodyTooLarge(f"the body has more than {self._limit} bytes after decompression")
        self._pieces.append(piece)

    def joined(self) -> bytes:
        return b"".join(self._pieces)


def _gunzip(data: bytes, limit: int) -> bytes:
    """All members, one after the other; zero padding after a member is skipped, as gzip(1) does."""
    output = _Output(limit)
    member = zlib.decompressobj(wbits=31)
    members = 1
    try:
        for start in range(0, len(data), STEP_BYTES):
            pending = data[start : start + STEP_BYTES]
            while pending:
                if member.eof:
                    pending = pending.lstrip(b"\0")
                    if not pending:
                        break
                    members += 1
                    if members > MEMBERS_LIMIT:
                        raise DecodeError(f"gzip: more than {MEMBERS_LIMIT} members")
                    member = zlib.decompressobj(wbits=31)
                output.add(member.decompress(pending, output.room))
                pending = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error as error:
        raise DecodeError(f"gzip: damaged ({error})") from error
    if not member.eof:
        raise DecodeError("gzip: the body is cut short")
    return output.joined()


def _inflate(data: bytes, limit: int) -> bytes:
    """zlib as RFC 9110 says, else raw deflate as some senders mean it."""
    try:
        return _inflate_as(15, data, limit)
    except zlib.error:
        try:
            return _inflate_as(-15, data, limit)
        except zlib.error as error:
            raise DecodeError(f"deflate: damaged ({error})") from error


def _inflate_as(wbits: int, data: bytes, limit: int) -> bytes:
    output = _Output(limit)
    stream = zlib.decompressobj(wbits=wbits)
    for start in range(0, len(data), STEP_BYTES):
        pending = data[start : start + STEP_BYTES]
        while pending and not stream.eof:
            output.add(stream.decompress(pending, output.room))
            pending = stream.unconsumed_tail
    if not stream.eof:
        raise DecodeError("deflate: the body is cut short")
    return output.joined()


def _unzstd(data: bytes, limit: int) -> bytes:
    output = _Output(limit)
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    frame = decompressor.decompressobj()
    frames = 1
    try:
        for start in range(0, len(data), ZSTD_STEP_BYTES):
            pending = data[start : start + ZSTD_STEP_BYTES]
            while pending:
                if frame.eof:
                    frames += 1
                    if frames > MEMBERS_LIMIT:
                        raise DecodeError(f"zstd: more than {MEMBERS_LIMIT} frames")
                    frame = decompressor.decompressobj()
                output.add(frame.decompress(pending))
                pending = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        raise DecodeError(f"zstd: damaged ({error})") from error
    if not frame.eof:
        raise DecodeError("zstd: the body is cut short")
    return output.joined()


def unsnappy(data: bytes, limit: int = BODY_LIMIT_BYTES) -> bytes:
    """What a raw snappy block holds; JSON, which is no such block, as it is.

    A block announces its length, which is looked at before anything is made of it.
    Raises: DecodeError, BodyTooLarge.
    """
    try:
        announced = cramjam.snappy.decompress_raw_len(data)
        if announced <= len(data) * SNAPPY_RATIO:
            if announced > limit:
                raise BodyTooLarge(f"the body has more than {limit} bytes after decompression")
            return bytes(cramjam.snappy.decompress_raw(data))
    except cramjam.DecompressionError:
        pass
    if data.lstrip()[:1] in (b"{", b"["):
        return data
    raise DecodeError("snappy: damaged, or not one raw block")
