"""Every decoder on bodies that nobody's program sends: none makes it fail, and none takes long.

The bar: ten times the time of a normal body of the size. Where a body is of very many tiny records, each of which is
counted or named in the answer, it may take the time of as many normal records; a sender could send those as well.
"""

import contextlib
import time
from collections.abc import Iterator

import pytest
from decoders import DECODERS, FORMATS, Decoder
from hostile_shapes import (
    COMPRESSED,
    JSON,
    TEXT,
    fill,
    hostile_bodies,
    hostile_bytes,
    hostile_texts,
    large_bodies,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest.formats.registry import NAMES as FORMAT_NAMES
from app.ingest.routes import EVENTS
from app.ingest.shippers.registry import NAMES
from app.ingest.shippers.shipper import Forbidden, Head
from detectors.errors import DecodeError
from tests.ingest.shippers.conftest import NOW

SIZE = 16 * 1024
LARGE = 512 * 1024
TIMES = 10
FLOOR_S = 0.005
"""What is quicker is quick enough, however quick a normal body is."""
COMPRESSED_S = 0.04
"""For a compressed body of this size: ten times what one takes that is as full as can be."""
ATTEMPTS = 5
"""Where something takes too long, both are measured again: other work on the machine is no fault of a decoder."""

every_decoder = pytest.mark.parametrize("decoder", DECODERS, ids=lambda each: each.name)
every_format = pytest.mark.parametrize("decoder", FORMATS, ids=lambda each: each.name)
every_way_in = pytest.mark.parametrize("decoder", DECODERS + FORMATS, ids=lambda each: each.name)


def cost(decoder: Decoder, body: bytes) -> tuple[float, int]:
    """Seconds of the processor, and how many records it had."""
    begun, records = time.process_time(), 0
    try:
        decoded = decoder.read(body)
    except (DecodeError, Forbidden):
        pass
    else:
        assert len(decoded.events) == len(decoded.records)
        records = len(decoded.events) + len(decoded.rejected)
    return time.process_time() - begun, records


def slow_ones(decoder: Decoder, bodies: Iterator[tuple[str, bytes]]) -> list[str]:
    """Those of the bodies that take longer than they may."""
    reference = next((each for each in DECODERS if each.name == decoder.peer), decoder)
    normal = reference.normal(SIZE)
    usual, usual_records = min(cost(reference, normal) for _ in range(3))
    found = []
    for name, body in bodies:
        for _ in range(ATTEMPTS):
            took, records = cost(decoder, body)
            allowed = max(TIMES * usual * len(body) / len(normal), usual * records / usual_records, FLOOR_S)
            if took <= allowed:
                break
            usual = max(usual, min(cost(reference, normal) for _ in range(3))[0])
        else:
            found.append(f"{name}: {took * 1000:.1f} ms, {records} records; {allowed * 1000:.1f} ms allowed")
    return found


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
        cost(decoder._replace(pack=bytes) if is_packed else decoder, body)

    check()


@every_way_in
def test_any_bytes_get_an_answer(decoder: Decoder) -> None:
    @settings(max_examples=15, deadline=None, database=None)
    @given(st.lists(pieces, max_size=12), st.booleans())
    def check(found: list[bytes], is_enclosed: bool) -> None:
        cost(decoder, decoder.enclose(found) if is_enclosed else b"".join(found))

    check()


@every_decoder
def test_no_body_takes_long(decoder: Decoder) -> None:
    assert slow_ones(decoder, hostile_bodies(decoder, SIZE)) == []


@pytest.mark.parametrize(
    "decoder",
    {each.head.content_type + each.shipper.name: each for each in DECODERS}.values(),
    ids=lambda each: each.name,
)
def test_no_bytes_take_long(decoder: Decoder) -> None:
    assert slow_ones(decoder, hostile_bytes(decoder, SIZE)) == []


@every_format
def test_no_line_takes_long(decoder: Decoder) -> None:
    assert slow_ones(decoder, hostile_texts(decoder, SIZE)) == []


@pytest.mark.parametrize(
    "decoder", {each.shipper.name: each for each in DECODERS}.values(), ids=lambda each: each.shipper.name
)
def test_no_large_body_takes_long(decoder: Decoder) -> None:
    assert slow_ones(decoder, large_bodies(decoder, LARGE)) == []


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_no_compressed_body_takes_long(encoding: str) -> None:
    head = Head("/v1/events", {}, {"content-encoding": encoding}, NOW)
    for piece in COMPRESSED[encoding]:
        for body in (fill(piece, SIZE), COMPRESSED[encoding][0] + fill(piece, SIZE)):
            for _ in range(ATTEMPTS):
                begun = time.process_time()
                with contextlib.suppress(DecodeError):
                    EVENTS.unpack(body, head)
                took = time.process_time() - begun
                if took < COMPRESSED_S:
                    break
            assert took < COMPRESSED_S, piece
