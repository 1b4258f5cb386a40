"""What to do next, derived from the facts of a dossier. Each step names its fact; nothing is advised without one."""

from collections.abc import Iterator

from actions.blocks.block import BlockStatus
from actions.investigations.dossiers import Dossier, EarlierBlock
from actions.investigations.investigation import EventSummary, Step, Tallied
from detectors.defaults import BUILT_IN
from detectors.finding import SubjectKind
from detectors.timestamps import to_rfc3339

FAILURES_BEFORE = 3
"""Failed logins of one account just before it got in that are more than a slip. Source: people mistype once or twice;
security_breach asks for ten, since it opens an incident by itself, and here somebody is looking anyway."""
FAILURES_BESIDE = 10
"""Failed logins of other accounts from one address, before an account without any got in from there."""
SHARED_USERS = 5
"""Accounts that get in from one address, most of them without a failure, are the people behind it."""
NEIGHBOURS = 3
"""Others of the same network or behaving alike that make it worth looking at them together."""
STEPS_NAMED = 10
"""Steps of one kind; the rest is counted in one more."""


def next_steps(dossier: Dossier) -> tuple[Step, ...]:
    """The steps, the urgent ones first, in the order in which they should be done."""
    summary = dossier.events
    if summary is None:
        return ()
    steps = [*_got_in(dossier, summary), *_reached(dossier, summary), *_used(dossier, summary)]
    is_harmed = bool(steps)
    steps += _blocking(dossier, summary, is_harmed=is_harmed)
    steps += _others(dossier)
    steps += _unknown(dossier, summary)
    if not is_harmed:
        steps.append(_nothing(dossier, summary))
    return tuple(sorted(steps, key=lambda step: not step.urgent))


def shared_by(dossier: Dossier) -> int:
    """How many people use this address, as far as the logs tell; 0: nobody's but the attacker's."""
    if dossier.shared_users or dossier.events is None or dossier.subject_kind != SubjectKind.IP:
        return dossier.shared_users
    innocent = [a for a in dossier.events.accounts if a.successes and a.failures < FAILURES_BEFORE]
    return len(innocent) if len(innocent) >= SHARED_USERS else 0


def _got_in(dossier: Dossier, summary: EventSummary) -> Iterator[Step]:
    runbook = _runbook("security_breach")
    entered = [one for one in _entered(dossier, summary) if one.success_at is not None]
    for one in entered[:STEPS_NAMED]:
        at = to_rfc3339(one.success_at or 0)
        if dossier.subject_kind == SubjectKind.USER:
            text = (
                f"{one.value} logged in as {dossier.subject} at {at} {_after(one)}: reset the password of "
                f"{dossier.subject} and end its sessions, unless its owner says that it was them"
            )
        else:
            text = (
                f"account {one.value} logged in successfully from {_from(dossier)} at {at} {_after(one)}: "
                "reset its password and end its sessions, then look at what it did since"
            )
        yield Step("reset_account", True, text, runbook)
    if len(entered) > STEPS_NAMED:
        more = len(entered) - STEPS_NAMED
        yield Step("reset_account", True, f"{more} more got in likewise: see accounts and addresses", runbook)


def _entered(dossier: Dossier, summary: EventSummary) -> list[Tallied]:
    """The accounts (of an account: the addresses) that got in after failures which were no slip."""
    is_user = dossier.subject_kind == SubjectKind.USER
    shared = shared_by(dossier)
    by_one = [*(summary.addresses if is_user else summary.accounts)]
    found = [one for one in by_one if one.failures_before_success >= FAILURES_BEFORE]
    if not shared:
        beside = [one for one in by_one if one not in found and one.failures_beside >= FAILURES_BESIDE]
        if is_user or dossier.subject_kind == SubjectKind.IP:
            found += beside
    return sorted(found, key=lambda one: -max(one.failures_before_success, one.failures_beside))


def _after(one: Tallied) -> str:
    if one.failures_before_success:
        return f"after {one.failures_before_success} failures"
    return f"after {one.failures_beside} failures of others"


def _from(dossier: Dossier) -> str:
    return "this address" if dossier.subject_kind == SubjectKind.IP else dossier.subject


def _reached(dossier: Dossier, summary: EventSummary) -> Iterator[Step]:
    served = [one for one in summary.attacks if one.served_secret]
    if served:
        which = ", ".join(f"{path}" for path in _paths(summary, "secret_served")) or served[0].pattern
        yield Step(
            "rotate_secrets", True,
            f"{which} was served with content: take it off the server now, and rotate every secret in it",
            _runbook("security_breach"),
        )  # fmt: skip
    answered = [one for one in summary.attacks if one.answered > one.served_secret]
    if answered:
        which = ", ".join(_paths(summary, "attack_answered")) or answered[0].pattern
        times = sum(one.answered - one.served_secret for one in answered)
        yield Step(
            "check_answers", True,
            f"{times} attacks were answered with 2xx, 3xx or 5xx ({which}): look at that route's code and at "
            "the application's log of that time, and rotate what the answer can have held",
            _runbook("suspicious_activity"),
        )  # fmt: skip


