"""Who was told what: the log of deliveries, how the channels are, and the letters that could not be delivered."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

from actions.delivery.message import MessageKind
from actions.delivery.outbox import DeliveryStatus
from app.admin.access import Responder, Viewer, World, admin_router, naming
from app.admin.models import DEFAULT_PAGE, Cursor, Input, Limit, Moment, Output, Page, Reason, problems
from detectors.finding import Priority, Severity

router = admin_router("/notifications")
ChannelName = Annotated[str, Field(min_length=1, max_length=64)]


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
    """What became of one message at one channel."""

    id: str
    at: Moment
    channel: str
    """Empty where no route of the policy names one."""
    status: DeliveryStatus
    error: str
    """Why, where it was not delivered."""
    message: MessageModel


class DeadLetterModel(Output):
    """A letter that could not be delivered."""

    id: str
    at: Moment
    channel: str
    error: str
    letter_id: str
    attempts: int
    total: int
    """How many messages it stands for; at most 50 of them are listed."""
    messages: list[MessageModel]


class ChannelModel(Output):
    """How a channel is."""

    channel: str
    is_known: bool
    """Whether the policy still has it."""
    depth: int
    oldest_at: Moment | None
    held_until: Moment | None
    failing_since: Moment | None
    unhealthy_since: Moment | None
    delivered_at: Moment | None
    failed_at: Moment | None
    error: str
    """The last one; it stays when the channel has recovered."""
    dead: int


class ChannelsModel(Output):
    """All channels."""

    items: list[ChannelModel]


class RetryAll(Input):
    """Whose dead letters to send again."""

    channel: ChannelName


class RetriedModel(Output):
    """How many letters are sent again."""

    retried: int


@router.get("", responses=problems())
async def list_notifications(
    world: World,
    _: Viewer,
    incident: Annotated[
        str | None, Query(max_length=64, description="only those about this incident")
    ] = None,
    channel: Annotated[str | None, Query(max_length=64, description="only those of this channel")] = None,
    status: Annotated[DeliveryStatus | None, Query(description="only those with this outcome")] = None,
    cursor: Cursor | None = None,
    limit: Limit = DEFAULT_PAGE,
) -> Page[NotificationModel]:
    """What became of messages, newest first. A page may be short although its cursor says that there is more."""
    with naming("cursor"):
        found, following = await world.actions.outbox.notifications(
            incident_id=incident, channel=channel, status=status, cursor=cursor, limit=limit
        )
    return Page(items=[NotificationModel.model_validate(item) for item in found], next_cursor=following)


@router.get("/channels", responses=problems())
async def list_channels(world: World, _: Viewer) -> ChannelsModel:
    """How each channel is: what waits for it since when, and whether it delivers."""
    dead = await world.actions.dead_letters.counts()
    items = [
        ChannelModel(
            **{name: getattr(one, name) for name in one.__struct_fields__}, dead=dead.get(one.channel, 0)
        )
        for one in await world.actions.channel_health.all(world.actions.sender.channels)
    ]
    return ChannelsModel(items=items)


@router.get("/dead", responses=problems())
async def list_dead_letters(
    world: World,
    _: Viewer,
    channel: Annotated[str | None, Query(max_length=64, description="only those of this channel")] = None,
    cursor: Cursor | None = None,
    limit: Limit = DEFAULT_PAGE,
) -> Page[DeadLetterModel]:
    """Letters that could not be delivered, newest first."""
    with naming("cursor"):
        found, following = await world.actions.dead_letters.page(channel=channel, cursor=cursor, limit=limit)
    return Page(items=[DeadLetterModel.model_validate(item) for item in found], next_cursor=following)


@router.post("/dead/retry", responses=problems(409))
async def retry_dead_letters(world: World, actor: Responder, body: RetryAll) -> RetriedModel:
    """Send all dead letters of a channel again, the oldest first, at most 500."""
    known = set(world.actions.sender.channels)
    return RetriedModel(retried=await world.actions.dead_letters.retry_all(body.channel, actor, known=known))


@router.post("/dead/{dead_id}/retry", responses=problems(404, 409))
async def retry_dead_letter(world: World, actor: Responder, dead_id: str) -> DeadLetterModel:
    """Send one dead letter again. Whatever has become untrue since is not told."""
    known = set(world.actions.sender.channels)
    return DeadLetterModel.model_validate(await world.actions.dead_letters.retry(dead_id, actor, known=known))


@router.delete("/dead/{dead_id}", responses=problems(404))
async def drop_dead_letter(
    world: World,
    actor: Responder,
    dead_id: str,
    reason: Annotated[Reason, Query(description="for the audit trail")] = "not needed any more",
) -> DeadLetterModel:
    """Forget a dead letter; answers what it was."""
    return DeadLetterModel.model_validate(await world.actions.dead_letters.drop(dead_id, actor, reason))
