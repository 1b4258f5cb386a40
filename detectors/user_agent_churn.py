"""user_agent_churn: one address shows a new user agent with almost every request that fails.

Default: 10 different user agents in 10 seconds from one address; investigates.
Source: OWASP OAT-004, OAT-014; CrowdSec's http-bad-user-agent and switching-user-agent scenarios use 10 in 8 s.
"""

from collections.abc import Iterable

from detectors.detector import LONGEST_QUOTE, Detector, Look, Verdict, answer_of
from detectors.guide import Guide


class UserAgentChurn(Detector):
    """Counts user agents; what differs is the user agent."""

    guide = Guide(
        phrase="{subject} failed with {count} different user agents",
        what=(
            "Tools draw a random browser for each request to look like many people; people behind "
            "one address do not all fail within seconds. Counted are the different user agents of "
            "one address whose requests are answered 400, 401, 403, 404, 405 or 429."
        ),
        needs="`client_ip`, `status` and `user_agent`.",
        check=(
            "`bartizan incidents show ID`: compare `user_agent` with `path`. Old or impossible "
            "browsers that all want the same path, or never load an image, are one tool."
        ),
        act=(
            "Block the address with `bartizan blocks add ADDRESS --reason ...` if its paths are "
            "logins or probes; else limit its rate."
        ),
        wrong=(
            "A large office or a carrier meeting a page that is gone, or a farm of link checkers: "
            "the user agents are common ones and stay the same. Mend the page, or raise the "
            "threshold."
        ),
        references=("OAT-004", "OAT-014"),
    )

    statuses = frozenset({400, 401, 403, 404, 405, 429})

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each failed request with a user agent."""
        agent = look.event.user_agent
        if not agent or agent == "-" or look.event.status not in self.statuses:
            return ()
        return (
            Verdict(
                self._rule, f"{answer_of(look.event)} for user agent {agent[:LONGEST_QUOTE]!r}", value=agent
            ),
        )
