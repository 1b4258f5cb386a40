"""Datadog's log intake, as its Agent, Vector, Fluent Bit and its libraries speak it.

The Agent drops a payload on 400, 401, 403 and 413, and sends it again on every other error, for ever: so what cannot
be decoded is a 400.
Source: Datadog API reference ("Send logs", "Validate API key"); pkg/logs/client/http/destination.go of datadog-agent
(the answers, the empty `{}` with which it tries a connection); Vector's datadog_logs sink (its health check).
"""

from http import HTTPStatus

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.ingest.decode import Decoded, decode_records
from app.ingest.framing import frame
from app.ingest.refused import Refused
from app.ingest.shippers.shipper import Head, Outcome, Refusal, Shipper
from app.ingest.taking import RETRY_HEADERS, identify, take
from detectors.event import Event

_STATUSES = {
    Refusal.ANONYMOUS: 401, Refusal.UNKNOWN_CALLER: 403, Refusal.WRONG_ROLE: 403, Refusal.FORBIDDEN: 403,
    Refusal.TOO_LARGE: 413, Refusal.UNDECODABLE: 400, Refusal.TRY_AGAIN: 503,
}  # fmt: skip
_CONNECTION_TESTS = (b"", b"{}", b"[]", b"[{}]")


class Datadog(Shipper):
    """One entry or an array of them; `message` is the log line."""

    name = "datadog"

    def variant(self, head: Head) -> str:
        """The machine, which may stand in the query."""
        return head.query.get("hostname", "")

    def read(self, body: bytes, head: Head) -> Decoded:
        """Every entry as an event. Raises: BodyTooLarge."""
        if body.strip() in _CONNECTION_TESTS:
            return Decoded()
        framed = frame(body)
        host = head.query.get("hostname")
        around = [Event(host=host)] * len(framed.records) if host else None
        return decode_records(framed.records, head.received_ms, are_lines=framed.are_lines, around=around)

    def success(self, outcome: Outcome, head: Head) -> Response:
        """202 and an empty object."""
        return Response(b"{}", 202, media_type="application/json")

    def refuse(self, refusal: Refusal, detail: str, head: Head) -> Response:
        """A list of errors."""
        status = _STATUSES[refusal]
        error = {"status": str(status), "title": HTTPStatus(status).phrase, "detail": detail}
        headers = RETRY_HEADERS if status == 503 else None
        return Response(
            msgspec.json.encode({"errors": [error]}), status, headers, media_type="application/json"
        )


DATADOG = Datadog()
router = APIRouter(include_in_schema=False)


@router.post("/api/v2/logs")
@router.post("/v1/input")
async def post_logs(request: Request) -> Response:
    """Take log entries."""
    return await take(request, DATADOG)


@router.get("/api/v1/validate")
async def validate(request: Request) -> Response:
    """Whether the key is valid."""
    try:
        identify(request)
    except Refused as refused:
        head = Head.of(request, request.app.state.world.now())
        return DATADOG.refuse(refused.refusal, refused.detail, head)
    return Response(b'{"valid":true}', media_type="application/json")
