"""Cloudflare Logpush's HTTP destination: gzipped NDJSON of a dataset, such as http_requests.

Before a job is made, Cloudflare sends `{"content":"tests"}`, gzipped, and wants a 2xx; that is no event. A parameter
`header_NAME` of the destination's URL sets a header, and Cloudflare takes it out; the other parameters arrive here.
Source: Cloudflare's Logs documentation, "Enable HTTP destination", "Log output options" and "Manage Logpush with cURL".
"""

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.ingest.decode import Decoded, decode_events
from app.ingest.shippers.counts_answer import CountsAnswer
from app.ingest.shippers.shipper import Head
from app.ingest.taking import take

_LONGEST_TEST_BYTES = 64
_TEST = {"content": "tests"}
_FIELDS = msgspec.json.Decoder(dict[str, str])


class Logpush(CountsAnswer):
    """Records of any dataset, a line each; templates that make an array or an envelope of them are read too."""

    name = "logpush"

    def read(self, body: bytes, head: Head) -> Decoded:
        """Every record as an event. Raises: BodyTooLarge."""
        return Decoded() if _is_test(body) else decode_events(body, head.received_ms)


def _is_test(body: bytes) -> bool:
    if len(body) > _LONGEST_TEST_BYTES:
        return False
    try:
        return _FIELDS.decode(body) == _TEST
    except (msgspec.DecodeError, ValueError):
        return False


LOGPUSH = Logpush()
router = APIRouter(include_in_schema=False)


@router.api_route("/v1/logpush", methods=["POST", "PUT"])
async def post_logpush(request: Request) -> Response:
    """Take one upload."""
    return await take(request, LOGPUSH)
