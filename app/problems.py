"""Errors as RFC 9457 problem bodies, made in one place.

Source: RFC 9457 (Problem Details for HTTP APIs).
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from detectors.errors import ConfigError, DecodeError, StorageError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
"""Storage comes back within a second or two of a restart; shippers back off by themselves after that."""

_NO_SUCH_PATH = (
    "Nothing is taken at this path. Logs go to /v1/events, /v1/raw, /loki/api/v1/push, /services/collector, /v1/logs,"
    " /_bulk, /api/v2/logs, /v1/firehose, /v1/logpush, /v1/vercel or /upload."
)
"""For a shipper whose path is mistyped: its log shows this."""

log = structlog.get_logger(__name__)


class ProblemError(HTTPException):
    """Raised anywhere below a route; answered as a problem body. `extra` becomes members of the body."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.extra = extra


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any) -> Response:
    """A problem body: `type`, `title` (the status' own words), `status`, `detail` and what `extra` adds."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}
    return Response(msgspec.json.encode(body), status, headers, media_type=MEDIA_TYPE)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    extra = error.extra if isinstance(error, ProblemError) else {}
    is_shipper = (
        error.status_code == 404 and request.method in ("POST", "PUT") and "route" not in request.scope
    )
    return problem(
        error.status_code, _NO_SUCH_PATH if is_shipper else str(error.detail), headers=error.headers, **extra
    )


async def _validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    errors = [
        {"field": ".".join(str(part) for part in item["loc"]), "error": item["msg"]}
        for item in error.errors()
    ]
    fields = ", ".join(str(item["field"]) for item in errors)
    return problem(422, f"The request is not valid: {fields}", errors=errors)


async def _storage(request: Request, error: Exception) -> Response:
    log.warning("storage_away", path=route_of(request), error=str(error))
    return problem(503, "Storage does not answer; try again.", headers={"Retry-After": str(RETRY_AFTER_S)})


async def _config(_: Request, error: Exception) -> Response:
    return problem(422, str(error))


async def _unhandled(request: Request, error: Exception) -> Response:
    log.error("unhandled_error", path=route_of(request), error=type(error).__name__)
    return problem(500, "An unexpected error; the log has its name.")


def route_of(request: Request) -> str:
    """The route's template, such as `/v1/lookup/{ip}`: safe to log, because no client wrote it."""
    return getattr(request.scope.get("route"), "path", "unrouted")


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error answer of this app a problem body."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(StorageError, _storage)
    app.add_exception_handler(ConfigError, _config)
    app.add_exception_handler(DecodeError, _config)
    app.add_exception_handler(Exception, _unhandled)
