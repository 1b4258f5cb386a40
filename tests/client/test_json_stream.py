"""An answer read while it arrives says the same as one read at once, wherever it is cut."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan_client.json_stream import JsonObjectReader

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=10,
)
DOCUMENT = st.dictionaries(st.sampled_from(["blocks", "cursor", "added", "fallback", "x"]), VALUE)


def read(pieces: list[bytes]) -> dict[str, Any]:
    """What json.loads would have brought, through a reader with sinks for two keys."""
    taken: dict[str, list[Any]] = {"blocks": [], "added": []}
    reader = JsonObjectReader({key: entries.append for key, entries in taken.items()}, dict)
    for piece in pieces:
        reader.feed(piece)
    reader.close()
    return reader.fields | {key: entries for key, entries in taken.items() if key in reader.arrays}


@given(document=DOCUMENT, indent=st.sampled_from([None, 1]), is_ascii=st.booleans(), size=st.integers(1, 40))
def test_it_does_not_matter_where_an_answer_is_cut(
    document: Any, indent: int | None, is_ascii: bool, size: int
) -> None:
    body = json.dumps(document, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    if not is_ascii and b"\xed" in body:
        return  # a lone surrogate is no UTF-8
    assert read([body[at : at + size] for at in range(0, len(body), size)]) == document


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"[]", b"7", b"null", b"<html>", b"{", b'{"blocks"', b'{"blocks":[', b'{"blocks":[1',
        b'{"blocks":[1,]}', b'{"blocks":[1 2]}', b'{"a":1,}', b'{"a" 1}', b"{1:2}", b'{"a":tru}',
        b'{"a":1}x', b'{"a":1}{}', b'{"a":"\n"}',
        b'{"a":"\xff"}', b'{"a":1}\xc3', b'{"a":' + b"[" * 100_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 4_000])
def test_what_is_no_whole_object_is_an_error(body: bytes, size: int) -> None:
    with pytest.raises((ValueError, RecursionError)):
        read([body[at : at + size] for at in range(0, min(len(body), 8_000), size)])
