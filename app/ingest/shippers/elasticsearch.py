"""Elasticsearch's way in: `_bulk`, and a document by itself, answered as a cluster would.

Official clients, Beats and Logstash believe no answer without `X-Elastic-Product`. Fluent Bit resends the whole chunk
on any answer but 200 with its items, and loses what an item calls 429: so there is no such item, and "try again" is
503 for the whole request.
Source: Elasticsearch's reference (bulk API, index API, `filter_path`); out_es of Fluent Bit; elasticsearch-py.
"""

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.ingest.decode import Decoded, decode_records
from app.ingest.shippers.bulk_body import Actions, read_bulk
from app.ingest.shippers.bulk_items import cause_of, items_of
from app.ingest.shippers.shipper import Head, Outcome, Refusal, Shipper
from app.ingest.taking import RETRY_HEADERS, take

PREFIXES = ("", "/es")
"""A path of its own suits those who share the host with others; every sender can be given one."""
PRODUCT = {"X-Elastic-Product": "Elasticsearch"}
_ERRORS = {
    Refusal.ANONYMOUS: (401, "security_exception"),
    Refusal.UNKNOWN_CALLER: (401, "security_exception"),
    Refusal.WRONG_ROLE: (403, "security_exception"),
    Refusal.FORBIDDEN: (403, "security_exception"),
    Refusal.TOO_LARGE: (413, "content_too_long_exception"),  # Filebeat cuts its batch in two
    Refusal.UNDECODABLE: (400, "illegal_argument_exception"),
    Refusal.TRY_AGAIN: (503, "unavailable_shards_exception"),
}
_HEADERS = {401: {"WWW-Authenticate": 'Basic realm="security", charset="UTF-8"'}, 503: RETRY_HEADERS}
_RESENDS_ALL = "fluent-bit"
"""Resends the whole chunk, for ever if told so, where every item failed."""


class Elasticsearch(Shipper):
    """`_bulk`: one item in the answer for each action, in order."""

    name = "elasticsearch"

    def variant(self, head: Head) -> str:
        """The index of the path: two applications may send the same."""
        return index_of(head.path)

    def read(self, body: bytes, head: Head) -> Decoded:
        """The events of all documents, and the answer, which is long: this may run beside the event loop.

        Raises: DecodeError where the body does not begin with an action, BodyTooLarge.
        """
        decoded, taken = read_bulk(body, head.received_ms)
        agent = head.headers.get("user-agent", "").lower()
        if agent.startswith(_RESENDS_ALL) and len(taken.failures) == len(taken.actions):
            taken = Actions(taken.actions, {})
        is_short = "items.*.status" in head.query.get("filter_path", "")
        items = items_of(taken, index_of(head.path), made_id(head, ""), is_short=is_short)
        errors = b"true" if taken.failures else b"false"
        # Compact, and in this order: Vector looks for the text `"errors":true`, Fluent Bit for what follows `false`.
        decoded.notes = b'{"took":1,"errors":%b,"items":[%b]}' % (errors, b",".join(items))
        return decoded

    def success(self, outcome: Outcome, head: Head) -> Response:
        """200 and the items."""
        assert isinstance(outcome.notes, bytes)  # noqa: S101 - what `read` notes
        return answer(outcome.notes, head)

    def refuse(self, refusal: Refusal, detail: str, head: Head) -> Response:
        """An error as Elasticsearch words it."""
        status, kind = _ERRORS[refusal]
        cause = {"type": kind, "reason": detail}
        body = msgspec.json.encode({"error": {"root_cause": [cause], **cause}, "status": status})
        return answer(body, head, status, _HEADERS.get(status))


class Document(Elasticsearch):
    """A document by itself: what rsyslog sends where `bulkmode` is off."""

    def read(self, body: bytes, head: Head) -> Decoded:
        """The event of the document."""
        if not body.strip():
            return Decoded()
        return decode_records([body.strip()], head.received_ms, are_lines=False)

    def success(self, outcome: Outcome, head: Head) -> Response:
        """201, as for a new document."""
        body = {
            "_index": index_of(head.path), "_id": made_id(head, 0), "_version": 1, "result": "created",
            "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": 0, "_primary_term": 1,
        }  # fmt: skip
        return answer(msgspec.json.encode(body), head, 201)

    def nothing_readable(self, outcome: Outcome, head: Head) -> Response:
        """400."""
        cause = cause_of(outcome.rejected[0][1])
        body = msgspec.json.encode({"error": {"root_cause": [cause], **cause}, "status": 400})
        return answer(body, head, 400)


def answer(body: bytes, head: Head, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON in the version that the client speaks.

    Source: Elasticsearch's "REST API compatibility": the answer has the type that Accept names.
    """
    accepted, kind = head.headers.get("accept", ""), "application/json"
    if "application/vnd.elasticsearch+" in accepted:
        version = next((v for v in ("9", "8", "7") if f"compatible-with={v}" in accepted), "8")
        kind = f"application/vnd.elasticsearch+json;compatible-with={version}"
    return Response(body, status, {**PRODUCT, **(headers or {})}, media_type=kind)


def index_of(path: str) -> str:
    """The index that stands in a path before `/_...`; empty where there is none."""
    for prefix in PREFIXES:
        if prefix and path.startswith(prefix + "/"):
            path = path.removeprefix(prefix)
    return path[: max(path.find("/_"), 0)].strip("/")


def made_id(head: Head, place: int | str) -> str:
    """An id for a document that its sender gave none."""
    return f"{head.received_ms:x}-{place}"


BULK, DOCUMENT = Elasticsearch(), Document()
router = APIRouter(include_in_schema=False)


async def post_bulk(request: Request) -> Response:
    """Take pairs of actions and documents."""
    return await take(request, BULK)


async def post_document(request: Request) -> Response:
    """Take one document."""
    return await take(request, DOCUMENT)


for prefix in PREFIXES:
    for path in ("/_bulk", "/{index:path}/_bulk"):
        router.add_api_route(prefix + path, post_bulk, methods=["POST", "PUT"])
    for path in ("/{index}/_doc", "/{index}/_doc/{id:path}", "/{index}/_create/{id:path}"):
        router.add_api_route(prefix + path, post_document, methods=["POST", "PUT"])
