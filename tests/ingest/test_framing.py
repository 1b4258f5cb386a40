"""Where records begin and end, in every framing that senders use."""

import time

import pytest

from app.ingest import framing
from app.ingest.body import BodyTooLarge
from app.ingest.framing import array_elements, frame, split_values

A, B, C = b'{"status":401}', b'{"a":{"b":[1,{"c":"}{"}]}}', b'{"path":"/x\\"{[,"}'


@pytest.mark.parametrize(
    "body",
    [
        b"\n".join((A, B, C)),
        b"\n".join((A, B, C)) + b"\n",
        b"\r\n".join((A, B, C)) + b"\r\n",
        b"\n\n".join((A, B, C)),
        b"\n \n".join((A, B, C)),
        b",\n".join((A, B, C)),
        b"\n,".join((A, B, C)),
        A + B + C,
        b" ".join((A, B, C)),
        b",".join((A, B, C)),
        b"[" + b",".join((A, B, C)) + b"]",
        b"[" + b"\n,".join((A, B, C)) + b"]\n",
        b" [ " + b" , ".join((A, B, C)) + b" , ] ",
        b"[" + A + b"]\n[" + B + b"," + C + b"]",
        b"[" + A + b"," + B + b"," + C,
        b"\xef\xbb\xbf" + b"\n".join((A, B, C)),
        b"\0\0\0" + b"\n".join((A, B, C)),
        b"\n".join((A, B, C)).decode().encode("utf-16"),
    ],
)
def test_every_framing_gives_the_same_records(body: bytes) -> None:
    assert frame(body).records == [A, B, C]


@pytest.mark.parametrize("key", framing.ENVELOPE_KEYS)
def test_an_envelope_gives_what_is_inside(key: str) -> None:
    assert frame(b'{"%s": [%s, %s]}' % (key.encode(), A, B)).records == [A, B]


@pytest.mark.parametrize("key", ["logs", "records", "events"])
def test_an_envelope_of_log_records_may_say_where_they_come_from(key: str) -> None:
    body = b'{"stream": "x", "host": "web-1", "%s": [%s, %s]}' % (key.encode(), A, B)
    assert frame(body).records == [A, B]


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": 401, "items": [{"sku": 1}]}',
        b'{"items": [1, 2]}',
        b'{"logs": [{}], "events": [{}]}',
        b'{"data": {"logs": []}}',
        b'{"message": "m", "data": [{}]}',
        b'{"action": "checkout", "items": [{"client_ip": "198.51.100.7", "status": 401}]}',
        b'{"level": "info", "data": [{"client_ip": "198.51.100.7", "status": 401}]}',
        b'{"user": "bob", "events": [{"client_ip": "198.51.100.7", "status": 401}]}',
        b'{"duration_ms": 3, "records": [{"client_ip": "198.51.100.7", "status": 401}]}',
    ],
)
def test_an_event_with_a_list_in_it_is_no_envelope(body: bytes) -> None:
    assert frame(body).records == [body]


def test_kafka_rest_values_are_the_records() -> None:
    assert frame(b'{"records":[{"value":%s},{"key":"k","value":%s}]}' % (A, B)).records == [A, B]


def test_a_pretty_printed_object_is_one_record() -> None:
    body = b'{\n  "status": 401,\n  "user": {\n    "name": "x"\n  }\n}'
    assert frame(body).records == [body]
    assert frame(body + b"\n" + body).records == [body, body]
    assert frame(b'{"a":1}\n' + body).records == [b'{"a":1}', body]


@pytest.mark.parametrize("body", [b"", b" \n\r\n\t", b"[]", b"[ ]", b"\xef\xbb\xbf", b"\0\0"])
def test_a_blank_body_has_no_records(body: bytes) -> None:
    assert frame(body).records == []


def test_one_broken_line_does_not_join_its_neighbours() -> None:
    for broken in (b'{"a":"b', b'{"a":1', b"}", b'{"a":{"b":1}', b"plain text", b'"', b"{"):
        framed = frame(b"\n".join((A, broken, C)))
        assert framed.records == [A, broken, C]
        assert framed.are_lines
        assert frame(b"\n".join((broken, A, C))).records == [broken, A, C]


def test_lines_of_text_are_lines() -> None:
    framed = frame(b"[Mon Nov 23 10:00:00 2026] [error] x\n\r\nsecond \r\n third")
    assert framed.are_lines
    assert framed.records == [b"[Mon Nov 23 10:00:00 2026] [error] x", b"second ", b" third"]


def test_an_array_keeps_what_stands_around_a_broken_element() -> None:
    assert frame(b'[{"a":NaN},{"b":1}]').records == [b'{"a":NaN}', b'{"b":1}']
    assert frame(b'[{"a":1},{"b":').records == [b'{"a":1}', b'{"b":']
    assert frame(b'[{"a":1}\n,{"b":"\n,{"c":3}]').records == [b'{"a":1}', b'{"b":"', b'{"c":3}']
    assert frame(b'[{"a":1}, 7, "x", null, [1]]').records == [b'{"a":1}', b"7", b'"x"', b"null", b"[1]"]


def test_a_deep_element_does_not_sink_an_array() -> None:
    deep = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    assert frame(b"[" + A + b"," + deep + b"," + C + b"]").records == [A, deep, C]
    assert frame(A + deep + C).records == [A, deep, C]
    assert frame(b"\n".join((A, deep, C))).records == [A, deep, C]
    assert frame(deep).records == [deep]


def test_glued_objects_before_a_broken_one_are_kept() -> None:
    assert frame(A + B + b'{"c":').records == [A, B, b'{"c":']
    assert split_values(A + b' {"c') == [A, b'{"c']
    assert frame(A + b" text").records == [A + b" text"]


def test_brackets_are_counted_at_any_depth() -> None:
    for depth in range(1, 12):
        for value in (
            b'{"a":' * depth + b"1" + b"}" * depth,
            b'{"a":[' * depth + b'"]}"' + b"]}" * depth,
            b'{"a":' + b"[" * depth + b'"}",{"b":[[[[[[]]]]]],"c":"["},[[]]' + b"]" * depth + b"}",
        ):
            assert split_values(value + b" " + value) == [value, value]
            assert array_elements(b"[" + value + b"," + value + b",") == [value, value]


def test_split_values_takes_only_several_whole_objects() -> None:
    assert split_values(A + B) == [A, B]
    assert split_values(A) is None
    assert split_values(A + b"x") is None
    assert split_values(b'{"a"') is None


def test_too_many_records_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "RECORDS_LIMIT", 10)
    for body in (
        b"{}\n" * 12,
        b"[" + b"{}," * 12 + b"{}]",
        b"{}" * 12,
        b"x\n" * 12,
        b'{"logs":[' + b"{}," * 12 + b"{}]}",
    ):
        with pytest.raises(BodyTooLarge):
            frame(body)
    assert len(frame(b"{}\n" * 10).records) == 10


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 2_000_000,
        b'{"a":' * 400_000,
        b'{"' * 1_000_000,
        b'{"a":"' + b"\\" * 2_000_001,
        b'["' + b'\\"' * 1_000_000,
        b"[{" + b'"a" ' * 500_000,
        (b"{" + b'"' * 99 + b"\n") * 20_000,
        b"{}," * 300_000 + b"{",
        b"{} x " * 300_000,
    ],
)
def test_hostile_bodies_cost_no_more_than_their_length(body: bytes) -> None:
    started = time.process_time()
    frame(body)
    assert time.process_time() - started < 8
