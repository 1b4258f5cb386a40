"""Bodies that are made to be slow to read: what a parser must look at twice, open without end, or keep apart."""

import base64
import gzip
import zlib
from collections.abc import Iterator

import zstandard
from decoders import Decoder

from tests.ingest.shippers.otlp_requests import part

JSON = (
    b"[", b"{", b"[]", b"{}", b"{},", b'{"a":', b'{"a":[', b'{"a":1}', b'{"a":"', b'"', b'"",',
    b'"a":1,', b"\\", b'\\"', b"\\x41", b"\\ud800", b",", b"9", b"1e9,", b"null,", b'}{"', b"],[", b"}{", b"}\n{",
    b"[[[]]]", b'[{"":[1]}]',
)  # fmt: skip
TEXT = (
    b"x", b"x ", b" ", b"\n", b"\0", b"\xff", b"\xf0\x9f\x98\x80", b"<1>1 ", b"(", b"a=1 ", b'a="', b"a=b&", b"%41",
    b"203.0.113.9, ", b"2026-11-23T10:00:03Z ", b"Nov 23 10:00:01 ", b": ", b"::", b"- - [", b"#Fields: ", b'" "',
)  # fmt: skip
BINARY = (
    b"\x0a", b"\x0a\0", b"\x0a\x02\x0a\0", b"\x0a\x02\x12\0", b"\x12\0", b"\x0b", b"\x80", b"\x81", b"\x91", b"\x92",
    b"\x91\x80", b"\x81\xa1a\xc0", b"\xdc\0\1", b"\xc0", b"\x1f\x8b", b"A=1\n", b"A=1\n\n", b"MESSAGE=x\n\n",
    b"MESSAGE\n", b"MESSAGE\n\1\0\0\0\0\0\0\0x\n\n",
)  # fmt: skip
"""Protobuf, MessagePack, the journal."""
WORST = (b"[", b'{"a":', b"],[", b'"', b"\\x41", b"9", b" ", b"\xff")
"""For the large bodies."""


def fill(piece: bytes, size: int) -> bytes:
    """The piece again and again."""
    return piece * (size // len(piece))


def nested(size: int, number: int) -> bytes:
    """Protobuf messages in one another."""
    made = b""
    while len(made) < size:
        made = part(number, made)
    return made


def hostile_bytes(decoder: Decoder, size: int) -> Iterator[tuple[str, bytes]]:
    """What such a body is, and about so many bytes of it; nothing that the protocol encloses."""
    for piece in (*JSON, *TEXT, *BINARY):
        yield f"{piece!r}", fill(piece, size)
    for piece in (*JSON, b"x", b" ", b"\n", b"\0", b"\xff"):
        yield f"{piece!r} behind a key", b'{"message":' + fill(piece, size)
    for number in (1, 2, 5, 6):
        yield f"field {number} nested", nested(size, number)
    record = decoder.record(1)
    body = decoder.enclose([record, record])
    for whole, name in ((record, "record"), (body, "body")):
        for cut in range(1, len(whole), len(whole) // 3):
            yield f"beginnings of a {name}, {cut}", fill(whole[:cut], size)
            yield f"ends of a {name}, {cut}", fill(whole[cut:], size)
            yield f"a {name} blown up, {cut}", whole[:cut] + fill(whole[:cut], size) + whole[cut:]


def hostile_bodies(decoder: Decoder, size: int) -> Iterator[tuple[str, bytes]]:
    """The same as records of the protocol."""
    for piece in (*JSON, *TEXT):
        yield f"{piece!r} as one record", decoder.enclose([fill(piece, size)])
        yield f"{piece!r} as many records", many(decoder, piece, size)
    record = decoder.record(1)
    yield "a record in base64 of itself", decoder.enclose([base64.b64encode(fill(record, size * 3 // 4))])
    yield "a record with names in every case", decoder.enclose([b"{" + b",".join(_cases(size // 20)) + b"}"])


def hostile_texts(decoder: Decoder, size: int) -> Iterator[tuple[str, bytes]]:
    """One long line, and many short ones."""
    record = decoder.record(1)
    cuts = range(1, len(record), len(record) // 3)
    own = (*(record[:cut] for cut in cuts), *(record[cut:] for cut in cuts))
    for piece in (*TEXT, b'"', b'\\"', b'{"a":', *own):
        yield f"{piece!r}", fill(piece, size)
        yield f"{piece!r} in lines", fill(piece + b"\n", size)


def large_bodies(decoder: Decoder, size: int) -> Iterator[tuple[str, bytes]]:
    """A few of them, where they are large."""
    for piece in WORST:
        yield f"{piece!r}, nothing else", fill(piece, size)
        yield f"{piece!r} as one record", decoder.enclose([fill(piece, size)])


def many(decoder: Decoder, piece: bytes, size: int) -> bytes:
    """As many records as fit, all of them this piece."""
    ten = len(decoder.enclose([piece] * 20)) - len(decoder.enclose([piece] * 10))
    return decoder.enclose([piece] * (10 * size // ten))


def _cases(count: int) -> Iterator[bytes]:
    for number in range(count):
        name = "".join(
            letter.upper() if number >> place & 1 else letter for place, letter in enumerate("remote_addr")
        )
        yield f'"{name}":"-"'.encode()


COMPRESSED = {
    "gzip": (gzip.compress(b"", mtime=0), gzip.compress(b"x", mtime=0)),
    "zstd": (zstandard.compress(b""), zstandard.compress(b"x")),
    "deflate": (zlib.compress(b""), b"x\x9c", b"\0\0\0\xff\xff"),
    "snappy": (b"\0", b"\xff", b"\x80\x80\x04"),
}
"""Pieces of compressed bodies: the smallest whole ones, and blocks without content."""
