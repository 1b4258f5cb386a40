"""The digests of the service: what they are made from, and the look at whether one is due."""

from collections.abc import Awaitable, Callable

import structlog
from msgspec.structs import replace

from actions.delivery.message import MessageKind, message_about
from actions.delivery.routing import When
from actions.digests.periods import DigestPlan, Rhythm
from actions.digests.report import Ahead
from actions.digests.sender import DigestSender
from actions.incidents.incident import Incident
from app.world import AppWorld
from detectors.errors import StorageError

LOOK_S = 30.0
"""How late a digest may come."""

log = structlog.get_logger(__name__)


def digest_sender(world: AppWorld) -> DigestSender:
    """Sends by the policy in force, whatever it becomes."""
    actions = world.actions

    def is_for(incident: Incident, rhythm: Rhythm) -> bool:
        """Whether the routes in force leave an incident to this digest."""
        message = message_about(incident, MessageKind.OPENED, incident.why, incident.triggered_at)
        when = actions.dispatcher.routes.digest_of(message)
        return when is not None and when.value == rhythm.value

    async def ahead(since: int, until: int) -> list[Ahead]:
        """The maintenance windows of the policy, and those that people announced."""
        windows = await actions.maintenance.upcoming(since, until - since)
        return [Ahead(one.window.name, one.starts_at, one.ends_at) for one in windows]

    def plan() -> DigestPlan:
        """The policy's, each digest to where its routes lead if it names no channel."""
        found, routes = world.policy.current.digests, actions.dispatcher.routes
        schedules = tuple(
            replace(one, channels=one.channels or routes.digest_channels(When(one.rhythm.value)))
            for one in found.schedules
        )
        return replace(found, schedules=schedules)

    return DigestSender(actions, plan, is_for=is_for, maintenance=ahead)


def digest_look(world: AppWorld) -> Callable[[], Awaitable[None]]:
    """Sends what is due; a Redis that is away is counted, and the next look tries again."""
    sender = digest_sender(world)
    failures = 0

    async def look() -> None:
        nonlocal failures
        try:
            for period in await sender.send_due():
                log.info("digest_sent", rhythm=period.rhythm.value, first_day=str(period.first_day))
        except StorageError as error:
            world.metrics.storage_errors.labels("digests").inc()
            failures += 1
            if failures == 1:  # once an outage; the metric counts on
                log.warning("digests_not_sent", error=str(error))
        else:
            failures = 0

    return look
