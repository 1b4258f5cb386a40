"""The allowlist: who is never blocked, and why."""

from typing import Annotated

from fastapi import Query
from pydantic import model_validator

from actions.blocks.block import AllowEntry
from app.admin.access import Admin, Viewer, World, admin_router, naming
from app.admin.block_models import BlockModel, block_model
from app.admin.models import (
    Duration,
    Input,
    Moment,
    Output,
    Page,
    Reason,
    TimeText,
    Value,
    duration_ms,
    problems,
)
from detectors.timestamps import parse_time

router = admin_router("/allowlist")


class AllowModel(Output):
    """A network that is never blocked."""

    value: str
    note: str
    actor: str
    created_at: Moment
    until: Moment | None


class AllowedModel(AllowModel):
    """A network that was allowed just now, and the blocks that this lifted."""

    lifted: list[BlockModel]


class AllowInput(Input):
    """An address or CIDR to allow, and why; it stays for good unless an end is given."""

    value: Value
    note: Reason
    duration: Duration | None = None
    until: TimeText | None = None

    @model_validator(mode="after")
    def _one_end(self) -> "AllowInput":
        if self.duration is not None and self.until is not None:
            raise ValueError("give duration or until, not both")
        return self

    def end(self, now: int) -> int | None:
        """Epoch ms of the end; None is for good."""
        if self.until is not None:
            return parse_time(self.until)
        length_ms = None if self.duration is None else duration_ms(self.duration)
        return None if length_ms is None else now + length_ms


def _model(entry: AllowEntry) -> AllowModel:
    return AllowModel.model_validate(entry)


@router.get("", responses=problems())
async def list_allowlist(world: World, _: Viewer) -> Page[AllowModel]:
    """Every allowed network, in the order of their making."""
    return Page(items=[_model(entry) for entry in await world.actions.allowlist.entries()])


@router.post("", status_code=201, responses=problems())
async def allow(world: World, actor: Admin, body: AllowInput) -> AllowedModel:
    """Allow a network; the blocks inside it are lifted. One that is allowed already gets the new note and end."""
    now = world.now()
    with naming("value"):
        entry, lifted = await world.actions.reviews.allow(body.value, body.note, actor, body.end(now))
    return AllowedModel(**_model(entry).model_dump(), lifted=[block_model(block, now) for block in lifted])


@router.delete("", responses=problems(404))
async def disallow(
    world: World,
    actor: Admin,
    value: Annotated[str, Query(max_length=64, description="the address or CIDR, as it is listed")],
    reason: Annotated[str, Query(max_length=500)] = "",
) -> AllowModel:
    """Take a network off the allowlist. What was lifted for it stays lifted."""
    with naming("value"):
        return _model(await world.actions.allowlist.remove(value, actor, reason))
