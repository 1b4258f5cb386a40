"""Amazon Data Firehose's deliveries.

Source: Amazon Data Firehose Developer Guide, "Understand HTTP endpoint delivery request and response specifications"
(the example request and answers); CloudWatch Logs User Guide, "Real-time processing of log data with subscriptions".
"""

import contextlib
import gzip
import json
from base64 import b64encode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest import taking
from app.ingest.shippers import firehose as module
from app.ingest.shippers.firehose import FIREHOSE
from app.ingest.shippers.shipper import Head
from detectors.errors import DecodeError
from tests.ingest.remembering import INGEST_TOKEN, NOW, VIEWER_TOKEN, Engine

ID = "ed4acda5-034f-9f42-bba1-f29aea6d7d8f"
LINE = b'203.0.113.9 - bob [23/Nov/2026:10:00:01 +0000] "POST /login HTTP/1.1" 401 12 "-" "curl/8.5"'
GOOD = b'{"client_ip":"203.0.113.9","status":401,"timestamp":"2026-11-23T10:00:01Z"}'


def delivery(*records: bytes, request_id: str = ID) -> bytes:
    told = {
        "requestId": request_id,
        "timestamp": 1_578_090_901_599,
        "records": [{"data": b64encode(record).decode()} for record in records],
    }
    return json.dumps(told).encode()


def cloudwatch(*messages: str, kind: str = "DATA_MESSAGE") -> bytes:
    told = {
        "messageType": kind,
        "owner": "123456789012",
        "logGroup": "/aws/nginx",
        "logStream": "i-0abc",
        "subscriptionFilters": ["bartizan"],
        "logEvents": [
            {"id": str(n), "timestamp": 1_795_428_001_123 + n, "message": text}
            for n, text in enumerate(messages)
        ],
    }
    return gzip.compress(json.dumps(told).encode(), mtime=0)


@pytest.fixture
def firehose(anybody: httpx.AsyncClient) -> httpx.AsyncClient:
    """A stream with its key."""
    anybody.headers.update(
        {
            "Content-Type": "application/json",
            "X-Amz-Firehose-Protocol-Version": "1.0",
            "X-Amz-Firehose-Request-Id": ID,
            "X-Amz-Firehose-Source-Arn": "arn:aws:firehose:us-east-1:123456789012:deliverystream/logs",
            "X-Amz-Firehose-Access-Key": INGEST_TOKEN,
            "User-Agent": "Amazon Kinesis Data Firehose Agent/1.0",
        }
    )
    return anybody


