"""slow_brute_force: one address fails again and again over hours, and never gets in.

Looks at: failed and successful authentications of one address; a success starts over.
Why: one attempt every few minutes passes under every limit per minute.
Default: 30 failures in 24 hours without a success from one address, which is then blocked.
When it is wrong: a device with an old password; its user agent and path are always the same.
Source: ATT&CK T1110.001; OWASP ASVS 2.2.1 allows no more than 100 failures an hour for one account, NIST SP 800-63B
100 in a row.
"""

from collections.abc import Iterable

from detectors.auth_failures import LOGIN_FORM, failure_of, is_login_success
from detectors.detector import Detector, Look, Verdict
from detectors.scanner import ENCODED
from detectors.security_breach import LOGIN


class SlowBruteForce(Detector):
    """Follows the streak of failures of each address."""

    statuses = frozenset({401, 403})
    tags = frozenset({LOGIN, LOGIN_FORM, ENCODED})
    outcomes = True

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A bad verdict for a failure, a good one for a success."""
        reason = failure_of(look.event, self._site)
        if reason:
            return (Verdict(self._rule, reason),)
        if is_login_success(look.event, self._site):
            return (Verdict(self._rule, "login succeeded", good=True),)
        return ()
