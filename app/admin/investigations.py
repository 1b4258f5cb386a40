"""Dossiers: asked for anew, shown and downloaded, with an incident or without one."""

import enum
from typing import Annotated, Any

import msgspec
from fastapi import Query
from pydantic import StringConstraints
from starlette.responses import Response

from actions.errors import UnknownError
from actions.incidents.incident import Incident
from actions.investigations.dossiers import Dossier
from actions.investigations.investigation import Subject
from actions.investigations.page import markdown_of
from app.admin.access import Responder, Viewer, World, admin_router, naming
from app.admin.models import Data, Input, Moment, Output, problems
from app.world import AppWorld
from detectors.addresses import parse_address, subject_of
from detectors.finding import IN_EVENTS, SubjectKind
from detectors.redact import MANY, SecretFinder, masked

router = admin_router("")
LONGEST_ENTITY = 300


class DossierFormat(enum.StrEnum):
    """How a dossier is downloaded."""

    JSON = "json"
    MD = "md"


Format = Annotated[DossierFormat, Query(alias="format", description="`json`, or `md` for Markdown")]


class AskInput(Input):
    """Whom to look at: `203.0.113.9`, `user=alice`, `key=...` or `host=...`."""

    entity: Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=LONGEST_ENTITY)]


class AskedModel(Output):
    """An investigation that waits for its turn; within seconds, or as long as the one before takes."""

    id: str
    """Of the incident, or of the investigation itself."""
    subject: str
    subject_kind: str
    state: str
    asked_at: Moment
    asked_by: str


class InvestigationModel(AskedModel):
    """An investigation without an incident."""

    dossier: Data | None
    """The same as `GET /v1/admin/incidents/{id}/dossier` answers; null until it is done."""


@router.post("/incidents/{incident_id}/investigate", status_code=202, responses=problems(404))
async def investigate(world: World, actor: Responder, incident_id: str) -> AskedModel:
    """Have an incident's dossier made anew."""
    incident = await world.actions.incidents.get(incident_id)
    asked = await world.actions.investigations.ask(_subject_of(incident), actor, incident.id)
    return _asked_model(asked.id, asked.subject, "waiting", asked.asked_at, asked.asked_by)


@router.get("/incidents/{incident_id}/dossier", responses=problems(404), response_class=Response)
async def download(
    world: World, _: Viewer, incident_id: str, chosen: Format = DossierFormat.JSON
) -> Response:
    """An incident's dossier as a file."""
    incident = await world.actions.incidents.get(incident_id)
    dossier = await world.actions.dossiers.find(incident.id)
    if dossier is None:
        raise UnknownError(f"{incident.id} has no dossier: nobody has investigated it")
    return _file(world, dossier, incident.id, chosen)


@router.post("/investigations", status_code=202, responses=problems())
async def ask(world: World, actor: Responder, body: AskInput) -> AskedModel:
    """Have a dossier made of an address, an account, a key or a host, without an incident."""
    with naming("entity"):
        subject = named(subject_from(body.entity), world.engine.secrets)
    asked = await world.actions.investigations.ask(subject, actor)
    return _asked_model(asked.id, asked.subject, "waiting", asked.asked_at, asked.asked_by)


@router.get("/investigations/{investigation_id}", responses=problems(404))
async def show(world: World, _: Viewer, investigation_id: str) -> InvestigationModel:
    """An investigation without an incident; kept for seven days."""
    found = await world.actions.investigations.find(investigation_id)
    shown = _asked_model(found.id, found.subject, found.state, found.asked_at, found.asked_by)
    dossier = None if found.dossier is None else msgspec.to_builtins(found.dossier)
    return InvestigationModel(**dict(shown), dossier=dossier)


@router.get("/investigations/{investigation_id}/dossier", responses=problems(404), response_class=Response)
async def download_by_itself(
    world: World, _: Viewer, investigation_id: str, chosen: Format = DossierFormat.JSON
) -> Response:
    """The dossier of an investigation without an incident, as a file."""
    found = await world.actions.investigations.find(investigation_id)
    if found.dossier is None:
        raise UnknownError(f"investigation {found.id} has no dossier yet: it is {found.state}")
    return _file(world, found.dossier, found.id, chosen)


def subject_from(entity: str) -> Subject:
    """Whom a text means. Raises: ValueError in words for people."""
    kind, equals, value = entity.partition("=")
    if not equals:
        kind, value = SubjectKind.IP, entity
    value = value.strip()
    if kind not in IN_EVENTS:
        raise ValueError(f"entity: {kind!r} is not one of ip, user, key, host; write user=alice")
    if not value:
        raise ValueError(f"entity: which {kind}? Write {kind}=...")
    if kind != SubjectKind.IP:
        return Subject(kind, value)
    address = parse_address(value.removesuffix("/64") if ":" in value else value)
    if address is None:
        raise ValueError(f"entity: {value!r} is no address; write 203.0.113.9, 2001:db8::1 or user=alice")
    return Subject(SubjectKind.IP.value, subject_of(address))


def named(subject: Subject, secrets: SecretFinder) -> Subject:
    """The subject without a credential: one that is nothing else is named as findings name it.

    Raises: ValueError where there is more than one, or something beside it.
    """
    found = secrets.found_in(subject.value)
    if not found.secrets and found.is_complete:
        return subject
    text = masked(subject.value, found.secrets)
    for secret in found.secrets:
        if text == secret.mask:
            return Subject(subject.kind, f"{secret.kind}:{secret.fingerprint}")
    raise ValueError(f"entity: holds a credential and more ({MANY if not found.is_complete else text})")


def _subject_of(incident: Incident) -> Subject:
    kinds = [one.type for one in incident.entities if one.value == incident.subject]
    kind = kinds[0] if kinds else "rule"
    value = incident.subject
    if kind == SubjectKind.IP:
        value = value.split()[0]
    return Subject(kind, value)


def _asked_model(name: str, subject: Subject, state: str, asked_at: int, asked_by: str) -> AskedModel:
    return AskedModel(
        id=name,
        subject=subject.value,
        subject_kind=subject.kind,
        state=state,
        asked_at=asked_at,
        asked_by=asked_by,
    )


class DossierFile(Output):
    """A dossier as JSON writes it: times in RFC 3339."""

    dossier: Data


def _file(world: AppWorld, dossier: Dossier, name: str, chosen: DossierFormat) -> Response:
    """The name is ours: an incident's or an investigation's id."""
    if chosen == DossierFormat.MD:
        rule = world.policy.current.rule(dossier.rule) if dossier.rule else None
        text = markdown_of(dossier, rule.title if rule else "")
        body, kind = text.encode("utf-8", "replace"), "text/markdown; charset=utf-8"
    else:
        whole: Any = DossierFile(dossier=msgspec.to_builtins(dossier)).dossier
        body, kind = msgspec.json.encode(whole), "application/json"
    headers = {
        "Content-Disposition": f'attachment; filename="dossier-{name}.{chosen}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(body, media_type=kind, headers=headers)