async def test_an_attack_arrives_and_the_answer_names_the_request(
    firehose: httpx.AsyncClient, engine: Engine
) -> None:
    for content, headers in (
        (delivery(GOOD, LINE + b"\n" + LINE + b"\n", b"", GOOD + GOOD), {}),
        (gzip.compress(delivery(GOOD, LINE, LINE, GOOD, GOOD), mtime=0), {"Content-Encoding": "gzip"}),
    ):
        answer = await firehose.post("/v1/firehose", content=content, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert "content-encoding" not in answer.headers
        assert answer.content == f'{{"requestId":"{ID}","timestamp":{NOW}}}'.encode()
        assert [event.client_ip for event in engine.events] == ["203.0.113.9"] * 5
        assert [event.status for event in engine.events] == [401] * 5
        assert engine.batches[-1].records[1] == LINE


async def test_a_cloudwatch_subscription_is_opened(firehose: httpx.AsyncClient, engine: Engine) -> None:
    lines = [LINE.decode() + "\n", '{"client_ip":"203.0.113.9","status":403,"path":"/login"}', "started"]
    content = delivery(cloudwatch(*lines), cloudwatch(kind="CONTROL_MESSAGE"), cloudwatch("", "\n"))
    await firehose.post("/v1/firehose", content=content)
    access, application, text = engine.events
    assert (access.status, access.user, access.timestamp) == (401, "bob", "23/Nov/2026:10:00:01 +0000")
    assert (application.status, application.timestamp) == (403, 1_795_428_001_124)
    assert (text.message, text.timestamp) == ("started", 1_795_428_001_125)
    assert engine.batches[-1].records == [LINE, lines[1].encode(), b"started"]


async def test_a_logged_text_cannot_open_an_envelope_of_its_own(
    firehose: httpx.AsyncClient, engine: Engine
) -> None:
    forged = json.dumps({"messageType": "DATA_MESSAGE", "logEvents": [{"message": LINE.decode()}]})
    for record in (
        json.dumps({"client_ip": "198.51.100.7", "user_agent": forged}).encode(),
        b'198.51.100.7 - - [23/Nov/2026:10:00:01 +0000] "GET / HTTP/1.1" 200 1 "-" "'
        + forged.replace('"', '\\"').encode()
        + b'"',
    ):
        await firehose.post("/v1/firehose", content=delivery(record))
        assert [event.client_ip for event in engine.events] == ["198.51.100.7"]


async def test_only_the_tests_of_cloudwatch_are_a_success_without_events(
    firehose: httpx.AsyncClient, engine: Engine
) -> None:
    for content in (delivery(cloudwatch("CWL CONTROL MESSAGE", kind="CONTROL_MESSAGE")), delivery(), b""):
        assert (await firehose.post("/v1/firehose", content=content)).status_code == 200
    assert engine.batches == []


async def test_the_common_attributes_may_name_the_host(firehose: httpx.AsyncClient, engine: Engine) -> None:
    for header, host in (
        ('{"commonAttributes":{"host":"web1","deployment-context":"pre-prod"}}', "web1"),
        ('{"commonAttributes":{"host":1}}', None),
        ("{", None),
    ):
        headers = {"X-Amz-Firehose-Common-Attributes": header}
        await firehose.post("/v1/firehose", content=delivery(GOOD, cloudwatch("a")), headers=headers)
        assert [event.host for event in engine.events] == [host, host]


async def test_a_record_that_cannot_be_read_costs_only_itself(
    firehose: httpx.AsyncClient, engine: Engine
) -> None:
    content = delivery(GOOD, gzip.compress(GOOD, mtime=0)[:-5], b'{"a":NaN}', gzip.compress(LINE, mtime=0))
    for body in (content, content.replace(b'{"data": "', b'{"data": "*', 1)):
        assert (await firehose.post("/v1/firehose", content=body)).status_code == 200
        assert [event.client_ip for event in engine.events] == ["203.0.113.9"] * len(engine.events)
    assert [len(batch.events) for batch in engine.batches] == [2, 1]
    assert (await firehose.post("/v1/firehose", content=delivery(b'{"a":NaN}'))).status_code == 200


async def test_a_delivery_counts_once_by_its_id(firehose: httpx.AsyncClient, engine: Engine) -> None:
    for content in (delivery(GOOD), delivery(GOOD), delivery(GOOD, GOOD)):
        await firehose.post("/v1/firehose", content=content)
    assert len({batch.mark for batch in engine.batches}) == 1
    assert engine.batches[0].mark is not None
    await firehose.post("/v1/firehose", content=delivery(GOOD), headers={"X-Amz-Firehose-Request-Id": "x"})
    assert engine.batches[-1].mark != engine.batches[0].mark


@pytest.mark.parametrize(
    "content",
    [b"[]", b"{}", b'{"records":1}', GOOD, b"text", b'{"records":[{"data":1}]}'],
    ids=["array", "empty object", "no list", "an event", "text", "no text"],
)
async def test_what_is_no_delivery_is_400_so_that_it_goes_to_the_bucket(
    firehose: httpx.AsyncClient, content: bytes
) -> None:
    answer = await firehose.post("/v1/firehose", content=content)
    assert answer.status_code == 400
    message = "the body is not a delivery of Firehose"
    assert answer.json() == {"requestId": ID, "timestamp": NOW, "errorMessage": message}


async def test_refusals_name_the_request_and_are_never_413(
    firehose: httpx.AsyncClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, status in (("wrong", 401), ("", 401), (VIEWER_TOKEN, 403)):
        headers = {"X-Amz-Firehose-Access-Key": key}
        answer = await firehose.post("/v1/firehose", content=delivery(GOOD), headers=headers)
        assert answer.status_code == status
        assert answer.json()["requestId"] == ID
        assert answer.json()["errorMessage"]
    engine.is_away = True
    answer = await firehose.post("/v1/firehose", content=delivery(GOOD))
    assert (answer.status_code, answer.json()["requestId"]) == (503, ID)
    assert int(answer.headers["retry-after"]) >= 1
    monkeypatch.setattr(module, "BODY_LIMIT_BYTES", 5_000)
    bombs = [gzip.compress(bytes(3_000), mtime=0)] * 2
    assert (await firehose.post("/v1/firehose", content=delivery(*bombs))).status_code == 400
    monkeypatch.setattr(taking, "WIRE_LIMIT_BYTES", 10)
    assert (await firehose.post("/v1/firehose", content=delivery(GOOD))).status_code == 400


async def test_a_key_may_stand_in_the_path(anybody: httpx.AsyncClient, engine: Engine) -> None:
    answer = await anybody.post(f"/k/{INGEST_TOKEN}/v1/firehose", content=delivery(GOOD))
    assert answer.json()["requestId"] == ID
    assert len(engine.events) == 1


HEAD = Head("/v1/firehose", {}, {}, NOW)


@pytest.mark.parametrize("dirt", [b"\xff\xfe", b"\\ud800", b"\x01"], ids=["utf-8", "surrogate", "control"])
def test_a_message_that_is_no_clean_text_costs_no_other(dirt: bytes) -> None:
    content = gzip.decompress(cloudwatch(LINE.decode(), "DIRT", LINE.decode())).replace(b"DIRT", dirt)
    decoded = FIREHOSE.read(delivery(gzip.compress(content)), HEAD)
    assert [event.client_ip for event in decoded.events] == ["203.0.113.9", None, "203.0.113.9"]


def test_a_record_without_data_costs_no_other() -> None:
    content = delivery(b"EMPTY", GOOD).replace(b'"%s"' % b64encode(b"EMPTY"), b"null")
    assert len(FIREHOSE.read(content, HEAD).events) == 1


@settings(deadline=None)
@given(st.lists(st.binary(max_size=100), max_size=3), st.binary(max_size=100))
def test_any_records_are_read(records: list[bytes], body: bytes) -> None:
    packed = [gzip.compress(record, mtime=0) for record in records]
    for content in (delivery(*records), delivery(*packed), delivery(cloudwatch("a")[: len(body)], *records)):
        decoded = FIREHOSE.read(content, HEAD)
        assert len(decoded.events) == len(decoded.records)
    with contextlib.suppress(DecodeError):
        FIREHOSE.read(body, HEAD)


@settings(deadline=None)
@given(st.data())
def test_a_delivery_with_some_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    body = bytearray(delivery(GOOD, cloudwatch(LINE.decode()), LINE))
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = FIREHOSE.read(bytes(body), HEAD)
    except DecodeError:
        return
    assert len(decoded.events) == len(decoded.records)
