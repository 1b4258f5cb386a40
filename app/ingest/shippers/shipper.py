"""The contract of a shipper protocol: how its bodies are read, and what exactly it must be answered.

Each protocol is one file in this folder. It gives a `Shipper` and a router, whose routes hand every request to
`app.ingest.taking.take`; that is the way which all of them share: who is it, the body, its records, the count.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from app.ingest.body import BODY_LIMIT_BYTES, decompress
from app.ingest.decode import Decoded


class Refusal(enum.Enum):
    """Why a request was not taken, whatever its protocol calls that."""

    ANONYMOUS = "anonymous"
    """No token at all."""
    UNKNOWN_CALLER = "unknown_caller"
    """A token that is not valid."""
    WRONG_ROLE = "wrong_role"
    """A valid token that may not send events."""
    FORBIDDEN = "forbidden"
    """The body is not signed by whom it says."""
    TOO_LARGE = "too_large"
    UNDECODABLE = "undecodable"
    """Nothing of the body could be read: sending it again cannot help."""
    TRY_AGAIN = "try_again"
    """Nothing was lost: the same body is welcome in a moment."""


class Forbidden(Exception):
    """The body's signature is missing or wrong. Its text may be shown to the sender."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a request says of its body."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By name in lower case."""
    received_ms: int

    @classmethod
    def of(cls, request: Request, received_ms: int) -> "Head":
        """That of a request. Of a header that stands there twice, the first counts."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(request.headers.raw)
        }
        return cls(request.url.path, request.query_params, headers, received_ms)

    @property
    def content_type(self) -> str:
        """In lower case, without parameters; empty where there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a body that was taken."""

    accepted: int
    rejected: list[tuple[int, str]]
    """(index, what is wrong with it)"""
    duplicate: bool = False
    notes: object = None
    """What the protocol's own reader noted for its answer (`Decoded.notes`)."""

    @classmethod
    def of(cls, decoded: Decoded, *, duplicate: bool = False) -> "Outcome":
        """All of it counted, now or before."""
        reasons = [(one.index, one.reason) for one in decoded.rejected]
        return cls(len(decoded.events), reasons, duplicate, decoded.notes)


class Shipper:
    """One protocol. `name` labels its metrics and its sources."""

    name: str
    repeats_are_retries = False
    """Whether the same body again is a retry even where it is a single record: each has a name of its own."""
    wordiness = 1
    """How many times the bytes of `/v1/events` a record takes; as much larger a body is decoded in the event loop."""
    marks_per_record = 1
    """Braces and line ends in a usual record, rounded down; by them it is guessed how many a body holds."""

    def check(self, head: Head) -> None:
        """Looks at what is wrong before the body is read. Raises: DecodeError."""

    def unpack(self, data: bytes, head: Head, limit: int = BODY_LIMIT_BYTES) -> bytes:
        """The body without its content encodings. Raises: DecodeError, BodyTooLarge, Forbidden."""
        return decompress(data, head.headers.get("content-encoding", ""), limit)

    def variant(self, head: Head) -> str:
        """What else decides how a body is read: the same bytes under another variant are another body."""
        return ""

    def line_format(self, head: Head) -> str | None:
        """The format of its lines, where the sender names one, so that a rejected one can be read again; None: JSON."""
        return None

    def key(self, head: Head) -> str:
        """What the sender calls this delivery, the same over its retries; empty where it has no name for it."""
        return head.headers.get("idempotency-key", "")

    def read(self, body: bytes, head: Head) -> Decoded:
        """The events of an unpacked body. Called in a thread where the body is large. Raises: DecodeError."""
        raise NotImplementedError

    async def sift(self, decoded: Decoded, source: str, delivery: str, head: Head) -> Decoded:
        """What is left to count once what other deliveries brought is taken out. Raises: StorageError.

        `source` is the sender's token by its id; `delivery` identifies this body over the sender's retries.
        """
        return decoded

    def success(self, outcome: Outcome, head: Head) -> Response:
        """The answer to a body of which everything, or a part, was counted; or nothing, as it was empty."""
        raise NotImplementedError

    def nothing_readable(self, outcome: Outcome, head: Head) -> Response:
        """The answer to a body that has records, none of which could be read."""
        return self.success(outcome, head)

    def refuse(self, refusal: Refusal, detail: str, head: Head) -> Response:
        """The answer to a request that was not taken. `detail` is for people."""
        raise NotImplementedError
