"""Loki's push API: `POST /loki/api/v1/push`, and the older `/api/prom/push`, as JSON or as protobuf.

| answer | when |
|---|---|
| 204, empty | counted, in whole or in part; python-logging-loki raises on anything else |
| 400 text | nothing could be read: the one status at which Fluent Bit's `loki` output gives up |
| 401, 403, 413 text | no token or a wrong one; too large |
| 503 text, Retry-After | try again, which Promtail, Alloy, Vector and Fluent Bit all do |

Source: grafana/loki pkg/loghttp/push/push.go (what is JSON, what is protobuf), vector src/sinks/loki/healthcheck.rs
(`/ready`), GreyZmeem/python-logging-loki emitter.py (204), fluent-bit plugins/out_loki/loki.c (400).
"""

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from app.auth import CHALLENGE
from app.health import readyz
from app.ingest.body import BODY_LIMIT_BYTES, BodyTooLarge, decompress, unsnappy
from app.ingest.container_parts import join_parts
from app.ingest.decode import ELEMENT, RECORD, Decoded, Rejected
from app.ingest.enclosed import EnclosedReader, Surroundings, surroundings_of, surroundings_of_labels
from app.ingest.framing import RECORDS_LIMIT
from app.ingest.lenient_json import dumps
from app.ingest.shippers.loki_push import EMPTY, Stream, json_streams, protobuf_streams
from app.ingest.shippers.shipper import Head, Outcome, Refusal, Shipper
from app.ingest.taking import RETRY_HEADERS, take
from detectors.errors import DecodeError

STREAMS_KNOWN = 4096
"""Labels and metadata of one body whose meaning is kept: pino-loki and Fluent Bit make a stream of each record."""
_STATUSES = {
    Refusal.ANONYMOUS: 401, Refusal.UNKNOWN_CALLER: 401, Refusal.WRONG_ROLE: 403, Refusal.FORBIDDEN: 403,
    Refusal.TOO_LARGE: 413, Refusal.UNDECODABLE: 400, Refusal.TRY_AGAIN: 503,
}  # fmt: skip
_HEADERS = {401: CHALLENGE, 503: RETRY_HEADERS}
_JSON = ("application/json", "text/json")

router = APIRouter(include_in_schema=False)


class Loki(Shipper):
    """Entries of streams. The line is the record; labels and structured metadata fill its gaps."""

    name = "loki"

    def unpack(self, data: bytes, head: Head, limit: int = BODY_LIMIT_BYTES) -> bytes:
        """What is not JSON is one raw snappy block, whether a header says so or not."""
        encoding = head.headers.get("content-encoding", "")
        body = decompress(data, encoding, limit)
        if not body or head.content_type in _JSON or "snappy" in encoding.lower():
            return body
        unpacked = unsnappy(body, limit)
        return body.lstrip() if unpacked is body else unpacked

    def read(self, body: bytes, head: Head) -> Decoded:
        """One event an entry; entries with a blank line and no metadata are skipped, as blank lines are elsewhere."""
        if not body or body.isspace():
            return Decoded()
        # No protobuf begins with a brace: it would be the start of a group with number 15.
        is_json = head.content_type in _JSON or body.startswith(b"{")
        streams = json_streams if is_json else protobuf_streams
        reading = _Reading(head.received_ms)
        for stream in streams(body):
            reading.take(stream)
        if not reading.has_parts:
            return reading.decoded
        reading = _Reading(head.received_ms)
        for stream in streams(body):
            reading.take(_without_parts(stream))
        return reading.decoded

    def success(self, outcome: Outcome, head: Head) -> Response:
        """204 and nothing more."""
        return Response(status_code=204)

    def nothing_readable(self, outcome: Outcome, head: Head) -> Response:
        """400 with the first reason."""
        _, error = outcome.rejected[0]
        return _text(400, f"none of the {len(outcome.rejected)} entries could be read: {error}")

    def refuse(self, refusal: Refusal, detail: str, head: Head) -> Response:
        """Plain text, as Go's http.Error writes it."""
        return _text(_STATUSES[refusal], detail)


