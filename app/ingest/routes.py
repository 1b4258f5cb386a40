"""Events over HTTP: `POST /v1/events` and `POST /v1/raw`.

Success means counted. "Try again" is 503 with Retry-After and "never again" is 422, because those are what
retrying and dropping log shippers agree on; never 429 (Fluentd drops on it) and never 500.
"""

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app.auth import Caller, Role, authenticate
from app.ingest import openapi
from app.ingest.body import WIRE_LIMIT_BYTES, BodyTooLarge, read_body
from app.ingest.decode import Decoded
from app.ingest.formats.registry import AUTO, parser_for
from app.ingest.gate import Gate, Overloaded, Slot
from app.ingest.incoming import Incoming, Prepared
from app.problems import RETRY_AFTER_S, ProblemError, problem
from detectors.errors import DecodeError, StorageError
from detectors.event import Batch
from detectors.timestamps import parse_time

if TYPE_CHECKING:
    from app.world import AppWorld

ERRORS_SHOWN = 20
BODY_TIMEOUT_S = 60
"""For the whole body to arrive: the client timeout of Vector, Fluent Bit and Fluentd."""
_INGEST = (Role.INGEST,)

router = APIRouter(prefix="/v1", tags=["ingest"])


class Answer(msgspec.Struct, frozen=True):
    """What became of a body's records."""

    accepted: int
    rejected: int
    duplicate: bool
    errors: list[dict[str, int | str]]


@router.post("/events", responses=openapi.ANSWERS, openapi_extra=openapi.EVENTS, response_class=Response)
async def post_events(request: Request) -> Response:
    """Take events as JSON in any framing: an array, NDJSON, glued objects, one object, or an envelope."""
    return await _take(request, "events", None)


@router.post("/raw", responses=openapi.ANSWERS, openapi_extra=openapi.RAW, response_class=Response)
async def post_raw(request: Request) -> Response:
    """Take log lines as they stand in the file; blank lines are skipped."""
    return await _take(request, "raw", request.query_params.get("format", AUTO))


@router.api_route("/events", methods=["HEAD", "OPTIONS"], include_in_schema=False)
@router.api_route("/raw", methods=["HEAD", "OPTIONS"], include_in_schema=False)
async def answer_probe(request: Request) -> Response:
    """200: shippers ask with HEAD or OPTIONS whether somebody listens, and Vector takes nothing else."""
    return Response(headers={"Allow": "POST, HEAD, OPTIONS"})


async def _take(request: Request, kind: str, format_name: str | None) -> Response:
    """The answer to one body, whatever is wrong with it."""
    metrics = request.app.state.world.metrics
    try:
        caller = authenticate(request, _INGEST)
    except ProblemError:
        metrics.events_rejected.labels("unauthorized").inc()
        raise
    started = time.perf_counter()
    try:
        answer = await _count(request, caller, kind, format_name)
    except BodyTooLarge as error:
        metrics.events_rejected.labels("too_large").inc()
        _note_refused(request, caller, kind, "the body is too large")
        return problem(413, str(error))
    except DecodeError as error:
        metrics.events_rejected.labels("undecodable").inc()
        _note_refused(request, caller, kind, str(error))
        return problem(422, str(error))
    except Overloaded:
        metrics.events_rejected.labels("overloaded").inc()
        _note_refused(request, caller, kind, "too much was under way", is_ours=True)
        return _try_again("More events are under way than this process can hold; try again.")
    except StorageError:
        metrics.storage_errors.labels("ingest").inc()
        _note_refused(request, caller, kind, "storage did not answer", is_ours=True)
        return _try_again("Storage does not answer; nothing was counted; try again.")
    except ClientDisconnect:
        return Response(status_code=400)
    metrics.ingest_duration.observe(time.perf_counter() - started)
    return answer


def _note_refused(request: Request, caller: Caller, kind: str, reason: str, *, is_ours: bool = False) -> None:
    world: AppWorld = request.app.state.world
    world.sources.note_refused(caller.token_id, kind, reason, world.now(), is_ours=is_ours)


async def _count(request: Request, caller: Caller, kind: str, format_name: str | None) -> Response:
    """Read, decode and count one body. Raises everything that `_take` answers."""
    if format_name is not None:
        parser_for(format_name)
    world: AppWorld = request.app.state.world
    with _gate(request).slot() as slot:
        data = await _arrival(request, slot)
        incoming = Incoming(
            source=caller.token_id,
            kind=kind,
            format_name=format_name,
            content_encoding=request.headers.get("content-encoding", ""),
            content_type=request.headers.get("content-type", ""),
            key=request.headers.get("idempotency-key", ""),
            received_ms=world.now(),
        )
        prepared = incoming.prepare_quickly(data)
        if prepared is None:
            prepared = await asyncio.to_thread(incoming.prepare, data)
        slot.take(prepared.size_bytes)
        return await _answer(world, incoming, prepared)


async def _answer(world: "AppWorld", incoming: Incoming, prepared: Prepared) -> Response:
    decoded, metrics = prepared.decoded, world.metrics
    rejected = len(decoded.rejected)
    errors: list[dict[str, int | str]] = [
        {"index": set_aside.index, "error": set_aside.reason} for set_aside in decoded.rejected[:ERRORS_SHOWN]
    ]
    if rejected:
        metrics.events_rejected.labels("undecodable").inc(rejected)
    if rejected and not decoded.events:
        _note(world, incoming, decoded)
        detail = f"None of the {rejected} records could be decoded."
        return problem(422, detail, accepted=0, rejected=rejected, duplicate=False, errors=errors)
    accepted, is_duplicate = len(decoded.events), False
    if accepted:
        batch = Batch(
            decoded.events,
            decoded.records,
            incoming.received_ms,
            incoming.source,
            prepared.mark,
            decoded.read_as,
        )
        last = parse_time(decoded.events[-1].timestamp)
        try:
            processed = await world.engine.process(batch)
        except StorageError:
            metrics.events_rejected.labels("storage").inc(accepted)
            raise
        is_duplicate = processed.duplicate
        metrics.batches.labels("duplicate" if is_duplicate else "applied").inc()
        if not is_duplicate:
            metrics.events_ingested.labels(incoming.kind).inc(accepted)
            if last is not None:
                metrics.ingest_lag.set((incoming.received_ms - last) / 1000)
    _note(world, incoming, decoded, is_duplicate=is_duplicate)
    body = msgspec.json.encode(Answer(accepted, rejected, is_duplicate, errors))
    return Response(body, media_type="application/json")


def _note(world: "AppWorld", incoming: Incoming, decoded: Decoded, *, is_duplicate: bool = False) -> None:
    named = incoming.format_name
    world.sources.note(
        incoming.source,
        incoming.kind,
        decoded,
        incoming.received_ms,
        duplicate=is_duplicate,
        format_name=named,
    )


async def _arrival(request: Request, slot: Slot) -> bytes:
    """The body. Raises: BodyTooLarge, Overloaded (also for one that does not arrive in time)."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await read_body(request, WIRE_LIMIT_BYTES, slot.take)
    except TimeoutError as error:
        raise Overloaded from error


def _gate(request: Request) -> Gate:
    """This process' gate, made at its first request."""
    state = request.app.state
    if not hasattr(state, "ingest_gate"):
        state.ingest_gate = Gate()
    gate: Gate = state.ingest_gate
    return gate


def _try_again(detail: str) -> Response:
    return problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_S)})
