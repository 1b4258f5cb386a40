"""What stands in the place of a record and is none: it is set aside with its text, and said to be what it is."""

import json

import pytest

from app.ingest.decode import ELEMENT, HEC_EVENT, RECORD, Rejected
from app.ingest.shippers import elasticsearch, firehose, loki, splunk
from app.ingest.shippers.shipper import Head, Shipper
from app.ingest.shippers.splunk_events import BLANK
from tests.ingest.remembering import NOW

JSON = {"content-type": "application/json"}
NO_ENTRY = "not an entry of a timestamp and a line"
GOOD = '{"client_ip":"203.0.113.9","status":401}'

BROKEN: dict[str, tuple[Shipper, bytes, list[tuple[bytes, str]]]] = {
    "HEC, broken JSON": (
        splunk.EVENTS,
        b'{"event":%b}\n{"event":"Failed pass\n{"host":"a","event":' % GOOD.encode(),
        [(b'{"event":"Failed pass', HEC_EVENT), (b'{"host":"a","event":', HEC_EVENT)],
    ),
    "HEC, glued": (
        splunk.EVENTS,
        b'{"event":"x"}{"event":"y","time":}',
        [(b'{"event":"y","time":}', HEC_EVENT)],
    ),
    "HEC, blank": (splunk.EVENTS, b'{"event":"","host":"a"}', [(b'{"event":"","host":"a"}', HEC_EVENT)]),
    "HEC, no objects": (splunk.EVENTS, b'[7,"x",{"event":"x"}]', [(b"7", HEC_EVENT), (b'"x"', HEC_EVENT)]),
    "Loki, no entries": (
        loki.LOKI,
        json.dumps({"streams": [{"stream": {}, "values": [["1"], 7, ["1", GOOD], "a line", {"ts": "1"}]}]}).encode(),
        [(b'["1"]', ELEMENT), (b"7", ELEMENT), (b'"a line"', ELEMENT), (b'{"ts":"1"}', ELEMENT)],
    ),
    "Loki, no stream": (
        loki.LOKI,
        b'{"streams":["x",{"stream":{},"values":"y"}]}',
        [(b'"x"', ELEMENT), (b'"y"', ELEMENT)],
    ),
    "Loki, a large number": (
        loki.LOKI,
        b'{"streams":[{"values":[[%b]]}]}' % (b"9" * 50),
        [(b"[%b]" % (b"9" * 50), ELEMENT)],
    ),
    "_bulk, no action": (
        elasticsearch.BULK,
        b'{"index":{}}\n%b\n{"message":"x"}\nplain\n{"index":{}}' % GOOD.encode(),
        [(b'{"message":"x"}', ELEMENT), (b"plain", ELEMENT), (b'{"index":{}}', ELEMENT)],
    ),
    "_bulk, a broken document": (elasticsearch.BULK, b'{"index":{}}\n{"a":\n', [(b'{"a":', RECORD)]),
    "Firehose, no base64": (firehose.FIREHOSE, b'{"requestId":"1","records":[{"data":"no!"}]}', [(b"no!", ELEMENT)]),
    "Firehose, damaged gzip": (
        firehose.FIREHOSE,
        b'{"requestId":"1","records":[{"data":"H4sIAAAA"}]}',
        [(b"H4sIAAAA", ELEMENT)],
    ),
}  # fmt: skip


def rejected_of(shipper: Shipper, body: bytes) -> list[Rejected]:
    return shipper.read(body, Head("/", {}, JSON, NOW)).rejected


@pytest.mark.parametrize(("shipper", "body", "kept"), BROKEN.values(), ids=BROKEN)
def test_it_is_kept_with_its_text(shipper: Shipper, body: bytes, kept: list[tuple[bytes, str]]) -> None:
    rejected = rejected_of(shipper, body)
    assert [(one.record, one.form) for one in rejected] == kept
    assert all(one.reason and "203.0.113.9" not in one.reason for one in rejected)


def test_reasons_stay_what_they_were() -> None:
    assert rejected_of(splunk.EVENTS, b'{"event":""}')[0].reason == BLANK
    assert rejected_of(loki.LOKI, b'{"streams":[7]}')[0].reason == NO_ENTRY
