"""What every detector has in common: which events it wants to see, and how it says that one counts."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from detectors.addresses import Networks
from detectors.decoding import decode_target, normal_path
from detectors.event import Event
from detectors.geo import Geo, Spot
from detectors.guide import Guide
from detectors.redact import SecretFinder
from detectors.rule import Rule
from detectors.scanner import Pattern, Scanner

_FRAGMENT = re.compile(r"(?<!&)#")
"""Where one begins, unless it is a character's number in HTML (`&#101;`). `%23` is a character of the path."""
_NOT_PLAIN = re.compile(r"[%\\&]|/[/.]")
LONGEST_QUOTE = 80
"""Characters of a path that are shown with what matched."""


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
    place: str = ""
    """Narrows the window likewise, and the incident too: where a key stands."""
    points: int = 100
    """Scores: what it weighs, in hundredths of a point."""
    spot: Spot | None = None
    """Journeys: where the client is."""


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
    geo: Geo = field(default_factory=Geo, kw_only=True)
    named: frozenset[str] = field(default=frozenset(), kw_only=True)
    """The rules that the policy names."""
    secrets: SecretFinder = field(kw_only=True)
    scanner: Scanner = field(kw_only=True)


class Detector(ABC):
    """Looks at the events it asked for, one by one. One file each, named like its rule."""

    statuses: frozenset[int] = frozenset()
    """Wants every event with one of these statuses."""
    tags: frozenset[str] = frozenset()
    """Wants every event whose record has one of these tags or patterns."""
    outcomes: bool = False
    """Wants every event with an `outcome`."""
    keys: bool = False
    """Wants every event with an `api_key_id`."""
    everything: bool = False
    """Wants every event: costs a look at each, so only where nothing narrower will do."""
    guide: ClassVar[Guide | None] = None
    """What people need to know of its rule."""

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        self._rule = rule
        self._site = site

    @abstractmethod
    def judge(self, look: Look) -> Iterable[Verdict]:
        """The rules that this event counts for, if any."""

    def why_not(self, look: Look) -> str:
        """Why an event that it wanted to see does not count, for people; empty where it just saw no sign."""
        return ""


def path_of(event: Event) -> str:
    """The path as the server understands it: decoded, folded, without query, parameters and trailing slashes."""
    path = event.path or ""
    if "#" in path:
        path = _FRAGMENT.split(path, 1)[0]
    if not path.isascii() or _NOT_PLAIN.search(path):
        path = decode_target(path)
    path = normal_path(path).partition(";")[0].rstrip("/ ")
    while path.endswith("/."):
        path = path[:-2].rstrip("/")
    script, php, _info = path.partition(".php/")
    return script + php.rstrip("/") if php else path or "/"


def answer_of(event: Event) -> str:
    """How an event was answered, for people: `status 429 on /api/x`."""
    path = (event.path or "").partition("?")[0][:LONGEST_QUOTE]
    return f"status {event.status} on {path}" if path else f"status {event.status}"


def is_one_of(path: str, known: Iterable[str]) -> bool:
    """Whether a path is one of those known, or ends with one (`/api/v1/auth/login` ends with `/login`)."""
    return path.lower().endswith(tuple(known))
