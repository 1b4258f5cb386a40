"""Vercel's drains of logs: signed bodies of entries, and an address that must prove whose it is.

Source: Vercel documentation, "Drains Security" (the signature: HMAC-SHA1 of the body in hex, `x-vercel-signature`) and
"Using Drains" (`x-vercel-verify`, JSON or NDJSON, gzip or none).
"""

import hmac
from hashlib import sha1

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.ingest.body import BODY_LIMIT_BYTES
from app.ingest.counted_requests import CountedRequests
from app.ingest.decode import Decoded
from app.ingest.shippers.counts_answer import CountsAnswer
from app.ingest.shippers.shipper import Forbidden, Head, Outcome, Refusal
from app.ingest.shippers.vercel_entries import NAMELESS, Requests, read_entries, without
from app.ingest.taking import take

NAME = "vercel"
SIGNATURE, VERIFY = "x-vercel-signature", "x-vercel-verify"


class Vercel(CountsAnswer):
    """Entries of log drains; each request counts once, however many deliveries speak of it."""

    name = NAME
    repeats_are_retries = True

    def __init__(self, counted: CountedRequests, secret: str | None, verify: str | None) -> None:
        self._counted = counted
        self._secret = secret
        self._verify = {VERIFY: verify} if verify else {}

    def unpack(self, data: bytes, head: Head, limit: int = BODY_LIMIT_BYTES) -> bytes:
        """The body, if its signature is right. Raises: as `Shipper.unpack`."""
        body = super().unpack(data, head, limit)
        if self._secret is not None and body.strip():
            # Nobody says whether a compressed body is signed before or after that; nobody else can sign either.
            signature = head.headers.get(SIGNATURE, "").strip().lower().encode("utf-8", "replace")
            if not any(hmac.compare_digest(signature, self._sign(signed)) for signed in (data, body)):
                raise Forbidden("The x-vercel-signature does not fit BARTIZAN_VERCEL_SECRET.")
        return body

    def _sign(self, body: bytes) -> bytes:
        assert self._secret is not None  # noqa: S101 - asked only where there is one
        return hmac.new(self._secret.encode(), body, sha1).hexdigest().encode()

    def read(self, body: bytes, head: Head) -> Decoded:
        """Every request as one event, and every message. Raises: BodyTooLarge."""
        return read_entries(body, head.received_ms)

    async def sift(self, decoded: Decoded, source: str, delivery: str, head: Head) -> Decoded:
        """Without the requests that other deliveries brought. Raises: StorageError."""
        requests = decoded.notes
        assert isinstance(requests, Requests)  # noqa: S101 - what `read` notes
        named = [
            (place, name)
            for place, name in zip(requests.places, requests.names, strict=True)
            if not name.startswith(NAMELESS)
        ]
        names = [name for _, name in named]
        mine = await self._counted.claim(names, source, delivery, head.received_ms)
        others = frozenset(place for (place, _), is_mine in zip(named, mine, strict=True) if not is_mine)
        return without(decoded, others) if others else decoded

    def success(self, outcome: Outcome, head: Head) -> Response:
        """200, and the code that proves whose this address is."""
        return self._proven(super().success(outcome, head))

    def refuse(self, refusal: Refusal, detail: str, head: Head) -> Response:
        """A problem body, and the code."""
        return self._proven(super().refuse(refusal, detail, head))

    def proof(self) -> Response:
        """The answer to who asks whose this address is: they need no token, and learn nothing."""
        return self._proven(Response())

    def _proven(self, response: Response) -> Response:
        response.headers.update(self._verify)
        return response


def vercel_of(request: Request) -> Vercel:
    """The protocol as this app's settings have it."""
    world = request.app.state.world
    secret = world.settings.vercel_secret
    return Vercel(
        CountedRequests(world.redis), secret and secret.get_secret_value(), world.settings.vercel_verify
    )


router = APIRouter(include_in_schema=False)


@router.post("/v1/vercel")
async def post_entries(request: Request) -> Response:
    """Take one delivery; an empty one is a question whose address this is."""
    vercel = vercel_of(request)
    if request.headers.get("content-length") == "0":
        return vercel.proof()
    return await take(request, vercel)


@router.api_route("/v1/vercel", methods=["GET", "HEAD", "OPTIONS"])
async def prove(request: Request) -> Response:
    """Whose address this is."""
    return vercel_of(request).proof()
