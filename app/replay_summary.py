"""A replay's findings as a table for people: who, by what rule, when, and what would have been done."""

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from actions.blocks.networks import NeverBlock, network_of
from app.commands.output import printable
from app.durations import format_duration
from app.policies.policy import Policy
from detectors.finding import Action, Mode
from detectors.rule import Rule
from detectors.timestamps import to_rfc3339
from detectors.windows import Crossed

MOST_ROWS = 50


def summary_table(crossed: Sequence[Crossed], policy: Policy) -> Table:
    """One row for each subject, most findings first."""
    table = Table(title=f"{len(crossed)} findings under the policy {policy.source}")
    for name in ("subject", "rules", "findings", "first", "last", "would have been done"):
        table.add_column(name, justify="right" if name == "findings" else "left")
    by_subject: dict[str, list[Crossed]] = {}
    for found in crossed:
        by_subject.setdefault(found.group.subject, []).append(found)
    ranked = sorted(by_subject.items(), key=lambda item: -len(item[1]))
    for subject, found_list in ranked[:MOST_ROWS]:
        table.add_row(
            # Log text is an attacker's: never markup.
            Text(printable(subject)),
            ", ".join(sorted({f.group.rule.name for f in found_list})),
            str(len(found_list)),
            to_rfc3339(found_list[0].first_at),
            to_rfc3339(found_list[-1].at),
            "\n".join(_done(found_list, policy)),
        )
    if len(ranked) > MOST_ROWS:
        table.caption = f"and {len(ranked) - MOST_ROWS} more subjects; --json prints all"
    return table


def _done(found_list: Sequence[Crossed], policy: Policy) -> Iterable[str]:
    rules = {f.group.rule.name: f.group.rule for f in found_list}
    for rule in rules.values():
        own = [f for f in found_list if f.group.rule.name == rule.name]
        if rule.mode is Mode.OBSERVE:
            yield f"{rule.name}: only recorded (observe)"
            continue
        for action in rule.actions:
            if action is not Action.BLOCK_IP:
                yield action.value
            elif never := never_blocked(own[0].group.subject, policy):
                yield f"not blocked: {never}"
            else:
                blocks = block_durations(own, rule)
                verb = "proposed" if rule.mode is Mode.PROPOSE else "blocked"
                yield f"{verb} for {', '.join(blocks[:4])}{' ...' if len(blocks) > 4 else ''}"


def never_blocked(subject: str, policy: Policy) -> str | None:
    """What of the policy keeps this subject from being blocked, or None."""
    own = [("never_block", network) for network in policy.never_block]
    return NeverBlock(own, even_private=policy.block_private)(network_of(subject))


def block_durations(found_list: Sequence[Crossed], rule: Rule) -> list[str]:
    """The blocks that these findings would have led to: none while one lasts, each twice as long as the last."""
    blocks: list[str] = []
    until = 0
    for found in found_list:
        if found.at >= until:
            duration = min(rule.duration_ms * 2 ** len(blocks), rule.max_duration_ms)
            until = found.at + duration
            blocks.append(format_duration(duration))
    return blocks
