"""Why an address that a rule wants to block is not blocked all the same: people, or a search engine, would be hit.

People are told instead, even where the rule asked for nothing but the block.
"""

import msgspec

from actions.audit import SYSTEM
from actions.blocks.reverse_dns import Confirmed
from actions.blocks.verified_bots import Again, DueAgain, Judgement, OnDnsFailure
from actions.errors import ConflictError, UnknownError
from actions.incidents.incident import Incident
from actions.world import World
from detectors.finding import Finding

ADVICE = (
    "Look at the evidence: who of those behind this address is it? A block of it would hit the others too."
)
"""What to do first, where the runbook would speak of the block that there is not."""


class Spared(msgspec.Struct, frozen=True):
    """Why there is no block: for the timeline, and as the label of the metric."""

    outcome: str
    why: str


async def spared(finding: Finding, world: World) -> Spared | None:
    """What stops this finding's block, or None. Asks no name server. Raises: StorageError."""
    if finding.shared_users > 0:
        return Spared("shared", f"{finding.shared_users} different users lately got in from here")
    claim = world.verified_bots.claim_of(finding)
    if claim is None:
        return None
    judgement = await world.verified_bots.judge(claim)
    if judgement.confirmed == Confirmed.YES:
        return Spared("verified_bot", f"verified {judgement.bot} ({judgement.host})")
    if _is_doubtful(judgement) and world.verified_bots.on_dns_failure == OnDnsFailure.ALERT:
        return Spared("unverified_bot", f"claims to be {judgement.bot}, and the DNS did not answer")
    return None


async def tell_instead(finding: Finding, incident: Incident, spared: Spared, world: World) -> None:
    """Writes down that there was no block, and sees that people are told, once per finding. Raises: StorageError."""
    text = f"not blocked: {spared.why}"
    told = msgspec.structs.replace(finding, why=f"{finding.why}; {text}")
    await world.incidents.tell(told, incident.id, ADVICE)
    once = f"{finding.id} block_ip"
    if await world.timeline.note_once(
        incident.id, once, "action_skipped", text, data={"outcome": spared.outcome}
    ):
        world.counters.count("blocks", rule=finding.rule, outcome=spared.outcome)


async def doubt(finding: Finding, incident: Incident, block_id: str, world: World) -> None:
    """Has a block judged again later where the DNS said nothing of a bot's claim. Raises: StorageError."""
    claim = world.verified_bots.claim_of(finding)
    if claim is None:
        return
    judgement = await world.verified_bots.judge(claim)
    if not _is_doubtful(judgement):
        return
    text = f"claims to be {judgement.bot}, and the DNS did not answer: it will be asked again"
    await world.verified_bots.judge_later(Again(block_id, incident.id, finding.id, claim))
    await world.timeline.note_once(incident.id, f"{finding.id} bot", "evidence_added", text)


async def judge_again(world: World) -> int:
    """Lifts the blocks of bots whom the DNS confirms only now; says how many. Raises: StorageError."""
    lifted = 0
    for due in await world.verified_bots.due_again():
        lifted += await _lift(due, world) if due.judgement.confirmed == Confirmed.YES else 0
        await world.verified_bots.settle(due)
    return lifted


async def _lift(due: DueAgain, world: World) -> int:
    again, text = due.again, f"verified {due.judgement.bot} ({due.judgement.host}) after all"
    try:
        await world.reviews.unblock(again.block, SYSTEM, text)
    except (ConflictError, UnknownError):  # over, or a person was faster
        return 0
    await world.timeline.note_once(
        again.incident, f"{again.finding} lifted", "action_taken", f"unblocked: {text}"
    )
    return 1


def _is_doubtful(judgement: Judgement) -> bool:
    return judgement.confirmed == Confirmed.UNANSWERED
