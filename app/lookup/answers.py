"""Answers as plain bytes, made without a request or response object; and who may have one."""

from typing import NamedTuple

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.auth import IN_URL, LONGEST_HEADER, Role, authenticate, is_allowed
from app.problems import ProblemError, problem
from app.world import AppWorld

NOT_READY_S = 2
BEARER = b"Bearer "
_LOOKUP = (Role.LOOKUP,)


class Answer(NamedTuple):
    """One HTTP answer: status, headers in order, body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""


class AnswerResponse(Response):
    """An answer as the response of a route."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.status_code = answer.status
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        await send_answer(self.answer, send)


async def send_answer(answer: Answer, send: Send) -> None:
    """Send an answer, whole."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


def from_response(response: Response) -> Answer:
    """A response that was made elsewhere."""
    return Answer(response.status_code, response.raw_headers, bytes(response.body))


def from_error(error: ProblemError) -> Answer:
    """The answer to a refused request."""
    return from_response(problem(error.status_code, str(error.detail), headers=error.headers, **error.extra))


def not_ready() -> Response:
    """503: the list has not been loaded since the start, so "not blocked" would be a guess."""
    headers = {"Retry-After": str(NOT_READY_S)}
    return problem(503, "The blocklist is not loaded yet; try again.", headers=headers)


def check_token(world: AppWorld, scope: Scope) -> None:
    """Raises: ProblemError 401 or 403 where the request brings no token that may look up.

    The usual case, one `Authorization: Bearer` header, is looked at in place; all else is `authenticate`'s.
    """
    if IN_URL not in scope:
        for name, value in scope["headers"]:
            if name == b"authorization":
                if value.startswith(BEARER) and len(value) <= LONGEST_HEADER:
                    caller = world.tokens.find(value[len(BEARER) :].decode("latin-1"), world.now())
                    if caller is not None and is_allowed(caller.role, Role.LOOKUP):
                        return
                break
    authenticate(HTTPConnection(scope), _LOOKUP)
