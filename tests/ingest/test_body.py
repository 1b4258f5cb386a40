"""Decompression under limits, and what a damaged body gets."""

import gzip
import tracemalloc
import zlib

import pytest
import zstandard

from app.ingest.body import MEMBERS_LIMIT, BodyTooLarge, decompress
from detectors.errors import DecodeError

TEXT = b'{"status":401}\n' * 1000


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def packed(data: bytes) -> bytes:
    """The same bytes whenever it is called: they name the tests."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (packed(TEXT), "gzip"),
        (packed(TEXT), "x-gzip"),
        (packed(TEXT), " GZIP "),
        (packed(TEXT), ""),
        (packed(TEXT), "identity"),
        (packed(TEXT[:600]) + packed(TEXT[600:]), "gzip"),
        (packed(TEXT[:600]) + packed(TEXT[600:]), ""),
        (packed(TEXT) + bytes(512), "gzip"),
        (packed(packed(TEXT)), "gzip, gzip"),
        (zlib.compress(TEXT), "deflate"),
        (raw_deflate(TEXT), "deflate"),
        (zstandard.compress(TEXT), "zstd"),
        (zstandard.compress(TEXT), ""),
        (zstandard.compress(TEXT[:600]) + zstandard.compress(TEXT[600:]), "zstd"),
        (TEXT, "gzip"),
        (b"", "gzip"),
    ],
)
def test_a_body_is_what_its_sender_compressed(data: bytes, encoding: str) -> None:
    assert decompress(data, encoding) == (TEXT if data else b"")


@pytest.mark.parametrize(
    ("data", "encoding", "word"),
    [
        (packed(TEXT)[:-1], "gzip", "cut short"),
        (packed(TEXT)[:20], "", "cut short"),
        (packed(TEXT)[:5], "gzip", "cut short"),
        (packed(TEXT) + packed(TEXT)[:-9], "gzip", "cut short"),
        (packed(TEXT) + b"rubbish", "gzip", "damaged"),
        (packed(TEXT)[:-6] + b"xxxxxx", "gzip", "damaged"),
        (zlib.compress(TEXT)[:-1], "deflate", "cut short"),
        (b"\xff" * 50, "deflate", "damaged"),
        (zstandard.compress(TEXT)[:-3], "zstd", "cut short"),
        (zstandard.compress(TEXT) + b"rubbish", "zstd", "damaged"),
        (b"plain text", "gzip", "is not gzip"),
        (b"plain text", "zstd", "is not zstd"),
        (TEXT, "br", "unknown content encoding"),
        (TEXT, "gzip, gzip, gzip, gzip", "more than 3"),
        (packed(b"") * (MEMBERS_LIMIT + 1), "gzip", "members"),
    ],
)
def test_a_damaged_body_says_what_is_wrong(data: bytes, encoding: str, word: str) -> None:
    with pytest.raises(DecodeError, match=word):
        decompress(data, encoding)


@pytest.mark.parametrize(
    ("pack", "encoding"),
    [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (zstandard.compress, "zstd")],
)
def test_a_bomb_never_materialises(pack: object, encoding: str) -> None:
    bomb = pack(bytes(200_000_000))  # type: ignore[operator]
    tracemalloc.start()
    with pytest.raises(BodyTooLarge, match="after decompression"):
        decompress(bomb, encoding, limit=4_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000


@pytest.mark.parametrize(
    ("pack", "encoding"),
    [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (zstandard.compress, "zstd"), (bytes, "")],
)
def test_the_limit_itself_still_fits(pack: object, encoding: str) -> None:
    assert len(decompress(pack(bytes(5_000_000)), encoding, limit=5_000_000)) == 5_000_000  # type: ignore[operator]
    with pytest.raises(BodyTooLarge):
        decompress(pack(bytes(5_000_001)), encoding, limit=5_000_000)  # type: ignore[operator]
