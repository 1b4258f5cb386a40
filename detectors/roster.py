"""The detectors of one policy, and which of them want to see an event.

Most events interest no detector and cost one dictionary lookup; so each says beforehand what it wants (statuses, tags
of the scan, outcomes, keys), and only those that do are asked.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from detectors.account_takeover import AccountTakeover
from detectors.addresses import Networks
from detectors.api_key_exposure import ApiKeyExposure
from detectors.auth_failures import AuthFailures
from detectors.blocklist_stale import BlocklistStale
from detectors.client_error_rate import ClientErrorRate
from detectors.condition_matching import matcher_of
from detectors.credential_stuffing import CredentialStuffing
from detectors.crowdsec_alert import CrowdsecAlert
from detectors.detector import Detector, Look, Surroundings, Verdict
from detectors.distributed_brute_force import DistributedBruteForce
from detectors.elevated_error_rate import ElevatedErrorRate
from detectors.event import Event
from detectors.health_check_failure import HealthCheckFailure
from detectors.high_error_rate import HighErrorRate
from detectors.impossible_travel import ImpossibleTravel
from detectors.key_shared import KeyShared
from detectors.leaked_key_in_use import LeakedKeyInUse
from detectors.not_found_churn import NotFoundChurn
from detectors.object_enumeration import ObjectEnumeration
from detectors.own_rules import OwnRules, Wanted
from detectors.password_spraying import PasswordSpraying
from detectors.rate_limit_violations import RateLimitViolations
from detectors.rule import Rule
from detectors.scanner import Hits, Pattern
from detectors.security_breach import SecurityBreach
from detectors.shared_address import SHARED_RULE, SharedAddress
from detectors.slow_brute_force import SlowBruteForce
from detectors.slow_responses import SlowResponses
from detectors.source_silent import SourceSilent
from detectors.source_unreadable import SourceUnreadable
from detectors.suspicious_activity import SuspiciousActivity
from detectors.token_cracking import TokenCracking
from detectors.trusted_clients import TrustedClients
from detectors.user_agent_churn import UserAgentChurn

DETECTORS: dict[str, Callable[[Rule, Surroundings], Detector]] = {
    "auth_failures": AuthFailures,
    "rate_limit_violations": RateLimitViolations,
    "suspicious_activity": SuspiciousActivity,
    "api_key_exposure": ApiKeyExposure,
    "health_check_failure": HealthCheckFailure,
    "security_breach": SecurityBreach,
    "credential_stuffing": CredentialStuffing,
    "password_spraying": PasswordSpraying,
    "distributed_brute_force": DistributedBruteForce,
    "slow_brute_force": SlowBruteForce,
    "token_cracking": TokenCracking,
    "key_shared": KeyShared,
    "object_enumeration": ObjectEnumeration,
    "not_found_churn": NotFoundChurn,
    "user_agent_churn": UserAgentChurn,
    "account_takeover": AccountTakeover,
    "leaked_key_in_use": LeakedKeyInUse,
    "impossible_travel": ImpossibleTravel,
}
"""Detectors that look at single events."""
Tally = HighErrorRate | ClientErrorRate | SlowResponses
TALLIES: dict[str, type[Tally]] = {
    "high_error_rate": HighErrorRate,
    "elevated_error_rate": ElevatedErrorRate,
    "slow_responses": SlowResponses,
    "client_error_rate": ClientErrorRate,
}
"""Detectors that look at whole batches."""
WATCHES: dict[str, type[SourceUnreadable | SourceSilent | BlocklistStale | CrowdsecAlert]] = {
    "source_unreadable": SourceUnreadable,
    "source_silent": SourceSilent,
    "blocklist_stale": BlocklistStale,
    "crowdsec_alert": CrowdsecAlert,
}
"""Rules that see no event: about who sends the logs (app/sources/watch.py asks them), external lists
(app/blocklists/stale.py), and what other programs found (app/bouncers/reports.py)."""
OWN_RULES = "own_rules"
"""The name under which a failure of the operator's own rules is counted."""


class Heard(NamedTuple):
    """How far an event came with the detector of one rule. Each step is only taken after the one before it."""

    detector: Detector
    is_wanted: bool
    """It is one that the detector wants to see."""
    is_sign: bool
    """The detector says that it counts."""


