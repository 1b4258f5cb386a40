"""What each rule is when the policy names it and says nothing more. docs/rules.md shows them."""

import msgspec

from detectors.finding import Action, Severity, SubjectKind
from detectors.guides import guide_of
from detectors.rule import Kind, Rule

MINUTE_MS = 60_000

BLOCK, TELL, LOOK_INTO = Action.BLOCK_IP, Action.ALERT_ADMIN, Action.INVESTIGATE
IP, USER, KEY = SubjectKind.IP, SubjectKind.USER, SubjectKind.KEY
CRITICAL, HIGH, MEDIUM = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM
HOUR_MS = 60 * MINUTE_MS
RECOVERED_BELOW = 80
"""Per cent of the threshold: what only just falls below it would be over and begin again, over and over."""


def _different(
    name: str,
    threshold: int,
    window_ms: int,
    actions: tuple[Action, ...],
    by: SubjectKind,
    what: SubjectKind | None,
    severity: Severity = HIGH,
) -> Rule:
    """A rule that counts different values; `what` is None where its detector says what must differ."""
    raised = by is SubjectKind.IP
    return Rule(
        name, threshold, window_ms, actions, severity, Kind.DISTINCT, (by,), what, raised_for_shared=raised
    )


def _explained(rule: Rule) -> Rule:
    """The rule with what its findings say of it."""
    guide = guide_of(rule.name)
    return msgspec.structs.replace(rule, references=guide.references, phrase=guide.phrase)


DEFAULTS: dict[str, Rule] = {
    rule.name: _explained(rule)
    for rule in (
        # Thresholds of these four: the operator's document (security_alerts).
        Rule("auth_failures", 10, MINUTE_MS, (Action.BLOCK_IP,), Severity.HIGH, raised_for_shared=True),
        Rule("rate_limit_violations", 50, MINUTE_MS, (TELL,), Severity.MEDIUM, raised_for_shared=True),
        Rule("suspicious_activity", 5, MINUTE_MS, (Action.INVESTIGATE,), Severity.HIGH, kind=Kind.SCORE),
        Rule(
            "api_key_exposure",
            1,
            MINUTE_MS,
            (Action.ALERT_ADMIN,),
            Severity.HIGH,
            group_by=(SubjectKind.KEY,),
        ),
        # Thresholds of these: the operator's document (incident_detection, key metrics); the windows are ours.
        Rule(
            "health_check_failure",
            3,
            24 * HOUR_MS,
            (Action.CREATE_INCIDENT,),
            Severity.HIGH,
            kind=Kind.STREAK,
            group_by=(SubjectKind.HOST,),
            recovers=2,
        ),
        Rule(
            "high_error_rate",
            10,
            5 * MINUTE_MS,
            (Action.CREATE_INCIDENT,),
            Severity.HIGH,
            kind=Kind.RATIO,
            group_by=(SubjectKind.HOST,),
            min_volume=100,
            recovers=RECOVERED_BELOW,
        ),
        Rule(
            "elevated_error_rate",
            5,
            5 * MINUTE_MS,
            (TELL,),
            MEDIUM,
            kind=Kind.RATIO,
            group_by=(SubjectKind.HOST,),
            min_volume=100,
            recovers=RECOVERED_BELOW,
        ),
        Rule(
            "slow_responses",
            2_000,
            5 * MINUTE_MS,
            (Action.CREATE_INCIDENT,),
            MEDIUM,
            kind=Kind.PERCENTILE,
            group_by=(SubjectKind.HOST,),
            min_volume=100,
            percentile=95,
            recovers=RECOVERED_BELOW,
        ),
        # About who sends the logs: the source of each threshold stands at the head of its file.
        Rule(
            *("source_unreadable", 100, 10 * MINUTE_MS, (TELL,), HIGH, Kind.WATCH, (SubjectKind.SOURCE,)),
            recovers=1,
        ),
        Rule(
            *("source_silent", 3, 10 * MINUTE_MS, (TELL,), MEDIUM, Kind.WATCH, (SubjectKind.SOURCE,)),
            recovers=1,
        ),
        Rule(
            *("blocklist_stale", 1, 24 * HOUR_MS, (TELL,), MEDIUM, Kind.WATCH, (SubjectKind.SOURCE,)),
            recovers=1,
        ),
        Rule("crowdsec_alert", 1, MINUTE_MS, (BLOCK, TELL), HIGH, Kind.WATCH),
        Rule("security_breach", 1, 15 * MINUTE_MS, (Action.CREATE_INCIDENT_IMMEDIATE,), Severity.CRITICAL),
        # Behaviour. Each threshold's source stands at the head of its detector.
        _different("credential_stuffing", 10, 5 * MINUTE_MS, (BLOCK, TELL), IP, USER),
        _different("password_spraying", 15, HOUR_MS, (TELL,), IP, USER),
        _different("distributed_brute_force", 8, 30 * MINUTE_MS, (TELL,), USER, IP),
        Rule("slow_brute_force", 30, 24 * HOUR_MS, (BLOCK,), HIGH, Kind.STREAK, raised_for_shared=True),
        _different("token_cracking", 10, 5 * MINUTE_MS, (BLOCK, TELL), IP, None),
        _different("key_shared", 10, HOUR_MS, (TELL,), KEY, None),
        _different("object_enumeration", 20, 5 * MINUTE_MS, (TELL, LOOK_INTO), IP, None),
        _different("not_found_churn", 20, MINUTE_MS, (LOOK_INTO,), IP, None, MEDIUM),
        _different("user_agent_churn", 10, 10_000, (LOOK_INTO,), IP, None, MEDIUM),
        Rule("client_error_rate", 80, MINUTE_MS, (LOOK_INTO,), MEDIUM, Kind.RATIO, min_volume=20),
        Rule(
            "account_takeover",
            5,
            15 * MINUTE_MS,
            (Action.CREATE_INCIDENT_IMMEDIATE,),
            CRITICAL,
            Kind.SEQUENCE,
            (IP, USER),
        ),
        Rule(
            "leaked_key_in_use",
            2,
            7 * 24 * HOUR_MS,
            (Action.CREATE_INCIDENT_IMMEDIATE,),
            CRITICAL,
            Kind.DISTINCT,
            (KEY,),
        ),
        Rule("impossible_travel", 1, 24 * HOUR_MS, (TELL,), MEDIUM, Kind.TRAVEL, (USER,)),
    )
}

RECOVERING = frozenset(rule.name for rule in DEFAULTS.values() if rule.recovers)
"""The rules that notice an end: those about the service's own health, none about somebody who attacks."""

BUILT_IN = (
    "auth_failures",
    "rate_limit_violations",
    "suspicious_activity",
    "api_key_exposure",
    "health_check_failure",
    "high_error_rate",
    "security_breach",
    "source_unreadable",
    "source_silent",
)
"""The rules that are on where there is no policy file: those of the operator's document, and those that tell whether
its logs arrive. The others are off until a policy names them, since how many users stand behind one address is for the
operator to know."""
