"""policy.example.yaml loads, and holds every number of the operator's document that has a place in a policy."""

from pathlib import Path

import msgspec
import pytest

from actions.delivery.message import Message, MessageKind
from actions.delivery.routing import Routes, When
from actions.incidents.response_plan import DEFAULT_CHECKLISTS
from actions.quiet.maintenance import occurrences
from app.policies.explained import explained, lines_of
from app.policies.policy import Policy, load_policy
from detectors.finding import PRIORITY_OF, Action, Priority, Severity
from detectors.timestamps import parse_time

ROOT = Path(__file__).resolve().parent.parent.parent
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
DAY = 24 * HOUR
NOW = parse_time("2026-11-25T12:00:00Z") or 0


@pytest.fixture(scope="module")
def policy() -> Policy:
    path = ROOT / "policy.example.yaml"
    return load_policy(path.read_text("utf-8"), path.name)


def routes_of(policy: Policy) -> Routes:
    types = {channel.name: channel.type.value for channel in policy.channels}
    return Routes(routes=policy.routes, types=types)


def test_health_checks_are_the_documents(policy: Policy) -> None:
    [check] = policy.health_checks
    assert check.endpoint == "/api/health"
    assert (check.interval_ms, check.timeout_ms, check.retries) == (5 * MINUTE, 10 * SECOND, 3)
    assert check.alert_threshold == 3


@pytest.mark.parametrize(
    ("name", "threshold", "window_ms", "action"),
    [
        ("auth_failures", 10, MINUTE, Action.BLOCK_IP),
        ("rate_limit_violations", 50, MINUTE, Action.ALERT_ADMIN),
        ("suspicious_activity", 5, MINUTE, Action.INVESTIGATE),
        ("health_check_failure", 3, None, Action.CREATE_INCIDENT),
        ("high_error_rate", 10, None, Action.CREATE_INCIDENT),
        ("security_breach", 1, None, Action.CREATE_INCIDENT_IMMEDIATE),
        ("elevated_error_rate", 5, None, Action.ALERT_ADMIN),
        ("slow_responses", 2_000, 5 * MINUTE, Action.CREATE_INCIDENT),
    ],
)
def test_thresholds_and_actions_are_the_documents(
    policy: Policy, name: str, threshold: int, window_ms: int | None, action: Action
) -> None:
    rule = policy.rule(name)
    assert rule is not None
    assert (rule.threshold, rule.actions) == (threshold, (action,))
    assert window_ms in (None, rule.window_ms)


def test_slow_is_a_95th_percentile(policy: Policy) -> None:
    rule = policy.rule("slow_responses")
    assert rule is not None
    assert rule.percentile == 95


@pytest.mark.parametrize(
    ("priority", "name", "severity", "response_ms", "escalation_ms"),
    [
        (Priority.P0, "Critical", Severity.CRITICAL, 15 * MINUTE, 0),
        (Priority.P1, "High", Severity.HIGH, HOUR, 30 * MINUTE),
        (Priority.P2, "Medium", Severity.MEDIUM, 4 * HOUR, 2 * HOUR),
        (Priority.P3, "Low", Severity.LOW, 24 * HOUR, 8 * HOUR),
    ],
)
def test_the_classification_is_the_documents(
    policy: Policy, priority: Priority, name: str, severity: Severity, response_ms: int, escalation_ms: int
) -> None:
    grade = policy.plan.grade(priority)
    assert (grade.name, grade.severity) == (name, severity)
    assert (grade.response_ms, grade.escalation_ms) == (response_ms, escalation_ms)


def test_the_escalation_matrix_is_the_documents(policy: Policy) -> None:
    assert [(level.number, level.name, level.after_ms) for level in policy.plan.levels] == [
        (1, "On-call engineer", 15 * MINUTE),
        (2, "Senior engineer", 30 * MINUTE),
        (3, "Engineering manager", HOUR),
        (4, "CTO", 2 * HOUR),
    ]
    names = {channel.name for channel in policy.channels}
    assert all(level.channels and set(level.channels) <= names for level in policy.plan.levels)


def test_the_checklists_are_the_documents(policy: Policy) -> None:
    assert dict(policy.plan.checklists) == dict(DEFAULT_CHECKLISTS)
    assert [len(lines) for lines in policy.plan.checklists.values()] == [5, 5]


@pytest.mark.parametrize(
    ("severity", "rule", "told"),
    [
        (Severity.CRITICAL, "security_breach", {"mail": 0, "chat": 0, "talk": 0, "pager": 0}),
        (Severity.HIGH, "auth_failures", {"mail": 0, "chat": 0, "talk": 0, "pager": 0}),
        (Severity.MEDIUM, "rate_limit_violations", {"mail": 1}),
        (Severity.MEDIUM, "elevated_error_rate", {"mail": 1, "chat": 0, "talk": 0}),
        (Severity.LOW, "own_rule", {"mail": 7}),
    ],
)
def test_critical_goes_at_once_warnings_daily_and_infos_weekly(
    policy: Policy, severity: Severity, rule: str, told: dict[str, int]
) -> None:
    message = Message(
        kind=MessageKind.OPENED,
        incident_id="INC-2026-0001",
        rule=rule,
        subject="x",
        severity=severity,
        priority=PRIORITY_OF[severity],
        title="t",
        text="t",
        at=NOW,
    )
    days = {When.AT_ONCE: 0, When.DAILY: 1, When.WEEKLY: 7}
    found = {target.channel: days[target.when] for target in routes_of(policy).targets(message)}
    assert found == told
    assert "pager" in told or not {"pager"} & found.keys()


def test_a_daily_summary_and_a_weekly_report_are_sent(policy: Policy) -> None:
    sent = {s.rhythm.value: (s.at_minute, s.channels) for s in policy.digests.schedules}
    assert sent == {"daily": (420, ("mail",)), "weekly": (420, ("mail",))}


@pytest.mark.parametrize(
    ("name", "first", "duration_ms", "notice_ms"),
    [
        ("weekly", "2026-11-29T02:00:00Z", 2 * HOUR, DAY),
        ("monthly", "2026-12-06T02:00:00Z", 4 * HOUR, 7 * DAY),
        ("quarterly", "2026-12-13T02:00:00Z", 8 * HOUR, 14 * DAY),
    ],
)
def test_the_maintenance_windows_are_the_documents(
    policy: Policy, name: str, first: str, duration_ms: int, notice_ms: int
) -> None:
    [window] = [window for window in policy.maintenance if window.name == name]
    assert (window.duration_ms, window.notice_ms) == (duration_ms, notice_ms)
    assert occurrences(window, NOW, NOW + 40 * DAY)[0].starts_at == parse_time(first)


def test_the_shipped_policy_is_the_built_in_one_of_the_document() -> None:
    path = ROOT / "policy.yaml"
    shipped = load_policy(path.read_text("utf-8"), path.name)
    assert msgspec.to_builtins(shipped.plan) == msgspec.to_builtins(load_policy("never_block: []", "p").plan)


def test_it_is_explained_to_people_without_a_secret(policy: Policy) -> None:
    lines = lines_of(explained(policy))
    for line in (
        "escalation: level 4, CTO: 2h, on pager, mail",
        "channels: pager: pagerduty",
        "routes: critical, high: mail, chat, talk, pager, at once",
        "routes: about service: chat, talk, at once, then the next",
        "digests: weekly at 07:00 UTC, to mail",
        "auto_resolve: rate_limit_violations: after 4h without news",
    ):
        assert line in lines, line
    assert not [line for line in lines if "ALERT_" in line]
