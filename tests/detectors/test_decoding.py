"""Disguises that a server would see through."""

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.decoding import (
    LONGEST_BY_ROUNDS,
    LONGEST_END,
    decode_target,
    normal_path,
    percent_decode,
    values_of,
    views,
)


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
        ("/%e0%80%ae%c1%9c", "/.\\"),
        ("/q?a=%uff07%EF%BC%9C", "/q?a='<"),
        ('/q?a=\\u0027\\x3c\\u{22}\\"', '/q?a=\'<""'),
        ("/q?a=%26lt;%26%23x27;%26%2339;&order=1&lt=2", "/q?a=<''&order=1&lt=2"),
        ("/q?a=1%2B1%252b1", "/q?a=1+1+1"),
        ("/a%3Fb+c?d", "/a?b+c?d"),
    ],
)
def test_a_target_is_read_as_the_server_reads_it(logged, meant):
    assert decode_target(logged) == meant


def test_of_a_very_long_target_both_ends_are_read():
    decoded = decode_target("/?a=%27" + "x" * 60_000 + "%3c")
    assert decoded.startswith("/?a='x")
    assert decoded.endswith("x<")
    assert len(decoded) <= 2 * LONGEST_END + 1


def test_values_are_cut_before_they_are_decoded():
    assert values_of("/a/o%27neil?q=a%26b%3d1+or+2&x=plain&(y)&n%5B%27%5D=abcde") == [
        "a&b=1 or 2",
        "n[']",
        "o'neil",
    ]


def test_folded_paths_lose_what_only_disguises():
    assert normal_path("/a//b/./c/.//d?x=//") == "/a/b/c/d"
    assert normal_path("/a/../b") == "/a/../b"
    assert normal_path("\\a\\b") == "/a/b"


def test_json_inside_json_is_seen():
    assert b'{"password":"x"}' in list(views(rb'{"message":"{\"password\":\"x\"}"}'))[-1]


@given(st.text(max_size=300))
def test_decoding_never_raises_and_ends(text):
    decode_target(text)
    assert len(list(views(text.encode("utf-8", "replace")))) <= 4


@given(
    st.lists(
        st.sampled_from([b"%", b"%2", b"41", b"=", b"3D", b"%zz", b" ", b"\n", b"\xc3\xa9", b"\x00", b"a"])
    )
)
def test_percent_decoding_is_that_of_the_standard_library(pieces):
    text = b"".join(pieces)
    assert percent_decode(text) == unquote_to_bytes(text)


def test_a_long_record_is_undone_at_once():
    nested = b'{"next":"%25252fx%25253Ftoken","log":"{\\\\\\"a\\\\\\":1}"}' + b" " * LONGEST_BY_ROUNDS
    assert len(list(views(nested))) == 2
    assert list(views(nested))[1].startswith(b'{"next":"/x?token","log":"{"a":1}"}')
