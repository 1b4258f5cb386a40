"""Bartizan's own ingest routes: `POST /v1/events` and `POST /v1/raw`, and the routes of all shipper protocols.

Success is 200 with what was counted; "never again" is 422, which all shippers measured drop on; see taking.py.
"""

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.auth import CHALLENGE
from app.ingest import openapi
from app.ingest.decode import Decoded, decode_events, decode_lines
from app.ingest.form import decode_form
from app.ingest.formats.registry import AUTO, parser_for
from app.ingest.msgpack_records import decode_msgpack
from app.ingest.shippers.registry import ROUTERS
from app.ingest.shippers.shipper import Head, Outcome, Refusal, Shipper
from app.ingest.syslog_headers import decode_bare_message, named_program
from app.ingest.taking import RETRY_HEADERS, take
from app.problems import problem
from detectors.errors import DecodeError

ERRORS_SHOWN = 20
_MSGPACK_TYPES = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")
_FORM_TYPE = "application/x-www-form-urlencoded"
_STATUSES = {
    Refusal.ANONYMOUS: 401, Refusal.UNKNOWN_CALLER: 401, Refusal.WRONG_ROLE: 403, Refusal.FORBIDDEN: 403,
    Refusal.TOO_LARGE: 413, Refusal.UNDECODABLE: 422, Refusal.TRY_AGAIN: 503,
}  # fmt: skip
_HEADERS = {401: CHALLENGE, 503: RETRY_HEADERS}

router = APIRouter()
own = APIRouter(prefix="/v1", tags=["ingest"])


class Answer(msgspec.Struct, frozen=True):
    """What became of a body's records."""

    accepted: int
    rejected: int
    duplicate: bool
    errors: list[dict[str, int | str]]

    @classmethod
    def of(cls, outcome: Outcome) -> "Answer":
        """The first errors are named."""
        shown: list[dict[str, int | str]] = [
            {"index": index, "error": error} for index, error in outcome.rejected[:ERRORS_SHOWN]
        ]
        return cls(outcome.accepted, len(outcome.rejected), outcome.duplicate, shown)


class OwnRoute(Shipper):
    """What `/v1/events` and `/v1/raw` have in common: their answers."""

    def success(self, outcome: Outcome, head: Head) -> Response:
        """200 with counts and the first errors."""
        return Response(msgspec.json.encode(Answer.of(outcome)), media_type="application/json")

    def nothing_readable(self, outcome: Outcome, head: Head) -> Response:
        """422, for nothing is won by sending it again."""
        answer = Answer.of(outcome)
        detail = f"None of the {answer.rejected} records could be decoded."
        return problem(422, detail, **msgspec.structs.asdict(answer))

    def refuse(self, refusal: Refusal, detail: str, head: Head) -> Response:
        """A problem body."""
        status = _STATUSES[refusal]
        return problem(status, detail, headers=_HEADERS.get(status))


class Events(OwnRoute):
    """Records as JSON in any framing, as MessagePack, or as a form; lines, and syslog-ng's bare messages."""

    name = "events"

    def variant(self, head: Head) -> str:
        """The program of a bare message."""
        return named_program(head)

    def read(self, body: bytes, head: Head) -> Decoded:
        """Every record as an event. Raises: DecodeError for protobuf, BodyTooLarge.

        What the sender says of a body counts only where its first byte agrees: JSON comes under every content type.
        """
        if body.lstrip()[:1] not in (b"{", b"[", b""):
            bare = decode_bare_message(body, head)
            if bare is not None:
                return bare
            if head.content_type in _MSGPACK_TYPES:
                return decode_msgpack(body, head.received_ms)
            if head.content_type == _FORM_TYPE:
                return decode_form(body, head.received_ms) or decode_events(body, head.received_ms)
            if "protobuf" in head.content_type:
                # Kept as text it would be lost unnoticed.
                raise DecodeError("protobuf bodies are not read on this route; send JSON or MessagePack")
        return decode_events(body, head.received_ms)


class Raw(OwnRoute):
    """Log lines as they stand in the file."""

    name = "raw"

    def variant(self, head: Head) -> str:
        """The format."""
        return head.query.get("format", AUTO)

    def line_format(self, head: Head) -> str | None:
        """The same."""
        return self.variant(head)

    def check(self, head: Head) -> None:
        """Raises: DecodeError for a format that nobody knows."""
        parser_for(self.variant(head))

    def read(self, body: bytes, head: Head) -> Decoded:
        """Every line as an event. Raises: BodyTooLarge."""
        bare = decode_bare_message(body, head) if self.variant(head) == AUTO else None
        if bare is not None:
            return bare
        return decode_lines(body, self.variant(head), head.received_ms)


EVENTS, RAW = Events(), Raw()


@own.post("/events", responses=openapi.ANSWERS, openapi_extra=openapi.EVENTS, response_class=Response)
async def post_events(request: Request) -> Response:
    """Take events as JSON in any framing: an array, NDJSON, glued objects, one object, or an envelope."""
    return await take(request, EVENTS)


@own.post("/raw", responses=openapi.ANSWERS, openapi_extra=openapi.RAW, response_class=Response)
async def post_raw(request: Request) -> Response:
    """Take log lines as they stand in the file; blank lines are skipped."""
    return await take(request, RAW)


@own.api_route("/events", methods=["HEAD", "OPTIONS"], include_in_schema=False)
@own.api_route("/raw", methods=["HEAD", "OPTIONS"], include_in_schema=False)
async def answer_probe(request: Request) -> Response:
    """200: shippers ask with HEAD or OPTIONS whether somebody listens, and Vector takes nothing else."""
    return Response(headers={"Allow": "POST, HEAD, OPTIONS"})


for known in (own, *ROUTERS):
    router.include_router(known)
