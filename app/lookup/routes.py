"""Lookups and the blocklist over HTTP, answered from memory: no route here touches the network."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.routing import APIRoute
from starlette.responses import Response, StreamingResponse

from app.auth import Role, authenticate, require
from app.lookup import schemas
from app.lookup.feed import Feed, parse_cursor
from app.lookup.table import canonical_address
from app.lookup.wire import is_enforced
from app.problems import problem
from app.world import AppWorld
from detectors.finding import DecisionType

MOST_ADDRESSES = 1000
"""In one POST; the answer is then about 300 kB."""
LARGEST_BODY_BYTES = 256 * 1024
"""A thousand addresses of the longest spelling need 50 kB."""
MOST_ERRORS = 20
LONGEST_WAIT_S = 60
CATCH_UP_S = 2.0
"""How long a cursor ahead of this process may be a faster neighbour's; then it is one that Redis lost."""
NOT_READY_S = 2
JSON = "application/json"
_LOOKUP = (Role.LOOKUP,)
ABLE = (DecisionType.BAN,)
"""What a caller can act on that says nothing of it."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a lookup answers for one address."""

    ip: str
    blocked: bool
    decision: msgspec.Raw | None
    allowlisted: bool


class Answers(msgspec.Struct, frozen=True, gc=False):
    """What a lookup answers for many addresses, in the order they were asked."""

    items: list[Answer]


class Question(msgspec.Struct, frozen=True):
    """The body of `POST /v1/lookup`."""

    ips: list[str]
    types: tuple[DecisionType, ...] = (DecisionType.BAN,)


_encoder = msgspec.json.Encoder()
_question = msgspec.json.Decoder(Question)


class RawRoute(APIRoute):
    """A route whose function gets the request as it is: nothing is parsed or checked on the way.

    FastAPI's own preparation costs more than the whole lookup; the OpenAPI description stays complete.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function of the route, with its path parameters by name."""
        function = self.dependant.call
        assert function is not None  # noqa: S101 - a route is made of a function

        async def handle(request: Request) -> Response:
            answer: Response = await function(request, **request.path_params)
            return answer

        return handle


fast = APIRouter(route_class=RawRoute)
router = APIRouter(prefix="/v1", tags=["lookup"])


def not_ready() -> Response:
    """503: the list has not been loaded since the start, so "not blocked" would be a guess."""
    headers = {"Retry-After": str(NOT_READY_S)}
    return problem(503, "The blocklist is not loaded yet; try again.", headers=headers)


def _answer(feed: Feed, text: str, now: int, able: Collection[str] = ABLE) -> Answer:
    """For somebody who can act on these types of decisions. Raises: ValueError where the text is no address."""
    decision, is_allowed = feed.table.lookup(text, now)
    if decision is None:
        return Answer(canonical_address(text), False, None, is_allowed)
    return Answer(
        canonical_address(text), is_enforced(decision, feed.fallback, able), decision.wire, is_allowed
    )


def _able(names: Iterable[str]) -> Collection[str]:
    """Raises: ValueError where one is no type of decisions."""
    return {DecisionType(name) for name in names}


def _result(answer: Answer) -> str:
    if answer.blocked:
        return "deny"
    return "allowlisted" if answer.allowlisted else "allow"


@fast.get("/lookup/{ip:path}", responses={200: {"model": schemas.AnswerModel}, **schemas.PROBLEMS})
async def look_up(request: Request, ip: str) -> Response:
    """Whether one address is blocked now."""
    started = time.perf_counter()
    authenticate(request, _LOOKUP)
    world: AppWorld = request.app.state.world
    feed = world.feed
    if not feed.is_ready:
        return not_ready()
    able: Collection[str] = ABLE
    if request.scope["query_string"]:
        try:
            able = _able(request.query_params.get("types", "ban").split(","))
        except ValueError as error:
            return problem(422, f"types: {error}", errors=[{"field": "types", "error": str(error)}])
    try:
        answer = _answer(feed, ip, world.now(), able)
    except ValueError as error:
        return problem(422, str(error), errors=[{"field": "ip", "error": str(error)}])
    world.metrics.lookups.labels(_result(answer)).inc()
    world.metrics.lookup_duration.observe(time.perf_counter() - started)
    return Response(_encoder.encode(answer), media_type=JSON)


