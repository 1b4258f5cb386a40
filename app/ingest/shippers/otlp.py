"""OTLP/HTTP logs: `POST /v1/logs`, and `/otlp/v1/logs` as Loki's users have it configured.

Every answer is in the request's type: protobuf or JSON. A request of which a part could not be read is a success that
says so, and must not be sent again; the Collector takes an answer that does not parse for a permanent error.
What clients send again is 429, 502, 503 and 504, never 500.
Source: opentelemetry.io, "OTLP Specification 1.x", OTLP/HTTP Response; google/rpc/status.proto and code.proto.
"""

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.auth import CHALLENGE
from app.ingest.decode import Decoded
from app.ingest.shippers.otlp_json import read_json
from app.ingest.shippers.otlp_protobuf import read_protobuf
from app.ingest.shippers.shipper import Head, Outcome, Refusal, Shipper
from app.ingest.taking import RETRY_HEADERS, take

JSON, PROTOBUF = "application/json", "application/x-protobuf"
REASONS_SHOWN = 3
NS_PER_S = 1_000_000_000
_STATUSES = {
    Refusal.ANONYMOUS: 401, Refusal.UNKNOWN_CALLER: 401, Refusal.WRONG_ROLE: 403, Refusal.FORBIDDEN: 403,
    Refusal.TOO_LARGE: 413, Refusal.UNDECODABLE: 400, Refusal.TRY_AGAIN: 503,
}  # fmt: skip
_CODES = {401: 16, 403: 7, 413: 3, 400: 3, 503: 14}
"""UNAUTHENTICATED, PERMISSION_DENIED, INVALID_ARGUMENT twice, UNAVAILABLE. Source: google/rpc/code.proto."""
_HEADERS = {401: CHALLENGE, 503: RETRY_HEADERS}

router = APIRouter(include_in_schema=False)


class Otlp(Shipper):
    """OpenTelemetry's logs."""

    name = "otlp"
    wordiness = 2
    marks_per_record = 8
    """Two for each attribute, and the cheapest records have none: 32,000 of those are decoded in 100 ms."""

    def variant(self, head: Head) -> str:
        """The wire form, as far as the header tells."""
        return head.content_type

    def read(self, body: bytes, head: Head) -> Decoded:
        """Every log record as an event. The first byte tells JSON where the header does not.

        Raises: DecodeError, BodyTooLarge.
        """
        if _is_json(head) or (head.content_type != PROTOBUF and body.lstrip()[:1] in (b"{", b"[")):
            decoded = read_json(body, head.received_ms)
        else:
            decoded = read_protobuf(body, head.received_ms)
        decoded.is_named = len(decoded.events) == 1 and _is_fine(decoded.events[0].timestamp)
        return decoded

    def success(self, outcome: Outcome, head: Head) -> Response:
        """200: nothing, or how many records were rejected and why.

        Source: collector/logs/v1/logs_service.proto, ExportLogsServiceResponse.
        """
        rejected = len(outcome.rejected)
        reasons = list(dict.fromkeys(reason for _, reason in outcome.rejected))
        message = "; ".join(reasons[:REASONS_SHOWN])
        if _is_json(head):
            partial = {"partialSuccess": {"rejectedLogRecords": str(rejected), "errorMessage": message}}
            return Response(msgspec.json.encode(partial if rejected else {}), media_type=JSON)
        answer = _part(1, b"\x08" + _varint(rejected) + _part(2, message.encode())) if rejected else b""
        return Response(answer, media_type=PROTOBUF)

    def refuse(self, refusal: Refusal, detail: str, head: Head) -> Response:
        """A google.rpc.Status."""
        status = _STATUSES[refusal]
        code, headers = _CODES[status], _HEADERS.get(status)
        if _is_json(head):
            return Response(msgspec.json.encode({"code": code, "message": detail}), status, headers, JSON)
        return Response(b"\x08" + _varint(code) + _part(2, detail.encode()), status, headers, PROTOBUF)


def _is_fine(timestamp: object) -> bool:
    """Whether a time is finer than a second: no two records of one sender have the same one and say the same."""
    return type(timestamp) is int and timestamp % NS_PER_S != 0


def _is_json(head: Head) -> bool:
    return head.content_type == JSON


def _part(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


OTLP = Otlp()


@router.post("/v1/logs")
@router.post("/otlp/v1/logs")
async def post_logs(request: Request) -> Response:
    """Take log records."""
    return await take(request, OTLP)
