"""Answers lookups and forward-auth before the framework begins: they are asked on every request of somebody else.

The framework's way to a route and back costs several times what a lookup does (benchmarks/lookup.py shows both), so
these two are answered from the ASGI scope. Everything else goes on as usual; the router has routes for the same two,
with the same functions behind them, for the description of the API.
"""

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.ingest.path_key import PREFIX, take_token
from app.lookup.answers import Answer, send_answer
from app.lookup.forward_auth import answer_forward_auth
from app.lookup.one_address import answer_lookup

LOOKUP = "/v1/lookup/"
FORWARD_AUTH = "/v1/forward-auth"


class FrontedApp(FastAPI):
    """A FastAPI app whose lookups need none of it. Its world is in `state.world`, as everywhere."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers `GET /v1/lookup/{ip}` and `/v1/forward-auth`; everything else is FastAPI's."""
        answer: Answer | None = None
        if scope["type"] == "http":
            if scope["path"].startswith(PREFIX):
                take_token(scope)
            path: str = scope["path"]
            if path.startswith(LOOKUP) and scope["method"] == "GET":
                scope["app"] = self
                answer = answer_lookup(self.state.world, scope, path[len(LOOKUP) :])
            elif path.startswith(FORWARD_AUTH) and path[len(FORWARD_AUTH) :][:1] in ("", "/"):
                scope["app"] = self
                answer = answer_forward_auth(self.state.world, scope)
        if answer is None:
            await super().__call__(scope, receive, send)
        else:
            await send_answer(answer, send)
