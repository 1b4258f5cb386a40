"""What is shown of a body that was refused as a whole: its text as far as it goes, never its bytes."""

import gzip
import time
import zlib

import cramjam
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.beginning import SHOWN_BYTES, beginning_of
from app.ingest.shippers.shipper import Head

TEXT = b"".join(b'{"client_ip":"203.0.113.9","n":%d}\n' % number for number in range(100))


def shown(data: bytes, encoding: str = "", content_type: str = "") -> bytes:
    headers = {"content-encoding": encoding, "content-type": content_type}
    return beginning_of(data, Head("/v1/events", {}, headers, 0))


WHOLE = {
    "plain": (TEXT, ""),
    "gzip": (gzip.compress(TEXT), "gzip"),
    "gzip without a header": (gzip.compress(TEXT), ""),
    "text that is called gzip": (TEXT, "gzip"),
    "deflate": (zlib.compress(TEXT), "deflate"),
    "raw deflate": (zlib.compress(TEXT)[2:-4], "deflate"),
    "zstd": (zstandard.compress(TEXT), "zstd"),
    "snappy": (bytes(cramjam.snappy.compress_raw(TEXT)), "snappy"),
    "twice": (gzip.compress(gzip.compress(TEXT)), "gzip, gzip"),
}


@pytest.mark.parametrize(("data", "encoding"), WHOLE.values(), ids=WHOLE)
def test_text_is_shown_whatever_was_done_to_it(data: bytes, encoding: str) -> None:
    assert shown(data, encoding) == TEXT


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, zlib.compress])
def test_of_a_damaged_body_what_is_before_the_damage_is_shown(compress) -> None:  # type: ignore[no-untyped-def]
    text = b"".join(b"%x\n" % (number * 7_919_999_983 % 2**60) for number in range(500_000))
    packed = compress(text)
    damaged = packed[:100_000] + bytes(200) + packed[100_200:]
    assert shown(damaged, "deflate") == text[:SHOWN_BYTES]


def test_what_is_no_text_is_named() -> None:
    assert shown(bytes(range(256)) * 9, "br", "application/x-protobuf; x=\ud800") == (
        b"(2304 bytes that are no text, content-type: application/x-protobuf, content-encoding: br)"
    )
    assert shown(b"\0\1", "\x1b[2J", "<script>") == b"(2 bytes that are no text)"


def test_logs_with_escape_sequences_and_a_few_bad_bytes_are_text() -> None:
    line = b"\x1b[31mERROR\x1b[0m caf\xe9 failed for 203.0.113.9\n"
    assert shown(line) == line


def test_a_text_is_cut() -> None:
    assert shown(b"a" * 10**6) == b"a" * SHOWN_BYTES
    assert shown("\u00e9".encode() * 10**6)[:2] == "\u00e9".encode()


BOMBS = {
    "gzip": gzip.compress(bytes(100 << 20)),
    "gzip of nothing": gzip.compress(b"") * 400_000,
    "deflate of nothing": b"\0\0\0\xff\xff" * 400_000,
    "zstd": zstandard.compress(bytes(100 << 20)),
    "zstd of nothing": zstandard.compress(b"") * 400_000,
    "snappy": b"\x80\x80\x80\x20" + bytes(10**6),
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "zstd", "snappy"])
def test_no_body_takes_long(body: bytes, encoding: str) -> None:
    begun = time.process_time()
    assert len(shown(body, encoding)) <= SHOWN_BYTES
    assert time.process_time() - begun < 0.05


@given(
    st.binary(max_size=200),
    st.text(max_size=20),
    st.sampled_from(["", "gzip", "deflate", "zstd", "snappy", "x,,"]),
)
def test_any_bytes_get_an_answer(data: bytes, content_type: str, encoding: str) -> None:
    shown(data, encoding, content_type)
