"""crowdsec_alert: a CrowdSec agent that sends its alerts here has found an attacker.

Default: each alert is a finding. What an agent finds is for its scenarios to say, which its owner chose; the ban is
four hours, as in CrowdSec's own default profile.
Source: crowdsec, config/profiles.yaml.
"""

from typing import ClassVar

from detectors.guide import Guide
from detectors.rule import Rule


class CrowdsecAlert:
    """Looks at nothing itself: app/bouncers/reports.py tells of what agents send."""

    guide: ClassVar[Guide] = Guide(
        phrase="{subject} was reported by a CrowdSec agent, which saw {count} events",
        what=(
            "A CrowdSec agent (or somebody with `cscli`) that has a token of this service found an attacker by one of "
            "its own scenarios and sent an alert. The evidence names the scenario, the agent and the events. It is on "
            "where the policy does not name it, since whoever sends alerts was given a token for it; `mode: observe` "
            "turns it off. An alert that is marked as simulated is only recorded."
        ),
        needs="Nothing of the log; an agent that logs in here, see docs/bouncers.md.",
        check=(
            "The evidence has the last events that the agent saw; the scenario's page in CrowdSec's hub says what it "
            "looks for."
        ),
        act="As for the attack that the scenario names. It is blocked here, and so at every bouncer of this service.",
        wrong=(
            "A scenario that is too strict for this service: tune or remove it on the agent, or put the client on the "
            "allowlist here, which agents of version 1.7 read too."
        ),
        references=("T1595", "T1190"),
    )

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
