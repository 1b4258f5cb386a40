"""Every decoder of what comes in, and how its wire form encloses a record: for tests that all of them must pass.

A normal body is what the commonest sender of a protocol sends: access logs in the names of nginx, of ECS or of the
vendor, each record another. None is of our own names alone: that is the quickest way, which shippers do not take.
"""

import base64
import json
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cramjam
import msgpack
from format_samples import samples

from app.ingest.body import BODY_LIMIT_BYTES
from app.ingest.decode import Decoded
from app.ingest.formats.registry import AUTO, NAMES
from app.ingest.routes import EVENTS, RAW
from app.ingest.shippers import datadog, elasticsearch, firehose, journal_upload, logpush, loki, otlp, splunk
from app.ingest.shippers.journal_entries import EntryReader, read_entry
from app.ingest.shippers.shipper import Head, Shipper
from app.ingest.shippers.vercel import Vercel
from tests.ingest.remembering import NOW
from tests.ingest.shippers.otlp_requests import export, json_export, json_record, log_record, part, varint

PIECE_BYTES = 65_536
"""In which a stream arrives."""
FORMATS_WITHOUT_SAMPLES = {
    "combined": '203.0.113.%d - ann [23/Nov/2026:10:00:03 +0000] "POST /login?n=%d HTTP/1.1" 401 12 "-" "curl/8"',
    "sshd": "Nov 23 10:00:01 web-1 sshd[7]: Failed password for root from 203.0.113.%d port %d ssh2",
    "nginx_error": '2026/11/23 10:00:02 [error] 7#7: *1 user "ann": password mismatch, client: 203.0.113.%d, '
    'server: www.example.com, request: "GET /admin/%d HTTP/1.1", host: "www.example.com"',
    "syslog": "Nov 23 10:00:01 web-1 sudo[7]: pam_unix(sudo:auth): authentication failure; rhost=203.0.113.%d n=%d",
    "nginx_json": '{"time_iso8601":"2026-11-23T10:00:03+00:00","remote_addr":"203.0.113.%d","request_method":"POST",'
    '"request_uri":"/login?n=%d","status":"401","body_bytes_sent":"12","http_user_agent":"curl/8"}',
    "cri": "2026-11-23T10:00:03.000000001Z stdout F 203.0.113.%d - - "
    '[23/Nov/2026:10:00:03 +0000] "POST /wp-login.php?n=%d HTTP/1.1" 401 12 "-" "curl/8"',
}  # fmt: skip

Enclose = Callable[[Sequence[bytes]], bytes]


