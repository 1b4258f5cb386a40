"""Incidents moved on by people: acknowledge, escalate, mitigate, resolve, dismiss, merge, reopen, close."""

from fastapi import APIRouter
from starlette.responses import Response

from actions.audit import Actor
from actions.errors import ConflictError, StaleError
from actions.incidents.incident import Incident
from actions.incidents.status import Move, Verdict
from app.admin.access import Responder, World, admin_router, naming
from app.admin.incident_inputs import IfMatch, MergeInput, MoveInput, VerdictInput, version_in
from app.admin.incident_models import IncidentModel, etag_of, incident_model
from app.admin.models import problems
from app.world import AppWorld

router: APIRouter = admin_router("/incidents")
PROBLEMS = problems(404, 409, 412)


@router.post("/{incident_id}/acknowledge", responses=PROBLEMS)
async def acknowledge(
    world: World,
    actor: Responder,
    response: Response,
    incident_id: str,
    body: MoveInput | None = None,
    if_match: IfMatch = None,
) -> IncidentModel:
    """Somebody is on it: both clocks stop."""
    return await _move(world, actor, response, incident_id, Move.ACKNOWLEDGE, body or MoveInput(), if_match)


@router.post("/{incident_id}/escalate", responses=PROBLEMS)
async def escalate(
    world: World,
    actor: Responder,
    response: Response,
    incident_id: str,
    body: MoveInput | None = None,
    if_match: IfMatch = None,
) -> IncidentModel:
    """Tell the next level now."""
    return await _move(world, actor, response, incident_id, Move.ESCALATE, body or MoveInput(), if_match)


@router.post("/{incident_id}/mitigate", responses=PROBLEMS)
async def mitigate(
    world: World,
    actor: Responder,
    response: Response,
    incident_id: str,
    body: MoveInput | None = None,
    if_match: IfMatch = None,
) -> IncidentModel:
    """It does no more harm; its cause is still to be mended."""
    return await _move(world, actor, response, incident_id, Move.MITIGATE, body or MoveInput(), if_match)


@router.post("/{incident_id}/resolve", responses=PROBLEMS)
async def resolve(
    world: World,
    actor: Responder,
    response: Response,
    incident_id: str,
    body: VerdictInput,
    if_match: IfMatch = None,
) -> IncidentModel:
    """It is over, and this is what it was."""
    return await _move(world, actor, response, incident_id, Move.RESOLVE, body, if_match, body.verdict)


@router.post("/{incident_id}/dismiss", responses=PROBLEMS)
async def dismiss(
    world: World,
    actor: Responder,
    response: Response,
    incident_id: str,
    body: VerdictInput,
    if_match: IfMatch = None,
) -> IncidentModel:
    """It needs nobody, and this is why."""
    return await _move(world, actor, response, incident_id, Move.DISMISS, body, if_match, body.verdict)


@router.post("/{incident_id}/merge", responses=PROBLEMS)
async def merge(
    world: World,
    actor: Responder,
    response: Response,
    incident_id: str,
    body: MergeInput,
    if_match: IfMatch = None,
) -> IncidentModel:
    """Another open incident speaks of the same problem, and takes this one in."""
    version = version_in(if_match)
    try:
        incident = await world.actions.moves.merge(
            incident_id,
            body.into,
            actor,
            body.note,
            verdict=body.verdict,
            expected_version=body.version if version is None else version,
        )
    except StaleError as error:
        raise _answer_to(error, version) from error
    response.headers["ETag"] = etag_of(incident)
    return incident_model(incident)


@router.post("/{incident_id}/reopen", responses=PROBLEMS)
async def reopen(
    world: World,
    actor: Responder,
    response: Response,
    incident_id: str,
    body: MoveInput | None = None,
    if_match: IfMatch = None,
) -> IncidentModel:
    """It is not over after all, or it is a problem of its own."""
    return await _move(world, actor, response, incident_id, Move.REOPEN, body or MoveInput(), if_match)


@router.post("/{incident_id}/close", responses=PROBLEMS)
async def close(
    world: World,
    actor: Responder,
    response: Response,
    incident_id: str,
    body: MoveInput | None = None,
    if_match: IfMatch = None,
) -> IncidentModel:
    """The review is done; nothing follows."""
    return await _move(world, actor, response, incident_id, Move.CLOSE, body or MoveInput(), if_match)


async def _move(
    world: AppWorld,
    actor: Actor,
    response: Response,
    incident_id: str,
    move: Move,
    body: MoveInput,
    if_match: str | None,
    verdict: Verdict | None = None,
) -> IncidentModel:
    """Raises: ConflictError naming the legal moves; StaleError where If-Match names another version."""
    version = version_in(if_match)
    try:
        with naming("verdict"):
            incident: Incident = await world.actions.moves.move(
                incident_id,
                move,
                actor,
                body.note,
                verdict=verdict,
                expected_version=body.version if version is None else version,
            )
    except StaleError as error:
        raise _answer_to(error, version) from error
    response.headers["ETag"] = etag_of(incident)
    return incident_model(incident)


def _answer_to(error: StaleError, version: int | None) -> Exception:
    """412 where a header named the version (RFC 9110, section 13.1.1), 409 where the body did."""
    return error if version is not None else ConflictError(str(error))
