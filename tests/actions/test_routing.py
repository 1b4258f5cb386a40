"""Which channel is told of what, and when."""

import pytest
from delivering import a_message

from actions.delivery.message import MessageKind
from actions.delivery.routing import Area, Route, Routes, Target, When, group_of
from detectors.finding import Priority, Severity

TYPES = {
    "log": "log",
    "mail": "email",
    "chat": "slack",
    "game": "discord",
    "pager": "pagerduty",
    "hook": "webhook",
}
NOW, DAY, WEEK = When.AT_ONCE, When.DAILY, When.WEEKLY


def told(routes: Routes, **fields: object) -> dict[str, When]:
    return {t.channel: t.when for t in routes.targets(a_message(**fields))}


@pytest.mark.parametrize(
    ("severity", "rule", "kind", "expected"),
    [
        ("critical", "auth_failures", "opened", {"mail": NOW, "chat": NOW, "game": NOW, "pager": NOW}),
        ("high", "auth_failures", "opened", {"mail": NOW, "chat": NOW, "game": NOW, "pager": NOW}),
        ("medium", "auth_failures", "opened", {"mail": DAY}),
        ("low", "auth_failures", "opened", {"mail": WEEK}),
        ("medium", "high_error_rate", "opened", {"mail": DAY, "chat": NOW, "game": NOW}),
        ("low", "health_check_failure", "opened", {"mail": WEEK, "chat": NOW, "game": NOW}),
        ("medium", "auth_failures", "update", {"mail": DAY, "chat": NOW, "game": NOW}),
        ("low", "security_breach", "resolved", {"mail": WEEK, "chat": NOW, "game": NOW}),
        ("high", "auth_failures", "resolved", {"mail": NOW, "chat": NOW, "game": NOW, "pager": NOW}),
        ("low", "", "notice", {"mail": NOW, "chat": NOW, "game": NOW}),
        ("high", "", "notice", {"mail": NOW, "chat": NOW, "game": NOW, "pager": NOW}),
    ],
)
def test_without_routes_the_operators_document_holds(
    severity: str, rule: str, kind: str, expected: dict[str, When]
) -> None:
    found = told(Routes(types=TYPES), severity=Severity(severity), rule=rule, kind=MessageKind(kind))
    assert found == {"log": NOW, **expected, "hook": NOW}


def test_the_first_route_that_fits_wins_unless_it_goes_on() -> None:
    routes = Routes(
        types=TYPES,
        routes=(
            Route(channels=("hook",), rule=frozenset({"auth_failures"}), goes_on=True),
            Route(channels=("mail",), severity=frozenset({Severity.MEDIUM}), when=DAY),
            Route(channels=("mail", "chat"), area=Area.SECURITY),
            Route(channels=("game",), kind=frozenset({MessageKind.UPDATE})),
        ),
    )
    assert told(routes) == {"log": NOW, "hook": NOW, "mail": NOW, "chat": NOW}
    assert told(routes, severity=Severity.MEDIUM) == {"log": NOW, "hook": NOW, "mail": DAY}
    service = {"rule": "high_error_rate"}
    assert told(routes, **service) == {"log": NOW}
    assert told(routes, **service, kind=MessageKind.UPDATE) == {"log": NOW, "game": NOW}


def test_of_two_routes_to_one_channel_the_sooner_holds() -> None:
    routes = Routes(
        types=TYPES,
        routes=(
            Route(channels=("mail",), when=WEEK, goes_on=True),
            Route(channels=("mail",), when=DAY, goes_on=True),
        ),
    )
    assert told(routes) == {"log": NOW, "mail": DAY}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"channels": ("mail",)}, {"log": NOW, "mail": NOW}),
        ({"channels": ("mail", "gone")}, {"log": NOW, "mail": NOW}),
        ({"severity": Severity.LOW, "immediate": True}, {"log", "mail", "chat", "game", "pager", "hook"}),
    ],
)
def test_named_channels_go_before_routes_and_what_is_immediate_keeps_no_digest(
    fields: dict[str, object], expected: object
) -> None:
    found = told(Routes(types=TYPES), **fields)
    assert set(found.values()) == {NOW}
    assert set(found) == set(expected)  # type: ignore[call-overload]


def test_a_message_says_which_digest_carries_it() -> None:
    routes = Routes(types=TYPES)
    medium, low = a_message(severity=Severity.MEDIUM), a_message(severity=Severity.LOW)
    assert [routes.digest_of(m) for m in (a_message(), medium, low)] == [None, DAY, WEEK]
    assert (routes.digest_of(medium, "mail"), routes.digest_of(medium, "chat")) == (DAY, None)
    assert routes.digest_channels(DAY) == ("mail",)
    own = Routes(types=TYPES, routes=(Route(channels=("mail", "hook"), when=WEEK),))
    assert (own.digest_channels(WEEK), own.digest_channels(DAY)) == (("mail", "hook"), ())


def test_real_time_channels_are_those_somebody_looks_at() -> None:
    assert Routes(types=TYPES).real_time() == ("chat", "game", "pager", "hook")
    assert Routes().targets(a_message()) == (Target("log", NOW),)


@pytest.mark.parametrize(
    ("fields", "group"),
    [
        ({}, "auth_failures opened"),
        ({"kind": MessageKind.UPDATE}, "auth_failures update"),
        ({"priority": Priority.P0}, ""),
        ({"immediate": True}, ""),
        ({"kind": MessageKind.ESCALATED}, ""),
        ({"kind": MessageKind.ACKNOWLEDGED}, ""),
        ({"kind": MessageKind.RESOLVED}, ""),
        ({"kind": MessageKind.REOPENED}, ""),
        ({"kind": MessageKind.NOTICE}, ""),
    ],
)
def test_only_news_that_can_wait_waits_for_others(fields: dict[str, object], group: str) -> None:
    assert group_of(a_message(**fields)) == group
