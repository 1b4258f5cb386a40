"""Disguises that a server would see through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.decoding import decode_target, normal_path, views


@pytest.mark.parametrize(
    ("logged", "meant"),
    [
        ("/a%2e%2e%2fb", "/a../b"),
        ("/%252e%252e/x", "/../x"),
        ("/%25252e", "/."),
        ("/%c0%ae%c0%af", "/./"),
        ("/%u002e%u002e/", "/../"),
        ("/q?a=1+or+2", "/q?a=1 or 2"),
        ("/a+b?c+d", "/a+b?c d"),
        ("/%ff%zz", "/\ufffd%zz"),
    ],
)
def test_a_target_is_read_as_the_server_reads_it(logged, meant):
    assert decode_target(logged) == meant


def test_folded_paths_lose_what_only_disguises():
    assert normal_path("/a//b/./c/.//d?x=//") == "/a/b/c/d"
    assert normal_path("/a/../b") == "/a/../b"
    assert normal_path("\\a\\b") == "/a/b"


def test_json_inside_json_is_seen():
    assert '{"password":"x"}' in list(views('{"message":"{\\"password\\":\\"x\\"}"}'))[-1]


@given(st.text(max_size=300))
def test_decoding_never_raises_and_ends(text):
    decode_target(text)
    assert len(list(views(text))) <= 4
