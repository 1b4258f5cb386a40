"""Incidents moved on by people: acknowledge, escalate, mitigate, resolve, dismiss, merge, reopen, close."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from actions.errors import ConflictError, StaleError
from actions.incidents.incident import Incident
from actions.incidents.status import Move, Verdict
from app.admin.access import Responder, World, admin_router, naming
from app.admin.incident_inputs import IfMatch, MergeInput, MoveInput, VerdictInput, version_in
from app.admin.incident_models import IncidentModel, etag_of, incident_model
from app.admin.models import problems

router: APIRouter = admin_router("/incidents")
PROBLEMS = problems(404, 409, 412)


class Mover:
    """A person at an incident, and the version of it that they saw."""

    def __init__(
        self,
        world: World,
        actor: Responder,
        response: Response,
        incident_id: str,
        if_match: IfMatch = None,
    ) -> None:
        self._moves = world.actions.moves
        self._actor = actor
        self._response = response
        self._incident_id = incident_id
        self._version = version_in(if_match)

    async def move(self, move: Move, body: MoveInput | None, verdict: Verdict | None = None) -> IncidentModel:
        """Raises: ConflictError naming the legal moves; StaleError where If-Match names another version."""
        body = body or MoveInput()
        try:
            with naming("verdict"):
                incident = await self._moves.move(
                    self._incident_id,
                    move,
                    self._actor,
                    body.note,
                    verdict=verdict,
                    expected_version=self._seen(body),
                )
        except StaleError as error:
            raise self._answer_to(error) from error
        return self._shown(incident)

    async def merge(self, body: MergeInput) -> IncidentModel:
        """Raises: as `move`."""
        try:
            incident = await self._moves.merge(
                self._incident_id,
                body.into,
                self._actor,
                body.note,
                verdict=body.verdict,
                expected_version=self._seen(body),
            )
        except StaleError as error:
            raise self._answer_to(error) from error
        return self._shown(incident)

    def _seen(self, body: MoveInput) -> int | None:
        return body.version if self._version is None else self._version

    def _answer_to(self, error: StaleError) -> Exception:
        """412 where a header named the version (RFC 9110, section 13.1.1), 409 where the body did."""
        return error if self._version is not None else ConflictError(f"{error}: read it again, then decide")

    def _shown(self, incident: Incident) -> IncidentModel:
        self._response.headers["ETag"] = etag_of(incident)
        return incident_model(incident)


Moving = Annotated[Mover, Depends()]


@router.post("/{incident_id}/acknowledge", responses=PROBLEMS)
async def acknowledge(mover: Moving, body: MoveInput | None = None) -> IncidentModel:
    """Somebody is on it: both clocks stop."""
    return await mover.move(Move.ACKNOWLEDGE, body)


@router.post("/{incident_id}/escalate", responses=PROBLEMS)
async def escalate(mover: Moving, body: MoveInput | None = None) -> IncidentModel:
    """Tell the next level now."""
    return await mover.move(Move.ESCALATE, body)


@router.post("/{incident_id}/mitigate", responses=PROBLEMS)
async def mitigate(mover: Moving, body: MoveInput | None = None) -> IncidentModel:
    """It does no more harm; its cause is still to be mended."""
    return await mover.move(Move.MITIGATE, body)


@router.post("/{incident_id}/resolve", responses=PROBLEMS)
async def resolve(mover: Moving, body: VerdictInput) -> IncidentModel:
    """It is over, and this is what it was."""
    return await mover.move(Move.RESOLVE, body, body.verdict)


@router.post("/{incident_id}/dismiss", responses=PROBLEMS)
async def dismiss(mover: Moving, body: VerdictInput) -> IncidentModel:
    """It needs nobody, and this is why."""
    return await mover.move(Move.DISMISS, body, body.verdict)


@router.post("/{incident_id}/merge", responses=PROBLEMS)
async def merge(mover: Moving, body: MergeInput) -> IncidentModel:
    """Another open incident speaks of the same problem, and takes this one in."""
    return await mover.merge(body)


@router.post("/{incident_id}/reopen", responses=PROBLEMS)
async def reopen(mover: Moving, body: MoveInput | None = None) -> IncidentModel:
    """It is not over after all, or it is a problem of its own."""
    return await mover.move(Move.REOPEN, body)


@router.post("/{incident_id}/close", responses=PROBLEMS)
async def close(mover: Moving, body: MoveInput | None = None) -> IncidentModel:
    """The review is done; nothing follows."""
    return await mover.move(Move.CLOSE, body)
