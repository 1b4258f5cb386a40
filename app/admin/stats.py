"""The state of everything in numbers, for the first screen and for `bartizan` on the command line."""

from app.admin.access import Viewer, World, admin_router
from app.admin.models import Moment, Output, problems

router = admin_router("/stats")


class BlockStats(Output):
    """How many blocks."""

    active: int
    proposed: int
    kept: int
    """Of whatever state, until 90 days after their end."""
    false_positives: dict[str, int]
    """By rule: blocks that a person rejected."""


class IncidentStats(Output):
    """How many incidents, among the newest 5,000."""

    by_status: dict[str, int]
    open_by_severity: dict[str, int]


class ListStats(Output):
    """The list in this process's memory, which answers lookups."""

    is_ready: bool
    blocks: int
    cursor: str
    age_s: float | None
    """Since Redis was last heard of; null where it never was."""
    waiting_clients: int


class PolicyStats(Output):
    """The policy in force."""

    digest: str
    rules: list[str]
    error: str | None


class StatsModel(Output):
    """Everything in numbers."""

    at: Moment
    version: str
    blocks: BlockStats
    incidents: IncidentStats
    messages_waiting: int
    lookup: ListStats
    policy: PolicyStats


@router.get("", responses=problems())
async def stats(world: World, _: Viewer) -> StatsModel:
    """The state of everything in numbers."""
    actions, feed, policy = world.actions, world.feed, world.policy
    incidents = await actions.incidents.counts()
    return StatsModel(
        at=world.now(),
        version=world.version,
        blocks=BlockStats(**await actions.blocklist.counts()),
        incidents=IncidentStats(by_status=incidents["status"], open_by_severity=incidents["severity"]),
        messages_waiting=await actions.outbox.waiting(),
        lookup=ListStats(
            is_ready=feed.is_ready,
            blocks=len(feed.table),
            cursor=feed.cursor,
            age_s=world.list_age_s(),
            waiting_clients=feed.waiting,
        ),
        policy=PolicyStats(
            digest=policy.current.digest,
            rules=[rule.name for rule in policy.current.rules],
            error=policy.error,
        ),
    )
