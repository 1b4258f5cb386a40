"""Elasticsearch's `_bulk` and the questions of its senders, byte for byte.

Source: what Filebeat (libbeat/outputs/elasticsearch), Logstash (http_client.rb), Vector (sinks/elasticsearch),
Fluent Bit (out_es), rsyslog (omelasticsearch.c), elasticsearch-py and winston-elasticsearch (bulk_writer.js) send.
"""

import gzip
import json
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
import zstandard
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ingest import taking
from app.ingest.shippers.bulk_body import read_bulk
from app.ingest.shippers.elasticsearch import BULK, DOCUMENT, index_of
from app.ingest.shippers.elasticsearch_probes import VERSION
from app.ingest.shippers.shipper import Head, Outcome
from detectors.errors import DecodeError
from tests.ingest.remembering import INGEST_TOKEN, NOW, VIEWER_TOKEN, Engine

FILEBEAT_DOC = (
    b'{"@timestamp":"2026-11-23T10:00:01.123Z","log":{"offset":0,"file":{"path":"/var/log/nginx/access.log"}},'
    b'"message":"203.0.113.9 - bob [23/Nov/2026:10:00:01 +0000] \\"POST /login HTTP/1.1\\" 401 12",'
    b'"host":{"name":"web1"},"agent":{"type":"filebeat","version":"8.15.0"},"ecs":{"version":"8.0.0"}}'
)
VECTOR_DOC = (
    b'{"file":"/var/log/app.log","host":"web1","message":"{\\"client_ip\\":\\"203.0.113.9\\",\\"status\\":401,'
    b'\\"path\\":\\"/login\\"}","source_type":"file","timestamp":"2026-11-23T10:00:01.123456789Z"}'
)
FLUENT_BIT_DOC = (
    b'{"@timestamp":"2026-11-23T10:00:01.123Z","log":"203.0.113.9 - - [23/Nov/2026:10:00:01 +0000] '
    b'\\"POST /login HTTP/1.1\\" 401 12 \\"-\\" \\"curl/8.5\\""}'
)
ECS_DOC = (
    b'{"@timestamp":"2026-11-23T10:00:01.123Z","source":{"ip":"203.0.113.9"},"url":{"path":"/login"},'
    b'"http":{"response":{"status_code":401}},"user":{"name":"bob"}}'
)
RSYSLOG_DOC = (
    b'{"message":" Failed password for bob from 203.0.113.9 port 4242 ssh2","host":"web1","programname":"sshd",'
    b'"SYSLOG_IDENTIFIER":"sshd","@timestamp":"2026-11-23T10:00:01+00:00"}'
)
SENDERS = {
    "filebeat": (
        "POST",
        "/_bulk?filter_path=errors%2Citems.%2A.error%2Citems.%2A.status",
        {
            "Content-Type": "application/json; charset=UTF-8",
            "Accept": "application/json",
            "Authorization": "ApiKey aWQ6aW5nZXN0LXRva2VuLWZvci10ZXN0cy0wMTIzNDU2Nzg5",
            "User-Agent": "Elastic-filebeat/8.15.0 (linux; amd64)",
            "X-Elastic-Product-Origin": "beats",
        },
        b'{"create":{"_index":"filebeat-8.15.0"}}\n',
        FILEBEAT_DOC,
        b'{"create":{"status":201}}',
    ),
    "logstash": (
        "POST",
        "/_bulk?filter_path=errors,items.*.error,items.*.status",
        {"Content-Type": "application/json", "User-Agent": "logstash/8.15.0", "Connection": "Keep-Alive"},
        b'{"index":{"_id":null,"_index":"logstash-2026.11.23","routing":null}}\n',
        ECS_DOC,
        b'{"index":{"status":201}}',
    ),
    "vector": (
        "POST",
        "/_bulk?timeout=60s",
        {"Content-Type": "application/x-ndjson", "User-Agent": "Vector/0.50.0"},
        b'{"index":{"_index":"vector-2026.11.23","_type":"_doc"}}\n',
        VECTOR_DOC,
        b'{"index":{"_index":"vector-2026.11.23","_id":"MADE-0","status":201}}',
    ),
    "fluent-bit": (
        "POST",
        "/_bulk",
        {"Content-Type": "application/x-ndjson", "User-Agent": "Fluent-Bit"},
        b'{"create":{"_index":"fluent-bit"}}\n',
        FLUENT_BIT_DOC,
        b'{"create":{"_index":"fluent-bit","_id":"MADE-0","status":201}}',
    ),
    "elasticsearch-py": (
        "PUT",
        "/_bulk",
        {
            "Accept": "application/vnd.elasticsearch+json; compatible-with=9",
            "Content-Type": "application/vnd.elasticsearch+x-ndjson; compatible-with=9",
            "User-Agent": "elasticsearch-py/9.1.0 (Python/3.11.2; elastic-transport/9.1.0)",
        },
        b'{"index":{"_id":"a \\"b\\"","_index":"logs"}}\n',
        ECS_DOC,
        b'{"index":{"_index":"logs","_id":"a \\"b\\"","status":201}}',
    ),
    "winston-elasticsearch": (
        "POST",
        "/_bulk?timeout=5000ms&wait_for_active_shards=1",
        {"Content-Type": "application/vnd.elasticsearch+x-ndjson; compatible-with=8"},
        b'{"create":{"_index":"logs-2026.11.23","pipeline":null},"attempts":0}\n',
        ECS_DOC,
        b'{"create":{"_index":"logs-2026.11.23","_id":"MADE-0","status":201}}',
    ),
    "rsyslog": (
        "POST",
        "/_bulk?",
        {"Content-Type": "application/json; charset=utf-8"},
        b'{"index":{"_index": "system"}}\n',
        RSYSLOG_DOC + b"\n\n",
        b'{"index":{"_index":"system","_id":"MADE-0","status":201}}',
    ),
    "an index in the path, and a prefix": (
        "POST",
        "/es/app-logs/_bulk",
        {"Content-Type": "application/x-ndjson"},
        b'{"create":{}}\n',
        ECS_DOC,
        b'{"create":{"_index":"app-logs","_id":"MADE-0","status":201}}',
    ),
}  # fmt: skip


