"""How a record was read: the format that is named is the one that took it."""

import json

import pytest
from format_samples import Sample, each, samples

from app.ingest.decode import decode_as
from app.ingest.readings import NO_FORMAT, readings_of

NOW = 1_795_435_200_000
"""2026-11-23T12:00:00Z"""
ACCESS = '203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "GET /x HTTP/1.1" 401 12'
LIMITED = (
    '2026/11/23 10:00:03 [error] 7#7: *1 limiting requests, excess: 5.1 by zone "one", client: 203.0.113.9, '
    'server: x, request: "GET / HTTP/1.1"'
)
"""ngx_http_limit_req_module.c"""
FAILED = "Nov 23 10:00:03 web sshd[12]: Failed password for root from 203.0.113.9 port 4022 ssh2"
"""OpenSSH auth.c, auth_log()"""
CRON = "Nov 23 10:00:03 web CRON[12]: (root) CMD (true)"


@each(samples())
def test_the_format_of_a_sample_is_named(sample: Sample) -> None:
    [auto] = readings_of(sample.line.encode(), "auto", NOW)
    if auto.event is not None and auto.event.outcome is not None:
        assert auto.format_name == sample.format
    [named] = readings_of(sample.line.encode(), sample.format, NOW)
    if sample.kind == "none":
        assert (named.event, named.why) == (None, f"not a line of the format {sample.format}")
    else:
        assert named.format_name == sample.format


@pytest.mark.parametrize(
    ("line", "format_name", "how"),
    [
        (ACCESS, "combined", "a line of the format combined"),
        (LIMITED, "nginx_error", "a line of the format nginx_error"),
        (FAILED, "sshd", "a line of the format sshd"),
        (CRON, "syslog", "a line of the format syslog, kept as a plain message"),
        ("hello", None, NO_FORMAT),
    ],
    ids=["combined", "nginx_error", "sshd", "syslog", "none"],
)
def test_auto_names_the_format_that_it_found(line: str, format_name: str | None, how: str) -> None:
    [found] = readings_of(line.encode(), "auto", NOW)
    assert (found.format_name, found.how) == (format_name, how)


@pytest.mark.parametrize(
    ("record", "format_name"),
    [
        ({"log": ACCESS}, "combined"),
        ({"message": FAILED}, "sshd"),
        ({"SYSLOG_IDENTIFIER": "sshd", "MESSAGE": FAILED.partition(": ")[2]}, "sshd"),
        ({"log": "hello"}, None),
    ],
    ids=["an access log", "syslog", "the journal", "a plain message"],
)
def test_the_format_of_a_text_inside_of_a_record_is_named(
    record: dict[str, str], format_name: str | None
) -> None:
    [found] = readings_of(json.dumps(record).encode(), "events", NOW)
    assert found.format_name == format_name


def test_records_keep_the_order_of_the_body() -> None:
    body = b'[{"status":401},7,{"status":429},"x",{"a":1}]'
    found = readings_of(body, "auto", NOW)
    assert [reading.event is None for reading in found] == [False, True, False, True, False]
    assert [reading.event for reading in found if reading.event is not None] == decode_as(
        body, "auto", NOW
    ).events


def test_glued_objects_and_blank_bodies_are_read_as_ingest_reads_them() -> None:
    assert len(readings_of(b'{"status":401}{"status":429}\nhello', "auto", NOW)) == 3
    assert readings_of(b" \n", "auto", NOW) == []


def test_a_record_too_long_to_take_apart_is_said_to_be() -> None:
    [found] = readings_of(json.dumps({"status": 401, "x": "y" * 70_000}).encode(), "auto", NOW)
    assert found.how == "a JSON object, too long to tell its names apart"
