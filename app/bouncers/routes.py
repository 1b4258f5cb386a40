"""The bouncer's side of CrowdSec's local API: decisions, their stream, and what bouncers report.

Source: crowdsec, pkg/apiserver/controllers; docs/bouncers.md has the whole protocol.
"""

from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from app.bouncers.access import CrowdSecRoute, RefusedError, address_of, body_of, bouncer_caller
from app.bouncers.bouncer import Bouncer, bouncer_of
from app.bouncers.desk import BouncerDesk, Pull
from app.bouncers.filters import FilterError, Wanted, parse_bool, read_query
from app.bouncers.machine import machine_of
from app.bouncers.offers import CHUNK
from app.bouncers.store import LIVE
from app.bouncers.usage import UsageError, read_usage, sums_of
from app.bouncers.wire import JSON, as_delta, as_list, in_pieces, list_in_pieces
from app.world import AppWorld

router = APIRouter(prefix="/v1", route_class=CrowdSecRoute, include_in_schema=False)


def bouncer_asking(request: Request) -> Bouncer:
    """Who asks. Raises: RefusedError 403."""
    caller = bouncer_caller(request)
    return bouncer_of(caller, address_of(request), request.headers.get("user-agent", ""))


def _desk(request: Request) -> BouncerDesk:
    """Raises: RefusedError 503 while the list has not been loaded: an empty answer would unblock everybody."""
    world: AppWorld = request.app.state.world
    if not world.feed.is_ready:
        raise RefusedError(503, "the blocklist is not loaded yet")
    return world.bouncers


def _wanted(request: Request, *, stream: bool = False) -> Wanted:
    try:
        return read_query(request.query_params, stream=stream)
    except FilterError as error:
        raise RefusedError(500, str(error)) from error  # as upstream, whose own description says 400


@router.api_route("/decisions", methods=["GET", "HEAD"])
async def decisions(request: Request) -> Response:
    """The decisions in force that the query asks for, the strongest first; `null` where there are none."""
    bouncer = bouncer_asking(request)
    if request.method == "HEAD":
        return Response(media_type=JSON)
    desk, wanted = _desk(request), _wanted(request)
    offers = await desk.decisions(bouncer, wanted)
    desk.note_seen(bouncer, LIVE)
    now = request.app.state.world.now()
    if len(offers) > CHUNK:
        return StreamingResponse(list_in_pieces(offers, now), media_type=JSON)
    return Response(as_list(offers, now), media_type=JSON)


@router.api_route("/decisions/stream", methods=["GET", "HEAD"])
async def stream(request: Request) -> Response:
    """Everything at a bouncer's start (`startup=true`), and later what came and went since it asked last."""
    bouncer = bouncer_asking(request)
    if request.method == "HEAD":  # the check of a key; it moves no cursor
        return Response(media_type=JSON)
    desk, wanted = _desk(request), _wanted(request, stream=True)
    pull = await desk.pull(bouncer, wanted, startup=_is_startup(request))
    return _told(desk, bouncer, pull)


def _is_startup(request: Request) -> bool:
    try:
        return parse_bool(request.query_params.get("startup", "false"), "startup")
    except FilterError:
        return False  # as upstream, which compares with "true"


def _told(desk: BouncerDesk, bouncer: Bouncer, pull: Pull) -> Response:
    """The answer. The bouncer is where it puts it only when all of it has been sent."""
    desk.begin(bouncer)
    sent = BackgroundTask(desk.sent, bouncer, pull.place)
    if len(pull.new) + len(pull.deleted) <= CHUNK:
        return Response(as_delta(pull.new, pull.deleted, pull.at), media_type=JSON, background=sent)
    return StreamingResponse(in_pieces(pull.new, pull.deleted, pull.at), media_type=JSON, background=sent)


@router.post("/usage-metrics")
async def usage_metrics(request: Request) -> Response:
    """What a bouncer dropped and let through since its last report."""
    world: AppWorld = request.app.state.world
    if request.headers.get("authorization") and await machine_of(request) is not None:
        await body_of(request)  # of a log processor: what it read is counted where it sends it
        return Response(status_code=201)
    caller = bouncer_caller(request)
    bouncer = bouncer_of(caller, address_of(request), request.headers.get("user-agent", ""))
    try:
        report = read_usage(await body_of(request))
    except UsageError as error:
        raise RefusedError(error.status, str(error)) from error
    await world.bouncers.store.add_usage(bouncer, sums_of(report))
    return Response(status_code=201)
