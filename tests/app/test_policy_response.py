"""Priorities, escalation, checklists, campaigns: the operator's tables in the policy."""

import pytest

from actions.incidents.response_plan import Campaign, ResponsePlan
from app.policies.policy import load_policy
from detectors.errors import ConfigError
from detectors.finding import Priority, Severity

RULE = "security_alerts: {auth_failures: {}}\n"
MINUTE = 60_000


CHANNELS = """
channels:
  mail: {type: slack, url_env: SOMEWHERE}
  slack: {type: slack, url_env: SOMEWHERE}
  phone: {type: slack, url_env: SOMEWHERE}
"""
"""What the policies of these tests name."""


def plan(text: str) -> ResponsePlan:
    return load_policy(f"{RULE}{text}{CHANNELS}", "p.yaml").plan


def test_what_is_not_said_is_the_operators_document() -> None:
    assert plan("") == ResponsePlan()


def test_the_tables_as_the_document_has_them_are_the_default() -> None:
    found = plan("""
priorities:
  P0: {severity: critical, response: 15m, escalation: immediate}
  P1: {severity: high, response: 1h, escalation: 30m}
  P2: {severity: medium, response: 4h, escalation: 2h}
  P3: {severity: low, response: 24h, escalation: 8h}
escalation:
  1: {name: On-call engineer, after: 15m}
  2: {name: Senior engineer, after: 30m}
  3: {name: Engineering manager, after: 1h}
  4: {name: CTO, after: 2h}
""")
    assert found == ResponsePlan()


def test_a_part_of_a_table_changes_that_part() -> None:
    found = plan("""
priorities: {P1: {response: 30m, escalation: immediate}}
escalation: {2: {channels: [phone, mail]}, 5: {name: The board, after: 4h}}
checklists: {resolution: [Mended, Tested]}
campaigns: {subjects: 20, window: 2m}
auto_resolve: {auth_failures: 2h}
""")
    assert (found.grade(Priority.P1).response_ms, found.grade(Priority.P1).is_immediate) == (
        30 * MINUTE,
        True,
    )
    assert [level.name for level in found.levels][-2:] == ["CTO", "The board"]
    assert found.levels[1].channels == ("phone", "mail")
    assert found.checklists["resolution"] == ("Mended", "Tested")
    assert len(found.checklists["initial_response"]) == 5
    assert found.campaign == Campaign(20, 2 * MINUTE)
    assert found.quiet_ms == {"auth_failures": 120 * MINUTE}


def test_severities_can_be_mapped_otherwise() -> None:
    found = plan("priorities: {P0: {severity: high}, P1: {severity: critical}}")
    assert found.priority_of(Severity.HIGH) == Priority.P0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("priorities: {P4: {}}", "line 2: priorities.P4: unknown key; known are P0"),
        (
            "priorities: {P0: {severity: high}}",
            "line 2: priorities: critical must be the severity of exactly one",
        ),
        ("priorities: {P0: {response: soon}}", "line 2: priorities.P0.response: 'soon' is not a duration"),
        ("escalation: {0: {after: 1m}}", "line 2: escalation.0: unknown key"),
        ("escalation: {6: {name: x, after: 9h}}", "levels must follow each other: there is no level 5"),
        ("escalation: {5: {name: x}}", "line 2: escalation.5: level 5 needs name and after"),
        ("escalation: {2: {after: 2h}}", "level 3 must be told later than level 2"),
        ("checklists: {review: [x]}", "line 2: checklists.review: unknown key"),
        ("checklists: {resolution: [A b, a-B]}", "stands here a second time"),
        (
            "campaigns: {subjects: 1}",
            "line 2: campaigns.subjects: '1' is not a whole number between 2 and 100",
        ),
        ("campaigns: {window: 1h}", "line 2: campaigns.window: must be between 1s and 10 minutes"),
        ("auto_resolve: {exports: 1h}", "line 2: auto_resolve.exports: unknown key"),
    ],
)
def test_a_wrong_one_is_named_with_its_line(text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(text)
    assert error in str(caught.value)
