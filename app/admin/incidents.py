"""Incidents: listed, shown, commented. Moved on: incidents/moves.py; worked on: incidents/work.py."""

from typing import Annotated

from fastapi import Header, Query
from starlette.responses import Response

from actions.incidents.filters import IncidentFilter
from actions.incidents.incident import Entity
from actions.incidents.reported import report
from actions.incidents.status import IncidentStatus
from app.admin.access import Responder, Viewer, World, admin_router, naming
from app.admin.incident_inputs import CommentInput, ReportInput
from app.admin.incident_models import (
    EntryModel,
    IncidentModel,
    IncidentWhyModel,
    MemberModel,
    etag_of,
    incident_model,
    incident_why_model,
)
from app.admin.models import DEFAULT_PAGE, Cursor, Limit, Page, TimeText, problems
from detectors.finding import Severity
from detectors.timestamps import parse_time

router = admin_router("/incidents")
TIMELINE_PAGE = 200


@router.get("", responses=problems())
async def list_incidents(
    world: World,
    _: Viewer,
    status: IncidentStatus | None = None,
    is_open: Annotated[
        bool | None, Query(alias="open", description="whether it still needs somebody")
    ] = None,
    severity: Severity | None = None,
    rule: Annotated[str | None, Query(max_length=64)] = None,
    entity: Annotated[
        str | None, Query(max_length=300, description="`203.0.113.9`, or with its type `user=alice`")
    ] = None,
    since: Annotated[TimeText | None, Query(description="triggered at this time or later")] = None,
    q: Annotated[str | None, Query(max_length=200, description="text in id, title, why or subject")] = None,
    cursor: Cursor | None = None,
    limit: Limit = DEFAULT_PAGE,
) -> Page[IncidentModel]:
    """Incidents, newest first. A page may be short although its cursor says that there is more."""
    wanted = IncidentFilter(
        status=status,
        is_open=is_open,
        severity=severity,
        rule=rule,
        entity=entity,
        since=None if since is None else parse_time(since),
        q=q,
    )
    with naming("cursor"):
        found, following = await world.actions.incidents.page(wanted, cursor=cursor, limit=limit)
    return Page(items=[incident_model(incident) for incident in found], next_cursor=following)


@router.post("", status_code=201, responses=problems())
async def report_incident(
    world: World,
    actor: Responder,
    body: ReportInput,
    response: Response,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> IncidentModel:
    """Report what no log shows. One with the same title that is open already is joined: then the answer is 200."""
    at = None if body.at is None else parse_time(body.at)
    with naming("title"):
        opened = await report(
            world.actions.incidents,
            actor,
            body.title,
            body.text,
            body.severity,
            entities=tuple(Entity(entity.type, entity.value) for entity in body.entities),
            at=world.now() if at is None else at,
            once=idempotency_key or "",
        )
    response.status_code = 201 if opened.opened else 200
    response.headers["ETag"] = etag_of(opened.incident)
    return incident_model(opened.incident)


@router.get("/{incident_id}", responses=problems(404))
async def show_incident(world: World, _: Viewer, incident_id: str, response: Response) -> IncidentWhyModel:
    """One incident with its runbook, its evidence and what the investigation found; its ETag is its version."""
    incident = await world.actions.incidents.get(incident_id)
    rule = world.policy.current.rule(incident.rule)
    dossier = await world.actions.dossiers.find(incident.id)
    response.headers["ETag"] = etag_of(incident)
    return incident_why_model(incident, dossier, rule.title if rule else "")


@router.get("/{incident_id}/members", responses=problems(404))
async def list_members(world: World, _: Viewer, incident_id: str) -> Page[MemberModel]:
    """The subjects of a campaign, the latest first: at most 200. Empty where the incident is about one subject."""
    incident = await world.actions.incidents.get(incident_id)
    members = await world.actions.incidents.members(incident.id)
    return Page(items=[MemberModel.model_validate(member) for member in members])


@router.get("/{incident_id}/timeline", responses=problems(404))
async def show_timeline(
    world: World, _: Viewer, incident_id: str, cursor: Cursor | None = None, limit: Limit = TIMELINE_PAGE
) -> Page[EntryModel]:
    """What happened, in the order it was written down."""
    incident = await world.actions.incidents.get(incident_id)
    with naming("cursor"):
        entries, following = await world.actions.timeline.page(incident.id, cursor=cursor, limit=limit)
    return Page(items=[EntryModel.model_validate(entry) for entry in entries], next_cursor=following)


@router.post("/{incident_id}/timeline", status_code=204, response_class=Response, responses=problems(404))
async def comment(world: World, actor: Responder, incident_id: str, body: CommentInput) -> Response:
    """Write a line on the timeline."""
    at = None if body.at is None else parse_time(body.at)
    with naming("text"):
        await world.actions.moves.comment(incident_id, actor, body.text, at=at, pinned=body.pinned)
    return Response(status_code=204)
