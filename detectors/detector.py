"""What every detector has in common: which events it wants to see, and how it says that one counts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from detectors.addresses import Networks
from detectors.event import Event
from detectors.redact import SecretFinder
from detectors.rule import Rule
from detectors.scanner import Pattern, Scanner


class Verdict(NamedTuple):
    """One event counts for one rule."""

    rule: Rule
    matched: str
    """What made it count, for people; it may quote the log, and is redacted before it is kept."""
    good: bool = False
    """Streaks and sequences: the event that ends one (a health check that passed, a login that succeeded)."""
    subject: str | None = None
    """Where the subject is not a field of the event (the fingerprint of a key)."""
    value: str | None = None
    """Distinct rules: what must differ, where it is not a field of the event (a path, a network)."""
    narrow: str | None = None
    """Narrows the window to events of one sort, such as one route."""


class Look(NamedTuple):
    """What a detector sees: an event, its raw record, and what the scan says may be in it."""

    event: Event
    record: bytes
    hits: list[Pattern | str]


@dataclass(frozen=True)
class Surroundings:
    """What the detectors know of the site, from the policy."""

    login_paths: tuple[str, ...] = (
        "/login",
        "/signin",
        "/sign-in",
        "/auth",
        "/token",
        "/session",
        "/sessions",
    )
    """A path that equals one or ends with one is a login: 403 there is a failure, success a success."""
    login_forms: tuple[str, ...] = ("/wp-login.php", "/xmlrpc.php")
    """A login form that answers 200 to a failed POST, where success is a redirect."""
    health_paths: tuple[str, ...] = ("/api/health", "/health")
    trusted: Networks = field(default_factory=Networks, kw_only=True)
    secrets: SecretFinder = field(kw_only=True)
    scanner: Scanner = field(kw_only=True)


class Detector(Protocol):
    """Looks at the events it asked for, one by one. One file each; its name is its rule's name."""

    statuses: frozenset[int]
    """Wants every event with one of these statuses."""
    tags: frozenset[str]
    """Wants every event whose record has one of these tags or patterns."""
    outcomes: bool
    """Wants every event with an `outcome`."""
    keys: bool
    """Wants every event with an `api_key_id`."""

    def judge(self, look: Look) -> Iterable[Verdict]:
        """The rules that this event counts for, if any."""
        ...


def path_of(event: Event) -> str:
    """The path as logged, without its query."""
    return (event.path or "").partition("?")[0].partition("#")[0]


def is_one_of(path: str, known: Iterable[str]) -> bool:
    """Whether a path is one of those known, or ends with one (`/api/v1/auth/login` ends with `/login`)."""
    return path.rstrip("/").lower().endswith(tuple(known)) if path else False
