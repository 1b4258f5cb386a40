"""The beginning of a body that was refused as a whole, so that an operator can see what a shipper sends.

It is decompressed as far as it goes; what is no text is not shown, but named by its size and what its sender called it.
"""

import re
import zlib
from collections.abc import Iterator

import zstandard

from app.ingest.body import GZIP_MAGIC, ZSTD_MAGIC, ZSTD_STEP_BYTES, ZSTD_WINDOW_BYTES, unsnappy
from app.ingest.shippers.shipper import Head
from detectors.errors import DecodeError

SHOWN_BYTES = 16 * 1024
"""More than is kept of a record (app/sources/rejected.py) and looked at behind it."""
LOOKED_AT_BYTES = 256 * 1024
"""Of the body as it came. Two blocks of zstd, of which one comes whole or not at all."""
STEP_BYTES = 256
"""What is before a damaged byte is lost with its step."""
SNAPPY_BYTES = 1024 * 1024
"""A block of snappy is undone whole or not at all, and no larger one is."""
LAYERS = 3
MOST_ODD = 0.1
"""The part of a text's characters that may be controls or no UTF-8: logs hold escape sequences and attackers' bytes."""
_NAME = re.compile(r"[A-Za-z0-9!#$&^_.+/-]{1,100}")
_ODD = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")
_DAMAGE = (zlib.error, zstandard.ZstdError, DecodeError)


def beginning_of(data: bytes, head: Head) -> bytes:
    """Of a body as it came; empty where nothing came."""
    encodings = [part.strip().lower() for part in head.headers.get("content-encoding", "").split(",")]
    text = data
    for encoding in reversed(encodings[:LAYERS]):
        text = _undone(text, encoding)
    text = text[:SHOWN_BYTES]
    return text if _is_text(text) else _note(len(data), head)


def _undone(data: bytes, encoding: str) -> bytes:
    """What was compressed, as far as it goes; anything else as it is."""
    if data.startswith(GZIP_MAGIC):
        return _collected(_inflated(data, 31))
    if data.startswith(ZSTD_MAGIC):
        return _collected(_unzstd(data))
    if encoding == "deflate":
        return _collected(_inflated(data, 15)) or _collected(_inflated(data, -15)) or data
    if encoding == "snappy" and len(data) <= SNAPPY_BYTES:
        return _collected(unsnappy(data, SNAPPY_BYTES) for _ in range(1)) or data
    return data


def _collected(pieces: Iterator[bytes]) -> bytes:
    made = b""
    try:
        for piece in pieces:
            made += piece
            if len(made) >= SHOWN_BYTES:
                break
    except _DAMAGE:
        pass
    return made[:SHOWN_BYTES]


def _inflated(data: bytes, wbits: int) -> Iterator[bytes]:
    stream = zlib.decompressobj(wbits=wbits)
    for start in range(0, min(len(data), LOOKED_AT_BYTES), STEP_BYTES):
        yield stream.decompress(data[start : start + STEP_BYTES], SHOWN_BYTES)


def _unzstd(data: bytes) -> Iterator[bytes]:
    frame = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()
    for start in range(0, min(len(data), LOOKED_AT_BYTES), ZSTD_STEP_BYTES):
        if frame.eof:
            return
        yield frame.decompress(data[start : start + ZSTD_STEP_BYTES])


def _is_text(data: bytes) -> bool:
    text = data.decode("utf-8", "replace")
    return len(_ODD.findall(text)) <= MOST_ODD * len(text)


def _note(size: int, head: Head) -> bytes:
    said = [f"{size} bytes that are no text"]
    for name in ("content-type", "content-encoding"):
        found = _NAME.match(head.headers.get(name, ""))
        if found:
            said.append(f"{name}: {found[0]}")
    return f"({', '.join(said)})".encode()
