"""Splunk's HTTP Event Collector: `/services/collector` with `event`, `raw`, `health` and `ack`.

It stands at the root, since Docker's driver and Fluent Bit take no path. All answers are `{"text":...,"code":n}`:

| status, code | when |
|---|---|
| 200, 0 | counted, in whole or in part. Exactly 200: Fluent Bit sends the chunk again on 201, 202, 204 |
| 400, 5 and 6 and 13 | nothing in the body; nothing readable; nothing but blank events |
| 400, 14 and 16 | acks, or tokens in the query, are not switched on |
| 401, 2 and 3 · 403, 4 | no token; a header that holds none · a wrong one |
| 413, 6 | too large |
| 503, 9, Retry-After | try again, which all but Docker's last attempt do |

Source: Splunk, "Troubleshoot HTTP Event Collector" (the codes) and "Input endpoint descriptions" (the routes), vector
src/sources/splunk_hec/mod.rs, fluent-bit plugins/out_splunk/splunk.c, moby daemon/logger/splunk/splunk.go.
"""

import secrets
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.auth import CHALLENGE, IN_URL, LONGEST_HEADER, read_credentials
from app.health import readyz
from app.ingest.body import read_body
from app.ingest.decode import Decoded
from app.ingest.refused import Refused
from app.ingest.shippers.shipper import Head, Outcome, Refusal, Shipper
from app.ingest.shippers.splunk_events import BLANK, read_envelopes, read_lines
from app.ingest.taking import RETRY_HEADERS, identify, take
from detectors.errors import DecodeError

ACK_BITS = 52
"""Of an ackId: a whole number in every language, and no two of one channel are alike."""
ACK_BODY_BYTES = 1024 * 1024
"""A hundred thousand ackIds."""
_TEXTS = {
    0: "Success", 2: "Token is required", 3: "Invalid authorization", 4: "Invalid token", 5: "No data",
    6: "Invalid data format", 9: "Server is busy", 13: "Event field cannot be blank", 14: "ACK is disabled",
    16: "Query string authorization is not enabled", 17: "HEC is healthy",
    18: "HEC is unhealthy, queues are full", 21: "Invalid token",
}  # fmt: skip
_REFUSALS = {
    Refusal.ANONYMOUS: (401, 2), Refusal.UNKNOWN_CALLER: (403, 4), Refusal.WRONG_ROLE: (403, 4),
    Refusal.FORBIDDEN: (403, 4), Refusal.TOO_LARGE: (413, 6), Refusal.UNDECODABLE: (400, 6),
    Refusal.TRY_AGAIN: (503, 9),
}  # fmt: skip
_HEADERS = {401: CHALLENGE, 503: RETRY_HEADERS}
_CHANNEL = "x-splunk-request-channel"

router = APIRouter(prefix="/services/collector", include_in_schema=False)


class _Acks(msgspec.Struct):
    acks: list[int]


class Collector(Shipper):
    """Events in envelopes, or lines of text."""

    name = "splunk"

    def __init__(self, *, is_raw: bool) -> None:
        self.is_raw = is_raw

    def variant(self, head: Head) -> str:
        """How it is read, and the metadata of raw lines, which stand in the query."""
        if not self.is_raw:
            return ""
        return "raw" + "".join(f"\n{name}={head.query.get(name, '')}" for name in ("host", "time"))

    def read(self, body: bytes, head: Head) -> Decoded:
        """One event an envelope, or a line. Raises: BodyTooLarge."""
        if self.is_raw:
            return read_lines(body, head.query.get("host"), head.query.get("time"), head.received_ms)
        return read_envelopes(body, head.received_ms)

    def success(self, outcome: Outcome, head: Head) -> Response:
        """Code 0, or code 5 where there was nothing: Amazon Data Firehose tries an empty body and expects that."""
        return answer(200, 0) if outcome.notes else answer(400, 5)

    def nothing_readable(self, outcome: Outcome, head: Head) -> Response:
        """Code 6 or 13, and the number of the first event that is wrong, from 0."""
        index, error = outcome.rejected[0]
        return answer(400, 13 if error == BLANK else 6, **{"invalid-event-number": index})

    def refuse(self, refusal: Refusal, detail: str, head: Head) -> Response:
        """The code that Splunk has for it; code 3 for a header from which no token can be read."""
        if refusal is Refusal.ANONYMOUS and head.headers.get("authorization"):
            return answer(401, 3)
        return answer(*_REFUSALS[refusal])


