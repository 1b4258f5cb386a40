"""MessagePack as Fluent Bit and Fluentd write it, and as nobody should."""

import time
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest.body import BodyTooLarge
from app.ingest.msgpack_records import decode_msgpack
from app.ingest.routes import EVENTS
from app.ingest.shippers.shipper import Head
from detectors.errors import DecodeError
from detectors.event import Event
from detectors.timestamps import parse_time

NOW = 1_795_435_200_000
AT = 1_795_428_003_123
RECORD = {"client_ip": "203.0.113.9", "status": 401}
EVENT_TIME = msgpack.ExtType(0, (AT // 1000).to_bytes(4, "big") + (123_000_000).to_bytes(4, "big"))
FAILED = Event(client_ip="203.0.113.9", status=401)


def packed(*objects: Any) -> bytes:
    return b"".join(msgpack.packb(item, use_bin_type=True) for item in objects)


def read(body: bytes, content_type: str) -> list[Event]:
    return EVENTS.read(body, Head("/v1/events", {}, {"content-type": content_type}, NOW)).events


def at(ms: int) -> Event:
    return Event(ms / 1000, "203.0.113.9", status=401)


SHAPES: dict[str, tuple[bytes, list[Event]]] = {
    "Fluent Bit 2.1 and 2.2": (
        packed([[EVENT_TIME, {}], RECORD], [[EVENT_TIME, {"k": 1}], RECORD]),
        [at(AT)] * 2,
    ),
    "Fluent Bit up to 2.0": (
        packed([EVENT_TIME, RECORD], [AT // 1000, RECORD]),
        [at(AT), Event(AT // 1000, "203.0.113.9", status=401)],
    ),
    "Fluentd": (packed(RECORD, RECORD, RECORD), [FAILED] * 3),
    "an array of maps": (packed([RECORD] * 3), [FAILED] * 3),
    "an array of two maps": (packed([RECORD] * 2), [FAILED] * 2),
    "an array of many maps": (packed([RECORD] * 70_000), [FAILED] * 70_000),
    "an array of pairs": (packed([[EVENT_TIME, RECORD]] * 3), [at(AT)] * 3),
    "a record with a time of its own": (
        packed([EVENT_TIME, RECORD | {"date": 5.5}], [EVENT_TIME, RECORD | {"timestamp": 7}]),
        [Event(5.5, "203.0.113.9", status=401), Event(7, "203.0.113.9", status=401)],
    ),
    "MessagePack's own time": (packed([msgpack.Timestamp(AT // 1000, 123_000_000), RECORD]), [at(AT)]),
    "keys and texts that are binary": (packed({b"user": b"a\xff", 7: 1}), [Event(user="a\ufffd")]),
    "texts that are not UTF-8": (b"\x81\xa4user\xa3a\xff\xfe", [Event(user="a\ufffd\ufffd")]),
    "NaN and unknown extensions": (
        packed({"duration_ms": float("nan"), "x": msgpack.ExtType(5, b"x"), "status": 401}),
        [Event(status=401)],
    ),
    "a log line": (
        packed([EVENT_TIME, {"log": '203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "GET / HTTP/1.1" 401 1'}]),
        [Event("23/Nov/2026:10:00:03 +0000", "203.0.113.9", "GET", "/", status=401, bytes=1)],
    ),
    "nothing": (b"", []),
    "an empty array": (packed([]), []),
}  # fmt: skip


@pytest.mark.parametrize(("body", "events"), SHAPES.values(), ids=SHAPES)
def test_every_shape_gives_its_events(body: bytes, events: list[Event]) -> None:
    decoded = decode_msgpack(body, NOW)
    assert (decoded.events, decoded.rejected) == (events, [])
    assert read(body, "application/msgpack") == events
    assert read(body, "application/x-msgpack; charset=utf-8") == events


def test_a_record_is_kept_as_json_with_its_time() -> None:
    [record] = decode_msgpack(packed([[EVENT_TIME, {}], RECORD]), NOW).records
    assert msgspec.json.decode(record) == {"date": AT / 1000, **RECORD}
    assert parse_time(AT / 1000) == AT


DEEP = b"\x81\x01" * 5_000 + b"\x01"

DAMAGED: dict[str, tuple[bytes, int, list[tuple[int, str]]]] = {
    "not a map": (packed(RECORD, 7, "x", None, RECORD), 2, [(1, "not a Me"), (2, "not a Me"), (3, "not a Me")]),
    "empty maps": (packed({}, RECORD), 1, [(0, "not a MessagePack map, or an empty")]),
    "cut short": (packed(RECORD) + packed(RECORD)[:-3], 1, [(1, "MessagePack is damaged behind byte")]),
    "an unused byte": (packed(RECORD) + b"\xc1" + packed(RECORD), 1, [(1, "MessagePack is damaged")]),
    "a key that is a map": (b"\x81\x81\x01\x02\x03" + packed(RECORD), 1, [(0, "the record has keys")]),
    "a time that is none": (b"\x81\x01\xd7\xff" + b"\xff" * 8 + packed(RECORD), 1, [(0, "the record has keys")]),
    "an array that claims all memory": (
        packed(RECORD) + b"\x81\x01\xdd\xff\xff\xff\xff",
        1,
        [(1, "MessagePack is damaged")],
    ),
    "a map that claims all memory": (b"\xdf\xff\xff\xff\xff\x01", 0, [(0, "MessagePack is damaged")]),
    "a text that claims all memory": (b"\x81\x01\xdb\xff\xff\xff\xffabc", 0, [(0, "MessagePack is damaged")]),
    "an extension that claims all memory": (
        b"\x81\x01\xc9\xff\xff\xff\xff\x00abc",
        0,
        [(0, "the record has keys"), *((index, "not a MessagePack map") for index in range(1, 5))],
    ),
    "depth": (packed(RECORD) + DEEP + packed(RECORD, RECORD), 3, [(1, "the record is nested")]),
    "depth that has no end": (packed(RECORD) + b"\x81\x01" * 5_000, 1, [(1, "MessagePack is damaged")]),
    "depth in a pair": (b"\x92\x01" + DEEP + packed(RECORD), 1, [(0, "the record is nested")]),
    "depth in an array of maps": (b"\x93" + packed(RECORD) + DEEP + packed(RECORD), 2, [(1, "the record is nested")]),
    "depth within MessagePack's own limit": (
        b"\x81\x01" * 900 + b"\x01" + packed(RECORD),
        1,
        [(0, "the record is nested")],
    ),
    "over 4 MiB": (packed({"user": "a" * 4_300_000}, RECORD), 1, [(0, "the record is longer")]),
}  # fmt: skip


@pytest.mark.parametrize(("body", "good", "rejected"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_broken_is_set_aside(body: bytes, good: int, rejected: list[tuple[int, str]]) -> None:
    decoded = decode_msgpack(body, NOW)
    assert decoded.events == [FAILED] * good
    assert [one.index for one in decoded.rejected] == [index for index, _ in rejected]
    for one, (_, word) in zip(decoded.rejected, rejected, strict=True):
        assert one.reason.startswith(word)
        assert one.record or "an empty one" in one.reason


def test_too_many_objects_are_too_large() -> None:
    with pytest.raises(BodyTooLarge):
        decode_msgpack(b"\x80" * 1_000_001, NOW)


def test_json_under_a_wrong_type_is_json_and_protobuf_is_refused() -> None:
    assert read(b' {"status":401}', "application/msgpack") == [Event(status=401)]
    with pytest.raises(DecodeError, match="protobuf"):
        read(b"\x0a\x02ab", "application/x-protobuf")


PIECES = [
    packed(RECORD), packed([EVENT_TIME, RECORD]), b"\x92", b"\x91", b"\x81", b"\xdd", b"\xff\xff\xff\xff", b"\xc9",
    b"\xd7\xff",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40) | st.sampled_from(PIECES), max_size=8))
def test_any_bytes_get_an_answer(pieces: list[bytes]) -> None:
    decoded = decode_msgpack(b"".join(pieces), NOW)
    assert len(decoded.events) == len(decoded.records)
    for event in decoded.events:
        assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=5), json_values, min_size=1, max_size=4), max_size=5))
def test_what_is_written_is_read_back(records: list[dict[str, Any]]) -> None:
    decoded = decode_msgpack(packed(*records), NOW)
    assert [msgspec.json.decode(record) for record in decoded.records] == records


TEDIOUS = {
    "deep map": b"\x81\x01" * 1_100 + b"\x01", "deeper map": b"\x81\x01" * 99_999 + b"\x01",
    "array": b"\x91", "pair": b"\x92", "map": b"\x81\x01", "empty map": b"\x80", "nil": b"\xc0",
    "long array": b"\xdc\x00\x01", "text": b"\xa1a", "extension": b"\xd4\x00\x01", "map of one": b"\x81\xa1a\xc0",
}  # fmt: skip


@pytest.mark.parametrize("piece", TEDIOUS.values(), ids=TEDIOUS)
def test_no_input_takes_long(piece: bytes) -> None:
    size = 200_000
    ordinary = packed(*[RECORD] * (size // len(packed(RECORD))))
    body = piece * (size // len(piece))
    assert _cpu_s(body) < 10 * _cpu_s(ordinary) + 0.05


def _cpu_s(body: bytes) -> float:
    taken = []
    for _ in range(3):
        started = time.process_time()
        decode_msgpack(body, NOW)
        taken.append(time.process_time() - started)
    return min(taken)
