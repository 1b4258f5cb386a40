"""Which channel is told of a message, and when: the policy's routes, or the operator's document where there are none.

Pure: nothing is read and nothing sent here. dispatch.py asks, and so does `bartizan route test`.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from actions.delivery.message import Message, MessageKind
from actions.quiet.area import Area, area_of
from detectors.finding import Priority, Severity

LOG = "log"
"""The service's own log, which gets everything at once."""
URGENT = frozenset({Priority.P0, Priority.P1})
UNTIMELY_TYPES = frozenset({LOG, "email"})
"""Types of channels that nobody looks at within the minute; all others are real-time ones."""
GROUPED = frozenset({MessageKind.OPENED, MessageKind.UPDATE})
"""Kinds that wait for others like them; people's moves, escalations and what is of no incident do not."""


class When(enum.StrEnum):
    """When a channel is told, the soonest first."""

    AT_ONCE = "at_once"
    DAILY = "daily"
    WEEKLY = "weekly"


UNROUTED = frozenset({MessageKind.NOTICE, MessageKind.TEST, MessageKind.DIGEST})
"""Kinds of no incident, which the policy's routes do not speak of: they go to every channel at once but a pager."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long messages wait for others, and when an incident is told again. Source: Alertmanager's defaults."""

    group_wait_ms: int = 30_000
    """A first message waits for so long for others of its rule."""
    group_interval_ms: int = 300_000
    """After a letter of a group the next one leaves no sooner."""
    repeat_interval_ms: int = 14_400_000
    """An incident that nobody has acknowledged is told again."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the policy's `routes`. What is empty fits everything."""

    channels: tuple[str, ...]
    when: When = When.AT_ONCE
    severity: frozenset[Severity] = frozenset()
    rule: frozenset[str] = frozenset()
    area: Area | None = None
    kind: frozenset[MessageKind] = frozenset()
    goes_on: bool = False
    """Whether the routes below are asked as well."""


class Target(msgspec.Struct, frozen=True):
    """One channel that a message goes to."""

    channel: str
    when: When


class Told(Protocol):
    """What routing asks of a message."""

    @property
    def kind(self) -> MessageKind: ...

    @property
    def rule(self) -> str: ...

    @property
    def severity(self) -> Severity: ...

    @property
    def priority(self) -> Priority: ...

    @property
    def immediate(self) -> bool: ...


class Routes(msgspec.Struct, frozen=True, kw_only=True):
    """Answers which channels a message goes to."""

    routes: tuple[Route, ...] | None = None
    """None: as the operator's document says, by each channel's type."""
    types: Mapping[str, str] = msgspec.field(default_factory=lambda: {LOG: LOG})
    """Each channel's type by its name, such as `{"mail": "email", "log": "log"}`."""

    def targets(self, message: Message) -> tuple[Target, ...]:
        """The channels of a message and when they are told, each once, in the order of the policy.

        `message.channels` goes before all routes, `message.also` beside them. The log, where there is one, gets
        everything at once. What is immediate, and what escalates, keeps no digest.
        """
        if message.channels:
            named = [Target(name, When.AT_ONCE) for name in message.channels if name in self.types]
        else:
            named = list(self._routed(message))
        named += [Target(name, When.AT_ONCE) for name in message.also if name in self.types]
        found = {LOG: When.AT_ONCE} if LOG in self.types else {}
        for target in named:
            is_now = message.immediate or message.kind == MessageKind.ESCALATED
            when = When.AT_ONCE if is_now else target.when
            found[target.channel] = min(found.get(target.channel, when), when, key=list(When).index)
        return tuple(Target(channel, when) for channel, when in found.items())

    def digest_of(self, message: Message, channel: str | None = None) -> When | None:
        """The digest that carries this message, the sooner one where there are two; None where none does.

        `channel`: asked of this one only.
        """
        whens = {t.when for t in self.targets(message) if channel in (None, t.channel)} - {When.AT_ONCE}
        return min(whens, key=list(When).index, default=None)

    def digest_channels(self, when: When) -> tuple[str, ...]:
        """The channels that may get a digest of this sort."""
        if self.routes is not None:
            routed = [r.channels for r in self.routes if r.when == when]
            return tuple(dict.fromkeys(name for names in routed for name in names if name in self.types))
        return tuple(name for name, type_ in self.types.items() if type_ == "email")

    def real_time(self) -> tuple[str, ...]:
        """The channels that somebody looks at within the minute."""
        return tuple(name for name, type_ in self.types.items() if type_ not in UNTIMELY_TYPES)

    def has_people(self) -> bool:
        """Whether there is any channel but the log."""
        return any(name != LOG for name in self.types)

    def _routed(self, message: Told) -> Iterable[Target]:
        if self.routes is None or message.kind in UNROUTED:
            for name, type_ in self.types.items():
                when = default_when(type_, message)
                if when is not None:
                    yield Target(name, when)
            return
        for route in self.routes:
            if not fits(route, message):
                continue
            yield from (Target(name, route.when) for name in route.channels if name in self.types)
            if not route.goes_on:
                return


def fits(route: Route, message: Told) -> bool:
    """Whether a route is one for this message."""
    return (
        (not route.severity or message.severity in route.severity)
        and (not route.rule or message.rule in route.rule)
        and (route.area is None or route.area == area_of(message.rule))
        and (not route.kind or message.kind in route.kind)
    )


def default_when(type_: str, message: Told) -> When | None:
    """When a channel of this type is told where the policy has no routes; None: not at all.

    Source: "Alert Channels" of the operator's document. What is of no incident goes to every channel at once, but
    pages nobody unless it is urgent. A type that the document does not name gets everything.
    """
    is_urgent = message.immediate or message.priority in URGENT
    if type_ == "pagerduty":
        return When.AT_ONCE if is_urgent else None
    if is_urgent or message.kind in UNROUTED:
        return When.AT_ONCE
    if type_ == "email":
        return When.DAILY if message.priority == Priority.P2 else When.WEEKLY
    if type_ in ("slack", "discord"):
        is_service = area_of(message.rule) == Area.SERVICE
        return When.AT_ONCE if is_service or message.kind != MessageKind.OPENED else None
    return When.AT_ONCE


def group_of(message: Message) -> str:
    """Which messages may share a letter with this one: those with the same answer; "": none."""
    if message.kind not in GROUPED or message.immediate or message.priority == Priority.P0:
        return ""
    return f"{message.rule} {message.kind}"
