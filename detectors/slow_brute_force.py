"""slow_brute_force: one address fails again and again over hours, and never gets in.

A refused API key (`api_key_id`, no user, no login path) does not count: nobody finds a key by trying slowly, and a
client with an expired one goes on all day (benchmarks/behaviour.py); many different keys are token_cracking.
Where the policy speaks of shared addresses, what a user fails who got in from this address within a week does not count
either: that is a device with an old password.
Default: 30 failures in 24 hours without a success from one address, which is then blocked; and, told from these, half
as many within a 24th of the window (15 in an hour) and twice as many within seven windows (60 in a week).
Source: ATT&CK T1110.001; OWASP ASVS 2.2.1 allows no more than 100 failures an hour for one account, NIST SP 800-63B
100 in a row.
"""

from collections.abc import Iterable

import msgspec

from detectors.auth_failures import LOGIN, LOGIN_FORM, attempt_of, failure_of, is_login_success
from detectors.detector import Detector, Look, Surroundings, Verdict, is_one_of, path_of
from detectors.event import Event
from detectors.guide import Guide
from detectors.rule import Rule
from detectors.scanner import ENCODED


class SlowBruteForce(Detector):
    """Follows the streak of failures of each address, over hours, days and a week."""

    guide = Guide(
        phrase="{subject} failed to log in {times} and never got in",
        what=(
            "One attempt every few minutes passes under every limit per minute, but adds up over "
            "hours. Counted are the failed authentications of one address; a success starts over. "
            "Those of a user who lately got in from there are left out (`shared_addresses`)."
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
            "A phone, a mail client or a job with an old password, whose user never logs in from "
            "there: tell its owner, and lift the "
            "block with `bartizan blocks remove ID --reason ...`. If successful logins are not "
            "logged, nothing starts over: log them, or raise the threshold."
        ),
        references=("T1110.001", "CWE-307", "ASVS 2.2.1"),
    )

    statuses = frozenset({401, 403})
    tags = frozenset({LOGIN, LOGIN_FORM, ENCODED})
    outcomes = True

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        super().__init__(rule, site)
        rule = msgspec.structs.replace(rule, spares_known=True)
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
            matched = f"login succeeded{attempt_of(look.event)}"
            return [Verdict(rule, matched, good=True, narrow=str(rule.window_ms)) for rule in self._rules]
        return ()

    def _is_refused_key(self, event: Event) -> bool:
        """Whether it was a key that failed, as far as the log tells; at a login it is the password that fails."""
        if event.api_key_id is None or event.user or event.category == "authentication":
            return False
        return not is_one_of(path_of(event), (*self._site.login_paths, *self._site.login_forms))
