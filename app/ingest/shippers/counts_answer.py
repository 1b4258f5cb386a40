"""The answers of protocols whose senders look at nothing but the status: counts, or a problem body."""

import msgspec
from starlette.responses import Response

from app.auth import CHALLENGE
from app.ingest.shippers.shipper import Head, Outcome, Refusal, Shipper
from app.ingest.taking import RETRY_HEADERS
from app.problems import problem

_STATUSES = {
    Refusal.ANONYMOUS: 401, Refusal.UNKNOWN_CALLER: 401, Refusal.WRONG_ROLE: 403, Refusal.FORBIDDEN: 403,
    Refusal.TOO_LARGE: 413, Refusal.UNDECODABLE: 422, Refusal.TRY_AGAIN: 503,
}  # fmt: skip
_HEADERS = {401: CHALLENGE, 503: RETRY_HEADERS}


class CountsAnswer(Shipper):
    """A protocol that has no answers of its own."""

    def success(self, outcome: Outcome, head: Head) -> Response:
        """200 with counts, also where nothing could be read: sending it again cannot help."""
        body = {
            "accepted": outcome.accepted,
            "rejected": len(outcome.rejected),
            "duplicate": outcome.duplicate,
        }
        return Response(msgspec.json.encode(body), media_type="application/json")

    def refuse(self, refusal: Refusal, detail: str, head: Head) -> Response:
        """A problem body."""
        status = _STATUSES[refusal]
        return problem(status, detail, headers=_HEADERS.get(status))
