"""Why a rule does not count an event, in words for people: each reason comes from asking what would have counted it."""

from detectors.auth_failures import LOGIN, LOGIN_FORM
from detectors.condition_matching import matcher_of
from detectors.condition_words import why_not
from detectors.conditions import All, Any
from detectors.detector import Detector, Look
from detectors.event import Event
from detectors.health_check_failure import HEALTH
from detectors.own_rules import DISGUISES, OWN_WORDS
from detectors.redact import MASKED
from detectors.roster import Roster
from detectors.rule import Rule
from detectors.scanner import ENCODED

TRUSTED = "a client of trusted_clients: it does not count against its address"
FAILED = "its detector failed on this event, which is a fault of the program"
NO_SIGN = "it looked, and saw no sign"
_NAMED_TAGS = {LOGIN: "a login path", LOGIN_FORM: "a login form", HEALTH: "a health path"}
_UNSAID_TAGS = frozenset({ENCODED, MASKED, DISGUISES, OWN_WORDS})
"""Tags that only make a record worth a look."""
MOST_STATUSES = 10


class Reasons:
    """Asks one roster, detector by detector."""

    def __init__(self, roster: Roster, key_ids: frozenset[str], failed: list[str]) -> None:
        """`failed`: where the roster's detectors that raised are named."""
        self._roster = roster
        self._key_ids = key_ids
        self._failed = failed
        self._clients, self._trusted = roster.clients, roster.trusted

    def of(self, rule: Rule, look: Look) -> str:
        """Why this rule has no verdict on an event."""
        if rule.is_own:
            return self._of_own(rule, look)
        tally = next((tally for tally in self._roster.tallies if tally.rule.name == rule.name), None)
        if tally is not None:
            return self._spared(rule, look.event) or f"adds up {tally.measures}"
        heard = self._roster.heard(rule.name, look)
        if rule.name in self._failed:
            return FAILED
        if heard is None:
            return "no detector of single events"
        if not heard.is_wanted:
            return f"looks at {self._wants(heard.detector)}; here: {_facts(look.event)}"
        if not heard.is_sign:
            return heard.detector.why_not(look) or NO_SIGN
        if rule.where is not None and not matcher_of(rule.where, self._trusted)(look.event, look.record):
            return f"where does not hold: {why_not(rule.where, look.event, look.record, self._trusted)}"
        return self._spared(rule, look.event) or NO_SIGN

    def _of_own(self, rule: Rule, look: Look) -> str:
        where = rule.where if rule.where is not None else All(())
        condition = where if rule.then is None else Any((where, rule.then))
        if matcher_of(condition, self._trusted)(look.event, look.record):
            return self._spared(rule, look.event) or FAILED
        return f"where does not hold: {why_not(condition, look.event, look.record, self._trusted)}"

    def _spared(self, rule: Rule, event: Event) -> str:
        return TRUSTED if self._clients.spare(rule, event) else ""

    def _wants(self, detector: Detector) -> str:
        """What a detector asks for, as it declares it."""
        wants = []
        if detector.statuses:
            statuses = sorted(detector.statuses)
            more = ", ..." if len(statuses) > MOST_STATUSES else ""
            wants.append(f"status {', '.join(map(str, statuses[:MOST_STATUSES]))}{more}")
        if detector.outcomes:
            wants.append("an outcome")
        if detector.keys:
            wants.append("an api_key_id")
        wants += [words for tag, words in _NAMED_TAGS.items() if tag in detector.tags]
        patterns = detector.tags - _NAMED_TAGS.keys() - _UNSAID_TAGS
        if patterns & self._key_ids:
            wants.append("what looks like a credential")
        if patterns - self._key_ids:
            wants.append("what looks like an attack")
        return " or ".join(filter(None, (", ".join(wants[:-1]), *wants[-1:]))) or "nothing"


def _facts(event: Event) -> str:
    """What the rules look at first."""
    status = "no status" if event.status is None else f"status {event.status}"
    return f"{status}, {'no outcome' if event.outcome is None else f'outcome {event.outcome}'}"
