"""The public status page: what people published, for everybody, without a token. docs/status.md says what is on it.

Source: RFC 4287 (Atom), RFC 4151 (tag URIs), RFC 9110 (ETag, If-None-Match).
"""

import hashlib
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from actions.incidents.incident import PublicUpdate
from actions.incidents.public_status import PublicIncident, PublicStatus
from app.admin.models import Moment
from app.pages import page, safe_headers, visible
from app.status_feed import StatusFeed, Write
from detectors.timestamps import to_rfc3339

CACHE_CONTROL = "public, max-age=30"
ATOM = "http://www.w3.org/2005/Atom"
ATOM_TYPE = "application/atom+xml"
NEVER = 0
"""When a feed without an entry was updated: Atom wants a time, and a changing one would be news each time."""

router = APIRouter(tags=["status"])


class UpdateModel(BaseModel):
    """What a person said, and when."""

    model_config = ConfigDict(from_attributes=True)
    at: Moment
    state: str
    """`investigating`, `identified`, `monitoring` or `resolved`."""
    text: str


class PublicIncidentModel(BaseModel):
    """One published incident. `id` is stable and tells nothing."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    title: str
    component: str
    state: str
    started_at: Moment
    updated_at: Moment
    updates: tuple[UpdateModel, ...]
    """Newest first."""


class ComponentModel(BaseModel):
    """A part of the service: `operational` or `degraded`."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    state: str


class MaintenanceModel(BaseModel):
    """Maintenance that is under way or comes within 14 days."""

    model_config = ConfigDict(from_attributes=True)
    title: str
    starts_at: Moment
    ends_at: Moment


class StatusModel(BaseModel):
    """The whole page."""

    model_config = ConfigDict(from_attributes=True)
    title: str
    state: str
    """`degraded` while an incident is not resolved, else `operational`."""
    updated_at: Moment | None
    components: tuple[ComponentModel, ...]
    incidents: tuple[PublicIncidentModel, ...]
    maintenance: tuple[MaintenanceModel, ...]


NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "Not changed since the ETag in If-None-Match"}
}


@router.get(
    "/status", response_class=Response, responses={200: {"content": {"text/html": {}}}, **NOT_MODIFIED}
)
async def status_page(request: Request) -> Response:
    """The state of the service, for people."""
    return await _answer(request, "text/html; charset=utf-8", as_html)


@router.get("/status.json", response_class=Response, responses={200: {"model": StatusModel}, **NOT_MODIFIED})
async def status_json(request: Request) -> Response:
    """The state of the service, for programs."""
    return await _answer(request, "application/json", as_json)


@router.get(
    "/status.atom", response_class=Response, responses={200: {"content": {ATOM_TYPE: {}}}, **NOT_MODIFIED}
)
async def status_atom(request: Request) -> Response:
    """The incidents as a feed: an entry each, news whenever somebody says more."""
    return await _answer(request, ATOM_TYPE, as_atom)


async def _answer(request: Request, media_type: str, write: Write) -> Response:
    feed: StatusFeed = request.app.state.world.status
    body = await feed.written(write)
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {**safe_headers(), "ETag": etag, "Cache-Control": CACHE_CONTROL}
    if _is_known(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _is_known(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    seen = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return "*" in seen or etag in seen


def as_json(status: PublicStatus) -> bytes:
    """The page for programs."""
    return StatusModel.model_validate(status).model_dump_json().encode()


def as_html(status: PublicStatus) -> bytes:
    """The page for people."""
    return bytes(page("status.html", status=status, moment=moment, iso=to_rfc3339).body)


def as_atom(status: PublicStatus) -> bytes:
    """The page as a feed."""
    root = ElementTree.Element("feed", {"xmlns": ATOM})
    _add(root, "id", f"tag:bartizan,2026:status/{status.id}")
    _add(root, "title", status.title)
    _add(root, "updated", to_rfc3339(NEVER if status.updated_at is None else status.updated_at))
    ElementTree.SubElement(root, "link", {"rel": "self", "type": ATOM_TYPE, "href": "status.atom"})
    ElementTree.SubElement(root, "link", {"rel": "alternate", "type": "text/html", "href": "status"})
    _add(ElementTree.SubElement(root, "author"), "name", status.title)
    for incident in sorted(status.incidents, key=lambda i: -i.updated_at):
        _add_entry(root, incident)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _add_entry(root: ElementTree.Element, incident: PublicIncident) -> None:
    entry = ElementTree.SubElement(root, "entry")
    _add(entry, "id", f"tag:bartizan,2026:status/{incident.id}")
    _add(entry, "title", f"{incident.title} ({incident.state})")
    _add(entry, "published", to_rfc3339(incident.started_at))
    _add(entry, "updated", to_rfc3339(incident.updated_at))
    if incident.component:
        ElementTree.SubElement(entry, "category", {"term": visible(incident.component)})
    ElementTree.SubElement(entry, "link", {"rel": "alternate", "type": "text/html", "href": "status"})
    _add(entry, "content", "\n\n".join(_said(update) for update in incident.updates)).set("type", "text")


def _said(update: PublicUpdate) -> str:
    return f"{moment(update.at)}, {update.state}: {update.text}"


def _add(parent: ElementTree.Element, name: str, text: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, name)
    element.text = visible(text)
    return element


def moment(at: int) -> str:
    """`2026-11-25 19:31 UTC`."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