class Roster:
    """Who looks at what."""

    def __init__(
        self,
        rules: Sequence[Rule],
        around: Surroundings,
        wanted: Wanted,
        clients: TrustedClients,
        on_failure: Callable[[str, Exception], object],
        own: OwnRules | None = None,
    ) -> None:
        """`wanted`: the operator's own rules, and what they need; `own`: their detector, where it is made already.

        `on_failure` is told the name of a detector that raised.
        """
        self.rules = tuple(rules)
        self._made_of = (self.rules, around, wanted, clients)
        self.clients = clients
        self.trusted = around.trusted
        self._on_failure = on_failure
        looking = [rule for rule in rules if rule.name in DETECTORS and not rule.is_own]
        made = [(rule, DETECTORS[rule.name](rule, around)) for rule in looking]
        self._narrowed = {
            detector: matcher_of(rule.where, around.trusted)
            for rule, detector in made
            if rule.where is not None
        }
        self._names: dict[Detector, str] = {detector: rule.name for rule, detector in made}
        self._own = own or (OwnRules(wanted, around) if wanted.rules else None)
        if self._own is not None:
            self._names[self._own] = OWN_RULES
        if any(rule.shared_from for rule in looking):
            self._names[SharedAddress(SHARED_RULE, around)] = SHARED_RULE.name
        self._detectors = list(self._names)
        self.tallies = [
            _tally_of(rule, around.trusted, clients)
            for rule in rules
            if rule.name in TALLIES and not rule.is_own
        ]
        self._wants_keys = any(d.keys for d in self._detectors)
        self._wants_all = [d for d in self._detectors if d.everything]
        statuses = {status for d in self._detectors for status in d.statuses}
        self._by_status = {
            s: [d for d in self._detectors if s in d.statuses or d.everything] for s in statuses
        }

    def of_interest(self, events: Sequence[Event], hits: Hits, start: int) -> Iterator[int]:
        """Which of these events any detector may want, by index in the batch; `start` is that of the first."""
        by_status, wants_keys, wants_all = self._by_status, self._wants_keys, bool(self._wants_all)
        for index, event in enumerate(events, start):
            if (
                event.status in by_status
                or event.outcome is not None
                or (wants_keys and event.api_key_id is not None)
                or index in hits
                or wants_all
            ):
                yield index

    def verdicts(self, look: Look) -> Iterable[Verdict]:
        """What the detectors that want this event say of it."""
        for detector in self._interested(look.event, look.hits):
            for verdict in self._judged(detector, look):
                if not self.clients.spare(verdict.rule, look.event):
                    yield verdict

    def twin(self, on_failure: Callable[[str, Exception], object]) -> "Roster":
        """The same detectors once more, without what these remember of earlier events."""
        return Roster(*self._made_of, on_failure, self._own)

    def fresh_tallies(self) -> "list[Tally]":
        """What adds batches up, without what these remember of earlier ones."""
        return [_tally_of(tally.rule, self.trusted, self.clients) for tally in self.tallies]

    def heard(self, rule: str, look: Look) -> Heard | None:
        """How far an event comes with a built-in rule; None where no detector looks at single events for it."""
        detector = next((known for known, name in self._names.items() if name == rule), None)
        if detector is None:
            return None
        if detector not in self._interested(look.event, look.hits):
            return Heard(detector, is_wanted=False, is_sign=False)
        try:
            return Heard(detector, is_wanted=True, is_sign=any(True for _ in detector.judge(look)))
        except Exception as error:  # noqa: BLE001 - as in _judged
            self._on_failure(rule, error)
            return Heard(detector, is_wanted=True, is_sign=False)

    def _interested(self, event: Event, hits: Sequence[Pattern | str]) -> Sequence[Detector]:
        if not hits and event.outcome is None and (event.api_key_id is None or not self._wants_keys):
            return self._by_status.get(event.status or 0, self._wants_all)
        tags = {hit if isinstance(hit, str) else hit.id for hit in hits}
        return [
            d
            for d in self._detectors
            if event.status in d.statuses
            or d.everything
            or (event.outcome is not None and d.outcomes)
            or (event.api_key_id is not None and d.keys)
            or not d.tags.isdisjoint(tags)
        ]

    def _judged(self, detector: Detector, look: Look) -> Iterable[Verdict]:
        """A detector's verdicts, where its rule's `where` holds; one that fails must not sink the batch."""
        try:
            verdicts = tuple(detector.judge(look))
            if verdicts and detector in self._narrowed:
                matches = self._narrowed[detector]
                return verdicts if matches(look.event, look.record) else ()
            return verdicts
        except Exception as error:  # noqa: BLE001 - one bad record must not sink its batch
            self._on_failure(self._names[detector], error)
            return ()


def _tally_of(rule: Rule, trusted: Networks, clients: TrustedClients) -> Tally:
    match rule.name:
        case "high_error_rate":
            return HighErrorRate(rule)
        case "elevated_error_rate":
            return ElevatedErrorRate(rule)
        case "slow_responses":
            return SlowResponses(rule)
        case _:
            return ClientErrorRate(rule, trusted, clients)
