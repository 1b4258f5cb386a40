"""Blocks: listed, explained, made, extended, lifted and reviewed by people."""

from typing import Annotated

from fastapi import Query

from actions.audit import Actor
from actions.blocks.block import (
    AllowEntry,
    Block,
    BlockFilter,
    BlockRequest,
    BlockStatus,
    Origin,
    Outcome,
    Review,
)
from actions.blocks.blocklist import new_block_id
from actions.blocks.networks import holds, network_of
from actions.blocks.subjects import ADDRESSES, canonical_subject
from actions.errors import ConflictError, RefusedError, UnknownError
from actions.incidents.incident import Incident
from app.admin.access import OwnAddress, Responder, Viewer, World, admin_router, naming
from app.admin.block_models import (
    BlockInput,
    BlockModel,
    BlockWhyModel,
    BulkInput,
    BulkItem,
    BulkModel,
    ExtendInput,
    ReviewInput,
    block_model,
)
from app.admin.incident_models import evidence_model, incident_model
from app.admin.models import DEFAULT_PAGE, Cursor, Limit, Page, TimeText, duration_ms, problems
from app.problems import ProblemError
from app.world import AppWorld
from detectors.timestamps import parse_time

router = admin_router("/blocks")
HISTORY_SHOWN = 50


@router.get("", responses=problems())
async def list_blocks(
    world: World,
    _: Viewer,
    status: BlockStatus | None = None,
    review: Review | None = None,
    rule: Annotated[str | None, Query(max_length=64)] = None,
    origin: Origin | None = None,
    contains: Annotated[
        str | None, Query(max_length=64, description="an address or CIDR that the block covers")
    ] = None,
    since: Annotated[TimeText | None, Query(description="made at this time or later")] = None,
    q: Annotated[str | None, Query(max_length=200, description="text anywhere in it")] = None,
    cursor: Cursor | None = None,
    limit: Limit = DEFAULT_PAGE,
) -> Page[BlockModel]:
    """Blocks, newest first. A page may be short although its cursor says that there is more."""
    wanted = BlockFilter(
        status=status,
        review=review,
        rule=rule,
        origin=origin,
        contains=contains,
        since=None if since is None else parse_time(since),
        q=q,
    )
    if contains is not None:
        with naming("contains"):
            network_of(contains)
    with naming("cursor"):
        found, following = await world.actions.blocklist.page(wanted, cursor=cursor, limit=limit)
    return Page(items=[block_model(block, world.now()) for block in found], next_cursor=following)


@router.post("", status_code=201, responses=problems(409))
async def create_block(world: World, actor: Responder, own: OwnAddress, body: BlockInput) -> BlockModel:
    """Block an address or CIDR, in force everywhere within a second."""
    return await _block(world, actor, own, body)


@router.post("/bulk", responses=problems())
async def bulk(world: World, actor: Responder, own: OwnAddress, body: BulkInput) -> BulkModel:
    """One move on many blocks; each is its own step with its own audit entry."""
    items = []
    for target in (*body.ids, *body.values):
        try:
            block = await _move(world, actor, own, body, target)
        except (UnknownError, ConflictError, RefusedError, ProblemError) as error:
            detail = error.detail if isinstance(error, ProblemError) else str(error)
            items.append(BulkItem(target=target, ok=False, error=detail))
        else:
            items.append(BulkItem(target=target, ok=True, block=block))
    return BulkModel(items=items, failed=sum(not item.ok for item in items))


@router.get("/{block_id}", responses=problems(404))
async def explain_block(world: World, _: Viewer, block_id: str) -> BlockWhyModel:
    """Why: the block, its incident with the evidence, and every block of the same value before it."""
    now, actions = world.now(), world.actions
    block = await actions.blocklist.get(block_id)
    history = await actions.blocklist.history(block.value, HISTORY_SHOWN)
    incident = await _incident_of(world, block)
    return BlockWhyModel(
        **block_model(block, now).model_dump(),
        incident=None if incident is None else incident_model(incident),
        references=() if incident is None else incident.references,
        evidence=[] if incident is None else [evidence_model(item) for item in incident.evidence],
        history=[block_model(old, now) for old in history if old.id != block.id],
    )


async def _incident_of(world: AppWorld, block: Block) -> Incident | None:
    """Its incident, where it has one that is still kept."""
    if block.incident_id is None:
        return None
    try:
        return await world.actions.incidents.get(block.incident_id)
    except UnknownError:
        return None


