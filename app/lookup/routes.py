"""Lookups and the blocklist over HTTP, answered from memory: no route here touches the network."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.routing import APIRoute
from starlette.responses import Response, StreamingResponse

from app.auth import Role, authenticate, require
from app.lookup import schemas
from app.lookup.answers import AnswerResponse, not_ready
from app.lookup.feed import parse_cursor
from app.lookup.forward_auth import answer_forward_auth
from app.lookup.judge import Asked, QueryError, read_types
from app.lookup.list_formats import SAFE_NAME, Names
from app.lookup.lists import Wanted, banned_types
from app.lookup.one_address import Verdict, answer_lookup, result_of, verdict_on
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
JSON = "application/json"
_LOOKUP = (Role.LOOKUP,)


class Answers(msgspec.Struct, frozen=True, gc=False):
    """What a lookup answers for many addresses, in the order they were asked."""

    items: list[Verdict]


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


@fast.get("/lookup/{ip:path}", responses={200: {"model": schemas.AnswerModel}, **schemas.PROBLEMS})
async def look_up(request: Request, ip: str) -> Response:
    """Whether one address is blocked now."""
    return AnswerResponse(answer_lookup(request.app.state.world, request.scope, ip))


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
    asked = Asked(frozenset(question.types))
    for index, text in enumerate(addresses):
        try:
            answers.append(verdict_on(world, text, now, asked))
        except ValueError as error:
            errors.append({"field": f"ips.{index}", "error": str(error)})
    if errors:
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        detail = f"{errors[0]['field']}: {errors[0]['error']}{more}"
        return problem(422, detail, errors=errors[:MOST_ERRORS])
    for result, count in Counter(map(result_of, answers)).items():
        world.metrics.lookup_results[result].inc(count)
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


@fast.get("/forward-auth", status_code=204, responses={**schemas.REFUSALS, **schemas.PROBLEMS})
async def forward_auth(request: Request) -> Response:
    """Whether a proxy may let a request through: 204 or 403, whatever the method. Headers say which decision holds."""
    return AnswerResponse(answer_forward_auth(request.app.state.world, request.scope))


router.include_router(fast)


def _is_current(etag: str, if_none_match: str | None) -> bool:
    """Whether the caller has this already. Source: RFC 9110, 13.1.2: the comparison is weak."""
    if if_none_match is None:
        return False
    known = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return "*" in known or etag.removeprefix("W/") in known


@router.head("/blocklist", include_in_schema=False, dependencies=[Depends(require(Role.LOOKUP))])
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
    form: Annotated[schemas.ListForm, Query(alias="format")] = "json",
    types: Annotated[str | None, Query(max_length=64)] = None,
    family: Annotated[Literal["4", "6"] | None, Query()] = None,
    name: Annotated[str, Query(pattern=SAFE_NAME)] = "bartizan",
    table: Annotated[str, Query(pattern=SAFE_NAME)] = "bartizan",
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The whole list: JSON with its cursor and allowlist, or the file of a firewall or proxy."""
    world: AppWorld = request.app.state.world
    feed = world.feed
    if not feed.is_ready:
        return not_ready()
    body: bytes | AsyncIterator[bytes]
    if form == "json" and (types is not None or family is not None):
        return problem(422, "types, family: JSON has everything; they are for the other formats.")
    if form == "json":
        etag, body = await feed.whole_list()
    else:
        try:
            chosen = banned_types(feed) if types is None else read_types(types)
        except QueryError as error:
            return problem(422, str(error), errors=[{"field": error.field, "error": str(error)}])
        versions = (4, 6) if family is None else (int(family),)
        file = await world.lists.file(Wanted(form, chosen, versions, Names(name, table)))
        etag, body = file.etag, file.body
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
