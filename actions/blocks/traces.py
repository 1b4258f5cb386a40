"""What a person's change of a block leaves on the timeline of the incident that the block belongs to."""

from redis.asyncio.client import Pipeline

from actions.audit import Actor
from actions.blocks.block import Block, BlockStatus, Review
from actions.incidents.timeline import Timeline
from detectors.timestamps import to_rfc3339


def stage_trace(
    pipe: Pipeline, timeline: Timeline, old: Block, new: Block, actor: Actor, reason: str
) -> None:
    """Queues the entry on the MULTI of the change; none where the block belongs to no incident."""
    if new.incident_id is None:
        return
    kind, text = _told(old, new)
    text = f"{text} by {actor.name}" + (f": {reason}" if reason else "")
    data = {"value": new.value, "block_id": new.id, "status": new.status, "review": new.review}
    timeline.stage(pipe, new.incident_id, kind, text, actor=actor, data=data)


def _told(old: Block, new: Block) -> tuple[str, str]:
    """The kind of the entry, and what was done."""
    until = "for good" if new.until is None else f"until {to_rfc3339(new.until)}"
    if old.status == BlockStatus.ACTIVE and new.status != BlockStatus.ACTIVE:
        return "action_reverted", f"block of {new.value} {new.status}"
    if new.status == BlockStatus.ACTIVE and old.status != BlockStatus.ACTIVE:
        return "action_taken", f"blocked {new.value} {until}, {_was(old)}"
    if new.review != old.review and new.review != Review.UNREVIEWED:
        return "action_reviewed", f"block of {new.value} {new.review}"
    if new.until != old.until:
        return "action_taken", f"block of {new.value} now ends {until}"
    return "action_reviewed", f"block of {new.value} changed"


def _was(old: Block) -> str:
    return "as proposed" if old.status == BlockStatus.PROPOSED else f"after it was {old.status}"
