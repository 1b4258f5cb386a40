"""A block on the wire, and what people send to change one."""

from typing import Annotated, Literal

import msgspec
from pydantic import Field, StringConstraints, model_validator

from actions.blocks.block import Block, BlockStatus, Origin, Review
from actions.blocks.reviews import allowed_actions
from actions.blocks.subjects import LONGEST_USER, Scope
from app.admin.incident_models import EvidenceModel, IncidentModel
from app.admin.models import (
    MOST_AT_ONCE,
    PERMANENT,
    Duration,
    Input,
    Moment,
    Note,
    Output,
    Reason,
    TimeText,
    Value,
    duration_ms,
)
from detectors.finding import DecisionType
from detectors.timestamps import parse_time


class BlockModel(Output):
    """One block with its whole state."""

    id: str
    value: str
    scope: Scope
    type: DecisionType
    origin: Origin
    rule: str | None
    reason: str
    status: BlockStatus
    review: Review
    strikes: int
    incident_id: str | None
    created_at: Moment
    until: Moment | None
    """Null is permanent."""
    actor: str
    changed_at: Moment
    changed_by: str | None
    note: str
    """Why it was last changed by a person."""
    allowed_actions: tuple[str, ...]


def block_model(block: Block, now: int) -> BlockModel:
    """A block as it is at `now`: one whose time is over says so, even before it has been cleared away."""
    if is_over(block, now):
        block = msgspec.structs.replace(block, status=BlockStatus.EXPIRED)
    fields = {name: getattr(block, name) for name in BlockModel.model_fields if name != "allowed_actions"}
    return BlockModel(**fields, allowed_actions=allowed_actions(block))


def is_over(block: Block, now: int) -> bool:
    """Whether a block in force, or a proposal, has come to its end."""
    is_open = block.status in (BlockStatus.ACTIVE, BlockStatus.PROPOSED)
    return is_open and block.until is not None and block.until <= now


class BlockWhyModel(BlockModel):
    """A block with everything that led to it."""

    incident: IncidentModel | None
    references: tuple[str, ...]
    """ATT&CK, OWASP and CWE ids of its rule."""
    evidence: list[EvidenceModel]
    """The counted events of its incident, redacted."""
    history: list[BlockModel]
    """Other blocks of exactly this value, newest first."""


class BlockInput(Input):
    """What to block: an address or CIDR, or where a scope says so a country, an autonomous system, a user."""

    value: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_USER)]
    scope: Scope | None = None
    type: DecisionType = DecisionType.BAN
    duration: Duration = "4h"
    """`30m`, `4h`, `7d` or `permanent`."""
    reason: Reason
    force: bool = False
    """Allows blocking a network wider than a /16 (IPv4) or /32 (IPv6), and the address you come from."""


class ExtendInput(Input):
    """A new end for a block: a duration from now, or a time."""

    duration: Duration | None = None
    until: TimeText | None = None
    reason: Reason

    @model_validator(mode="after")
    def _one_end(self) -> "ExtendInput":
        if (self.duration is None) == (self.until is None):
            raise ValueError("give either duration or until")
        return self

    def end(self, now: int) -> int | None:
        """Epoch ms of the new end; None is permanent."""
        if self.until is not None:
            return parse_time(self.until)
        length_ms = duration_ms(self.duration or PERMANENT)
        return None if length_ms is None else now + length_ms


class ReviewInput(Input):
    """What a person says to their move."""

    note: Note = ""


class BulkInput(Input):
    """One move on many blocks. `ids` for those that exist, `values` for those to make (or to unblock)."""

    action: Literal["block", "unblock", "approve", "reject", "undo"]
    ids: Annotated[tuple[str, ...], Field(max_length=MOST_AT_ONCE)] = ()
    values: Annotated[tuple[Value, ...], Field(max_length=MOST_AT_ONCE)] = ()
    duration: Duration = "4h"
    reason: Reason
    force: bool = False

    @model_validator(mode="after")
    def _fitting_targets(self) -> "BulkInput":
        if not self.ids and not self.values:
            raise ValueError("name some ids or values")
        if self.action == "block" and self.ids:
            raise ValueError("blocks to make are named by values, not ids")
        if self.action not in ("block", "unblock") and self.values:
            raise ValueError(f"blocks to {self.action} are named by ids, not values")
        return self


class BulkItem(Output):
    """What became of one of many."""

    target: str
    """The id or value as it was sent."""
    ok: bool
    block: BlockModel | None = None
    error: str | None = None


class BulkModel(Output):
    """What became of each, in the order sent: ids, then values. One failure stops none of the others."""

    items: list[BulkItem]
    failed: int
