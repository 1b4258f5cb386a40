"""What another policy changes: who would be blocked newly, who no longer, and what each rule finds."""

import enum
from collections.abc import Callable, Iterable, Sequence

import msgspec
from rich.table import Table
from rich.text import Text

from actions.blocks.networks import NeverBlock, network_of
from app.commands.output import printable
from app.policies.policy import Policy
from app.replay_summary import MOST_ROWS
from detectors.finding import TELLING, Action, Mode, SubjectKind
from detectors.rule import Rule
from detectors.timestamps import to_rfc3339
from detectors.windows import Crossed

Blocked = dict[str, tuple[int, set[str]]]
"""Each subject's first time (epoch ms) and the rules that asked for its block."""


class Change(enum.StrEnum):
    """What another policy changes for a subject."""

    NEWLY_BLOCKED = "newly_blocked"
    NO_LONGER_BLOCKED = "no_longer_blocked"


class Difference(msgspec.Struct, tag_field="type", tag="subject"):
    """One subject whose fate a changed policy changes, as `--json` prints it."""

    subject: str
    change: Change
    at: str
    """When it would first have been blocked, RFC 3339 UTC."""
    rules: list[str]


class Effects(msgspec.Struct, frozen=True):
    """What one rule of one policy leads to."""

    findings: int = 0
    subjects: int = 0
    """Different ones among the findings."""
    incidents: int = 0
    """Different subjects and places, for each of which one would be open; none under `mode: observe`."""
    alerts: int = 0
    """Those of the incidents that tell people."""
    blocked: int = 0
    proposed: int = 0
    """Subjects whose block would wait for approval."""


class RuleChange(msgspec.Struct, tag_field="type", tag="rule"):
    """One rule before and after, as `--json` prints it. `None`: the rule is off."""

    rule: str
    before: Effects | None
    after: Effects | None

    @property
    def is_change(self) -> bool:
        """Whether it makes a difference to anybody."""
        return (self.before or Effects()) != (self.after or Effects())


class Comparison(msgspec.Struct):
    """Two policies over the same events."""

    subjects: list[Difference]
    rules: list[RuleChange]
    both: int
    """Subjects that both block."""

    @property
    def rows(self) -> list[msgspec.Struct]:
        """All of it, as `--json` prints it."""
        return [*self.subjects, *self.rules]


Never = Callable[[Policy], NeverBlock]


def by_policy_alone(policy: Policy) -> NeverBlock:
    """Who is never blocked, as far as the policy says."""
    own = [("never_block", network) for network in policy.never_block]
    return NeverBlock(own, even_private=policy.block_private)


def compare(
    before: tuple[Policy, Sequence[Crossed]],
    after: tuple[Policy, Sequence[Crossed]],
    never: Never = by_policy_alone,
) -> Comparison:
    """The second policy against the first: what each found, what follows from it, and for whom."""
    old, new = (blocked(found, never(policy)) for policy, found in (before, after))
    old_rules, new_rules = (effects(found, policy, never(policy)) for policy, found in (before, after))
    names = list(dict.fromkeys([*old_rules, *new_rules]))
    rules = [RuleChange(name, old_rules.get(name), new_rules.get(name)) for name in names]
    return Comparison(differences(old, new), rules, len(old.keys() & new.keys()))


def blocked(crossed: Iterable[Crossed], never: NeverBlock) -> Blocked:
    """Who would have been blocked."""
    found: Blocked = {}
    for one in crossed:
        rule, subject = one.group.rule, one.group.subject
        if rule.mode is Mode.ENFORCE and not one.shared_users and _may_block(rule, subject, never):
            first, rules = found.setdefault(subject, (one.at, set()))
            found[subject] = (min(first, one.at), rules | {rule.name})
    return found


def _may_block(rule: Rule, subject: str, never: NeverBlock) -> bool:
    asks = Action.BLOCK_IP in rule.actions and rule.group_by[0] is SubjectKind.IP
    return asks and not never(network_of(subject))


def differences(before: Blocked, after: Blocked) -> list[Difference]:
    """Who would newly be blocked and who no longer, in order of time within each."""
    found = [
        Difference(subject, change, to_rfc3339(one[subject][0]), sorted(one[subject][1]))
        for change, one, other in (
            (Change.NEWLY_BLOCKED, after, before),
            (Change.NO_LONGER_BLOCKED, before, after),
        )
        for subject in one.keys() - other.keys()
    ]
    return sorted(found, key=lambda d: (d.change, d.at, d.subject))


def effects(crossed: Iterable[Crossed], policy: Policy, never: NeverBlock) -> dict[str, Effects]:
    """What each rule of the policy found and what follows from it, in the policy's order."""
    by_rule: dict[str, list[Crossed]] = {rule.name: [] for rule in policy.rules}
    for one in crossed:
        by_rule.setdefault(one.group.rule.name, []).append(one)
    return {
        name: _effects(found, rule, never)
        for name, found in by_rule.items()
        if (rule := policy.rule(name)) is not None
    }


def _effects(found: Sequence[Crossed], rule: Rule, never: NeverBlock) -> Effects:
    subjects = {one.group.subject for one in found}
    acts = rule.mode is not Mode.OBSERVE
    incidents = len({(one.group.subject, _place_of(one)) for one in found}) if acts else 0
    own = {one.group.subject for one in found if not one.shared_users}
    asked = len([s for s in own if _may_block(rule, s, never)]) if acts else 0
    return Effects(
        findings=len(found),
        subjects=len(subjects),
        incidents=incidents,
        alerts=incidents if not TELLING.isdisjoint(rule.actions) else 0,
        blocked=asked if rule.mode is Mode.ENFORCE else 0,
        proposed=asked if rule.mode is Mode.PROPOSE else 0,
    )


class _Place(msgspec.Struct):
    place: str = ""


_decode_place = msgspec.json.Decoder(_Place).decode


def _place_of(found: Crossed) -> str:
    """What narrows its incident besides the subject."""
    return _decode_place(found.group.meta).place if found.group.meta else ""


def difference_table(found: Comparison, policy: Policy, against: Policy) -> Table:
    """Who is blocked under one policy only, for people."""
    table = Table(title=f"blocked under {against.source} instead of {policy.source}; {found.both} under both")
    for name in ("subject", "change", "first", "rules"):
        table.add_column(name)
    for one in found.subjects[:MOST_ROWS]:
        table.add_row(
            Text(printable(one.subject)), one.change.value.replace("_", " "), one.at, ", ".join(one.rules)
        )
    if len(found.subjects) > MOST_ROWS:
        table.caption = f"and {len(found.subjects) - MOST_ROWS} more; --json prints all"
    return table


def rule_table(found: Comparison) -> Table:
    """What each rule finds before and after, for people; one number where nothing changes."""
    table = Table(title="what each rule leads to, before -> after")
    columns = Effects.__struct_fields__
    table.add_column("rule")
    for name in columns:
        table.add_column(name, justify="right")
    for one in found.rules:
        table.add_row(Text(printable(one.rule)), *(_cell(one.before, one.after, name) for name in columns))
    return table


def _cell(before: Effects | None, after: Effects | None, name: str) -> str:
    old, new = ("off" if one is None else str(getattr(one, name)) for one in (before, after))
    return old if old == new else f"{old} -> {new}"
