"""Answers lookups and forward-auth before routing begins: what proxies and applications wait for on every request.

FastAPI's routing, its request object and its response cost several times what the lookup itself does
(benchmarks/lookup.py shows both), so these two are answered from the ASGI scope. Whatever is not plain goes on to the
router, which has the same routes and the same functions behind them: their description, and every other method.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.lookup.answers import Answer, send_answer
from app.lookup.forward_auth import answer_forward_auth
from app.lookup.one_address import answer_lookup

LOOKUP = "/v1/lookup/"
FORWARD_AUTH = "/v1/forward-auth"


class LookupFront:
    """The piece of ASGI that stands before the router."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers `GET /v1/lookup/{ip}` and `/v1/forward-auth`; everything else goes on."""
        answer: Answer | None = None
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith(LOOKUP) and scope["method"] == "GET":
                answer = answer_lookup(scope, path[len(LOOKUP) :])
            elif path.startswith(FORWARD_AUTH) and path[len(FORWARD_AUTH) :][:1] in ("", "/"):
                answer = answer_forward_auth(scope)
        if answer is None:
            await self.app(scope, receive, send)
        else:
            await send_answer(answer, send)
