"""The policy: the one in force, a check of another, and its replacement."""

from dataclasses import asdict
from typing import Annotated

import msgspec
from pydantic import Field

from actions.blocks.verified_bots import OnDnsFailure
from app.admin.access import Admin, Viewer, World, admin_router
from app.admin.models import Input, Output, Reason, problems
from app.durations import format_duration
from app.policies.explained import explained
from app.policies.policy import Policy, load_policy, threshold_text
from app.policies.tests import check_examples, failure_of, run_examples
from detectors.condition_words import describe
from detectors.errors import ConfigError
from detectors.finding import Action, DecisionType, Mode, Severity, SubjectKind
from detectors.rule import Rule

LONGEST_POLICY = 256 * 1024
"""Characters; a policy with every rule written out has about 3,000."""

MOST_REFUSALS = 500
"""Of Sigma rules, in one answer; `bartizan policy check` names all."""

router = admin_router("/policy")


class RuleModel(Output):
    """A rule with everything that the policy left to its defaults filled in."""

    name: str
    threshold: str
    window: str
    actions: tuple[Action, ...]
    severity: Severity
    mode: Mode
    type: DecisionType
    """What block_ip makes."""
    group_by: tuple[SubjectKind, ...]
    distinct: SubjectKind | None
    duration: str
    max_duration: str
    is_own: bool
    """Written by the operator, under `rules`."""
    title: str
    where: str | None
    """In words: what an event must be like to count; null where the rule's detector alone says so."""
    then_where: str | None
    """In words: what must follow, for a rule with a sequence."""
    distinct_field: str | None
    """The field whose different values count, where it is none of those of `distinct`."""
    references: tuple[str, ...]


class RefusalModel(Output):
    """A Sigma rule that could not be loaded."""

    file: str
    rule: str
    reason: str


class SigmaModel(Output):
    """What the policy's folder of Sigma rules brought; the loaded ones stand among the rules."""

    loaded: int
    parts_only: int
    """Rules that serve correlations and do not fire by themselves."""
    refused: tuple[RefusalModel, ...]


class TrustedClientModel(Output):
    """A client that does not count against its address."""

    user_agent: str
    networks: tuple[str, ...]
    note: str


class OwnKeysModel(Output):
    """The operator's own keys that begin with a prefix."""

    prefix: str
    description: str
    severity: Severity


class PolicyModel(Output):
    """A policy as it was written, and as it is understood."""

    source: str
    digest: str
    text: str
    rules: list[RuleModel]
    never_block: tuple[str, ...]
    shared_addresses: int
    """Users of one address that make it a shared one; 0: none do."""
    verified_bots: bool
    """Whether search engines' bots are verified before they are blocked."""
    on_dns_failure: OnDnsFailure
    """What becomes of a bot that the DNS cannot verify."""
    trusted_clients: tuple[TrustedClientModel, ...]
    own_keys: tuple[OwnKeysModel, ...]
    maintenance: tuple[str, ...]
    """A sentence for each window."""
    maintenance_notice: str
    dead_man: str
    """How often it signals, and where its address stands; empty where it does not."""
    status_page: str
    """Title, components and what it says of maintenance; empty where all is as by default."""
    people: dict[str, tuple[str, ...]]
    """Who answers how fast, and who is told what: sentences by the policy's key."""
    sigma: SigmaModel | None = None
    error: str | None = None
    """Why a newer version of the file was not taken up; null where there is none."""


class TestModel(Output):
    """What became of one test of an own rule."""

    rule: str
    example: str
    """`match[0]`, `no_match[2]`: as in the policy, counted from 0."""
    line: int
    passed: bool
    why: str
    """Why it failed; empty where it passed."""


class CheckModel(Output):
    """Whether a policy could be taken up, and what it would change."""

    valid: bool
    error: str | None = None
    """Names the line and the key."""
    rules: tuple[RuleModel, ...] = ()
    changes: tuple[str, ...] = ()
    """One line for each rule that would be switched on, switched off or changed."""
    tests: tuple[TestModel, ...] = ()
    """The tests of the own rules; one that fails makes the policy wrong."""


Text = Annotated[str, Field(max_length=LONGEST_POLICY, description="policy.yaml, the whole of it")]


class CheckInput(Input):
    """A policy to check."""

    text: Text


class PolicyInput(CheckInput):
    """A policy to put in force, and why."""

    reason: Reason


