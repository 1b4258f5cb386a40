"""Who may ask what here, and how refusals look: upstream's words, which its clients know.

Source: crowdsec, pkg/apiserver/middlewares/v1 (api_key.go, jwt.go); swagger for the bodies.
"""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import msgspec
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from app.auth import Caller, Role, authenticate
from app.bouncers.wire import JSON
from app.ingest.body import BodyTooLarge, decompress, read_body
from app.problems import RETRY_AFTER_S, ProblemError
from detectors.addresses import Networks, client_address
from detectors.errors import DecodeError, StorageError

LARGEST_BODY_BYTES = 50 * 1024 * 1024
"""After decompression, of somebody who has shown a token. Source: upstream's limit."""
LARGEST_LOGIN_BYTES = 64 * 1024
FORBIDDEN = "access forbidden"


class RefusedError(Exception):
    """Answered as `{"message": ...}`, with `code` where upstream's login and tokens have one."""

    def __init__(self, status: int, message: str, *, with_code: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.with_code = with_code


def refusal(status: int, message: str, *, with_code: bool = False) -> Response:
    """An error body of upstream's."""
    body: dict[str, Any] = {"code": status, "message": message} if with_code else {"message": message}
    headers = {"WWW-Authenticate": 'JWT realm="crowdsec"'} if status == 401 else None
    return Response(msgspec.json.encode(body), status, headers, media_type=JSON)


class CrowdSecRoute(APIRoute):
    """A route whose function gets the request as it is, and whose errors are upstream's."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function of the route, with its path parameters by name."""
        function = self.dependant.call
        assert function is not None  # noqa: S101 - a route is made of a function

        async def handle(request: Request) -> Response:
            try:
                answer: Response = await function(request, **request.path_params)
            except RefusedError as error:
                return refusal(error.status, str(error), with_code=error.with_code)
            except BodyTooLarge as error:
                return refusal(413, str(error))
            except DecodeError as error:
                return refusal(400, str(error))
            except StorageError:
                answer = refusal(503, "storage does not answer; try again")
                answer.headers["Retry-After"] = str(RETRY_AFTER_S)
            return answer

        return handle


def bouncer_caller(request: Request, needed: Iterable[Role] = (Role.LOOKUP,)) -> Caller:
    """The holder of the key. Raises: RefusedError 403, for a missing key as for a wrong one."""
    try:
        return authenticate(request, needed)
    except ProblemError as error:
        raise RefusedError(403, FORBIDDEN) from error


def address_of(request: Request) -> str | None:
    """The address that this request comes from, through the trusted proxies; None where it cannot be told."""
    trusted = Networks(request.app.state.world.settings.trusted_proxies)
    peer = request.client.host if request.client else None
    chain = ",".join(request.headers.getlist("x-forwarded-for")) or None
    return client_address(peer, chain, trusted)


async def body_of(request: Request, limit: int = LARGEST_BODY_BYTES) -> bytes:
    """The body, decompressed. Raises: BodyTooLarge, DecodeError."""
    raw = await read_body(request, limit, lambda _size: None)
    return decompress(raw, request.headers.get("content-encoding", ""), limit)