class AcknowledgingCollector(Collector):
    """The same where acks are switched on: a sender that names its channel gets an ackId with each success."""

    def success(self, outcome: Outcome, head: Head) -> Response:
        """An answer of success means counted, so that there is nothing to remember of an ackId."""
        channel = head.headers.get(_CHANNEL) or head.query.get("channel")
        if not outcome.accepted or not channel:
            return super().success(outcome, head)
        return answer(200, 0, ackId=secrets.randbits(ACK_BITS))


EVENTS, RAW = Collector(is_raw=False), Collector(is_raw=True)
ACKED_EVENTS, ACKED_RAW = AcknowledgingCollector(is_raw=False), AcknowledgingCollector(is_raw=True)


def answer(status: int, code: int, **more: Any) -> Response:
    """An answer in Splunk's form."""
    body = msgspec.json.encode({"text": _TEXTS[code], "code": code, **more})
    return Response(body, status, media_type="application/json", headers=_HEADERS.get(status))


def _take_query_token(request: Request) -> bool:
    """Move a token from the query to where `authenticate` looks for it, if that is switched on; whether it may go on.

    It is taken out of the query in place, so that no access log shows it.
    """
    pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    rest = [(name, value) for name, value in pairs if name.lower() != "token"]
    if len(rest) == len(pairs):
        return True
    token = next(value for name, value in pairs if name.lower() == "token")
    request.scope["query_string"] = urlencode(rest).encode()
    if not token or read_credentials(request.headers) or IN_URL in request.scope:
        return True
    if request.app.state.world.settings.hec_query_token and len(token) <= LONGEST_HEADER:
        request.scope[IN_URL] = token
        return True
    return False


async def _take(request: Request, plain: Collector, acked: Collector) -> Response:
    if not _take_query_token(request):
        return answer(400, 16)
    return await take(request, acked if request.app.state.world.settings.hec_acks else plain)


@router.post("")
@router.post("/event")
@router.post("/event/1.0")
async def post_events(request: Request) -> Response:
    """Take events."""
    return await _take(request, EVENTS, ACKED_EVENTS)


@router.post("/raw")
@router.post("/raw/1.0")
async def post_lines(request: Request) -> Response:
    """Take lines of text."""
    return await _take(request, RAW, ACKED_RAW)


@router.options("")
@router.options("/{kind}")
@router.options("/{kind}/1.0")
async def preflight(request: Request) -> Response:
    """200 to anybody: Docker starts no container whose driver is not answered so."""
    return Response(headers={"Allow": "POST, GET, OPTIONS"})


@router.api_route("/health", methods=["GET", "POST"])
@router.api_route("/health/1.0", methods=["GET", "POST"])
async def health(request: Request) -> Response:
    """Whether to send. A token is not needed, but a wrong one is told: before data is lost by it."""
    if not _take_query_token(request):
        return answer(400, 16)
    try:
        identify(request)
    except Refused as refused:
        if refused.refusal is not Refusal.ANONYMOUS:
            return answer(400, 21)
    ready = await readyz(request)
    return answer(200, 17) if ready.status_code == 200 else answer(503, 18)


@router.post("/ack")
@router.post("/ack/1.0")
async def acknowledge(request: Request) -> Response:
    """All that is asked about was counted: nobody has an ackId of anything else."""
    if not _take_query_token(request):
        return answer(400, 16)
    try:
        identify(request)
    except Refused as refused:
        return answer(*_REFUSALS[refused.refusal])
    if not request.app.state.world.settings.hec_acks:
        return answer(400, 14)
    try:
        asked = msgspec.json.decode(await read_body(request, ACK_BODY_BYTES, lambda _: None), type=_Acks)
    except (DecodeError, msgspec.DecodeError, ValueError, RecursionError):
        return answer(400, 6)
    return Response(
        msgspec.json.encode({"acks": {str(number): True for number in asked.acks}}),
        media_type="application/json",
    )
