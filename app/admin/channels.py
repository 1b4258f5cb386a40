"""The channels: which there are, and a test letter through one."""

import secrets

import structlog

from actions.channels.settings import ChannelSettings, ChannelType, LogSettings
from actions.delivery.message import Letter, Message, MessageKind
from actions.errors import UnknownError
from app.admin.access import Admin, Viewer, World, admin_router
from app.admin.models import Output, Page, problems
from app.world import AppWorld
from detectors.errors import DeliveryError
from detectors.finding import Priority, Severity

router = admin_router("/channels")
log = structlog.get_logger(__name__)


class RateModel(Output):
    """How many letters it takes, and how many of them at once."""

    per_minute: int
    burst: int


class ChannelModel(Output):
    """A channel, without its secrets and addresses."""

    name: str
    type: ChannelType
    rate: RateModel | None
    """null: as many as there are."""


class TestResultModel(Output):
    """What became of a test."""

    channel: str
    delivered: bool
    error: str
    """The reason where it was not delivered, in the service's own words as far as they show no secret."""
    permanent: bool
    """Trying again would be of no use."""
    ref: str
    """What the service calls the message, where it says so."""


@router.get("", responses=problems())
async def list_channels(world: World, _: Viewer) -> Page[ChannelModel]:
    """The channels of the policy in force, and the log, which is always there."""
    return Page(items=[ChannelModel.model_validate(settings) for settings in _known(world).values()])


@router.post("/{name}/test", responses=problems(404))
async def try_channel(world: World, actor: Admin, name: str) -> TestResultModel:
    """Send a test letter right away, past the outbox. 200 whether it was delivered or not: the body says which."""
    channel = world.channels.get(name)
    if channel is None:
        raise UnknownError(f"channel {name!r} is not known; there are {', '.join(world.channels)}")
    error, ref, is_permanent = "", "", False
    try:
        ref = await channel.send(_letter(name, actor.name, world.now()))
    except DeliveryError as failure:
        error, is_permanent = str(failure), failure.permanent
        log.warning("channel_test_failed", channel=name, error=error, permanent=is_permanent)
    result = {"delivered": not error, "error": error}
    await world.actions.audit.record(actor, "channel.test", f"channel:{name}", after=result)
    return TestResultModel(channel=name, delivered=not error, error=error, permanent=is_permanent, ref=ref)


def _known(world: AppWorld) -> dict[str, ChannelSettings]:
    found: dict[str, ChannelSettings] = {LogSettings().name: LogSettings()}
    return found | {settings.name: settings for settings in world.policy.current.channels}


def _letter(channel: str, who: str, at: int) -> Letter:
    message = Message(
        kind=MessageKind.TEST,
        incident_id="",
        rule="",
        subject="",
        severity=Severity.LOW,
        priority=Priority.P3,
        title=f"channel {channel}",
        text="This is a test of the channel, sent by hand. Nothing has happened, and nobody needs to do anything.",
        at=at,
        immediate=True,
        who=who,
    )
    return Letter(channel=channel, messages=(message,), id=f"test-{secrets.token_hex(8)}")
