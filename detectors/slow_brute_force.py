"""slow_brute_force: one address fails again and again over hours, and never gets in.

Default: 30 failures in 24 hours without a success from one address, which is then blocked.
Source: ATT&CK T1110.001; OWASP ASVS 2.2.1 allows no more than 100 failures an hour for one account, NIST SP 800-63B
100 in a row.
"""

from collections.abc import Iterable

from detectors.auth_failures import LOGIN_FORM, attempt_of, failure_of, is_login_success
from detectors.detector import Detector, Look, Verdict
from detectors.guide import Guide
from detectors.scanner import ENCODED
from detectors.security_breach import LOGIN


class SlowBruteForce(Detector):
    """Follows the streak of failures of each address."""

    guide = Guide(
        phrase="{subject} failed to log in {times} and never got in",
        what=(
            "One attempt every few minutes passes under every limit per minute, but adds up over "
            "hours. Counted are the failed authentications of one address; a success starts over."
        ),
        needs=(
            "`client_ip`, `path` and `status`, or `outcome`; successful logins must be in the log as well."
        ),
        check=(
            "`bartizan incidents show ID`: different `user` or `path` values are a guesser. "
            "Always the same user, path and user agent, around the clock, is a device."
        ),
        act=(
            "Keep the address blocked, and look in `bartizan incidents list --entity USER` for other "
            "addresses that try the same accounts."
        ),
        wrong=(
            "A phone, a mail client or a job with an old password: tell its owner, and lift the "
            "block with `bartizan blocks remove ID --reason ...`. If successful logins are not "
            "logged, nothing starts over: log them, or raise the threshold."
        ),
        references=("T1110.001", "CWE-307", "ASVS 2.2.1"),
    )

    statuses = frozenset({401, 403})
    tags = frozenset({LOGIN, LOGIN_FORM, ENCODED})
    outcomes = True

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A bad verdict for a failure, a good one for a success."""
        reason = failure_of(look.event, self._site)
        if reason:
            return (Verdict(self._rule, reason),)
        if is_login_success(look.event, self._site):
            return (Verdict(self._rule, f"login succeeded{attempt_of(look.event)}", good=True),)
        return ()
