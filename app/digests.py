"""The digests of the service: what they are made from, and the look at whether one is due."""

from collections.abc import Awaitable, Callable

import structlog

from actions.digest_sender import DigestSender
from app.world import AppWorld
from detectors.errors import StorageError

LOOK_S = 30.0
"""How late a digest may come."""

log = structlog.get_logger(__name__)


def digest_sender(world: AppWorld) -> DigestSender:
    """Sends by the policy in force, whatever it becomes."""
    return DigestSender(world.actions, lambda: world.policy.current.digests)


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
