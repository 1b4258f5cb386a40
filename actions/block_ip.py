"""Blocks the address that a finding is about."""

from actions.blocks.block import BlockRequest, BlockResult, Origin, Outcome
from actions.blocks.blocklist import block_id_for
from actions.blocks.networks import canonical
from actions.blocks.seen import addresses_seen, note_seen
from actions.blocks.spared import doubt, spared, tell_instead
from actions.incidents.incident import Entity, Incident
from actions.incidents.runbook import BRAKE_RULE
from actions.world import World
from detectors.finding import Finding, Mode, Severity, SubjectKind
from detectors.timestamps import to_rfc3339


async def run(finding: Finding, incident: Incident, world: World) -> None:
    """Blocks once per finding, and says on the incident's timeline what came of it.

    In mode `propose` the block waits for a person. The first block that the mass-block brake refuses opens an
    alert. An address that is spared (spared.py) is not blocked; people are told instead.
    Raises: StorageError; running it again does only what is missing.
    """
    value = blockable(finding)
    if value is None:
        text = f"nothing to block: {finding.subject_kind} is no address"
        await world.timeline.note_once(incident.id, f"{finding.id} block_ip", "action_skipped", text)
        return
    reason = await spared(finding, world)
    if reason is not None:
        await tell_instead(finding, incident, reason, world)
        return
    seen = addresses_seen(finding, value)
    request = BlockRequest(
        id=block_id_for(finding.id),
        value=value,
        origin=Origin.RULE,
        reason=finding.why,
        duration_ms=finding.duration_ms,
        max_duration_ms=finding.max_duration_ms,
        at=finding.at,
        rule=finding.rule,
        incident_id=incident.id,
        finding_id=finding.id,
        type=finding.block_type,
        seen=seen,
        propose=finding.mode == Mode.PROPOSE,
    )
    result = await world.blocklist.block(request)
    if result.outcome == Outcome.BRAKED and result.first:
        await _raise_brake_alert(finding, world)
    if result.outcome == Outcome.ALREADY_BLOCKED and result.block is not None:
        inside = addresses_seen(finding, result.block.value)
        await note_seen(world.redis, result.block, inside)
    kind, text = told(value, result)
    block = result.block
    data = {"outcome": result.outcome, "value": value, "block_id": block.id if block else None}
    wrote = await world.timeline.note_once(incident.id, f"{finding.id} block_ip", kind, text, data=data)
    if wrote:
        world.counters.count("blocks", rule=finding.rule, outcome=result.outcome.value)
    if block is not None and result.outcome in (Outcome.CREATED, Outcome.EXISTS):
        await doubt(finding, incident, block.id, world)


def blockable(finding: Finding) -> str | None:
    """The address or network to block, or None where the subject is none (a user, a key, a host).

    A rule that groups by address and something more is about the address all the same.
    """
    if finding.subject_kind != SubjectKind.IP:
        return None
    try:
        return canonical(finding.subject.split()[0])
    except (ValueError, IndexError):
        return None


def told(value: str, result: BlockResult) -> tuple[str, str]:
    """The kind and text of the timeline's entry about a block."""
    block, outcome = result.block, result.outcome
    if block is not None and outcome in (Outcome.CREATED, Outcome.EXISTS):
        until = "for good" if block.until is None else f"until {to_rfc3339(block.until)}"
        what = "proposed to block" if block.status == "proposed" else "blocked"
        return "action_taken", f"{what} {value} {until} (strike {block.strikes})"
    if outcome == Outcome.ALREADY_BLOCKED:
        by = f" by {block.id}" if block else ""
        return "action_skipped", f"{value} is blocked already{by}"
    reasons = {
        Outcome.TOO_LATE: "late evidence: the block would be over already",
        Outcome.BRAKED: "the mass-block brake is on for this rule",
        Outcome.SPARED: "a person rejected this rule's block of it lately",
        Outcome.REFUSED: f"never blocked: {result.entry}",
    }
    return "action_skipped", f"{value} is not blocked: {reasons[outcome]}"


async def _raise_brake_alert(finding: Finding, world: World) -> None:
    limit, window_ms = world.blocklist.brake_limit, world.blocklist.brake_window_ms
    alert = Finding(
        id=f"{finding.id}:brake",
        rule=BRAKE_RULE,
        subject=finding.rule,
        subject_kind=SubjectKind.HOST,
        first_at=world.now() - window_ms,
        at=world.now(),
        count=limit,
        threshold=limit,
        window_ms=window_ms,
        severity=Severity.HIGH,
        actions=(),
        mode=Mode.ENFORCE,
        duration_ms=0,
        max_duration_ms=0,
        why=(
            f"{finding.rule} blocked {limit} addresses within {window_ms // 60_000} min and blocks no more for now: "
            "an attack, or a log format it misreads"
        ),
    )
    await world.incidents.open_or_join(alert, tell=True, entities=(Entity("rule", finding.rule),))
