"""What a request is to the judge, and what a verdict says: the words between it and the middlewares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Coroutine, Sequence
from enum import Enum
from typing import Any, NamedTuple, Protocol

from bartizan_client.answers import Answer
from bartizan_client.decision import Block
from bartizan_client.follower import BlocklistFollower


class Kind(Enum):
    """Why a request passes, or does not."""

    ALLOWED = "allowed"
    EXEMPT = "exempt"
    OBSERVED = "observed"
    LET_THROUGH = "let_through"
    PASSED = "passed"
    """A captcha or throttle that the application's hook let on."""
    REFUSED = "refused"
    TURNED_AWAY = "turned_away"


class Verdict:
    """What becomes of one request. `answer` is what it gets instead of the application's; None: it passes."""

    __slots__ = ("address", "answer", "block", "kind", "pending", "request")

    def __init__(
        self,
        kind: Kind,
        answer: Answer | None = None,
        address: str = "",
        block: Block | None = None,
        request: Request | None = None,
        pending: Awaitable[Any] | None = None,
    ) -> None:
        self.kind, self.answer, self.address, self.block = kind, answer, address, block
        self.request = request
        self.pending = pending
        """What an asynchronous hook is still to say: `await judge.settle(verdict)` then."""


class Request(NamedTuple):
    """What hooks are told of a request. Text in it is the client's."""

    method: str
    path: str
    country: str | None
    asn: str | None
    user: str | None
    native: Any
    """As the protocol has it: an ASGI scope, a WSGI environ, a Django HttpRequest."""


class Reader(Protocol):
    """How a protocol tells about a request."""

    def peer(self, native: Any) -> str | None:
        """The address of the other end of the connection."""

    def peer_and_forwarded(self, native: Any) -> tuple[str | None, Sequence[bytes]]:
        """The same, and the X-Forwarded-For headers in order."""

    def header(self, native: Any, name: str) -> str | None:
        """A header by its name in small letters."""

    def path(self, native: Any) -> str:
        """The path, percent-decoded."""

    def method(self, native: Any) -> str: ...


class Client(Protocol):
    """Where the judge looks things up."""

    counts: Counter[str]
    follower: BlocklistFollower

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run it in the background."""
