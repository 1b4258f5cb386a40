"""Incidents worked on by people: texts and grade, checklists, follow-ups, the public status page."""

from fastapi import APIRouter
from starlette.responses import Response

from actions.incidents.incident import Incident
from app.admin.access import Responder, World, admin_router, naming
from app.admin.incident_inputs import (
    CheckInput,
    EditInput,
    FollowUpDoneInput,
    FollowUpInput,
    IfMatch,
    PublishInput,
    version_in,
)
from app.admin.incident_models import IncidentModel, etag_of, incident_model
from app.admin.models import problems
from app.problems import ProblemError
from detectors.finding import Severity
from detectors.timestamps import parse_time

router: APIRouter = admin_router("/incidents")


@router.patch("/{incident_id}", responses=problems(404, 412))
async def edit(
    world: World,
    actor: Responder,
    response: Response,
    incident_id: str,
    body: EditInput,
    if_match: IfMatch = None,
) -> IncidentModel:
    """Write its title, lead, impact, root cause and lessons, or grade it by hand: findings regrade it no more."""
    texts = {
        name: text
        for name in ("title", "lead", "impact", "root_cause", "lessons")
        if (text := getattr(body, name)) is not None
    }
    with naming("body"):
        incident = await world.actions.work.edit(
            incident_id,
            actor,
            texts,
            severity=_severity_in(world, body),
            expected_version=version_in(if_match),
        )
    return _answer(response, incident)


def _severity_in(world: World, body: EditInput) -> Severity | None:
    """The severity that a grade by hand names, by itself or by its priority. Raises: ProblemError for both."""
    if body.priority is None:
        return body.severity
    severity = world.actions.incidents.plan.grade(body.priority).severity
    if body.severity not in (None, severity):
        detail = f"priority: {body.priority} is {severity}, not {body.severity}; give one of them"
        raise ProblemError(422, detail, errors=[{"field": "priority", "error": detail}])
    return severity


@router.put("/{incident_id}/checklist/{item}", responses=problems(404))
async def check(
    world: World, actor: Responder, response: Response, incident_id: str, item: str, body: CheckInput
) -> IncidentModel:
    """Tick a line of a checklist, or take the tick back."""
    incident = await world.actions.work.check(incident_id, item, actor, done=body.done, note=body.note)
    return _answer(response, incident)


@router.post("/{incident_id}/follow-ups", status_code=201, responses=problems(404, 409))
async def add_follow_up(
    world: World, actor: Responder, response: Response, incident_id: str, body: FollowUpInput
) -> IncidentModel:
    """Note what is left to do, who does it, and until when."""
    due = parse_time(body.due)
    with naming("text"):
        incident = await world.actions.work.add_follow_up(
            incident_id, actor, body.text, body.owner, 0 if due is None else due
        )
    return _answer(response, incident)


@router.put("/{incident_id}/follow-ups/{follow_up}", responses=problems(404))
async def finish_follow_up(
    world: World,
    actor: Responder,
    response: Response,
    incident_id: str,
    follow_up: str,
    body: FollowUpDoneInput,
) -> IncidentModel:
    """Say that a follow-up is done, or is not after all."""
    incident = await world.actions.work.finish_follow_up(incident_id, follow_up, actor, done=body.done)
    return _answer(response, incident)


@router.post("/{incident_id}/publish", responses=problems(404))
async def publish(
    world: World, actor: Responder, response: Response, incident_id: str, body: PublishInput
) -> IncidentModel:
    """Put it on the public status page, or say there how it goes on. Every word there is the person's own."""
    with naming("title"):
        incident = await world.actions.work.publish(
            incident_id,
            actor,
            state=body.state.value,
            text=body.text,
            title=body.title,
            component=body.component,
        )
    return _answer(response, incident)


@router.delete("/{incident_id}/publish", responses=problems(404, 409))
async def unpublish(world: World, actor: Responder, response: Response, incident_id: str) -> IncidentModel:
    """Take it off the public status page."""
    return _answer(response, await world.actions.work.unpublish(incident_id, actor))


def _answer(response: Response, incident: Incident) -> IncidentModel:
    response.headers["ETag"] = etag_of(incident)
    return incident_model(incident)
