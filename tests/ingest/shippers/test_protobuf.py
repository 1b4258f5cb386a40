"""Protobuf bodies whose texts are an attacker's."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.body import BodyTooLarge
from app.ingest.shippers import protobuf
from app.ingest.shippers.protobuf import Field, reader
from detectors.errors import DecodeError

SCHEMA = {
    "Tree": (
        Field(1, "name", "bytes"),
        Field(2, "branches", "Tree", is_repeated=True),
        Field(3, "count", "int64"),
        Field(4, "at", "fixed64"),
        Field(5, "rest", "bytes"),
        Field(20, "leaves", "Leaf", is_repeated=True),
    ),
    "Leaf": (Field(1, "is_green", "bool"), Field(2, "weight", "double")),
}
read = reader("test_protobuf", SCHEMA, "Tree")


def part(tag: int, value: bytes) -> bytes:
    """A length-delimited field; tags and lengths below 128 only."""
    assert tag < 128 and len(value) < 128
    return bytes([tag, len(value)]) + value


def test_a_message_is_read_by_its_numbers() -> None:
    tree = read(
        part(0x0A, b"oak") + part(0x12, part(0x0A, b"twig")) + b"\x18\x91\x03"
        + b"\x21\x01\x02\x00\x00\x00\x00\x00\x00" + b"\xa2\x01\x02\x08\x01"
    )  # fmt: skip
    assert (tree.name, tree.count, tree.at) == (b"oak", 401, 513)
    assert [branch.name for branch in tree.branches] == [b"twig"]
    assert [leaf.is_green for leaf in tree.leaves] == [True]


def test_a_field_that_is_absent_is_empty() -> None:
    tree = read(b"")
    assert (tree.name, tree.count, tree.at, list(tree.branches)) == (b"", 0, 0, [])


def test_a_text_that_is_not_utf_8_sinks_nothing() -> None:
    tree = read(part(0x12, part(0x0A, b"\xff\xfe\x00")) + part(0x12, part(0x0A, b"good")))
    assert [branch.name for branch in tree.branches] == [b"\xff\xfe\x00", b"good"]


def test_unknown_fields_and_groups_are_skipped() -> None:
    unknown = part(0x3A, b"what") + b"\x40\x01" + b"\x4b\x08\x01\x4c" + b"\x55abcd" + b"\x59abcdefgh"
    assert read(unknown + part(0x0A, b"oak") + unknown).name == b"oak"


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\xff\xff\xff\xff\x0fabc",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00\x01",
        b"\x07\x01",
        b"\x4b\x08\x01",
        b"\x4b\x54",
        b"\x21\x01",
        b'{"streams":[]}',
        b"\x4b" * 1000,
    ],
    ids=[
        "no length", "cut short", "longer than it is", "endless length", "field 0", "unknown wire type",
        "open group", "another group's end", "half a number", "JSON", "deep groups",
    ],
)  # fmt: skip
def test_what_is_damaged_is_said_to_be(body: bytes) -> None:
    with pytest.raises(DecodeError, match="protobuf"):
        read(body)


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        length = protobuf._varint(len(body))
        body = b"\x12" + length + body
    return body


def test_messages_that_are_nested_too_deep_are_refused() -> None:
    read(nested(90))
    with pytest.raises(DecodeError):
        read(nested(150))
    with pytest.raises(DecodeError):
        read(nested(20_000))


def test_what_is_declared_bytes_may_be_of_any_depth() -> None:
    deep = nested(20_000)
    assert read(b"\x2a" + protobuf._varint(len(deep)) + deep).rest == deep


@pytest.mark.parametrize("message", [b"\x12\x00", b"\xa2\x01\x00"], ids=["branches", "leaves"])
def test_a_bomb_of_empty_messages_is_refused(monkeypatch: pytest.MonkeyPatch, message: bytes) -> None:
    monkeypatch.setattr(protobuf, "MESSAGES_LIMIT", 1000)
    assert len(read(message * 300).branches) + len(read(message * 300).leaves) == 300
    with pytest.raises(BodyTooLarge):
        read(message * 1001)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_nothing_else(body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        read(body)
