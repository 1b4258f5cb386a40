"""user_agent_churn: one address shows a new user agent with almost every request that fails.

Looks at: requests answered 4xx with a user agent; counts different user agents of one address.
Why: tools draw a random browser for each request to look like many people; people behind one address do not all fail
within seconds.
Default: 10 different user agents in 10 seconds from one address; investigates.
When it is wrong: a link checker farm or a large office meeting a page that is gone.
Source: OWASP OAT-004, OAT-014; CrowdSec's http-bad-user-agent and switching-user-agent scenarios use 10 in 8 s.
"""

from collections.abc import Iterable

from detectors.detector import Detector, Look, Verdict


class UserAgentChurn(Detector):
    """Counts user agents; what differs is the user agent."""

    statuses = frozenset({400, 401, 403, 404, 405, 429})

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A verdict for each failed request with a user agent."""
        agent = look.event.user_agent
        if not agent or agent == "-" or look.event.status not in self.statuses:
            return ()
        return (Verdict(self._rule, f"user agent {agent[:80]!r}", value=agent),)
