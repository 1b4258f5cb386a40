"""Lines that a container runtime has cut: joined within a body, and never read by their parts.

The attacker of these tests knows where Docker and Kubernetes cut, and has the second part begin with a line of his own.
"""

import json
import struct
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from app.ingest import container_parts
from app.ingest.container_parts import PART_BYTES, have_parts, join_parts
from app.ingest.decode import Decoded, decode_events, decode_lines
from app.ingest.mapping import map_record
from app.ingest.msgpack_records import decode_msgpack
from app.ingest.readings import readings_of
from app.ingest.shippers import elasticsearch, loki, splunk
from app.ingest.shippers.journal_entries import EntryReader, read_entry
from app.ingest.shippers.shipper import Head
from detectors.event import Event
from tests.ingest.remembering import NOW
from tests.ingest.shippers.otlp_requests import part, varint

TRUE_IP, FORGED_IP = "203.0.113.9", "198.51.100.7"
FORGED = f'{FORGED_IP} - - [23/Nov/2026:10:00:03 +0000] "GET /wp-login.php HTTP/1.1" 401 12 "-" "x"'
ACCESS = f'{TRUE_IP} - - [23/Nov/2026:10:00:03 +0000] "GET /?q='
LINE = (
    ACCESS + "a" * (PART_BYTES - len(ACCESS)) + FORGED.replace('"', "%22") + ' HTTP/1.1" 404 7 "-" "curl/8"'
)
FIRST, SECOND = LINE[:PART_BYTES], LINE[PART_BYTES:]
FORGED_SECOND = FORGED
"""What the second part is where quotes are not escaped: a line by itself."""
OTHER = f'{TRUE_IP} - - [23/Nov/2026:10:00:04 +0000] "GET /other HTTP/1.1" 200 7 "-" "curl/8"'
POD = {"pod_name": "api-1", "container_name": "nginx", "labels": {"app": "api"}}


def cri(tag: str, text: str, stream: str = "stdout", second: int = 4) -> str:
    return f"2026-11-23T10:00:0{second}.123456789Z {stream} {tag} {text}"


def docker(text: str, stream: str = "stdout", **more: Any) -> dict[str, Any]:
    return {"log": text, "stream": stream, "time": "2026-11-23T10:00:04.123456789Z", **more}


def texts(*found: str) -> bytes:
    return "\n".join(found).encode() + b"\n"


def objects(*found: dict[str, Any]) -> bytes:
    return texts(*map(json.dumps, found))


def events(body: bytes) -> Decoded:
    return decode_events(body, NOW)


def raw(body: bytes) -> Decoded:
    return decode_lines(body, "auto", NOW)


def named(body: bytes) -> Decoded:
    return decode_lines(body, "cri", NOW)


def in_loki(body: bytes) -> Decoded:
    values = [[f"{NOW}000000", line] for line in body.decode().splitlines()]
    made = json.dumps({"streams": [{"stream": {"pod": "api-1"}, "values": values}]}).encode()
    return loki.LOKI.read(made, Head("/", {}, {"content-type": "application/json"}, NOW))


