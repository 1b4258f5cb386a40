"""The examples of own rules, run: an event is decoded as the service would decode it, and the rule is asked."""

from dataclasses import dataclass

import msgspec

from app.ingest.decode import decode_events
from app.policies.own_rules import Example
from app.policies.policy import Policy
from detectors.condition_matching import Matcher, matcher_of
from detectors.condition_words import first_match, why_not
from detectors.conditions import All, Any, Condition
from detectors.errors import ConfigError
from detectors.event import Event
from detectors.rule import Rule

RECEIVED_MS = 1_764_000_000_000
"""When an example arrives; no condition looks at the clock."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one example."""

    rule: str
    example: str
    """`match[0]`, `no_match[2]`: as in the policy, counted from 0."""
    line: int
    passed: bool
    why: str = ""
    """Why it failed; empty where it passed."""


def run_examples(policy: Policy) -> list[Result]:
    """Every example of every own rule, in the order of the file. Needs no Redis."""
    wanted = {example.rule for example in policy.examples}
    conditions = {rule.name: _condition(rule) for rule in policy.rules if rule.name in wanted}
    matchers = {name: matcher_of(condition) for name, condition in conditions.items()}
    return [_run(e, conditions[e.rule], matchers[e.rule]) for e in policy.examples]


def check_examples(policy: Policy) -> list[Result]:
    """The same. Raises: ConfigError naming the first example that fails, its line and why."""
    results = run_examples(policy)
    error = failure_of(policy, results)
    if error is not None:
        raise ConfigError(error)
    return results


def failure_of(policy: Policy, results: list[Result]) -> str | None:
    """What is wrong with the first example that failed, and how many more did; None where all passed."""
    failed = [result for result in results if not result.passed]
    if not failed:
        return None
    first = failed[0]
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{policy.source} line {first.line}: rules.{first.rule}.tests.{first.example}: {first.why}{more}"


def _condition(rule: Rule) -> Condition:
    """An event of a sequence counts where it is one of either sort."""
    where = rule.where if rule.where is not None else All(())
    return where if rule.then is None else Any((where, rule.then))


def _run(example: Example, condition: Condition, matcher: Matcher) -> Result:
    record = msgspec.json.encode(example.event)
    decoded = decode_events(record, RECEIVED_MS)
    if len(decoded.events) != 1:
        return _result(
            example, f"is no event: {decoded.rejected[0].reason if decoded.rejected else 'it is empty'}"
        )
    event = decoded.events[0]
    lost = _unread(example, event)
    if lost is not None:
        return _result(example, f"{lost} is not what an event has there, so the service would not read it")
    matches = matcher(event, record)
    if matches is example.should_match:
        return _result(example)
    if matches:
        return _result(example, f"matches, and must not: {first_match(condition, event, record)}")
    return _result(example, f"does not match: {why_not(condition, event, record)}")


def _unread(example: Example, event: Event) -> str | None:
    """A field that the example gives and the event does not have."""
    for name, value in example.event.items():
        if getattr(event, name) is None:
            return f"{name}: {value!r}"
    return None


def _result(example: Example, why: str = "") -> Result:
    number = example.place.rpartition(".")[2]
    return Result(example.rule, number, example.line, not why, why)
