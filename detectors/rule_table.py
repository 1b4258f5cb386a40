"""docs/rules.md, written from the detectors: `python -m detectors.rule_table > docs/rules.md`."""

import sys

from detectors.defaults import BUILT_IN, DEFAULTS
from detectors.guides import guides
from detectors.references import link_of
from detectors.roster import DETECTORS, TALLIES, WATCHES
from detectors.rule import Kind, Rule
from detectors.sentence import duration

_HEAD = """\
# Rules

Written by `python -m detectors.rule_table` from the detectors; do not edit. What each rule finds, how to tell whether
it is real, what to do, and when it is wrong. Incidents show the same as their `runbook`, findings and incidents carry
the ids of `references`. The [policy](policy.md) can change every default. The rules that are "on" are so where there is
no policy; the others are once a policy names them. A rule whose fields ("needs") are not in the log is silent.

| rule | finds | default | by | action | severity | on |
|---|---|---|---|---|---|---|
"""
_WINDOWS = {
    Kind.COUNT: "Sliding, exact: that many events of one {by} within {window}.",
    Kind.DISTINCT: "Sliding, exact: that many different {values} of one {by} within {window}; a repeat adds nothing.",
    Kind.RATIO: (
        "The share among all events of one {by} within {window}, in buckets of a thirtieth; fewer than {volume} "
        "events say nothing."
    ),
    Kind.PERCENTILE: (
        "The {percentile}th percentile of all events of one {by} within {window}, in buckets of a thirtieth; fewer "
        "than {volume} events say nothing."
    ),
    Kind.STREAK: "That many in a row of one {by} within {window}; one that is good starts over.",
    Kind.SEQUENCE: "That many of one sort within {window}, and then one of another, of one {by}.",
    Kind.SCORE: (
        "That many points of one {by}: they count in full for {window}, half for another, a quarter for a third."
    ),
    Kind.WATCH: "None: no event is counted; what is looked at is said under What.",
    Kind.TRAVEL: "Two of one {by}, one after the other within {window}.",
}
_PLURAL = {"user": "users", "ip": "addresses", "key": "keys", "host": "hosts"}


def rule_table() -> str:
    """The whole page."""
    rows = "".join(_row(rule) for rule in DEFAULTS.values())
    return _HEAD + rows + "".join(_section(rule) for rule in DEFAULTS.values())


def _row(rule: Rule) -> str:
    cells = (
        f"[`{rule.name}`](#{rule.name})",
        _headline(rule),
        f"`{_threshold(rule)}`",
        _by(rule),
        _actions(rule),
        rule.severity.value,
        "yes" if rule.name in BUILT_IN else "no",
    )
    return "| " + " | ".join(cells) + " |\n"


def _section(rule: Rule) -> str:
    guide = guides()[rule.name]
    links = ", ".join(f"[{reference}]({link_of(reference)})" for reference in guide.references)
    default = (
        f"`{_threshold(rule)}` by {_by(rule)}, {_actions(rule)}, severity {rule.severity.value}, "
        f"mode `{rule.mode.value}`"
    )
    parts = (
        ("Default", default),
        ("Window", _window(rule)),
        ("What", guide.what),
        ("Needs", guide.needs),
        ("Check", guide.check),
        ("Act", guide.act),
        ("Wrong", guide.wrong),
        ("References", links),
    )
    said = "".join(f"- **{name}.** {text}\n" for name, text in parts)
    return f"\n## {rule.name}\n\n{said}"


def _headline(rule: Rule) -> str:
    """What stands behind the rule's name in the first line of its detector's file."""
    detector = {**DETECTORS, **TALLIES, **WATCHES}[rule.name]
    head = (sys.modules[detector.__module__].__doc__ or "").partition("\n")[0]
    return head.partition(": ")[2].removesuffix(".")


def _threshold(rule: Rule) -> str:
    if rule.kind is Kind.RATIO:
        return f"{rule.threshold}%"
    if rule.kind is Kind.PERCENTILE:
        return duration(rule.threshold, exactly=True).replace(" ", "")
    return f"{rule.threshold}/{duration(rule.window_ms).replace('min', 'm').replace(' ', '')}"


def _window(rule: Rule) -> str:
    return _WINDOWS[rule.kind].format(
        by=rule.group_by[0].value,
        window=duration(rule.window_ms),
        values=_PLURAL[rule.distinct.value] if rule.distinct else "values",
        volume=f"{rule.min_volume:,}",
        percentile=rule.percentile,
    )


def _by(rule: Rule) -> str:
    return ", ".join(kind.value for kind in rule.group_by)


def _actions(rule: Rule) -> str:
    return ", ".join(f"`{action.value}`" for action in rule.actions)


if __name__ == "__main__":
    sys.stdout.write(rule_table())
