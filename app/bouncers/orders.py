"""What a person orders with `cscli`: blocks made and lifted, under the same rules as everywhere else."""

from collections.abc import Iterable

from actions.blocks.block import BlockRequest, BlockResult, Origin, Outcome
from actions.blocks.blocklist import new_block_id
from actions.blocks.decision import Decision
from actions.blocks.subjects import Scope, scope_named
from actions.errors import ConflictError, RefusedError, UnknownError
from app.bouncers.access import RefusedError as Refusal
from app.bouncers.alert import Alert, AlertDecision
from app.bouncers.durations import parse_go_duration
from app.bouncers.machine import Machine
from app.bouncers.offers import LIST_ORIGIN
from app.world import AppWorld
from detectors.finding import DecisionType

IMPORTS = frozenset({"cscli-import", "lists", "console"})
_SCOPES = {"username": Scope.USER, "country": Scope.COUNTRY, "as": Scope.AS}


async def carry_out(alert: Alert, machine: Machine, world: AppWorld) -> None:
    """Makes the blocks that an alert orders.

    One that is there already lives on, longer where that was ordered. Raises: access.RefusedError 422 naming the first
    that was refused (the others are made all the same), StorageError.
    """
    refused: list[str] = []
    for decision in alert.decisions or ():
        try:
            await _block(decision, alert, machine, world)
        except (ValueError, RefusedError) as error:
            refused.append(f"{decision.value[:64]}: {error}")
    if refused:
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        raise Refusal(422, f"not blocked: {refused[0]}{more}")


async def _block(decision: AlertDecision, alert: Alert, machine: Machine, world: AppWorld) -> None:
    duration_ms = parse_go_duration(decision.duration)
    if duration_ms <= 0:
        raise ValueError(f"the duration {decision.duration!r} is over")
    request = BlockRequest(
        id=new_block_id(),
        value=decision.value,
        scope=_scope_of(decision.scope),
        type=_type_of(decision.type),
        origin=Origin.IMPORT if decision.origin in IMPORTS else Origin.ADMIN,
        reason=(decision.scenario or alert.message or "cscli")[:500],
        duration_ms=duration_ms,
    )
    result = await world.actions.blocklist.block(request, machine.actor)
    if result.outcome is Outcome.REFUSED:
        raise RefusedError(decision.value, result.entry or "it must never be blocked")
    await _prolong(result, duration_ms, machine, world)


async def _prolong(result: BlockResult, duration_ms: int, machine: Machine, world: AppWorld) -> None:
    block, until = result.block, world.now() + duration_ms
    if result.outcome is not Outcome.ALREADY_BLOCKED or block is None:
        return
    if block.until is not None and block.until < until:
        try:
            await world.actions.reviews.extend(block.id, until, machine.actor, "cscli")
        except (ConflictError, UnknownError):
            return


async def lift(decisions: Iterable[Decision], machine: Machine, world: AppWorld) -> int:
    """Lifts blocks of our own; says how many. What a list holds stays: the list would bring it back."""
    lifted = 0
    for decision in decisions:
        if decision.origin.startswith(LIST_ORIGIN):
            continue
        try:
            await world.actions.reviews.unblock(decision.id, machine.actor, "cscli")
        except (ConflictError, UnknownError):
            continue
        lifted += 1
    return lifted


def _scope_of(text: str) -> Scope | None:
    scope = _SCOPES.get(text.lower()) or scope_named(text)
    return None if scope in (Scope.IP, Scope.RANGE) else scope


def _type_of(text: str) -> DecisionType:
    try:
        return DecisionType(text.lower())
    except ValueError as error:
        known = ", ".join(kind.value for kind in DecisionType)
        raise ValueError(f"{text[:40]!r} is not a type of decision; known are {known}") from error
