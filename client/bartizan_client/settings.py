"""The settings of the clients and of every middleware, checked when they are made."""

from __future__ import annotations

import inspect
import os
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Literal, TypedDict, Union

import httpx

from bartizan_client.addresses import TrustedProxies
from bartizan_client.decision import Clock, DecisionType
from bartizan_client.exemptions import Exemptions

AUTO = "auto"
"""As a snapshot's path: below the user's state folder."""
Hook = Callable[..., Any]
"""Called with (address, block, request); what it may return: docs/client.md."""
Snapshot = Union[str, "os.PathLike[str]", None]
FEWEST_EVENTS = 1
MOST_EVENTS = 1_000_000


class ConnectionOptions(TypedDict, total=False):
    """What a client may be told besides its URL and token."""

    report_token: str | None
    snapshot: Snapshot
    poll_wait_s: float
    startup_wait_s: float
    queue_size: int
    flush_s: float
    now: Clock
    jitter: Callable[[], float]
    transport: Any


class GuardOptions(TypedDict, total=False):
    """What a middleware may be told that is given its client."""

    fail: Literal["open", "closed"]
    trusted_proxies: Iterable[str]
    country_header: str | None
    asn: Callable[[Any], int | str | None] | None
    user: Callable[[Any], str | None] | None
    exempt: Iterable[str]
    observe: bool
    on_blocked: Hook | None
    on_captcha: Hook | None
    on_throttle: Hook | None
    response: Hook | Mapping[str, Hook] | None


class Options(ConnectionOptions, GuardOptions, total=False):
    """What a middleware may be told: the fields of Settings."""

    url: str
    token: str


@dataclass(frozen=True)
class Settings:
    """All settings; what they mean: docs/client.md. Raises: ValueError naming the one that is wrong."""

    url: str
    token: str = field(repr=False)
    report_token: str | None = field(default=None, repr=False)
    snapshot: Snapshot = AUTO
    poll_wait_s: float = 30.0
    startup_wait_s: float = 2.0
    queue_size: int = 10_000
    flush_s: float = 2.0
    now: Clock = time.time
    jitter: Callable[[], float] = random.random
    transport: httpx.AsyncBaseTransport | None = None
    fail: Literal["open", "closed"] = "open"
    trusted_proxies: Iterable[str] = ()
    country_header: str | None = None
    asn: Callable[[Any], int | str | None] | None = None
    user: Callable[[Any], str | None] | None = None
    exempt: Iterable[str] = ()
    observe: bool = False
    on_blocked: Hook | None = None
    on_captcha: Hook | None = None
    on_throttle: Hook | None = None
    response: Hook | Mapping[str, Hook] | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url: {self.url!r} is no http or https address")
        _check_token("token", "lookup", self.token)
        if self.report_token is not None:
            _check_token("report_token", "ingest", self.report_token)
        if not 0 < self.poll_wait_s <= 60:
            raise ValueError("poll_wait_s: more than 0 and at most 60 seconds")
        if self.startup_wait_s < 0 or self.flush_s < 0:
            raise ValueError("startup_wait_s, flush_s: seconds, not less than 0")
        if not FEWEST_EVENTS <= self.queue_size <= MOST_EVENTS:
            raise ValueError(f"queue_size: {FEWEST_EVENTS} to {MOST_EVENTS} events")
        if self.fail not in ("open", "closed"):
            raise ValueError(f"fail: 'open' or 'closed', not {self.fail!r}")
        for name in ("trusted_proxies", "exempt"):
            if not isinstance(getattr(self, name), str):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        proxies = TrustedProxies(self.trusted_proxies)
        Exemptions(self.exempt)
        if self.country_header is not None and not proxies:
            raise ValueError("country_header: nobody is believed without trusted_proxies")
        for name in ("on_blocked", "on_captcha", "on_throttle", "user", "asn"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise ValueError(f"{name}: a function is needed")
        for type, hook in self.responses.items():
            if not callable(hook) or is_async(hook):
                raise ValueError(f"response: a plain function is needed for {type.value!r}")

    @property
    def responses(self) -> dict[DecisionType, Hook]:
        """The application's own answer by type of decision. Raises: ValueError where a type is none."""
        if self.response is None:
            return {}
        if not isinstance(self.response, Mapping):
            return {DecisionType.BAN: self.response}
        try:
            return {DecisionType(type): hook for type, hook in self.response.items()}
        except ValueError:
            raise ValueError("response: by 'ban', 'captcha' or 'throttle'") from None

    @property
    def type_hooks(self) -> dict[DecisionType, Hook]:
        """What the application does itself about a type of decision."""
        hooks = {DecisionType.CAPTCHA: self.on_captcha, DecisionType.THROTTLE: self.on_throttle}
        return {type: hook for type, hook in hooks.items() if hook is not None}

    def check_is_sync(self) -> None:
        """Raises: ValueError where a hook whose answer is needed is a coroutine function."""
        for name in ("on_captcha", "on_throttle"):
            if is_async(getattr(self, name)):
                raise ValueError(f"{name}: a plain function is needed here, not a coroutine function")


CONNECTION = frozenset(ConnectionOptions.__annotations__) | {"url", "token"}
"""The settings that a client has; a middleware that is given its client gets none of them."""


def is_async(hook: Any) -> bool:
    """Whether calling it makes a coroutine."""
    return callable(hook) and any(map(inspect.iscoroutinefunction, (hook, type(hook).__call__)))


def _check_token(name: str, role: str, token: str) -> None:
    if not token or not token.isascii() or not token.isprintable():
        raise ValueError(f"{name}: a token with the role {role} is needed")
