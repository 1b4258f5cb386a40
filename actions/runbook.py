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


class Runbook(msgspec.Struct, frozen=True):
    """The part of a guide that a person at an incident needs."""

    what: str
    check: str
    act: str
    wrong: str


def runbook_of(rule: str, title: str = "") -> Runbook:
    """What the incidents of a rule mean. `title`: for a rule of the operator's own, what they call it."""
    guide = _BRAKE if rule == BRAKE_RULE else guide_of(rule, title)
    return Runbook(guide.what, guide.check, guide.act, guide.wrong)
