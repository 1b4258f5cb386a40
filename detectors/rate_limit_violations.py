"""rate_limit_violations: a client goes on although it was told to slow down.

Looks at: HTTP 429; nginx `limiting requests` lines, which the format reads as 429.
Why: a client that honours limits stops; one that does not is broken, or scraping, or attacking.
Default: 50 in a minute from one address; tells an administrator.
Source: RFC 6585, 4; OWASP API4:2023 (unrestricted resource consumption), OAT-011 (scraping); the operator's document.
"""

from collections.abc import Iterable

from detectors.detector import Detector, Look, Verdict


class RateLimitViolations(Detector):
    """Counts 429s."""

    statuses = frozenset({429})

    def judge(self, look: Look) -> Iterable[Verdict]:
        """One verdict for each 429."""
        return (Verdict(self._rule, "status 429"),) if look.event.status == 429 else ()
