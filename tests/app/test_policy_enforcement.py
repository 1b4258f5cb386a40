"""`enforcement:` and a rule's `type`."""

import pytest

from app.policies.enforcement import Fallback
from app.policies.policy import load_policy
from detectors.errors import ConfigError
from detectors.finding import DecisionType

RULE = "security_alerts: {auth_failures: {threshold: 10/minute, action: %s}}\n"


def test_by_default_a_captcha_falls_back_to_a_ban_and_a_throttle_to_nothing() -> None:
    policy = load_policy(RULE % "block_ip", "policy.yaml")
    assert policy.enforcement.fallback == {
        DecisionType.CAPTCHA: Fallback.BAN,
        DecisionType.THROTTLE: Fallback.IGNORE,
    }
    assert policy.rules[0].block_type is DecisionType.BAN


def test_the_operator_says_otherwise_for_one_of_them() -> None:
    text = RULE % "block_ip, type: throttle" + "enforcement: {fallback: {throttle: ban}}\n"
    policy = load_policy(text, "policy.yaml")
    assert policy.enforcement.fallback[DecisionType.THROTTLE] is Fallback.BAN
    assert policy.enforcement.fallback[DecisionType.CAPTCHA] is Fallback.BAN
    assert policy.rules[0].block_type is DecisionType.THROTTLE


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("enforcement: {fallback: {captcha: allow}}\n", "policy.yaml line 2: enforcement.fallback.captcha"),
        ("enforcement: {fallback: {ban: ignore}}\n", "enforcement.fallback.ban"),
        ("enforcement: {fall: {}}\n", "enforcement.fall"),
    ],
)
def test_what_is_wrong_is_named(text: str, names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        load_policy(RULE % "block_ip" + text, "policy.yaml")


def test_a_type_without_a_block_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"auth_failures\.type: says what block_ip does"):
        load_policy(RULE % "alert_admin, type: captcha", "policy.yaml")
    with pytest.raises(ConfigError, match=r"auth_failures\.type"):
        load_policy(RULE % "block_ip, type: tarpit", "policy.yaml")
