"""The policy's keys about who is told and when: `routes` and `delivery`."""

from collections.abc import Collection

import msgspec

from actions.delivery.message import MessageKind
from actions.delivery.routing import Route, Timing, When
from actions.quiet.area import Area
from app.durations import parse_duration
from app.policies.nodes import Value
from detectors.finding import Severity

MOST_ROUTES = 100
ROUTE_KEYS = frozenset({"channels", "when", "severity", "rule", "area", "kind", "continue"})
DELIVERY_KEYS = ("group_wait", "group_interval", "repeat_interval")


def read_routes(value: Value, channels: Collection[str], rules: Collection[str]) -> tuple[Route, ...]:
    """The list of routes, the first first. `channels` and `rules`: the names that there are.

    Raises: ConfigError on the line of the key or name that is wrong.
    """
    entries = value.listed()
    if len(entries) > MOST_ROUTES:
        value.fail(f"more than {MOST_ROUTES} routes")
    return tuple(_route(entry, channels, rules) for entry in entries)


def _route(value: Value, channels: Collection[str], rules: Collection[str]) -> Route:
    members = value.members(ROUTE_KEYS)
    if "channels" not in members:
        value.fail("needs channels: a list of names; an empty one tells nobody")
    kinds = members["kind"].choices(MessageKind) if "kind" in members else ()
    return Route(
        channels=_names(members["channels"], channels, "channel"),
        when=members["when"].choice(When) if "when" in members else When.AT_ONCE,
        severity=frozenset(members["severity"].choices(Severity) if "severity" in members else ()),
        rule=frozenset(_names(members["rule"], rules, "rule") if "rule" in members else ()),
        area=members["area"].choice(Area) if "area" in members else None,
        kind=frozenset(kinds),
        goes_on=members["continue"].boolean() if "continue" in members else False,
    )


def _names(value: Value, known: Collection[str], what: str) -> tuple[str, ...]:
    found: list[str] = []
    for entry in value.each():
        name = entry.text()
        entry.must_be_in(known, what)
        if name in found:
            entry.fail(f"{name!r} stands here a second time")
        found.append(name)
    return tuple(found)


def read_delivery(value: Value) -> Timing:
    """`{group_wait: 30s, group_interval: 5m, repeat_interval: 4h}`; what is not said is so.

    Raises: ConfigError on the line of the key that is wrong.
    """
    members = value.members(DELIVERY_KEYS)
    said = {f"{key}_ms": member.parse(parse_duration) for key, member in members.items()}
    timing = msgspec.structs.replace(Timing(), **said)
    if timing.repeat_interval_ms < timing.group_interval_ms:
        value.fail("repeat_interval must not be shorter than group_interval")
    return timing
