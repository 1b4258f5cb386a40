"""Decompression under limits, and what a damaged body gets."""

import contextlib
import gzip
import tracemalloc
import zlib

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.body import MEMBERS_LIMIT, BodyTooLarge, decompress, unsnappy
from detectors.errors import DecodeError

TEXT = b'{"status":401}\n' * 1000


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


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
        (snappy(TEXT), "snappy"),
        (packed(snappy(TEXT)), "snappy, gzip"),
        (TEXT, "gzip"),
        (TEXT, "snappy"),
        (b"", "gzip"),
        (b"", "snappy"),
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
        (snappy(TEXT)[:-1], "snappy", "damaged"),
        (snappy(TEXT) + b"rubbish", "snappy", "damaged"),
        (b"\xff\x06\x00\x00sNaPpY", "snappy", "damaged"),
        (b"\xff\xff\xff\xff\x0f", "snappy", "damaged"),
        (b"\xff" * 20, "snappy", "damaged"),
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
    [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (zstandard.compress, "zstd"), (snappy, "snappy")],
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
    [
        (gzip.compress, "gzip"),
        (zlib.compress, "deflate"),
        (zstandard.compress, "zstd"),
        (snappy, "snappy"),
        (bytes, ""),
    ],
)
def test_the_limit_itself_still_fits(pack: object, encoding: str) -> None:
    assert len(decompress(pack(bytes(5_000_000)), encoding, limit=5_000_000)) == 5_000_000  # type: ignore[operator]
    with pytest.raises(BodyTooLarge):
        decompress(pack(bytes(5_000_001)), encoding, limit=5_000_000)  # type: ignore[operator]


def test_a_snappy_block_that_announces_more_than_it_can_hold_makes_nothing() -> None:
    liar = bytes([0x80, 0xE1, 0xEB, 0x17]) + bytes(100)
    assert cramjam.snappy.decompress_raw_len(liar) == 50_000_000
    tracemalloc.start()
    with pytest.raises(DecodeError, match="damaged"):
        unsnappy(liar)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@given(st.binary(max_size=200) | st.binary(max_size=300).map(snappy), st.data())
def test_whatever_snappy_is_given_it_raises_nothing_else(block: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(block)))
    mutated = block[:at] + data.draw(st.binary(max_size=3)) + block[at + data.draw(st.integers(0, 3)) :]
    for body in (block, mutated):
        with contextlib.suppress(DecodeError):
            unsnappy(body)
