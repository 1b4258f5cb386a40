"""What to do about an incident: the guide of its rule."""

import msgspec

from detectors.guide import Guide
from detectors.guides import guide_of

BRAKE_RULE = "mass_block_brake"
"""The rule of the incidents that the mass-block brake opens (block_ip.py)."""
_BRAKE = Guide(
    what=(
        "A rule made more blocks in a short time than a real attack does, and was stopped from making more. "
        "Its subject is that rule."
    ),
    needs="Nothing: it watches the blocks, not the log.",
    check=(
        "`bartizan blocks list --rule RULE`: addresses of many networks with one user agent and path are a botnet; "
        "addresses of your customers are a log format or a threshold that is wrong."
    ),
    act=(
        "A botnet: block it at your provider, or raise `brake` in the policy. A mistake: `mode: observe` for the rule, "
        "and lift its blocks by `POST /v1/admin/blocks/bulk`."
    ),
    wrong="A list of bad addresses that you imported, or a test under load: raise `brake` in the policy.",
)
REPORTED_RULE = "reported"
"""The rule of the incidents that people report (reported.py)."""
_REPORTED = Guide(
    what="A person reported it: its title and first line are theirs.",
    needs="Nothing: no log shows it, or not yet.",
    check="Ask who reported it (the first line of the timeline) what they saw, when, and who else is affected.",
    act="Acknowledge it, say on the timeline what is known, and grade it by hand if it is worse than it was reported.",
    wrong="A misunderstanding: dismiss it as benign, with a note that says what it was.",
)

_OURS = {BRAKE_RULE: _BRAKE, REPORTED_RULE: _REPORTED}


class Runbook(msgspec.Struct, frozen=True):
    """The part of a guide that a person at an incident needs."""

    what: str
    check: str
    act: str
    wrong: str


def runbook_of(rule: str, title: str = "") -> Runbook:
    """What the incidents of a rule mean. `title`: for a rule of the operator's own, what they call it."""
    guide = _OURS.get(rule) or guide_of(rule, title)
    return Runbook(guide.what, guide.check, guide.act, guide.wrong)