class Decoder(NamedTuple):
    """One way in."""

    name: str
    shipper: Shipper
    head: Head
    enclose: Enclose
    """A body with these records or texts, as the protocol carries them."""
    record: Callable[[int], bytes]
    """The record of a normal body that has this number."""
    pack: Callable[[bytes], bytes] = bytes
    """What the sender does to every body."""
    peer: str = ""
    """Whose normal body says how long one of its size may take, where a body is a single record."""

    def normal(self, size: int) -> bytes:
        """A normal body of about so many bytes."""
        several = self.enclose([self.record(number) for number in range(10)])
        return self.enclose([self.record(number) for number in range(max(10 * size // len(several), 1))])

    def read(self, body: bytes) -> Decoded:
        """What a request with this body brings."""
        unpacked = self.shipper.unpack(self.pack(body), self.head, BODY_LIMIT_BYTES)
        return self.shipper.read(unpacked, self.head)


class Journal(Shipper):
    """The entries of an upload, which is read as it comes. See `Upload`."""

    name = journal_upload.JOURNAL_UPLOAD.name

    def read(self, body: bytes, head: Head) -> Decoded:
        """As `Upload` does."""
        reader, decoded = EntryReader(), Decoded()
        pieces = [body[start : start + PIECE_BYTES] for start in range(0, len(body), PIECE_BYTES)]
        for piece in [*pieces, b"\n"]:
            for entry in reader.feed(piece):
                event, record = read_entry(entry, head.received_ms)
                decoded.events.append(event)
                decoded.records.append(record)
        return decoded


def request(number: int) -> dict[str, Any]:
    """An access to a site, as nginx and Fluent Bit name it."""
    return {
        "time_iso8601": f"2026-11-23T10:00:{number % 60:02}+00:00",
        "remote_addr": f"203.0.113.{number % 250}",
        "request_method": "POST",
        "request_uri": f"/api/login?attempt={number}",
        "status": 401,
        "body_bytes_sent": 12 + number,
        "http_user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "request_id": f"{number:032x}",
    }


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _record(number: int) -> bytes:
    return _json(request(number))


def _line(number: int) -> bytes:
    return (FORMATS_WITHOUT_SAMPLES["combined"] % (number % 250, number)).encode()


def _mixed(number: int) -> bytes:
    """What a machine's files hold: one line of an access log, one of syslog."""
    if number % 2:
        return _line(number)
    return (FORMATS_WITHOUT_SAMPLES["syslog"] % (number % 250, number)).encode()


def _text(record: bytes) -> str:
    return record.decode("utf-8", "replace")


def _lines(records: Sequence[bytes]) -> bytes:
    return b"\n".join(records) + b"\n"


def _array(records: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(records) + b"]"


def _envelope(records: Sequence[bytes]) -> bytes:
    return b'{"logs":' + _array(records) + b"}"


def _loki_json(records: Sequence[bytes]) -> bytes:
    values = [[f"{NOW}000000", _text(record)] for record in records]
    return _json({"streams": [{"stream": {"job": "web"}, "values": values}]})


def _loki_protobuf(records: Sequence[bytes]) -> bytes:
    at = part(1, b"\x08" + varint(NOW // 1000))
    return part(1, part(1, b'{job="web"}') + b"".join(part(2, at + part(2, record)) for record in records))


def _snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))


def _otlp_attributes(record: bytes) -> dict[str, Any]:
    try:
        found = json.loads(record)
    except (ValueError, RecursionError):
        return {"log.text": _text(record)}
    return found if isinstance(found, dict) else {"log.text": _text(record)}


def _otlp_protobuf(records: Sequence[bytes]) -> bytes:
    made = [
        log_record(_otlp_attributes(record), "request completed", time_ns=NOW * 10**6) for record in records
    ]
    return export(made, {"service.name": "web"})


def _otlp_json(records: Sequence[bytes]) -> bytes:
    made = [
        json_record(_otlp_attributes(record), "request completed", timeUnixNano=f"{NOW}000000")
        for record in records
    ]
    return _json(json_export(made, {"service.name": "web"}))


def _otlp_lines(records: Sequence[bytes]) -> bytes:
    return export([log_record(None, _text(record), time_ns=NOW * 10**6) for record in records])


def _firehose(records: Sequence[bytes]) -> bytes:
    made = [{"data": base64.b64encode(record).decode()} for record in records]
    return _json({"requestId": "1", "timestamp": NOW, "records": made})


def _vercel(number: int) -> bytes:
    proxy = {
        "timestamp": NOW, "method": "POST", "host": "shop.example", "path": f"/login?n={number}", "statusCode": 401,
        "userAgent": ["Mozilla/5.0"], "clientIp": f"203.0.113.{number % 250}", "region": "fra1",
    }  # fmt: skip
    return _json(
        {"id": str(number), "timestamp": NOW, "requestId": f"r{number}", "source": "lambda", "statusCode": 401,
         "host": "shop.example", "path": "/login", "message": "sign-in failed", "proxy": proxy}
    )  # fmt: skip


def _logpush(number: int) -> bytes:
    return _json(
        {"ClientIP": f"203.0.113.{number % 250}", "ClientRequestHost": "shop.example", "ClientRequestMethod": "POST",
         "ClientRequestURI": f"/login?n={number}", "EdgeEndTimestamp": "2026-11-23T10:00:03Z",
         "EdgeResponseBytes": 12, "EdgeResponseStatus": 401, "RayID": f"{number:016x}"}
    )  # fmt: skip


def _datadog(number: int) -> bytes:
    return _json(
        {"message": _line(number).decode(), "ddsource": "nginx", "ddtags": "env:prod", "hostname": "web-1",
         "service": "shop"}
    )  # fmt: skip


def _msgpack(records: Sequence[bytes]) -> bytes:
    return b"".join(msgpack.packb([[NOW // 1000, {}], _otlp_attributes(record)]) for record in records)


def _form(records: Sequence[bytes]) -> bytes:
    return b"&".join(b"name%d=%b" % pair for pair in enumerate(records))


def _journal(records: Sequence[bytes]) -> bytes:
    return b"".join(
        b"__CURSOR=s=1;i=%x\n__REALTIME_TIMESTAMP=%d000\n_HOSTNAME=web-1\nPRIORITY=6\n_UID=0\n"
        b"SYSLOG_IDENTIFIER=sshd\n_PID=7\nMESSAGE\n%b%b\n\n"
        % (number, NOW, struct.pack("<Q", len(record)), record)
        for number, record in enumerate(records)
    )


def _login(number: int) -> bytes:
    return b"Failed password for root from 203.0.113.%d port %d ssh2" % (number % 250, number)


def _of_format(name: str) -> Callable[[int], bytes]:
    """A line of this format, each another."""
    if name == AUTO:
        return _mixed
    if name == "syslog":
        lines = [FORMATS_WITHOUT_SAMPLES[each] for each in ("sshd", "syslog")]
        return lambda number: (lines[number % 2] % (number % 250, number)).encode()
    if name in FORMATS_WITHOUT_SAMPLES:
        line = FORMATS_WITHOUT_SAMPLES[name]
        return lambda number: (line % (number % 250, number)).encode()
    own = [each.line.encode() for each in samples() if each.format == name and each.kind != "none"]
    return lambda number: own[number % len(own)]


def _pairs(number: int) -> bytes:
    return b"/login%%3Fn%%3D%d" % number


def _decoder(
    name: str,
    shipper: Shipper,
    enclose: Enclose,
    record: Callable[[int], bytes] = _record,
    content_type: str = "application/json",
    **query: str,
) -> Decoder:
    path = "/app/_bulk" if name.startswith("bulk") else "/"
    return Decoder(name, shipper, Head(path, query, {"content-type": content_type}, NOW), enclose, record)


_ACTION = b'{"create":{"_index":"logs"}}\n'
_VERCEL = Vercel(None, None, None)  # type: ignore[arg-type] - claims nothing here
_PROTOBUF = "application/x-protobuf"

DECODERS = (
    _decoder("events-ndjson", EVENTS, _lines),
    _decoder("events-array", EVENTS, _array),
    _decoder("events-glued", EVENTS, b"".join),
    _decoder("events-envelope", EVENTS, _envelope),
    _decoder("events-lines", EVENTS, _lines, _mixed, "text/plain"),
    _decoder("events-wrapped", EVENTS, lambda r: _lines([_json({"log": _text(x)}) for x in r]), _mixed),
    _decoder("events-msgpack", EVENTS, _msgpack, content_type="application/msgpack"),
    _decoder("events-form", EVENTS, _form, _pairs, "application/x-www-form-urlencoded"),
    _decoder("loki-json", loki.LOKI, _loki_json, _mixed),
    _decoder("loki-protobuf", loki.LOKI, _loki_protobuf, _mixed, _PROTOBUF)._replace(pack=_snappy),
    _decoder(
        "splunk-event", splunk.EVENTS, lambda r: b"".join(_json({"event": _text(x), "host": "web-1"}) for x in r)
    ),
    _decoder("splunk-raw", splunk.RAW, _lines, _mixed, "text/plain", host="web-1"),
    _decoder("otlp-json", otlp.OTLP, _otlp_json),
    _decoder("otlp-protobuf", otlp.OTLP, _otlp_protobuf, content_type=_PROTOBUF),
    _decoder("otlp-lines", otlp.OTLP, _otlp_lines, _mixed, _PROTOBUF),
    _decoder("bulk", elasticsearch.BULK, lambda records: b"".join(_ACTION + record + b"\n" for record in records)),
    _decoder("document", elasticsearch.DOCUMENT, _envelope)._replace(peer="bulk"),
    _decoder("vercel", _VERCEL, _array, _vercel),
    _decoder("vercel-ndjson", _VERCEL, _lines, _vercel),
    _decoder("firehose", firehose.FIREHOSE, _firehose),
    _decoder("logpush", logpush.LOGPUSH, _lines, _logpush),
    _decoder("datadog", datadog.DATADOG, _array, _datadog),
    _decoder("journal", Journal(), _journal, _login, "application/vnd.fdo.journal"),
)  # fmt: skip
FORMATS = tuple(
    _decoder(f"raw-{name}", RAW, _lines, _of_format(name), "text/plain", format=name) for name in NAMES
)
