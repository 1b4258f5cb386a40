"""Compressed uploads of systemd 258: pieces compressed one by one, as its basic/compress.c makes them."""

import lzma
import random
import time
from collections.abc import Callable

import cramjam
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest.body import BodyTooLarge
from app.ingest.shippers import journal_compression
from app.ingest.shippers.journal_compression import LZ4_BLOCK_BYTES, Stream
from detectors.errors import DecodeError

XZ_FILTERS = [
    {
        "id": lzma.FILTER_LZMA2,
        "dict_size": 1 << 20,
        "mode": lzma.MODE_FAST,
        "nice_len": 128,
        "mf": lzma.MF_HC3,
    }
]


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def xz(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_NONE, filters=XZ_FILTERS)


def lz4(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + bytes(cramjam.lz4.compress_block(data, store_size=False))


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "ZSTD": zstd, "XZ": xz, "LZ4": lz4, "zstd": zstd, "xz": xz, "lz4": lz4,
}  # fmt: skip
"""`compression_to_string` writes capitals."""
every_encoding = pytest.mark.parametrize("encoding", ["zstd", "xz", "lz4"])


def read(encoding: str, *pieces: bytes) -> bytes:
    stream = Stream(encoding)
    made = b"".join(part for piece in pieces for part in stream.feed(piece))
    assert stream.is_whole
    return made


def data_of(seed: int) -> list[bytes]:
    """Text, what cannot be compressed, and long runs."""
    rng = random.Random(seed)
    kinds: list[Callable[[], bytes]] = [
        lambda: b"".join(
            b"KEY%d=%d\n" % (rng.randrange(9), rng.getrandbits(30)) for _ in range(rng.randrange(1, 200))
        ),
        lambda: rng.randbytes(rng.randrange(1, 5_000)),
        lambda: b"a" * rng.randrange(1, 100_000),
    ]
    return [rng.choice(kinds)() for _ in range(rng.randrange(8))]


@every_encoding
@pytest.mark.parametrize("seed", range(20))
def test_pieces_of_any_size_hold_the_same(encoding: str, seed: int) -> None:
    rng, data = random.Random(seed), data_of(seed)
    body = b"".join(map(COMPRESSORS[encoding], data))
    size = rng.choice([1, 3, 50, 1_000, 10**6]) if len(body) < 20_000 else rng.choice([500, 10**6])
    assert read(encoding, *(body[at : at + size] for at in range(0, len(body), size))) == b"".join(data)


@every_encoding
def test_a_body_that_is_cut_short_is_known_as_such(encoding: str) -> None:
    body = COMPRESSORS[encoding](b"MESSAGE=one\n\n" * 20)
    for cut in (1, 9, len(body) // 2, len(body) - 1):
        stream = Stream(encoding)
        list(stream.feed(body[:cut]))
        assert not stream.is_whole


def test_the_highest_preset_of_xz_is_read_and_more_memory_is_refused() -> None:
    assert read("xz", lzma.compress(b"x" * 200, lzma.FORMAT_XZ, lzma.CHECK_NONE, preset=9)) == b"x" * 200
    huge = [{"id": lzma.FILTER_LZMA2, "dict_size": 256 << 20}]
    with pytest.raises(DecodeError, match="memory"):
        read("xz", lzma.compress(b"x" * 200, lzma.FORMAT_XZ, filters=huge))


BOMBS = {
    "zstd": zstandard.ZstdCompressor().compress(bytes(300 << 20)),
    "xz": xz(bytes(8 << 20)) * 40,
    "lz4": lz4(bytes(LZ4_BLOCK_BYTES)) * 200,
}


@every_encoding
def test_a_bomb_is_refused_before_it_is_made(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_compression, "MOST_TIMES", 64)
    stream, made = Stream(encoding), 0
    with pytest.raises(BodyTooLarge, match="64 times"):
        for at in range(0, len(BOMBS[encoding]), 4096):
            for part in stream.feed(BOMBS[encoding][at : at + 4096]):
                assert len(part) <= 4 << 20
                made += len(part)
    assert made < 120 << 20


DAMAGED = {
    "zstd, no frame": ("zstd", b"MESSAGE=one\n\n"),
    "zstd, a large window": ("zstd", b"\x28\xb5\x2f\xfd\x00\x90\x00"),
    "xz, no stream": ("xz", b"MESSAGE=one\n\nMESSAGE=two"),
    "xz, a byte behind": ("xz", xz(b"x" * 100) + b"MESSAGE=one\n"),
    "lz4, no block": ("lz4", b"MESSAGE=one\n\n"),
    "lz4, of nothing": ("lz4", bytes(8)),
    "lz4, too large": ("lz4", (LZ4_BLOCK_BYTES + 1).to_bytes(8, "little")),
    "lz4, literals without end": ("lz4", (100).to_bytes(8, "little") + b"\xf0" + b"\xff" * 10_000),
    "lz4, more than it says": ("lz4", (3).to_bytes(8, "little") + b"\x50abcde"),
    "lz4, a match of nothing": ("lz4", (20).to_bytes(8, "little") + b"\x1fa\x09\x09\x00"),
}


@pytest.mark.parametrize(("encoding", "body"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_is_refused(encoding: str, body: bytes) -> None:
    with pytest.raises(DecodeError):
        read(encoding, body)


@every_encoding
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100), st.integers(0, 200), st.binary(max_size=4))
def test_any_bytes_get_an_answer(encoding: str, body: bytes, at: int, noise: bytes) -> None:
    good = COMPRESSORS[encoding](b"MESSAGE=one\n\n" * 30)
    for wire in (body, good[:at] + noise + good[at:], good[:at] + noise):
        try:
            for part in Stream(encoding).feed(wire):
                assert len(part) <= LZ4_BLOCK_BYTES
        except DecodeError:
            pass


@pytest.mark.parametrize(
    ("encoding", "piece"),
    [
        ("lz4", (LZ4_BLOCK_BYTES).to_bytes(8, "little") + b"\x10a\1\0" * 100_000),
        ("lz4", (1).to_bytes(8, "little") + b"\x10a"),
        ("lz4", (LZ4_BLOCK_BYTES).to_bytes(8, "little") + b"\xff" * 8_000),
        ("zstd", zstd(b"")),
        ("xz", lzma.compress(b"")),
    ],
    ids=["lz4, short matches", "lz4, many blocks", "lz4, a long length", "zstd, nothing", "xz, nothing"],
)
def test_no_piece_takes_long(encoding: str, piece: bytes) -> None:
    body = piece * max(1, 65_536 // len(piece))
    stream, begun = Stream(encoding), time.process_time()
    try:
        for _ in stream.feed(body):
            pass
    except DecodeError:
        pass
    assert time.process_time() - begun < 0.3
