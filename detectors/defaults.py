"""What each rule is when the policy names it and says nothing more. docs/policy.md shows them."""

from detectors.finding import Action, Severity, SubjectKind
from detectors.rule import Kind, Rule

MINUTE_MS = 60_000

DEFAULTS: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        # Thresholds of these four: the operator's document (security_alerts).
        Rule("auth_failures", 10, MINUTE_MS, (Action.BLOCK_IP,), Severity.HIGH),
        Rule("rate_limit_violations", 50, MINUTE_MS, (Action.ALERT_ADMIN,), Severity.MEDIUM),
        Rule("suspicious_activity", 5, MINUTE_MS, (Action.INVESTIGATE,), Severity.HIGH),
        Rule(
            "api_key_exposure",
            1,
            MINUTE_MS,
            (Action.ALERT_ADMIN,),
            Severity.HIGH,
            group_by=(SubjectKind.KEY,),
        ),
        # Thresholds of these three: the operator's document (incident_detection); the windows are ours.
        Rule(
            "health_check_failure",
            3,
            3_600_000,
            (Action.CREATE_INCIDENT,),
            Severity.HIGH,
            kind=Kind.STREAK,
            group_by=(SubjectKind.HOST,),
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
        ),
        Rule("security_breach", 1, 15 * MINUTE_MS, (Action.CREATE_INCIDENT_IMMEDIATE,), Severity.CRITICAL),
    )
}