def _rule(rule: Rule) -> RuleModel:
    return RuleModel(
        name=rule.name,
        threshold=threshold_text(rule),
        window=format_duration(rule.window_ms),
        actions=rule.actions,
        severity=rule.severity,
        mode=rule.mode,
        type=rule.block_type,
        group_by=rule.group_by,
        distinct=rule.distinct,
        duration=format_duration(rule.duration_ms),
        max_duration=format_duration(rule.max_duration_ms),
        is_own=rule.is_own,
        title=rule.title,
        where=None if rule.where is None else describe(rule.where),
        then_where=None if rule.then is None else describe(rule.then),
        distinct_field=rule.distinct_field,
        references=rule.references,
    )


def _sigma(policy: Policy) -> SigmaModel | None:
    found = policy.sigma
    if found is None:
        return None
    refused = tuple(RefusalModel(**asdict(refusal)) for refusal in found.refused[:MOST_REFUSALS])
    return SigmaModel(loaded=len(found.rules), parts_only=found.parts_only, refused=refused)


def _model(policy: Policy, error: str | None) -> PolicyModel:
    return PolicyModel(
        source=policy.source,
        digest=policy.digest,
        text=policy.text,
        rules=[_rule(rule) for rule in policy.rules],
        never_block=policy.never_block,
        **asdict(explained(policy)),
        sigma=_sigma(policy),
        error=error,
    )


def _changes(old: Policy, new: Policy) -> list[str]:
    before, after = ({rule.name: _rule(rule) for rule in policy.rules} for policy in (old, new))
    lines = [f"{name}: switched off" for name in before if name not in after]
    lines += [f"{name}: switched on" for name in after if name not in before]
    for name in before.keys() & after.keys():
        was, is_now = before[name].model_dump(mode="json"), after[name].model_dump(mode="json")
        lines += [f"{name}: {key} {was[key]} -> {is_now[key]}" for key in was if was[key] != is_now[key]]
    was, is_now = (_flat(policy) for policy in (old, new))
    lines += [f"{key}: {_shown(was[key])} -> {_shown(is_now[key])}" for key in was if was[key] != is_now[key]]
    return sorted(lines)


def _flat(policy: Policy) -> dict[str, object]:
    """What holds for all rules alike, by key."""
    found = asdict(explained(policy))
    people: dict[str, object] = found.pop("people")
    return {**found, **people}


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()


@router.get("", responses=problems())
async def show_policy(world: World, _: Viewer) -> PolicyModel:
    """The policy in force in this process."""
    return _model(world.policy.current, world.policy.error)


@router.post("/check", responses=problems())
async def check_policy(world: World, _: Viewer, body: CheckInput) -> CheckModel:
    """Whether a policy is right and its own rules pass their tests, and what it would change.

    Nothing is put in force. Sigma rules are read only from the policy's own folder, and from the one in force.
    """
    store = world.policy
    within = [store.path.parent, *([store.current.sigma.folder] if store.current.sigma else [])]
    try:
        policy = load_policy(body.text, store.path.name, store.path.parent, within=within)
    except ConfigError as error:
        return CheckModel(valid=False, error=str(error))
    results = run_examples(policy)
    tests = tuple(TestModel(**asdict(result)) for result in results)
    failure = failure_of(policy, results)
    if failure is not None:
        return CheckModel(valid=False, error=failure, tests=tests)
    rules = tuple(_rule(rule) for rule in policy.rules)
    changes = tuple(_changes(world.policy.current, policy))
    return CheckModel(valid=True, rules=rules, changes=changes, tests=tests)


@router.put("", responses=problems())
async def replace_policy(world: World, actor: Admin, body: PolicyInput) -> PolicyModel:
    """Put a policy in force and write it to its file; a wrong one is refused and the old one stays.

    Wrong is also one whose own rules fail their tests.
    The file is no part of Redis, so the audit entry is written first: a change without an entry cannot be.
    """
    before = world.policy.current
    policy = load_policy(body.text, world.policy.path.name, world.policy.path.parent)
    check_examples(policy)
    audited = {"digest": policy.digest, "changes": _changes(before, policy), "text": policy.text}
    await world.actions.audit.record(
        actor,
        "policy.replace",
        f"policy:{world.policy.path.name}",
        before={"digest": before.digest, "text": before.text},
        after=audited,
        reason=body.reason,
    )
    return _model(world.policy.replace(body.text), None)
