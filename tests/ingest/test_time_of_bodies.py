"""The time that every decoder takes for bodies that nobody's program sends.

The bar: ten times the time of a normal body of the size. Where a body is of very many tiny records, each of which is
counted or named in the answer, it may take the time of as many normal records; a sender could send those as well.
"""

import contextlib
import time
from collections.abc import Iterator

import pytest
from decoders import DECODERS, FORMATS, Decoder
from hostile_shapes import COMPRESSED, fill, hostile_bodies, hostile_bytes, hostile_texts, large_bodies

from app.ingest.routes import EVENTS
from app.ingest.shippers.shipper import Forbidden, Head
from detectors.errors import DecodeError
from tests.ingest.remembering import NOW

SIZE = 8 * 1024
LARGE = 512 * 1024
TIMES = 10
FLOOR_S = 0.003
"""What is quicker is quick enough, however quick a normal body is."""
COMPRESSED_S = 0.02
"""For a compressed body of this size: ten times what one takes that is as full as can be."""
ATTEMPTS = 5
"""Where something takes too long, both are measured again: other work on the machine is no fault of a decoder."""

every_decoder = pytest.mark.parametrize("decoder", DECODERS, ids=lambda each: each.name)
every_format = pytest.mark.parametrize("decoder", FORMATS, ids=lambda each: each.name)


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
