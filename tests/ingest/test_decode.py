"""Dirty records: each gets a clear answer and harms nothing else in the batch."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest.body import BodyTooLarge
from app.ingest.decode import LONG_TEXT, decode_events
from detectors.event import Event

NOW = 1_795_435_200_000
GOOD = b'{"client_ip":"203.0.113.9","status":401}'
GOOD_EVENT = Event(client_ip="203.0.113.9", status=401)
MEGABYTE = 1024 * 1024


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


ACCEPTED: dict[str, tuple[bytes, Event]] = {
    "bad UTF-8 under our names": (
        b'{"status":401,"user":"a\xff\xfeb"}',
        Event(status=401, user="a\ufffd\ufffdb"),
    ),
    "bad UTF-8 elsewhere": (b'{"status":401,"x":"a\xffb"}', Event(status=401)),
    "encoded surrogate": (b'{"user":"\xed\xa0\x80"}', Event(user="\ufffd\ufffd\ufffd")),
    "raw NUL": (b'{"status":401,"user":"a\0b"}', Event(status=401, user="a\0b")),
    "escaped NUL": (b'{"user":"a\\u0000b"}', Event(user="a\0b")),
    "raw control": (b'{"user":"a\x01\tb"}', Event(user="a\x01 b")),
    "lone high surrogate": (b'{"user":"\\ud800x"}', Event(user="\ufffdx")),
    "lone low surrogate": (b'{"user":"\\uDFFFx"}', Event(user="\ufffdx")),
    "surrogate pair": (b'{"user":"\\ud83d\\ude00"}', Event(user="\U0001f600")),
    "pair after a lone one": (b'{"user":"\\ud800\\ud83d\\ude00"}', Event(user="\ufffd\U0001f600")),
    "no surrogate at all": (b'{"user":"\\\\ud800\\xff"}', Event(user="\\ud800\xff")),
    "nginx escapes": (b'{"path":"/\\x22a\\x5C"}', Event(path='/"a\\')),
    "duplicate keys": (b'{"status":200,"status":401}', Event(status=401)),
    "duplicate keys of others": (b'{"code":200,"code":401}', Event(status=401)),
    "integer past 2^64 elsewhere": (b'{"status":401,"n":%d}' % 2**80, Event(status=401)),
    "integer past 2^64 as status": (b'{"status":%d}' % 2**80, Event()),
    "integer past 2^64 as bytes": (b'{"bytes":%d,"status":401}' % 2**64, Event(status=401)),
    "a megabyte field": (b'{"user":"%s"}' % (b"a" * 1_000_000), Event(user="a" * 1_000_000)),
    "over a mebibyte": (
        b'{"status":401,"user":"%s"}' % (b"a" * MEGABYTE),
        Event(status=401, user="a" * LONG_TEXT),
    ),
    "over a mebibyte of others": (b'{"code":401,"x":"%s"}' % (b"a" * MEGABYTE), Event(status=401)),
    "deep but bearable": (deep(100), Event()),
}


@pytest.mark.parametrize(("record", "event"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_dirty_record_is_taken(record: bytes, event: Event) -> None:
    for body in (
        b"\n".join((GOOD, record, GOOD)),
        b"[" + b",".join((GOOD, record, GOOD)) + b"]",
        GOOD + record + GOOD,
    ):
        decoded = decode_events(body, NOW)
        assert decoded.rejected == []
        assert decoded.events == [GOOD_EVENT, event, GOOD_EVENT]
        assert decoded.records == [GOOD, record, GOOD]
    assert decode_events(record, NOW).events == [event]


REJECTED: dict[str, tuple[bytes, str]] = {
    "depth 10,000": (deep(10_000), "nested too deep"),
    "depth 10,000 in brackets": (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "nested too deep"),
    "NaN": (b'{"status":401,"x":NaN}', "NaN and Infinity"),
    "Infinity": (b'{"status":401,"x":[-Infinity]}', "NaN and Infinity"),
    "float out of range": (b'{"status":401,"x":1e999}', "out of range"),
    "integer of 5,000 digits": (b'{"x":' + b"9" * 5000 + b"}", "out of range"),
    "trailing comma": (b'{"status":401,}', "trailing comma"),
    "no value": (b'{"status":}', "broken JSON"),
    "single quotes": (b"{'status':401}", "broken JSON"),
    "over 4 MiB": (b'{"user":"%s"}' % (b"a" * 4 * MEGABYTE), "longer than"),
}


@pytest.mark.parametrize(("record", "word"), REJECTED.values(), ids=REJECTED)
def test_a_broken_record_is_set_aside_by_itself(record: bytes, word: str) -> None:
    for body in (b"\n".join((GOOD, record, GOOD)), b"[" + b",".join((GOOD, record, GOOD)) + b"]"):
        decoded = decode_events(body, NOW)
        assert decoded.events == [GOOD_EVENT, GOOD_EVENT]
        assert decoded.records == [GOOD, GOOD]
        [kept] = decoded.rejected
        assert (kept.index, kept.record) == (1, record)
        assert word in kept.reason
    [kept] = decode_events(record, NOW).rejected
    assert (kept.index, word in kept.reason) == (0, True)


@pytest.mark.parametrize("element", [b"7", b'"x"', b"null", b"[1]", b"true", b"NaN"])
def test_an_array_with_one_element_that_is_no_object(element: bytes) -> None:
    decoded = decode_events(b"[" + GOOD + b"," + element + b"," + GOOD + b"]", NOW)
    assert decoded.events == [GOOD_EVENT, GOOD_EVENT]
    assert [one.index for one in decoded.rejected] == [1]


def test_an_array_with_a_trailing_comma_is_whole() -> None:
    assert decode_events(b"[" + GOOD + b",]", NOW).events == [GOOD_EVENT]


def test_lines_of_text_are_kept_and_known_ones_read() -> None:
    line = b'203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "GET / HTTP/1.1" 401 1'
    decoded = decode_events(b"\n".join((b"hello \xff", line, GOOD, b'{"broken', b"[x] y")), NOW)
    assert decoded.events[0] == Event(message="hello \ufffd")
    assert (decoded.events[1].status, decoded.events[2]) == (401, GOOD_EVENT)
    assert decoded.events[3] == Event(message="[x] y")
    assert [one.index for one in decoded.rejected] == [3]


def test_glued_objects_within_lines_are_all_read() -> None:
    decoded = decode_events(b"\n".join((GOOD, GOOD + GOOD, GOOD + b" , " + GOOD)), NOW)
    assert decoded.events == [GOOD_EVENT] * 5
    assert decoded.records == [GOOD] * 5


def test_errors_show_nothing_of_the_record() -> None:
    for record in (
        b'{"password":"hunter2"',
        b'{"hunter2":NaN}',
        b'{"a":"hunter2" "b"}',
        b"[hunter2",
        b"{hunter2:1}",
    ):
        for one in decode_events(b"[" + record + b"]", NOW).rejected:
            assert "hunter2" not in one.reason


def test_records_of_both_kinds_may_be_mixed() -> None:
    other = b'{"ip":"203.0.113.9","code":"401"}'
    for order in ((GOOD, other), (other, GOOD)):
        assert decode_events(b"\n".join(order * 30), NOW).events == [GOOD_EVENT] * 60


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from(
                [
                    GOOD,
                    b"\n",
                    b"{",
                    b"}",
                    b"[",
                    b"]",
                    b",",
                    b'"',
                    b'{"a":{"b":[1]}}',
                    b"\\",
                    b"\xef\xbb\xbf",
                    b"\0",
                    b'{"logs":[',
                    b"NaN",
                ]
            ),
        ),
        max_size=12,
    )
)
def test_any_bytes_get_an_answer(pieces: list[bytes]) -> None:
    decoded = decode_events(b"".join(pieces), NOW)
    assert len(decoded.events) == len(decoded.records)
    for event in decoded.events:
        assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=4), st.text(max_size=6), max_size=3), max_size=5),
    st.integers(0, 3),
)
def test_framings_agree_on_any_objects(objects: list[dict[str, str]], framing: int) -> None:
    records = [msgspec.json.encode(item) for item in objects]
    body = (b"\n".join(records), b"[" + b",".join(records) + b"]", b"".join(records), b",\r\n".join(records))[
        framing
    ]
    assert decode_events(body, NOW).records == records


def test_too_many_records_are_too_large() -> None:
    with pytest.raises(BodyTooLarge):
        decode_events(b"{}\n" * 1_000_001, NOW)


def test_gelf_messages_may_be_separated_by_nul() -> None:
    message = b'{"version":"1.1","host":"h","short_message":"login failed","_client_ip":"203.0.113.9"}'
    for body in (b"\0".join((message, message)), (message + b"\0") * 2):
        event = Event(client_ip="203.0.113.9", host="h", message="login failed")
        assert decode_events(body, NOW).events == [event, event]