def pairs(*documents: bytes, action: bytes = b'{"index":{"_index":"x"}}') -> bytes:
    return b"".join(action + b"\n" + document + b"\n" for document in documents)


GOOD = b'{"client_ip":"203.0.113.9","status":401}'
BAD = b'{"client_ip":NaN}'


@pytest.mark.parametrize("name", SENDERS)
async def test_an_attack_arrives_from_every_sender(
    sender: httpx.AsyncClient, engine: Engine, name: str
) -> None:
    method, path, headers, action, document, item = SENDERS[name]
    if "Authorization" in headers:
        del sender.headers["Authorization"]
    answer = await sender.request(method, path, content=(action + document + b"\n") * 3, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["x-elastic-product"] == "Elasticsearch"
    items = b",".join(item.replace(b"MADE-0", b"%x-%d" % (NOW, n)) for n in range(3))
    assert answer.content == b'{"took":1,"errors":false,"items":[' + items + b"]}"
    assert len(engine.events) == 3
    for event in engine.events:
        assert event.client_ip == "203.0.113.9"
        assert event.status == 401 or event.outcome == "failure"
    assert engine.batches[-1].records[0] == document.strip()


async def test_the_answer_has_the_type_that_the_client_accepts(sender: httpx.AsyncClient) -> None:
    for accept, kind in (
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        (
            "application/vnd.elasticsearch+json; compatible-with=8",
            "application/vnd.elasticsearch+json;compatible-with=8",
        ),
        (
            "application/vnd.elasticsearch+json;compatible-with=9",
            "application/vnd.elasticsearch+json;compatible-with=9",
        ),
    ):
        answer = await sender.post("/_bulk", content=pairs(GOOD), headers={"Accept": accept})
        assert answer.headers["content-type"] == kind


async def test_what_stands_in_the_documents_becomes_the_event(
    sender: httpx.AsyncClient, engine: Engine
) -> None:
    await sender.post("/_bulk", content=pairs(FILEBEAT_DOC, RSYSLOG_DOC))
    access, sshd = engine.events
    assert (access.method, access.path, access.user, access.host) == ("POST", "/login", "bob", "web1")
    assert (sshd.user, sshd.outcome, sshd.host) == ("bob", "failure", "web1")
    assert access.timestamp == "2026-11-23T10:00:01.123Z" or access.timestamp == "23/Nov/2026:10:00:01 +0000"


async def test_a_bad_document_costs_only_itself(sender: httpx.AsyncClient, engine: Engine) -> None:
    answer = await sender.post("/_bulk", content=pairs(GOOD, BAD, b"text", GOOD))
    told = answer.json()
    assert answer.status_code == 200
    assert answer.content.startswith(b'{"took":1,"errors":true,"items":[')
    assert [item["index"]["status"] for item in told["items"]] == [201, 400, 400, 201]
    assert told["items"][1]["index"]["error"] == {
        "type": "document_parsing_exception",
        "reason": "failed to parse: NaN and Infinity are not JSON numbers",
    }
    assert [event.status for event in engine.events] == [401, 401]


async def test_fluent_bit_is_not_told_to_resend_what_can_never_be_read(sender: httpx.AsyncClient) -> None:
    for agent, statuses in (("Fluent-Bit", [201, 201]), ("Elastic-filebeat/8.15.0", [400, 400])):
        answer = await sender.post("/_bulk", content=pairs(BAD, BAD), headers={"User-Agent": agent})
        assert [item["index"]["status"] for item in answer.json()["items"]] == statuses
        assert answer.json()["errors"] == (statuses == [400, 400])


async def test_actions_without_documents_blank_lines_and_updates(
    sender: httpx.AsyncClient, engine: Engine
) -> None:
    body = (
        b'\n{"delete":{"_index":"x","_id":7}}\n\r\n'
        b'{"update":{"_index":"x","_id":"8"}}\n{"doc":' + GOOD + b',"doc_as_upsert":true}\n'
        b'{"update":{"_id":"9"}}\n{"script":{},"upsert":' + GOOD + b"}\n"
        b"  \n"
        b'{"index":{}}\r\n\r\n' + GOOD + b"\r\n"
        b"neither an action nor a document\n"
        b'{"create":{"_index":"y"}}'
    )
    items = (await sender.post("/logs/_bulk", content=body)).json()["items"]
    assert [(name, item["_index"], item["status"]) for each in items for name, item in each.items()] == [
        ("delete", "x", 200),
        ("update", "x", 200),
        ("update", "logs", 200),
        ("index", "logs", 201),
        ("index", "logs", 400),
        ("create", "y", 400),
    ]
    assert [items[n][name]["_id"] for n, name in ((0, "delete"), (1, "update"))] == ["7", "8"]
    assert [event.client_ip for event in engine.events] == ["203.0.113.9"] * 3
    assert engine.batches[-1].records == [GOOD] * 3


async def test_only_deletions_are_a_success_without_events(sender: httpx.AsyncClient, engine: Engine) -> None:
    answer = await sender.post("/_bulk", content=b'{"delete":{"_index":"x","_id":"1"}}\n')
    assert answer.json()["items"] == [{"delete": {"_index": "x", "_id": "1", "status": 200}}]
    answer = await sender.post("/_bulk", content=b"")
    assert answer.json() == {"took": 1, "errors": False, "items": []}
    assert engine.batches == []


@pytest.mark.parametrize(
    ("content", "headers", "reason"),
    [
        (GOOD, {}, "Malformed action/metadata line [1]"),
        (b'{"index":"x"}\n{}\n', {}, "Malformed action/metadata line [1]"),
        (gzip.compress(pairs(GOOD), mtime=0)[:-4], {"Content-Encoding": "gzip"}, "gzip: the body is cut short"),
    ],
    ids=["no action", "another object", "cut short"],
)  # fmt: skip
async def test_a_body_that_is_no_bulk_is_400(
    sender: httpx.AsyncClient, content: bytes, headers: dict[str, str], reason: str
) -> None:
    answer = await sender.post("/_bulk", content=content, headers=headers)
    cause = {"type": "illegal_argument_exception", "reason": reason}
    assert answer.status_code == 400
    assert answer.headers["x-elastic-product"] == "Elasticsearch"
    assert answer.json() == {"error": {"root_cause": [cause], **cause}, "status": 400}


async def test_compressed_and_chunked_bodies_are_read(sender: httpx.AsyncClient, engine: Engine) -> None:
    body = pairs(GOOD, GOOD)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    packed = gzip.compress(body[:50], mtime=0) + gzip.compress(body[50:], mtime=0)
    for content, encoding in (
        (packed, "gzip"),
        (packed, ""),
        (zlib.compress(body), "deflate"),
        (zstandard.compress(body), "zstd"),
        (pieces(), ""),
    ):
        headers = {"Content-Encoding": encoding} if encoding else {}
        answer = await sender.post("/_bulk", content=content, headers=headers)
        assert len(answer.json()["items"]) == 2
        assert len(engine.events) == 2


async def test_a_body_counts_once_and_a_single_document_each_time(
    sender: httpx.AsyncClient, engine: Engine
) -> None:
    for _ in range(2):
        assert (await sender.post("/_bulk", content=pairs(GOOD, GOOD))).json()["errors"] is False
    first, again = engine.batches
    assert first.mark is not None
    assert first.mark == again.mark
    await sender.post("/other/_bulk", content=pairs(GOOD, GOOD))
    assert engine.batches[-1].mark != first.mark
    await sender.post("/_bulk", content=pairs(GOOD))
    assert engine.batches[-1].mark is None


async def test_refusals_are_errors_as_elasticsearch_words_them(
    anybody: httpx.AsyncClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(**headers: str) -> httpx.Response:
        answer = await anybody.post("/_bulk", content=pairs(GOOD), headers=headers)
        assert answer.headers["x-elastic-product"] == "Elasticsearch"
        assert answer.json()["status"] == answer.status_code
        assert answer.json()["error"]["root_cause"][0]["type"] == answer.json()["error"]["type"]
        return answer

    anonymous = await refused()
    assert anonymous.status_code == 401
    assert anonymous.headers["www-authenticate"].startswith("Basic ")
    assert anonymous.json()["error"]["type"] == "security_exception"
    assert (await refused(Authorization="ApiKey wrong")).status_code == 401
    assert (await refused(Authorization=f"ApiKey {VIEWER_TOKEN}")).status_code == 403
    engine.is_away = True
    away = await refused(Authorization=f"ApiKey {INGEST_TOKEN}")
    assert away.status_code == 503
    assert int(away.headers["retry-after"]) >= 1
    monkeypatch.setattr(taking, "WIRE_LIMIT_BYTES", 10)
    assert (await refused(Authorization=f"ApiKey {INGEST_TOKEN}")).status_code == 413


@pytest.mark.parametrize(
    "header",
    [
        f"ApiKey {INGEST_TOKEN}",
        "ApiKey aWQ6aW5nZXN0LXRva2VuLWZvci10ZXN0cy0wMTIzNDU2Nzg5",
        "Basic ZWxhc3RpYzppbmdlc3QtdG9rZW4tZm9yLXRlc3RzLTAxMjM0NTY3ODk=",
        f"Bearer {INGEST_TOKEN}",
    ],
    ids=["ApiKey", "ApiKey in base64", "Basic", "Bearer"],
)
async def test_every_form_of_its_keys_is_taken(anybody: httpx.AsyncClient, header: str) -> None:
    answer = await anybody.post("/_bulk", content=pairs(GOOD), headers={"Authorization": header})
    assert answer.status_code == 200
    assert (await anybody.get("/", headers={"Authorization": header})).status_code == 200


async def test_a_key_may_stand_in_the_path(anybody: httpx.AsyncClient, engine: Engine) -> None:
    for path in ("_bulk", "es/_bulk", "es/logs/_bulk"):
        assert (await anybody.post(f"/k/{INGEST_TOKEN}/{path}", content=pairs(GOOD))).status_code == 200
    assert len(engine.batches) == 3


async def test_one_document_by_itself_is_taken(sender: httpx.AsyncClient, engine: Engine) -> None:
    for method, path in (
        ("POST", "/system/_doc"),
        ("POST", "/system/_doc?timeout=1m"),
        ("PUT", "/system/_doc/17"),
        ("PUT", "/es/system/_create/17"),
    ):
        answer = await sender.request(method, path, content=RSYSLOG_DOC + b"\n")
        assert answer.status_code == 201
        assert answer.headers["x-elastic-product"] == "Elasticsearch"
        told = answer.json()
        assert (told["_index"], told["result"], told["_shards"]["failed"]) == ("system", "created", 0)
        assert engine.events[0].client_ip == "203.0.113.9"
        assert engine.batches[-1].mark is None
    answer = await sender.post("/system/_doc", content=BAD)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "document_parsing_exception"


PROBES = {
    "Filebeat's first": ("GET", "/", "number"),
    "Filebeat's licence": ("GET", "/_license?human=false", '"status":"active"'),
    "Filebeat's policy": ("GET", "/_ilm/policy/filebeat", "{}"),
    "Filebeat makes its policy": ("PUT", "/_ilm/policy/filebeat", '{"acknowledged":true}'),
    "Filebeat's template": ("HEAD", "/_index_template/filebeat-8.15.0", ""),
    "Filebeat makes its template": ("PUT", "/_index_template/filebeat-8.15.0", '{"acknowledged":true}'),
    "Filebeat's stream": ("PUT", "/_data_stream/filebeat-8.15.0", '{"acknowledged":true}'),
    "Logstash's first": ("HEAD", "/", ""),
    "older Vectors' version": ("GET", "/_cluster/state/version", '"version":9'),
    "Vector's health": ("GET", "/_cluster/health", '"status":"green"'),
    "winston's health": (
        "GET",
        "/_cluster/health?wait_for_status=yellow&wait_for_nodes=%3E%3D1",
        '"timed_out":false',
    ),
    "winston's template": ("HEAD", "/_index_template/template_logs", ""),
    "under a prefix": ("GET", "/es/", "You Know, for Search"),
    "under a prefix without slash": ("GET", "/es", "You Know, for Search"),
    "under a prefix, health": ("GET", "/es/_cluster/health", "green"),
}


@pytest.mark.parametrize("name", PROBES)
async def test_every_question_before_the_first_batch_is_answered(
    sender: httpx.AsyncClient, name: str
) -> None:
    method, path, part = PROBES[name]
    answer = await sender.request(method, path)
    assert answer.status_code == 200
    assert answer.headers["x-elastic-product"] == "Elasticsearch"
    assert part in answer.text
    assert method != "HEAD" or not answer.content


async def test_the_version_is_newer_than_any_beat(sender: httpx.AsyncClient) -> None:
    told = (await sender.get("/")).json()
    assert told["version"]["number"] == VERSION
    assert told["version"]["build_flavor"] == "default"
    assert tuple(map(int, VERSION.split(".")[:2])) >= (9, 99)


async def test_questions_need_the_token_too_so_that_a_wrong_one_shows_at_once(
    anybody: httpx.AsyncClient,
) -> None:
    for method, path in (("GET", "/"), ("HEAD", "/"), ("GET", "/_license"), ("PUT", "/_ilm/policy/x")):
        answer = await anybody.request(method, path, headers={"Authorization": "ApiKey wrong"})
        assert answer.status_code == 401
        assert answer.headers["x-elastic-product"] == "Elasticsearch"


def test_no_route_of_ours_begins_like_an_api_of_elasticsearch(app: FastAPI, tmp_path) -> None:
    from app.main import create_app
    from app.settings import Settings

    whole = create_app(Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1"))
    assert not [path for path in whole.openapi()["paths"] if path.startswith("/_") or path == "/"]


async def test_data_sent_to_an_unknown_api_is_not_swallowed(sender: httpx.AsyncClient) -> None:
    for path in ("/_bulky", "/_msearch", "/"):
        assert (await sender.post(path, content=pairs(GOOD))).status_code in (404, 405)


def test_the_index_is_read_from_the_path() -> None:
    for path, index in (
        ("/_bulk", ""),
        ("/es/_bulk", ""),
        ("/logs/_bulk", "logs"),
        ("/es/logs/_bulk", "logs"),
        ("/es-logs/_bulk", "es-logs"),
        ("/logs/_doc/a/_b", "logs"),
        ("/<logs-{now/d}>/_bulk", "<logs-{now/d}>"),
    ):
        assert index_of(path) == index


HEAD = Head("/_bulk", {}, {}, NOW)


def test_many_actions_of_their_own_read_as_one_by_one() -> None:
    documents = [b'{"client_ip":"203.0.113.9","status":%d}' % (400 + n) for n in range(50)]
    own = b"".join(b'{"create":{"_id":"%d"}}\n%b\n' % (n, d) for n, d in enumerate(documents))
    mixed = own + b'{"delete":{"_id":"x"}}\n'
    for body in (own, mixed):
        decoded = BULK.read(body, HEAD)
        assert [event.status for event in decoded.events] == [400 + n for n in range(50)]
        assert decoded.read_as == "event"


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for shipper in (BULK, DOCUMENT):
        for content in (body, pairs(body), pairs(GOOD, body)):
            try:
                decoded = shipper.read(content, HEAD)
            except DecodeError:
                continue
            assert len(decoded.events) == len(decoded.records)
            outcome = Outcome.of(decoded)
            if decoded.events or not decoded.rejected:
                json.loads(shipper.success(outcome, HEAD).body)
            else:
                json.loads(shipper.nothing_readable(outcome, HEAD).body)


@settings(deadline=None)
@given(st.data())
def test_a_body_with_some_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    body = bytearray(pairs(FILEBEAT_DOC, ECS_DOC) + b'{"delete":{"_id":"1"}}\n')
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = BULK.read(bytes(body), HEAD)
    except DecodeError:
        return
    outcome = Outcome.of(decoded)
    told = json.loads(BULK.success(outcome, HEAD).body)
    assert len(told["items"]) == len(read_bulk(bytes(body), NOW)[1].actions)
