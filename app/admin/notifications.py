"""Who was told what: the log of deliveries."""

from typing import Annotated

from fastapi import Query

from actions.message import MessageKind
from app.admin.access import Viewer, World, admin_router, naming
from app.admin.models import DEFAULT_PAGE, Cursor, Limit, Moment, Output, Page, problems
from detectors.finding import Priority, Severity

router = admin_router("/notifications")


class MessageModel(Output):
    """What was told. The text is in part an attacker's."""

    kind: MessageKind
    incident_id: str
    rule: str
    subject: str
    severity: Severity
    priority: Priority
    title: str
    text: str
    at: Moment
    immediate: bool


class NotificationModel(Output):
    """One delivery through one channel."""

    id: str
    at: Moment
    channel: str
    status: str
    """`delivered` or `failed`."""
    error: str
    message: MessageModel


@router.get("", responses=problems())
async def list_notifications(
    world: World,
    _: Viewer,
    incident: Annotated[
        str | None, Query(max_length=64, description="only those about this incident")
    ] = None,
    cursor: Cursor | None = None,
    limit: Limit = DEFAULT_PAGE,
) -> Page[NotificationModel]:
    """Deliveries, newest first. A page may be short although its cursor says that there is more."""
    with naming("cursor"):
        found, following = await world.actions.outbox.notifications(
            incident_id=incident, cursor=cursor, limit=limit
        )
    return Page(items=[NotificationModel.model_validate(item) for item in found], next_cursor=following)
