"""What was rejected: looked at, and decoded once more after a fix where it is a record."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import AfterValidator, Field

from app.admin.access import Responder, Viewer, World, admin_router, naming
from app.admin.models import DEFAULT_PAGE, MOST_AT_ONCE, Cursor, Input, Limit, Moment, Output, Page, problems
from app.sources.reingest import Reingested
from app.sources.rejected import is_id

router = admin_router("/rejected")


def _check_id(text: str) -> str:
    if not is_id(text):
        raise ValueError("is not the id of a rejected record")
    return text


Source = Annotated[str, Field(max_length=100, pattern=r"^[a-z0-9_]{1,64}/[a-z0-9_-]{1,32}$")]
"""`tok_0123456789ab/events`"""
Why = Annotated[str, Field(min_length=1, max_length=500)]
RecordId = Annotated[str, Field(max_length=200), AfterValidator(_check_id)]


class RejectedModel(Output):
    """A record that could not be decoded. It is a stranger's text: show it as such."""

    id: str
    source: str
    received_at: Moment
    index: int
    """Among the records of its body."""
    reason: str
    format_name: str | None
    """The line format that its sender named; null: JSON."""
    form: Literal["record", "hec_event", "element", "body"]
    """A record; an event of Splunk's collector; a broken part of a protocol's envelope; the beginning of a body that
    was refused as a whole. The last two can only be looked at."""
    record: str
    """Each credential is masked; bytes that are not UTF-8 stand as `\\xNN`."""
    is_cut: bool
    """It was longer than 8 KiB: it cannot be decoded any more."""
    is_masked: bool
    """A credential was masked, and stays masked when the record is counted."""


class ReingestInput(Input):
    """Which records to decode once more: these, or the newest of a source, of a reason, or of all."""

    source: Source | None = None
    reason: Why | None = None
    ids: Annotated[tuple[RecordId, ...], Field(max_length=MOST_AT_ONCE)] = ()
    cursor: Cursor | None = None


class ReingestErrorModel(Output):
    """Why one record was not counted."""

    id: str
    error: str


class ReingestModel(Output):
    """What became of up to 500 records."""

    accepted: int
    """They are events now, counted on their own time, and gone from here."""
    rejected: int
    """They are still not decoded, and stay."""
    duplicates: int
    """They had been counted by a call that was interrupted, and are gone."""
    errors: list[ReingestErrorModel]
    """Of the first 20 that were rejected, why."""
    next_cursor: str | None
    """Where to go on; null where these were the last."""


@router.get("", responses=problems())
async def list_rejected(
    world: World,
    _: Viewer,
    source: Annotated[Source | None, Query(description="a source's id")] = None,
    reason: Annotated[Why | None, Query(description="the reason, with its numbers or N for them")] = None,
    cursor: Cursor | None = None,
    limit: Limit = DEFAULT_PAGE,
) -> Page[RejectedModel]:
    """Records that were rejected in the last 24 hours, newest first. A page may be short although there is more."""
    with naming("cursor"):
        found, following = await world.sources.rejected.page(
            source=source or "", reason=reason or "", cursor=cursor, limit=limit
        )
    return Page(items=[RejectedModel.model_validate(one) for one in found], next_cursor=following)


@router.post("/reingest", responses=problems())
async def reingest(world: World, actor: Responder, body: ReingestInput) -> ReingestModel:
    """Decode up to 500 records once more, and count those that are events now, each once and on its own time."""
    store, following = world.sources.rejected, None
    if body.ids:
        records = [
            one
            for one in await store.get(list(dict.fromkeys(body.ids)))
            if body.source is None or one.source == body.source
        ]
    else:
        with naming("cursor"):
            records, following = await store.page(
                source=body.source or "", reason=body.reason or "", cursor=body.cursor, limit=MOST_AT_ONCE
            )
    found = await world.reingest.run(records) if records else Reingested(0, 0, 0)
    answer = ReingestModel(
        accepted=found.accepted,
        rejected=found.rejected,
        duplicates=found.duplicates,
        errors=[ReingestErrorModel(id=one, error=why) for one, why in found.errors],
        next_cursor=following,
    )
    await world.actions.audit.record(
        actor,
        "rejected.reingest",
        f"source:{body.source or '*'}",
        after=answer.model_dump(exclude={"next_cursor", "errors"}),
        reason=body.reason or "",
    )
    return answer
