"""slow_brute_force: one address fails again and again over hours, and never gets in.

Looks at: failed and successful authentications of one address; a success starts over. A refused API key
(`api_key_id`, no user, no login path) does not count.
Why: one attempt every few minutes passes under every limit per minute. A key is no password: nobody finds one by trying
slowly, and a client with an expired key goes on all day (benchmarks/behaviour.py); many different keys are
token_cracking.
Default: 30 failures in 24 hours without a success from one address, which is then blocked; and, told from these, half
as many within a 24th of the window (15 in an hour) and twice as many within seven windows (60 in a week).
When it is wrong: a device with an old password; its user agent and path are always the same.
Source: ATT&CK T1110.001; OWASP ASVS 2.2.1 allows no more than 100 failures an hour for one account, NIST SP 800-63B
100 in a row.
"""

from collections.abc import Iterable

import msgspec

from detectors.auth_failures import LOGIN, LOGIN_FORM, failure_of, is_login_success
from detectors.detector import Detector, Look, Surroundings, Verdict, is_one_of, path_of
from detectors.event import Event
from detectors.rule import Rule
from detectors.scanner import ENCODED


class SlowBruteForce(Detector):
    """Follows the streak of failures of each address, over hours, days and a week."""

    statuses = frozenset({401, 403})
    tags = frozenset({LOGIN, LOGIN_FORM, ENCODED})
    outcomes = True

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        super().__init__(rule, site)
        spans = (
            (max(2, rule.threshold // 2), rule.window_ms // 24),
            (2 * rule.threshold, 7 * rule.window_ms),
        )
        self._rules = [
            rule,
            *(msgspec.structs.replace(rule, threshold=n, window_ms=max(1000, w)) for n, w in spans),
        ]

    def judge(self, look: Look) -> Iterable[Verdict]:
        """For each span a bad verdict for a failure, a good one for a success."""
        reason = failure_of(look.event, self._site)
        if reason and self._is_refused_key(look.event):
            return ()
        if reason:
            return [Verdict(rule, reason, narrow=str(rule.window_ms)) for rule in self._rules]
        if is_login_success(look.event, self._site):
            return [
                Verdict(rule, "login succeeded", good=True, narrow=str(rule.window_ms))
                for rule in self._rules
            ]
        return ()

    def _is_refused_key(self, event: Event) -> bool:
        """Whether it was a key that failed, as far as the log tells; at a login it is the password that fails."""
        if event.api_key_id is None or event.user or event.category == "authentication":
            return False
        return not is_one_of(path_of(event), (*self._site.login_paths, *self._site.login_forms))
