"""The audit trail: who changed what, when and why."""

from typing import Annotated

from fastapi import Query

from app.admin.access import Viewer, World, admin_router, naming
from app.admin.models import DEFAULT_PAGE, Cursor, Data, Limit, Moment, Output, Page, problems

router = admin_router("/audit")


class AuditModel(Output):
    """One change by one person."""

    id: str
    at: Moment
    actor: str
    role: str
    action: str
    target: str
    before: Data
    after: Data
    reason: str


@router.get("", responses=problems())
async def list_audit(
    world: World,
    _: Viewer,
    actor: Annotated[str | None, Query(max_length=200, description="who, exactly")] = None,
    action: Annotated[
        str | None, Query(max_length=100, description="how it begins, such as `block.`")
    ] = None,
    target: Annotated[str | None, Query(max_length=200, description="how it begins: `block:4f1c`")] = None,
    cursor: Cursor | None = None,
    limit: Limit = DEFAULT_PAGE,
) -> Page[AuditModel]:
    """Entries, newest first. A page may be short although its cursor says that there is more."""
    with naming("cursor"):
        entries, following = await world.actions.audit.page(
            actor=actor, action=action, target=target, cursor=cursor, limit=limit
        )
    return Page(items=[AuditModel.model_validate(entry) for entry in entries], next_cursor=following)
