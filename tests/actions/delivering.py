"""What the tests of delivery are made of: incidents that people are told of, and worlds with several channels."""

import msgspec
from acting import NOON, Clock, Ear, Tally, a_finding
from redis.asyncio import Redis

from actions.delivery.message import Message, MessageKind
from actions.delivery.outbox import Notification
from actions.delivery.routing import Routes, Timing
from actions.incidents.incident import Incident
from actions.incidents.response_plan import Campaign, ResponsePlan
from actions.world import World
from detectors.finding import PRIORITY_OF, Severity


def a_message(number: int = 1, **fields: object) -> Message:
    """INC-2026-0001 of auth_failures, high, was opened; unless told otherwise."""
    severity = fields.get("severity", Severity.HIGH)
    assert isinstance(severity, Severity)
    base = Message(
        kind=MessageKind.OPENED,
        incident_id=f"INC-2026-{number:04d}",
        rule="auth_failures",
        subject=f"192.0.2.{number}",
        severity=severity,
        priority=PRIORITY_OF[severity],
        title="a title",
        text="a text",
        at=NOON,
    )
    return msgspec.structs.replace(base, **fields)


async def write(world: World, *messages: Message) -> None:
    """Puts messages on the outbox, each in a MULTI of its own as a change does."""
    for message in messages:
        async with world.redis.pipeline(transaction=True) as pipe:
            world.outbox.stage(pipe, message)
            await pipe.execute()


async def opened(world: World, count: int = 1, first: int = 0, **fields: object) -> list[Incident]:
    """Opens incidents of one rule, each about another address, and has people told."""
    found = []
    for n in range(first, first + count):
        finding = a_finding(n, subject=f"192.0.2.{n}", **fields)
        found.append((await world.incidents.open_or_join(finding, tell=True)).incident)
    return found


def a_world(
    redis: Redis,
    clock: Clock,
    *channels: Ear,
    tally: Tally | None = None,
    types: dict[str, str] | None = None,
    timing: Timing | None = None,
    consumer: str = "one",
) -> World:
    """A world with these channels; each has the type of its name where `types` names none."""
    known = {channel.name: channel.name for channel in channels} | (types or {})
    world = World.make(
        redis,
        clock,
        counters=tally,
        channels=channels,
        routes=Routes(types=known),
        timing=timing,
        consumer=consumer,
        plan=ResponsePlan(campaign=Campaign(subjects=1_000)),
    )
    world.sender._jitter = lambda: 0.5
    return world


async def deliveries(world: World) -> list[tuple[str, str, str]]:
    """(channel, status, incident) of the log of deliveries, oldest first."""
    found, _ = await world.outbox.notifications(limit=1000)
    return [(n.channel, n.status, n.message.incident_id) for n in found[::-1]]


async def log_of(world: World) -> list[Notification]:
    """The log of deliveries, oldest first."""
    found, _ = await world.outbox.notifications(limit=1000)
    return found[::-1]


async def lines(world: World, incident_id: str) -> list[tuple[str, str]]:
    """(kind, text) of what an incident's timeline says about who was told."""
    entries, _ = await world.timeline.page(incident_id)
    return [(e.kind, e.text) for e in entries if e.kind in ("notified", "not_notified", "notify_failed")]
