"""Every decoder on bodies that nobody's program sends: damaged, and made of pieces that parsers mind."""

import pytest
from decoders import DECODERS, FORMATS, Decoder
from hostile_shapes import JSON, TEXT
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest.formats.registry import NAMES as FORMAT_NAMES
from app.ingest.shippers.registry import NAMES
from app.ingest.shippers.shipper import Forbidden
from detectors.errors import DecodeError

SIZE = 16 * 1024
every_way_in = pytest.mark.parametrize("decoder", DECODERS + FORMATS, ids=lambda each: each.name)


def read(decoder: Decoder, body: bytes) -> None:
    """Reads it; whatever is wrong with a body may only be said in the contract's own errors."""
    try:
        decoded = decoder.read(body)
    except (DecodeError, Forbidden):
        return
    assert len(decoded.events) == len(decoded.records)


def test_every_protocol_and_every_format_is_here() -> None:
    assert {each.shipper.name for each in DECODERS + FORMATS} == {*NAMES, "events", "raw"}
    assert {each.head.query["format"] for each in FORMATS} == set(FORMAT_NAMES)


@every_way_in
def test_a_normal_body_is_read_whole(decoder: Decoder) -> None:
    decoded = decoder.read(decoder.normal(SIZE))
    assert not decoded.rejected
    assert len(decoded.events) >= (1 if decoder.name in ("events-form", "document") else 15)


pieces = st.sampled_from((*JSON, *TEXT)) | st.binary(max_size=8)
places = st.floats(0, 1, exclude_max=True)
changes = st.lists(
    st.tuples(st.sampled_from(("flip", "cut", "repeat", "splice", "insert")), places, places, pieces),
    max_size=4,
)


def changed(body: bytes, how: str, one: float, other: float, piece: bytes) -> bytes:
    """A body with a change between two places."""
    begin, end = sorted((int(one * (len(body) + 1)), int(other * (len(body) + 1))))
    match how:
        case "flip":
            return body[:begin] + bytes(byte ^ 0x80 for byte in body[begin : begin + 1]) + body[begin + 1 :]
        case "cut":
            return body[:begin] + body[end:]
        case "repeat":
            return body[:end] + body[begin:]
        case "splice":
            return body[end:] + body[:begin]
    return body[:begin] + piece + body[begin:]


@every_way_in
def test_a_damaged_body_gets_an_answer(decoder: Decoder) -> None:
    normal = decoder.enclose([decoder.record(number) for number in range(3)])
    mangled = decoder.pack(normal)

    @settings(max_examples=25, deadline=None, database=None)
    @given(changes, st.booleans())
    def check(made: list[tuple[str, float, float, bytes]], is_packed: bool) -> None:
        body = mangled if is_packed else normal
        for change in made:
            body = changed(body, *change)
        read(decoder._replace(pack=bytes) if is_packed else decoder, body)

    check()


@every_way_in
def test_any_bytes_get_an_answer(decoder: Decoder) -> None:
    @settings(max_examples=15, deadline=None, database=None)
    @given(st.lists(pieces, max_size=12), st.booleans())
    def check(found: list[bytes], is_enclosed: bool) -> None:
        read(decoder, decoder.enclose(found) if is_enclosed else b"".join(found))

    check()