@fast.post(
    "/lookup",
    responses={200: {"model": schemas.AnswersModel}, 413: {"description": "Too large"}, **schemas.PROBLEMS},
    openapi_extra=schemas.QUESTION_BODY,
)
async def look_up_many(request: Request) -> Response:
    """Whether each of up to 1,000 addresses is blocked now."""
    started = time.perf_counter()
    authenticate(request, _LOOKUP)
    world: AppWorld = request.app.state.world
    feed = world.feed
    if not feed.is_ready:
        return not_ready()
    body = await _read(request)
    if body is None:
        return problem(413, f"A body may have {LARGEST_BODY_BYTES} bytes.")
    try:
        question = _question.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return problem(422, f'The body is not {{"ips": ["address", ...]}}: {error}')
    addresses = question.ips
    if len(addresses) > MOST_ADDRESSES:
        return problem(422, f"ips: {len(addresses)} addresses; {MOST_ADDRESSES} may be asked at once.")
    answers, errors, now = [], [], world.now()
    for index, text in enumerate(addresses):
        try:
            answers.append(_answer(feed, text, now, question.types))
        except ValueError as error:
            errors.append({"field": f"ips.{index}", "error": str(error)})
    if errors:
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        detail = f"{errors[0]['field']}: {errors[0]['error']}{more}"
        return problem(422, detail, errors=errors[:MOST_ERRORS])
    for result, count in Counter(map(_result, answers)).items():
        world.metrics.lookups.labels(result).inc(count)
    world.metrics.lookup_duration.observe(time.perf_counter() - started)
    return Response(_encoder.encode(Answers(answers)), media_type=JSON)


async def _read(request: Request) -> bytes | None:
    """The body, or None where it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY_BYTES:
            return None
    return bytes(body)


router.include_router(fast)


def _is_current(etag: str, if_none_match: str | None) -> bool:
    """Whether the caller has this already. Source: RFC 9110, 13.1.2: the comparison is weak."""
    if if_none_match is None:
        return False
    known = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return "*" in known or etag.removeprefix("W/") in known


@router.get(
    "/blocklist",
    response_class=Response,
    dependencies=[Depends(require(Role.LOOKUP))],
    responses={
        200: {"model": schemas.ListModel, "content": schemas.TEXT_LIST},
        304: {"description": "The caller's copy is current"},
        **schemas.PROBLEMS,
    },
)
async def blocklist(
    request: Request,
    form: Annotated[Literal["json", "txt"], Query(alias="format")] = "json",
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The whole list: JSON with its cursor and allowlist, or plain text with one value a line."""
    world: AppWorld = request.app.state.world
    feed = world.feed
    if not feed.is_ready:
        return not_ready()
    etag, body = await feed.whole_list(form)
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if _is_current(etag, if_none_match):
        return Response(status_code=304, headers=headers)
    media_type = JSON if form == "json" else "text/plain"
    if isinstance(body, bytes):
        return Response(body, headers=headers, media_type=media_type)
    return StreamingResponse(body, headers=headers, media_type=media_type)


@router.get(
    "/blocklist/changes",
    response_class=Response,
    dependencies=[Depends(require(Role.LOOKUP))],
    responses={200: {"model": schemas.ChangesModel | schemas.ResetModel}, **schemas.PROBLEMS},
)
async def changes(
    request: Request,
    since: Annotated[str | None, Query(max_length=41)] = None,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S)] = 0,
) -> Response:
    """What happened since a cursor; waits up to `wait` seconds for something to happen."""
    world: AppWorld = request.app.state.world
    feed = world.feed
    if not feed.is_ready:
        return not_ready()
    if since is not None:
        try:
            parse_cursor(since)
        except ValueError as error:
            return problem(422, f"since: {error}", errors=[{"field": "since", "error": str(error)}])
        if feed.is_ahead(since):
            await feed.wait_until(since, CATCH_UP_S)
        if wait and not feed.is_ahead(since):
            await feed.wait_past(since, wait)
    body = await feed.changes_since(since)
    if isinstance(body, bytes):
        return Response(body, media_type=JSON)
    return StreamingResponse(body, media_type=JSON)