@router.patch("/{block_id}", responses=problems(404, 409))
async def extend_block(world: World, actor: Responder, block_id: str, body: ExtendInput) -> BlockModel:
    """Give a block another end, later or earlier: a duration from now, a time, or `permanent`."""
    now = world.now()
    with naming("until"):
        block = await world.actions.reviews.extend(block_id, body.end(now), actor, body.reason)
    return block_model(block, now)


@router.delete("/{block_id}", responses=problems(404, 409))
async def lift_block(
    world: World,
    actor: Responder,
    block_id: str,
    reason: Annotated[str, Query(max_length=500)] = "",
) -> BlockModel:
    """Unblock; in force everywhere within a second."""
    block = await world.actions.reviews.unblock(block_id, actor, reason)
    return block_model(block, world.now())


@router.post("/{block_id}/approve", responses=problems(404, 409))
async def approve_block(
    world: World, actor: Responder, block_id: str, body: ReviewInput | None = None
) -> BlockModel:
    """A person agrees with an automatic block; a proposed one comes into force."""
    block = await world.actions.reviews.approve(block_id, actor, body.note if body else "")
    return block_model(block, world.now())


@router.post("/{block_id}/reject", responses=problems(404, 409))
async def reject_block(
    world: World, actor: Responder, block_id: str, body: ReviewInput | None = None
) -> BlockModel:
    """A person disagrees: it is lifted, counts against its rule, and the rule spares the value for a while."""
    block = await world.actions.reviews.reject(block_id, actor, body.note if body else "")
    return block_model(block, world.now())


@router.post("/{block_id}/undo", responses=problems(404, 409))
async def undo_block(
    world: World, actor: Responder, block_id: str, body: ReviewInput | None = None
) -> BlockModel:
    """Take back the last move: a block in force is lifted, a lifted or rejected one is in force again."""
    return await _undo(world, actor, block_id, body.note if body else "")


async def _undo(world: AppWorld, actor: Actor, block_id: str, reason: str) -> BlockModel:
    """Only blocks: an audit entry's id would reach changes that this caller's role may not make."""
    if "-" in block_id:
        raise UnknownError(f"block {block_id!r} is not known")
    undone: Block | AllowEntry = await world.actions.reviews.undo(block_id, actor, reason)
    assert isinstance(undone, Block)  # noqa: S101 - no audit id came here
    return block_model(undone, world.now())


async def _block(world: AppWorld, actor: Actor, own: str | None, body: BlockInput) -> BlockModel:
    """Raises: ProblemError, RefusedError naming what stopped it, ConflictError where it is blocked already."""
    with naming("value"):
        scope, value = canonical_subject(body.scope, body.value)
    covers_own = own is not None and scope in ADDRESSES and holds(network_of(value), network_of(own))
    if covers_own and not body.force:
        raise RefusedError(body.value, f"you come from {own}; say force to block yourself")
    request = BlockRequest(
        id=new_block_id(),
        value=value,
        scope=scope,
        type=body.type,
        origin=Origin.ADMIN,
        reason=body.reason,
        duration_ms=duration_ms(body.duration),
        force=body.force,
    )
    result = await world.actions.blocklist.block(request, actor)
    if result.outcome is Outcome.REFUSED:
        raise RefusedError(body.value, result.entry or "it must never be blocked")
    if result.outcome is Outcome.ALREADY_BLOCKED and result.block is not None:
        raise ConflictError(f"{result.block.value} is blocked already by {result.block.id}; extend that one")
    if result.block is None:
        raise ConflictError(f"{body.value} was not blocked: {result.outcome}")
    return block_model(result.block, world.now())


async def _move(world: AppWorld, actor: Actor, own: str | None, body: BulkInput, target: str) -> BlockModel:
    """One move of many on one target. Raises: as the single moves."""
    reviews = world.actions.reviews
    if body.action == "block":
        wish = BlockInput(value=target, duration=body.duration, reason=body.reason, force=body.force)
        return await _block(world, actor, own, wish)
    if body.action == "undo":
        return await _undo(world, actor, target, body.reason)
    move = {"unblock": reviews.unblock, "approve": reviews.approve, "reject": reviews.reject}[body.action]
    return block_model(await move(target, actor, body.reason), world.now())
