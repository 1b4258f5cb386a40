"""account_takeover: somebody gets into an account that was being attacked.

Looks at: failed and successful authentications that name a user. Two ways: many failures of one address and user, and
then a success of the same two, twice as many where this user got in from this address within 30 days, since that is
mostly somebody who forgot a password (benchmarks/behaviour.py); and many failures of one user by any addresses, and
then a success from a network (/24, IPv6 /48) that this user never got in from within 30 days.
Default: 5 failures in 15 minutes before the success, 10 from a known address; an incident at once.
Source: Panther (5 failures, then a success), the example of the Sigma correlation specification (10 within 10
minutes), Elastic (failures and a success of one address); ATT&CK T1110, T1078; OWASP API2:2023.
"""

from collections.abc import Iterable

import msgspec

from detectors.addresses import client_address, network_around
from detectors.auth_failures import LOGIN, LOGIN_FORM, attempt_of, failure_of, is_login_success
from detectors.detector import Detector, Look, Surroundings, Verdict
from detectors.event import Event
from detectors.finding import SubjectKind
from detectors.guide import Guide
from detectors.rule import Kind, Rule
from detectors.scanner import ENCODED

REMEMBERED_MS = 30 * 86_400_000
"""For how long a network or an address that a user got in from is known: people return to theirs within a month."""


class AccountTakeover(Detector):
    """Follows the failures and successes of each account."""

    statuses = frozenset({401, 403})
    tags = frozenset({LOGIN, LOGIN_FORM, ENCODED})
    outcomes = True
    guide = Guide(
        phrase="{subject} was let in after failing to log in {times}",
        what="An account was entered after many failed attempts: its password has been guessed, or bought.",
        needs="user, and client_ip; the outcome of logins, or their status and path.",
        check="Look at what the account did after the success, and ask its owner whether it was them. A new country "
        "or a new user agent speaks for a break-in.",
        act="End the account's sessions, force a new password and a second factor, revoke keys made since, and look "
        "for what was read or changed.",
        wrong="A person who forgot their password and remembered it, or who logs in from a new network while "
        "somebody else is guessing. From an address that the user got in from within 30 days twice as many "
        "failures are needed. Raise the threshold where people mistype often.",
        references=("T1110", "T1078", "API2:2023", "OAT-007"),
    )

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        super().__init__(rule, site)
        self._same_address = msgspec.structs.replace(
            takeover_rule(rule), memory_ms=REMEMBERED_MS, spares_known=True
        )
        self._new_network = msgspec.structs.replace(
            rule, kind=Kind.NEWCOMER, group_by=(SubjectKind.USER,), memory_ms=REMEMBERED_MS, shared_from=0
        )

    def judge(self, look: Look) -> Iterable[Verdict]:
        """Two verdicts for each authentication of a user: one for each way."""
        same = takeover_verdict(look.event, self._site, self._same_address)
        if same is None or not look.event.user:
            return ()
        network = self._network(look.event) if same.good else ""
        if network is None:
            return (same,)
        return (same, same._replace(rule=self._new_network, value=network))

    def _network(self, event: Event) -> str | None:
        address = client_address(event.client_ip, event.forwarded_for, self._site.trusted)
        return network_around(address) if address else None


def takeover_rule(rule: Rule) -> Rule:
    """The rule of failures and then a success of the same address and user."""
    return msgspec.structs.replace(
        rule, kind=Kind.SEQUENCE, group_by=(SubjectKind.IP, SubjectKind.USER), shared_from=0
    )


def takeover_verdict(event: Event, site: Surroundings, rule: Rule) -> Verdict | None:
    """A bad verdict for a failure, a good one for a success, else None."""
    reason = failure_of(event, site)
    if reason:
        return Verdict(rule, reason)
    if is_login_success(event, site):
        return Verdict(rule, f"login succeeded{attempt_of(event)}", good=True)
    return None
