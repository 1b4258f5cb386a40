"""Who may do what in the admin API, what its routes are handed, and how the stores' refusals are answered."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from actions.audit import Actor
from actions.errors import ConflictError, RefusedError, StaleError, UnknownError
from app.auth import Caller, Role, authenticate, require
from app.problems import ProblemError, problem
from app.world import AppWorld
from detectors.addresses import Networks, client_address

LARGEST_BODY_BYTES = 1024 * 1024
"""A policy is a few kilobytes, a bulk request of a thousand ids a hundred."""


async def _is_small(request: Request, limit: int) -> bool:
    """Reads the body, as far as the limit; the route's own handler finds it read."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return False
    request._body = bytes(body)  # where Starlette's Request.body() keeps it
    return True


class AdminRoute(APIRoute):
    """A route that answers what the stores refuse with a problem body."""

    largest_body_bytes = LARGEST_BODY_BYTES

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, with the stores' errors translated."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                # Before the body is read: who has no token may not even make us parse one.
                authenticate(request, (Role.VIEWER,))
                if not await _is_small(request, self.largest_body_bytes):
                    return problem(413, f"A body may have {self.largest_body_bytes} bytes.")
                return await handler(request)
            except UnknownError as error:
                return problem(404, str(error))
            except StaleError as error:
                return problem(412, f"{error}: read it again, then decide.")
            except ConflictError as error:
                return problem(409, str(error), allowed=list(error.allowed))
            except RefusedError as error:
                return problem(422, str(error), entry=error.entry, errors=[_at("value", str(error))])

        return handle


def admin_router(prefix: str, route_class: type[AdminRoute] = AdminRoute) -> APIRouter:
    """A router for one part of the admin API."""
    return APIRouter(prefix=prefix, route_class=route_class)


@contextmanager
def naming(field: str) -> Iterator[None]:
    """Answers a ValueError of a store with 422; the message names the field, or gets this one put before it.

    Raises: ProblemError.
    """
    try:
        yield
    except ValueError as error:
        text = str(error)
        named, colon, _ = text.partition(": ")
        if not (colon and named.isidentifier()):
            named, text = field, f"{field}: {text}"
        raise ProblemError(422, text, errors=[_at(named, text)]) from error


def _at(field: str, text: str) -> dict[str, str]:
    return {"field": field, "error": text}


def world_of(request: Request) -> AppWorld:
    """Everything this process is made of."""
    world: AppWorld = request.app.state.world
    return world


def address_of(request: Request) -> str | None:
    """The address this request comes from, found through the trusted proxies; None where it cannot be told."""
    trusted = Networks(world_of(request).settings.trusted_proxies)
    peer = request.client.host if request.client else None
    chain = ",".join(request.headers.getlist("x-forwarded-for")) or None
    return client_address(peer, chain, trusted)


def _acting(role: Role) -> Any:
    async def actor(caller: Annotated[Caller, Depends(require(role))]) -> Actor:
        return Actor(caller.actor, caller.role.value)

    return Depends(actor)


World = Annotated[AppWorld, Depends(world_of)]
OwnAddress = Annotated[str | None, Depends(address_of)]
Viewer = Annotated[Caller, Depends(require(Role.VIEWER))]
"""Reads."""
Responder = Annotated[Actor, _acting(Role.RESPONDER)]
"""Acts on incidents and blocks."""
Admin = Annotated[Actor, _acting(Role.ADMIN)]
"""Changes the policy, the tokens and the allowlist."""
