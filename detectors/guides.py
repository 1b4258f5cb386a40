"""The guide of every rule, collected from the detectors, and one for the rules that people write themselves."""

from functools import cache

from detectors.guide import Guide
from detectors.roster import DETECTORS, TALLIES, WATCHES


@cache
def guides() -> dict[str, Guide]:
    """By rule, in the order of the roster; a detector without one is left out."""
    detectors = {**DETECTORS, **TALLIES, **WATCHES}
    written = {name: getattr(detector, "guide", None) for name, detector in detectors.items()}
    return {name: guide for name, guide in written.items() if guide is not None}


def guide_of(rule_name: str, title: str = "") -> Guide:
    """What people need to know of a rule; for one of the operator's own (or one that is gone) from its title."""
    return guides().get(rule_name) or _own(rule_name, title)


def _own(rule_name: str, title: str) -> Guide:
    return Guide(
        what=title or f"A rule of this site's own, {rule_name}: it stands in the policy or in a Sigma file.",
        needs="The fields that its conditions name.",
        check="`bartizan incidents show ID`: compare the events with what the rule's author wanted to find.",
        act="Ask the rule's author. `bartizan blocks add ADDRESS --reason ...` where one address goes on.",
        wrong="Narrow the rule's conditions or raise its threshold, and add the event to its tests as one that must "
        "not match.",
    )
