"""The policy's keys about who is told and when."""

import pytest

from actions.delivery.message import MessageKind
from actions.delivery.routing import Area, Route, Timing, When
from app.policies.policy import load_policy
from app.route_test import targets_of
from detectors.errors import ConfigError
from detectors.finding import Severity


def test_routes_are_read_in_their_order() -> None:
    policy = load_policy(
        "routes:\n"
        "  - {severity: [critical, high], rule: auth_failures, area: security, kind: [opened, update],\n"
        "     channels: [log], when: daily, continue: true}\n"
        "  - {channels: []}\n",
        "policy.yaml",
    )
    assert policy.routes == (
        Route(
            channels=("log",),
            when=When.DAILY,
            severity=frozenset({Severity.CRITICAL, Severity.HIGH}),
            rule=frozenset({"auth_failures"}),
            area=Area.SECURITY,
            kind=frozenset({MessageKind.OPENED, MessageKind.UPDATE}),
            goes_on=True,
        ),
        Route(channels=()),
    )
    assert policy.delivery == Timing()


def test_without_routes_the_operators_document_holds() -> None:
    assert load_policy("block_private: false", "policy.yaml").routes is None


def test_what_delivery_does_not_say_is_so() -> None:
    policy = load_policy("delivery: {group_wait: 1m, repeat_interval: 1h}", "policy.yaml")
    assert policy.delivery == Timing(group_wait_ms=60_000, repeat_interval_ms=3_600_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "routes:\n  - channels: [log]\n  - channels: [lag]",
            "line 3: routes[1].channels[0]: unknown channel; did you",
        ),
        ("routes: [{channels: log, rule: auth_failure}]", "unknown rule; did you mean auth_failures?"),
        ("routes: [{severity: high}]", "line 1: routes[0]: needs channels"),
        ("routes: [{channels: log, severity: urgent}]", "unknown 'urgent'"),
        ("routes: [{channels: log, area: api}]", "choose from security, service"),
        ("routes: [{channels: log, kind: news}]", "unknown 'news'"),
        ("routes: [{channels: log, when: hourly}]", "choose from at_once, daily, weekly"),
        ("routes: [{channels: log, continue: maybe}]", "must be true or false"),
        ("routes: [{channels: [log, log]}]", "stands here a second time"),
        ("routes: [{channels: log, to: x}]", "unknown key"),
        ("routes: {channels: log}", "routes: must be a list"),
        ("delivery: {group_wait: 30}", "line 1: delivery.group_wait: 30 of what?"),
        ("delivery: {repeat_interval: 1m}", "must not be shorter than group_interval"),
        ("delivery: {wait: 1m}", "unknown key"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_policy(text, "policy.yaml")
    assert words in str(caught.value)


def test_route_test_says_who_would_be_told(tmp_path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("routes: [{severity: low, channels: []}, {channels: [log]}]")
    assert targets_of(["severity=low"], policy) == [{"channel": "log", "type": "log", "when": "at_once"}]
    for wrong in ("severity=x", "colour=red", "severity"):
        with pytest.raises(ConfigError, match=wrong.partition("=")[0]):
            targets_of([wrong], policy)
