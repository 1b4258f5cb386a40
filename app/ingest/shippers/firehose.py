"""Amazon Data Firehose's HTTP endpoint destination, and what CloudWatch Logs sends through it.

Every answer is JSON with the request's own id; anything else counts as a failure and is sent again, for the stream's
retry duration, and then goes to its S3 bucket. Only 413 loses data for good, so a body that is too large is a 400.
Source: Amazon Data Firehose Developer Guide, "Understand HTTP endpoint delivery request and response specifications";
CloudWatch Logs User Guide, "Real-time processing of log data with subscriptions".
"""

import binascii
from collections.abc import Iterator
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.ingest.body import BODY_LIMIT_BYTES, GZIP_MAGIC, BodyTooLarge, decompress
from app.ingest.decode import ELEMENT, Decoded, Rejected, decode_records
from app.ingest.framing import RECORDS_LIMIT, frame
from app.ingest.lenient_json import loads
from app.ingest.shippers.shipper import Head, Outcome, Refusal, Shipper
from app.ingest.taking import RETRY_HEADERS, take
from detectors.errors import DecodeError
from detectors.event import Event

REQUEST_ID = "x-amz-firehose-request-id"
COMMON = "x-amz-firehose-common-attributes"
_STATUSES = {
    Refusal.ANONYMOUS: 401, Refusal.UNKNOWN_CALLER: 401, Refusal.WRONG_ROLE: 403, Refusal.FORBIDDEN: 403,
    Refusal.TOO_LARGE: 400, Refusal.UNDECODABLE: 400, Refusal.TRY_AGAIN: 503,
}  # fmt: skip
_TOO_MANY = f"the body has more than {RECORDS_LIMIT} records"
_NOT_BASE64 = "the record's data is not base64"


class _Record(msgspec.Struct):
    data: str | None = None


class _Delivery(msgspec.Struct):
    records: list[_Record]
    requestId: str = ""


class _LogEvent(msgspec.Struct):
    message: str
    timestamp: int | float | None = None


class _Subscription(msgspec.Struct):
    """What CloudWatch Logs sends: its own test (CONTROL_MESSAGE) or log events (DATA_MESSAGE)."""

    messageType: str
    logEvents: list[_LogEvent]


class _Common(msgspec.Struct):
    commonAttributes: dict[str, Any] = {}


_DELIVERY = msgspec.json.Decoder(_Delivery)
_SUBSCRIPTION = msgspec.json.Decoder(_Subscription)
_COMMON = msgspec.json.Decoder(_Common)


class Firehose(Shipper):
    """Deliveries of base64 records, each of one or more log records."""

    name = "firehose"

    def key(self, head: Head) -> str:
        """The request's id, which stays the same over its retries."""
        return head.headers.get(REQUEST_ID, "")

    def read(self, body: bytes, head: Head) -> Decoded:
        """The events of all records. Raises: DecodeError where it is no delivery, BodyTooLarge."""
        if not body.strip():
            return Decoded()
        _check_number(body, b'"data"')
        try:
            delivery = _DELIVERY.decode(body)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise DecodeError("the body is not a delivery of Firehose") from error
        host = _host_of(head)
        lines: list[bytes] = []
        around: list[Event | None] = []
        spoilt: list[Rejected] = []
        for line, envelope in _lines(delivery, spoilt):
            if len(lines) >= RECORDS_LIMIT:
                raise BodyTooLarge(_TOO_MANY)
            lines.append(line)
            if host is not None:
                envelope = envelope or Event()
                envelope.host = host
            around.append(envelope)
        decoded = decode_records(
            lines, head.received_ms, are_lines=True, around=around if any(around) else None
        )
        decoded.rejected += spoilt
        decoded.notes = delivery.requestId
        return decoded

    def success(self, outcome: Outcome, head: Head) -> Response:
        """200 with the request's id."""
        return _answer(200, head, outcome.notes)

    def refuse(self, refusal: Refusal, detail: str, head: Head) -> Response:
        """The same with `errorMessage`, which Firehose writes to its own error log."""
        return _answer(_STATUSES[refusal], head, errorMessage=detail)


def _answer(status: int, head: Head, named: object = None, **more: str) -> Response:
    request_id = head.headers.get(REQUEST_ID) or (named if isinstance(named, str) else "")
    body = {"requestId": request_id, "timestamp": head.received_ms, **more}
    headers = RETRY_HEADERS if status == 503 else None
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def _lines(delivery: _Delivery, spoilt: list[Rejected]) -> Iterator[tuple[bytes, Event | None]]:
    """Every log record, and what its envelope says of it; records that cannot be read are added to `spoilt`.

    Raises: BodyTooLarge where the records come to more than a body may have.
    """
    room = BODY_LIMIT_BYTES
    for place, record in enumerate(delivery.records):
        try:
            data = binascii.a2b_base64(record.data or "", strict_mode=True)
            if data.startswith(GZIP_MAGIC):
                data = decompress(data, "", room)
                room -= len(data)
        except BodyTooLarge:
            raise
        except DecodeError as error:
            spoilt.append(Rejected(place, str(error), _as_it_came(record), ELEMENT))
            continue
        except ValueError:
            spoilt.append(Rejected(place, _NOT_BASE64, _as_it_came(record), ELEMENT))
            continue
        for line in frame(data).records:
            yield from _unwrapped(line)


def _as_it_came(record: _Record) -> bytes:
    return (record.data or "").encode("utf-8", "replace")


def _unwrapped(line: bytes) -> Iterator[tuple[bytes, Event | None]]:
    """The log events of a CloudWatch envelope; anything else as it is."""
    if b'"logEvents"' in line and line.startswith(b"{"):
        _check_number(line, b'"message"')
        subscription = _subscription(line)
        if subscription is not None:
            if subscription.messageType == "DATA_MESSAGE":
                for event in subscription.logEvents:
                    text = event.message.strip("\r\n").encode("utf-8", "replace")
                    if text.strip():
                        yield text, Event(timestamp=event.timestamp)
            return
    yield line, None


def _subscription(line: bytes) -> _Subscription | None:
    """A CloudWatch envelope, also where a message in it is not UTF-8; None for anything else."""
    try:
        return _SUBSCRIPTION.decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    try:
        return msgspec.convert(loads(line), _Subscription)
    except (DecodeError, msgspec.ValidationError, RecursionError):
        return None


def _check_number(text: bytes, key: bytes) -> None:
    """Raises: BodyTooLarge where there are too many of something, before there is an object for each."""
    if text.count(key) > RECORDS_LIMIT:
        raise BodyTooLarge(_TOO_MANY)


def _host_of(head: Head) -> str | None:
    """`host` of the stream's common attributes: the one that says where its records come from."""
    try:
        host = _COMMON.decode(head.headers.get(COMMON, "{}")).commonAttributes.get("host")
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return host if isinstance(host, str) and host else None


FIREHOSE = Firehose()
router = APIRouter(include_in_schema=False)


@router.post("/v1/firehose")
async def post_firehose(request: Request) -> Response:
    """Take one delivery."""
    return await take(request, FIREHOSE)
