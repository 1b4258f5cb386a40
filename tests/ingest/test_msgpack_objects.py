"""Where a MessagePack object ends, told by type bytes alone: held against the library that builds it."""

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest.msgpack_objects import WINDOW_BYTES, Damaged, Objects, TooDeep, end_of

DEEP = b"\x91" * 2_000 + b"\xc0"

OBJECTS: dict[str, Any] = {
    "nil": None, "booleans": [True, False], "small": [0, 127, -1, -32],
    "unsigned": [200, 60_000, 2**31, 2**63], "signed": [-100, -30_000, -(2**31), -(2**63)], "float": 1.5,
    "texts": ["", "a" * 31, "a" * 255, "a" * 65_535, "a" * 65_536], "binary": [b"", b"a" * 256, b"a" * 65_536],
    "arrays": [[], [1] * 15, [1] * 16, [1] * 65_536],
    "maps": [{}, dict.fromkeys(range(16)), dict.fromkeys(range(65_536))],
    "extensions": [msgpack.ExtType(5, b"x" * size) for size in (0, 1, 2, 3, 4, 8, 16, 17, 256, 65_536)],
}  # fmt: skip


@pytest.mark.parametrize("found", OBJECTS.values(), ids=OBJECTS)
def test_every_format_of_the_specification(found: Any) -> None:
    packed = msgpack.packb(found)
    assert end_of(b"\x01" + packed + b"\x01", 1) == 1 + len(packed)
    with pytest.raises(Damaged):
        end_of(packed[:-1], 0)


def test_single_precision() -> None:
    assert end_of(msgpack.packb(1.5, use_single_float=True), 0) == 5


def test_the_byte_that_is_never_used() -> None:
    with pytest.raises(Damaged):
        end_of(b"\xc1", 0)


def end_by_library(body: bytes) -> int | None:
    """None where it is damaged."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(body))
    unpacker.feed(body)
    try:
        unpacker.skip()
    except (msgpack.exceptions.UnpackException, ValueError):
        return None
    return int(unpacker.tell())


@settings(max_examples=500, deadline=None)
@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_end_where_the_library_says(body: bytes) -> None:
    try:
        found = end_of(body, 0)
    except Damaged:
        found = None
    assert found == end_by_library(body)


@pytest.mark.parametrize(
    "size", [1, 100, WINDOW_BYTES - 3, WINDOW_BYTES, WINDOW_BYTES + 3, 20 * WINDOW_BYTES]
)
def test_behind_a_deep_one_objects_of_any_size_are_found(size: int) -> None:
    others = [msgpack.packb("x" * size), msgpack.packb({"a": "x" * size}), b"\x07"]
    body = b"".join(DEEP + other for other in others) + b"".join(others)
    objects, at, ends = Objects(body), 0, []
    while at < len(body):
        try:
            at = objects.pass_over(at)
            ends.append(at)
        except TooDeep as deep:
            at = deep.end
    sizes = [len(other) for other in others]
    behind = 3 * len(DEEP) + sum(sizes)
    assert ends[:3] == [len(DEEP) * (n + 1) + sum(sizes[: n + 1]) for n in range(3)]
    assert ends[3:] == [behind + sum(sizes[: n + 1]) for n in range(3)]


def test_what_ends_too_soon_behind_a_deep_one_is_damaged() -> None:
    objects = Objects(DEEP + msgpack.packb("x" * 3 * WINDOW_BYTES)[:-1])
    with pytest.raises(TooDeep) as deep:
        objects.pass_over(0)
    with pytest.raises(Damaged):
        objects.pass_over(deep.value.end)