def in_loki_protobuf(body: bytes) -> Decoded:
    at = part(1, b"\x08" + varint(NOW // 1000))
    entries = b"".join(part(2, at + part(2, line)) for line in body.splitlines())
    return loki.LOKI.read(part(1, part(1, b'{pod="api-1"}') + entries), Head("/", {}, {}, NOW))


def in_hec(body: bytes) -> Decoded:
    made = b"".join(
        json.dumps({"event": line, "host": "web-1"}).encode() for line in body.decode().splitlines()
    )
    return splunk.EVENTS.read(made, Head("/", {}, {}, NOW))


def in_hec_lines(body: bytes) -> Decoded:
    return splunk.RAW.read(body, Head("/", {"host": "web-1"}, {}, NOW))


def in_bulk(body: bytes) -> Decoded:
    made = b"".join(b'{"create":{}}\n' + line + b"\n" for line in body.splitlines())
    return elasticsearch.BULK.read(made, Head("/_bulk", {}, {}, NOW))


def in_msgpack(body: bytes) -> Decoded:
    return decode_msgpack(b"".join(msgpack.packb(json.loads(line)) for line in body.splitlines()), NOW)


Reader = Callable[[bytes], Decoded]
OF_LINES: list[Reader] = [events, raw, named, in_loki, in_loki_protobuf, in_hec, in_hec_lines]
OF_OBJECTS: list[Reader] = [events, raw, in_loki, in_loki_protobuf, in_hec, in_bulk, in_msgpack]

BODIES: dict[str, tuple[list[Reader], bytes]] = {
    "CRI": (OF_LINES, texts(cri("P", FIRST), cri("F", SECOND), cri("F", OTHER))),
    "CRI, three parts": (
        OF_LINES,
        texts(cri("P", LINE[:500]), cri("P", LINE[500:PART_BYTES]), cri("F", SECOND), cri("F", OTHER)),
    ),
    "CRI with tags": (OF_LINES, texts(cri("P:a", FIRST), cri("F:b:c", SECOND), cri("F:d", OTHER))),
    "CRI, the other stream between": (
        OF_LINES,
        texts(cri("P", FIRST), cri("F", "warning: slow", "stderr"), cri("F", SECOND), cri("F", OTHER)),
    ),
    "CRI within records": (
        OF_OBJECTS,
        objects(*({"log": cri(*one), "kubernetes": POD} for one in (("P", FIRST), ("F", SECOND), ("F", OTHER)))),
    ),
    "Filebeat's": (
        OF_OBJECTS,
        objects(
            {"message": cri("P", FIRST), "log": {"offset": 1, "file": {"path": "/a"}}},
            {"message": cri("F", "something else"), "log": {"offset": 1, "file": {"path": "/b"}}},
            {"message": cri("F", SECOND), "log": {"offset": 9, "file": {"path": "/a"}}},
            {"message": cri("F", OTHER), "log": {"offset": 99, "file": {"path": "/a"}}},
        ),
    ),
    "the CRI parser's": (
        OF_OBJECTS,
        objects(
            docker(FIRST, logtag="P", kubernetes=POD),
            docker("of another pod", logtag="F", kubernetes={"pod_name": "x"}),
            docker(SECOND, logtag="F", kubernetes=POD),
            docker(OTHER, logtag="F", kubernetes=POD),
        ),
    ),
    "Docker's json-file": (
        OF_OBJECTS,
        objects(docker(FIRST), docker("other\n", "stderr"), docker(SECOND + "\n"), docker(OTHER + "\n")),
    ),
    "Docker's json-file, without line ends": (OF_OBJECTS, objects(docker(FIRST), docker(SECOND), docker(OTHER))),
    "Docker's fluentd driver": (
        OF_OBJECTS,
        objects(
            {"log": FIRST, "container_id": "c", "partial_message": "true", "partial_id": "1", "partial_last": "false"},
            {"log": SECOND, "container_id": "c", "partial_message": "true", "partial_id": "1", "partial_last": "true"},
            {"log": OTHER, "container_id": "c"},
        ),
    ),
    "Vector's": (
        OF_OBJECTS,
        objects(
            {"message": FIRST, "stream": "stdout", "file": "/a", "_partial": True},
            {"message": SECOND, "stream": "stdout", "file": "/a"},
            {"message": OTHER, "stream": "stdout", "file": "/a"},
        ),
    ),
}  # fmt: skip
CASES = [
    pytest.param(read, body, id=f"{name}, {read.__name__}")
    for name, (readers, body) in BODIES.items()
    for read in readers
]


def clients(decoded: Decoded) -> list[tuple[str | None, int | None]]:
    return [(event.client_ip, event.status) for event in decoded.events if event.client_ip is not None]


@pytest.mark.parametrize(("read", "body"), CASES)
def test_the_parts_of_a_line_are_one_line(read: Reader, body: bytes) -> None:
    decoded = read(body)
    assert clients(decoded) == [(TRUE_IP, 404), (TRUE_IP, 200)]
    assert decoded.rejected == []
    assert len(decoded.events) == len(decoded.records)
    [long] = [record for record in decoded.records if b"?q=aaa" in record]
    assert b"HTTP/1.1" in long.split(b"?q=aaa")[1], "what is scanned for credentials is the whole line"


@pytest.mark.parametrize(("read", "body"), CASES)
def test_no_part_is_read_as_a_line(read: Reader, body: bytes) -> None:
    """As a program does that does not escape quotes: the second part would be a line of its own."""
    forged = body.replace(json.dumps(SECOND)[1:-1].encode(), json.dumps(FORGED_SECOND)[1:-1].encode())
    forged = forged.replace(SECOND.encode(), FORGED_SECOND.encode())
    assert forged != body and FORGED_IP.encode() in forged
    assert FORGED_IP not in {event.client_ip for event in read(forged).events}


def test_without_joining_it_would_be() -> None:
    """That the attack of these tests is one."""
    assert clients(raw(texts(cri("F", FORGED_SECOND)))) == [(FORGED_IP, 401)]


LONE = {
    "CRI": texts(cri("P", OTHER)),
    "CRI, several": texts(cri("P", OTHER), cri("P", OTHER)),
    "CRI within a record": objects({"log": cri("P", OTHER)}),
    "logtag": objects(docker(OTHER, logtag="P")),
    "partial_message": objects({"log": OTHER, "partial_message": "true", "partial_last": "false"}),
    "_partial": objects({"message": OTHER, "stream": "stdout", "_partial": True}),
    "Docker": objects(docker(OTHER[:-3] + "z" * (PART_BYTES - len(OTHER)) + OTHER[-3:])),
}


@pytest.mark.parametrize("body", LONE.values(), ids=LONE)
def test_a_part_whose_line_has_no_end_is_text(body: bytes) -> None:
    decoded = events(body + objects({"client_ip": TRUE_IP, "status": 401}))
    part, event = decoded.events
    assert part.client_ip is None and part.status is None and part.message is not None
    assert part.message.startswith(TRUE_IP)
    assert (event.client_ip, event.status) == (TRUE_IP, 401)
    assert len(decoded.records) == 2 and TRUE_IP.encode() in decoded.records[0]


def test_a_part_is_text_also_where_nothing_is_joined() -> None:
    assert map_record({"body": cri("P", OTHER)}, NOW).client_ip is None
    assert map_record({"logtag": "P", "log": OTHER}, NOW).client_ip is None
    assert map_record({"logtag": "F", "log": OTHER}, NOW).client_ip == TRUE_IP


def test_a_line_that_is_too_long_is_text_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_parts, "JOINED_BYTES", 3 * PART_BYTES)
    body = texts(*[cri("P", FIRST)] * 7, cri("F", FORGED), cri("F", OTHER))
    decoded = raw(body)
    assert clients(decoded) == [(TRUE_IP, 200)]
    assert sum(len(event.message or "") for event in decoded.events) == 7 * PART_BYTES + len(FORGED)


def test_a_whole_line_of_16_kib_is_no_part() -> None:
    """With its line end, or one byte shorter."""
    for text in (FIRST[:-1] + "\n", FIRST[:-1], FIRST + "x"):
        decoded = events(objects(docker(text), docker(OTHER + "\n")))
        assert (len(decoded.events), clients(decoded)[-1]) == (2, (TRUE_IP, 200))


def test_bytes_that_were_no_utf_8_are_counted_as_docker_counts() -> None:
    text = FIRST[:-3] + "\ufffd" * 3
    decoded = events(objects(docker(text), docker(FORGED + "\n")))
    assert len(decoded.events) == 1 and FORGED_IP not in {event.client_ip for event in decoded.events}


def test_events_of_others_are_not_swallowed() -> None:
    """A part waits for its own container and stream only, whatever else comes."""
    good = {"client_ip": TRUE_IP, "status": 401, "message": "no"}
    others = [good, {"source": "stdout", "message": "x"}, docker("x\n", container_id="other"), {"log": "x"}]
    decoded = events(objects(docker(FIRST, container_id="c"), *others))
    assert len(decoded.events) == 5
    assert decoded.events[1].client_ip == TRUE_IP


def test_what_is_set_aside_keeps_its_place() -> None:
    body = texts(cri("P", "a"), cri("F", "b"), '{"a":NaN}', cri("F", OTHER))
    [rejected] = events(body).rejected
    assert rejected.index == 2


def test_explaining_them_loses_nothing() -> None:
    found = readings_of(texts(cri("P", "a"), cri("P", "b"), cri("F", "c"), '{"a":NaN}'), "events", NOW)
    assert [(one.record, bool(one.why)) for one in found] == [(cri("F", "abc").encode(), False), (b"", True)]


def test_the_answer_to_bulk_has_an_item_for_each_part() -> None:
    answer = json.loads(in_bulk(BODIES["Docker's json-file"][1]).notes)  # type: ignore[arg-type]
    assert [item["create"]["status"] for item in answer["items"]] == [201] * 4


def test_the_joined_record_begins_as_its_first_part() -> None:
    [record], [place] = join_parts([cri("P", "a", second=1).encode(), cri("F:x", "\xffb").encode("latin-1")])
    assert (record, place) == (cri("F", "a", second=1).encode() + b"\xffb", 0)


def test_ordinary_records_have_no_parts() -> None:
    body = texts(cri("F", OTHER), OTHER, "P stdout P", '{"a":"P","client_ip":"::1"}')
    decoded = events(body)
    assert not have_parts(decoded.events, decoded.records)
    assert join_parts(decoded.records) == (decoded.records, [0, 1, 2, 3])


def journal(**fields: str) -> Event:
    entry = b"".join(
        name.encode() + b"\n" + struct.pack("<Q", len(value)) + value.encode() + b"\n"
        for name, value in fields.items()
    )
    [found] = EntryReader().feed(entry + b"\n")
    return read_entry(found, NOW)[0]


def test_parts_in_the_journal_are_text() -> None:
    assert journal(MESSAGE=OTHER, CONTAINER_ID="c").client_ip == TRUE_IP
    assert journal(MESSAGE=OTHER, CONTAINER_ID="c", CONTAINER_PARTIAL_MESSAGE="true").client_ip is None
    last = journal(MESSAGE=OTHER, CONTAINER_ID="c", CONTAINER_PARTIAL_ID="1", CONTAINER_PARTIAL_LAST="true")
    assert (last.client_ip, last.message) == (None, OTHER)


def test_parts_in_splunks_events_are_joined_by_host_and_source() -> None:
    """Docker's splunk driver, which marks no part, and Fluent Bit's objects."""

    def envelope(event: dict[str, Any], host: str = "a") -> bytes:
        return json.dumps({"event": event, "host": host, "source": "s"}).encode()

    def line(text: str) -> dict[str, Any]:
        return {"line": text, "source": "stdout", "tag": "c1"}

    for made in (line, lambda text: docker(text, logtag="P" if text == FIRST else "F")):
        records = [
            envelope(made(FIRST)),
            envelope(made(OTHER), "b"),
            envelope(made(FORGED)),
            envelope(made(OTHER)),
        ]
        decoded = splunk.EVENTS.read(b"".join(records), Head("/", {}, {}, NOW))
        assert len(decoded.events) == 3
        assert {(event.client_ip, event.host) for event in decoded.events[1:]} == {
            (TRUE_IP, "a"),
            (TRUE_IP, "b"),
        }
        assert FORGED_IP not in {event.client_ip for event in decoded.events}