def _without_parts(stream: Stream) -> Stream:
    """The same with the lines joined that a container runtime has cut."""
    entries = list(stream.entries)
    if not entries:
        return stream
    joined, places = join_parts([entry.line or b"" for entry in entries])
    found = [
        entries[place] if entries[place].line is None else entries[place]._replace(line=record)
        for place, record in zip(places, joined, strict=True)
    ]
    return stream._replace(entries=iter(found))


class _Reading:
    """What one body has brought so far."""

    def __init__(self, received_ms: int) -> None:
        self.decoded = Decoded()
        self._reader = EnclosedReader(received_ms)
        self._known: dict[tuple[bytes, bytes], Surroundings] = {}
        self._index = 0
        self._seen = 0

    @property
    def has_parts(self) -> bool:
        """Whether a line among them may be a part of one."""
        return self._reader.has_parts

    def take(self, stream: Stream) -> None:
        """Add the events of a stream. Raises: BodyTooLarge over 1,000,000 streams and entries, blank ones too."""
        self._see()
        if stream is EMPTY:
            return
        labels = dumps(stream.labels)
        around = self._known.get((labels, b"")) or self._learn(
            (labels, b""), surroundings_of_labels(stream.labels)
        )
        events, records, read = self.decoded.events, self.decoded.records, self._reader.read
        for timestamp, line, metadata, broken in stream.entries:
            self._see()
            if line is None:
                self._reject("not an entry of a timestamp and a line", broken, ELEMENT)
                continue
            inner, record = around, line
            if metadata:
                added = dumps(metadata)
                inner = self._known.get((labels, added)) or self._learn(
                    (labels, added), around.behind(surroundings_of(metadata))
                )
                # The pattern scan is to see what Fluent Bit has taken out of the line.
                line = line.strip() or b"{}"
                record = line + b" " + added
            elif not line or line.isspace():
                continue
            try:
                events.append(read(line, inner, timestamp))
            except DecodeError as error:
                self._reject(str(error), record)
                continue
            records.append(record)
            self._index += 1

    def _see(self) -> None:
        self._seen += 1
        if self._seen > RECORDS_LIMIT:
            raise BodyTooLarge(f"the body has more than {RECORDS_LIMIT} streams and entries")

    def _reject(self, reason: str, record: bytes, form: str = RECORD) -> None:
        self.decoded.rejected.append(Rejected(self._index, reason, record, form))
        self._index += 1

    def _learn(self, key: tuple[bytes, bytes], around: Surroundings) -> Surroundings:
        """Remember what labels, and metadata, say: it belongs to its entry alone and goes before them."""
        if len(self._known) < STREAMS_KNOWN:
            self._known[key] = around
        return around


def _text(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status, headers=_HEADERS.get(status))


LOKI = Loki()


@router.post("/loki/api/v1/push")
@router.post("/api/prom/push")
async def push(request: Request) -> Response:
    """Take entries."""
    return await take(request, LOKI)


@router.get("/ready")
async def ready(request: Request) -> Response:
    """Whether to send: Vector asks before it starts, and starts only after 200."""
    answer = await readyz(request)
    return _text(200, "ready") if answer.status_code == 200 else _text(503, "not ready: storage is away")


@router.get("/loki/api/v1/labels")
async def labels() -> Response:
    """No labels: Grafana and curious people ask for them to see whether this is a Loki. Nothing is queried here."""
    return Response(b'{"status":"success","data":[]}', media_type="application/json")


@router.get("/loki/api/v1/status/buildinfo")
async def buildinfo() -> Response:
    """Grafana's question which features there are. The version is that of the push API with structured metadata."""
    return Response(b'{"version":"3.0.0"}', media_type="application/json")