def _paths(summary: EventSummary, sign: str) -> list[str]:
    found = dict.fromkeys(one.path for one in summary.notable if one.sign == sign and one.path)
    return list(found)[:3]


def _used(dossier: Dossier, summary: EventSummary) -> Iterator[Step]:
    if dossier.subject_kind != SubjectKind.KEY:
        return
    served = sum(key.successes for key in summary.keys if key.value == dossier.subject)
    where = len([one for one in summary.addresses if one.value])
    if served:
        yield Step(
            "revoke_key", True,
            f"the key {dossier.subject} was accepted {served} times, from {max(where, summary.addresses_count)} "
            "addresses: revoke it at its issuer, and ask its owner which address is theirs",
            _runbook(dossier.rule or "api_key_exposure"),
        )  # fmt: skip


def _blocking(dossier: Dossier, summary: EventSummary, *, is_harmed: bool) -> Iterator[Step]:
    if dossier.subject_kind != SubjectKind.IP:
        return
    shared, current = shared_by(dossier), _block_in_force(dossier)
    if shared:
        lift = ", and lift the block that is in force" if current else ""
        yield Step(
            "keep_unblocked", False,
            f"the address is shared by {shared} users who logged in from it: do not block it{lift}; "
            "act on the accounts and keys instead",
            _runbook(dossier.rule),
        )  # fmt: skip
        return
    if dossier.allowed_by is not None:
        entry = dossier.allowed_by
        yield Step(
            "keep_unblocked", is_harmed,
            f"the address is on the allowlist as {entry.value} ({entry.note}, by {entry.actor}) and is not blocked: "
            "ask whether that entry is still right",
        )  # fmt: skip
        return
    if current and current.status == BlockStatus.PROPOSED:
        yield Step("review_block", True, f"its block waits for approval: approve or reject {current.id}")
    elif current and current.review == "unreviewed":
        yield Step(
            "review_block", False, f"its block {current.id} has not been reviewed: approve or reject it"
        )
    elif not current and (is_harmed or summary.login_failures >= FAILURES_BESIDE or summary.attacks):
        yield Step(
            "block", is_harmed,
            f"the address is not blocked: `bartizan blocks add {dossier.subject} --reason ...`, if it goes on",
            _runbook(dossier.rule),
        )  # fmt: skip


def _block_in_force(dossier: Dossier) -> EarlierBlock | None:
    states = (BlockStatus.ACTIVE, BlockStatus.PROPOSED)
    return next((block for block in dossier.earlier_blocks if block.status in states), None)


def _others(dossier: Dossier) -> Iterator[Step]:
    near = {one.subject for one in dossier.found_nearby}
    if dossier.vicinity and len(near) >= NEIGHBOURS:
        yield Step(
            "watch_network", False,
            f"{len(near)} others of {dossier.vicinity} or the same provider were found within seven days: look at "
            "them together, and consider a block of the network",
        )  # fmt: skip
    alike = {one.subject for one in dossier.alike}
    if len(alike) >= NEIGHBOURS:
        yield Step(
            "watch_network", False,
            f"{len(alike)} other subjects behave alike (the same user agent or paths): look at them as one attack",
        )  # fmt: skip


def _unknown(dossier: Dossier, summary: EventSummary) -> Iterator[Step]:
    if summary.source != "journal":
        yield Step(
            "read_logs", False,
            "known from the evidence only, which holds nothing but what counted: look in your own log whether "
            "anything succeeded",
            _runbook(dossier.rule),
        )  # fmt: skip
    elif not summary.is_whole:
        yield Step(
            "read_logs", False,
            f"not all was read ({gaps_of(summary)}): look in your own log for the rest of the time",
        )  # fmt: skip


def gaps_of(summary: EventSummary) -> str:
    """What is missing of the time asked for, in words; empty where nothing is."""
    parts = [summary.cut] if summary.cut else []
    if summary.missing_ms:
        parts.append(f"no journal for {summary.missing_ms // 60_000} min of it")
    if summary.dropped:
        parts.append(f"{summary.dropped} events of anybody were not journaled")
    if summary.damaged:
        parts.append(f"{summary.damaged} damaged parts")
    return "; ".join(parts)


def _nothing(dossier: Dossier, summary: EventSummary) -> Step:
    known = "" if summary.is_whole else ", as far as is known"
    block = _block_in_force(dossier)
    beyond = " beyond the block" if block and block.status == BlockStatus.ACTIVE else ""
    return Step(
        "no_more", False, f"nothing succeeded{known}: no further action{beyond}", _runbook(dossier.rule)
    )


def _runbook(rule: str) -> str:
    return f"rules.md#{rule}" if rule in BUILT_IN else ""
