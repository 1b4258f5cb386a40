"""The operator's file: which rules are on, and what follows. docs/policy.md explains every key.

A rule that the file does not name is off. Anything it does not say about a rule it names is the rule's
default (detectors/defaults.py).
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

from actions.digest_periods import DigestPlan
from actions.response_plan import ResponsePlan
from actions.verified_bots import OnDnsFailure
from app.durations import format_duration, parse_duration
from app.policy_clients import read_trusted_clients, read_verified_bots
from app.policy_digests import read_digests
from app.policy_nodes import Value, read_document
from app.policy_own_keys import read_own_keys
from app.policy_own_rules import Example, read_own_rules
from app.policy_response import RESPONSE_KEYS, read_response_plan
from app.policy_rules import read_rule, with_alert_threshold
from app.policy_sigma import read_sigma
from app.sigma.library import Sigma
from detectors.defaults import BUILT_IN, DEFAULTS
from detectors.rule import Kind, Rule
from detectors.scanner import Pattern
from detectors.trusted_clients import TrustedClient

INCIDENT_RULES = frozenset({"health_check_failure", "high_error_rate", "security_breach"})
"""These stand under incident_detection, all others under security_alerts: the operator's document."""
SECTIONS = {
    "security_alerts": frozenset(DEFAULTS) - INCIDENT_RULES,
    "incident_detection": frozenset(DEFAULTS) & INCIDENT_RULES,
}
PATH_LISTS = ("login_paths", "login_forms", "health_paths")
KEYS = frozenset(
    {
        *(*SECTIONS, *PATH_LISTS, "never_block", "block_private", "brake", "review_grace", "health_check"),
        *("rules", "sigma", "shared_addresses", "verified_bots", "trusted_clients", "own_keys"),
        *RESPONSE_KEYS,
        "digests",
    }
)
DEFAULT_HEALTH_PATHS = ("/api/health", "/health")
DEFAULT_BRAKE = (500, 600_000)
"""Blocks, and milliseconds. A broken log format makes thousands of "attackers"; no real attack that a
blocklist stops makes 500 new ones in ten minutes."""
DEFAULT_REVIEW_GRACE_MS = 86_400_000
MOST_SHARED_USERS = 50
"""As many users of an address are told apart, and a few more. Source: detectors/lua/count_batch/."""


@dataclass(frozen=True)
class HealthCheck:
    """What to poll, or (a path) what to watch in the logs."""

    endpoint: str
    interval_ms: int = 300_000
    timeout_ms: int = 10_000
    retries: int = 3
    alert_threshold: int | None = None

    @property
    def is_polled(self) -> bool:
        """Whether it is a whole address; a path alone is only watched in the logs."""
        return not self.endpoint.startswith("/")


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy, checked. Replaced as a whole, never changed."""

    source: str
    text: str
    rules: tuple[Rule, ...]
    never_block: tuple[str, ...] = ()
    block_private: bool = False
    brake_blocks: int = DEFAULT_BRAKE[0]
    brake_window_ms: int = DEFAULT_BRAKE[1]
    login_paths: tuple[str, ...] | None = None
    """None: the detector's own."""
    login_forms: tuple[str, ...] | None = None
    health_paths: tuple[str, ...] = DEFAULT_HEALTH_PATHS
    review_grace_ms: int = DEFAULT_REVIEW_GRACE_MS
    health_check: HealthCheck | None = None
    shared_from: int = 0
    """Users of one address that make it a shared one, which is not blocked; 0: none do."""
    examples: tuple[Example, ...] = ()
    """What the own rules must match and must not; policy_tests.py runs them."""
    sigma: Sigma | None = None
    """What the folder of Sigma rules brought; its rules are among `rules`."""
    verified_bots: bool = True
    on_dns_failure: OnDnsFailure = OnDnsFailure.BLOCK
    trusted_clients: tuple[TrustedClient, ...] = ()
    own_keys: tuple[Pattern, ...] = ()
    plan: ResponsePlan = field(default_factory=ResponsePlan)
    """How fast people answer incidents, and whom they escalate to."""
    digests: DigestPlan = field(default_factory=DigestPlan)
    """What is summed up by day and by week, and for whom."""

    @property
    def digest(self) -> str:
        """Which policy this is: the first 12 hex digits of the SHA-256 of its text and of its Sigma rules."""
        text = self.text + (self.sigma.digest if self.sigma else "")
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def rule(self, name: str) -> Rule | None:
        """The rule of this name, or None where it is off."""
        return next((rule for rule in self.rules if rule.name == name), None)


def load_policy(
    text: str, source: str, home: Path = Path(), *, within: Collection[Path] | None = None
) -> Policy:
    """The policy that this text states. The examples of its own rules are read, not run (policy_tests.py).

    `home`: the folder of its file, below which a relative folder of Sigma rules stands. `within`: the folders that
    may be read on behalf of this text, where it is not the operator's own.
    Raises: ConfigError naming source, line and key: `policy.yaml line 4: security_alerts.x: unknown key`.
    """
    document = read_document(text, source)
    top = document.members(KEYS)
    if not top:
        document.fail("names no rule and no setting")
    rules: dict[str, Rule] = {}
    for section, names in SECTIONS.items():
        if section in top:
            for name, value in top[section].members(names).items():
                rules[name] = read_rule(value, DEFAULTS[name])
    check = _health_check(top["health_check"]) if "health_check" in top else None
    health_paths = _paths(top, "health_paths") or DEFAULT_HEALTH_PATHS
    if check is not None:
        with_alert_threshold(rules, top, check.alert_threshold)
        if not check.is_polled and check.endpoint not in health_paths:
            health_paths = (*health_paths, check.endpoint)
    own, examples = read_own_rules(top["rules"]) if "rules" in top else ([], [])
    taken = [*rules, *(rule.name for rule in own)]
    sigma = read_sigma(top["sigma"], home, within=within, taken=taken) if "sigma" in top else None
    brake_blocks, brake_window_ms = _brake(top["brake"]) if "brake" in top else DEFAULT_BRAKE
    grace = top.get("review_grace")
    bots = read_verified_bots(top["verified_bots"]) if "verified_bots" in top else (True, OnDnsFailure.BLOCK)
    return Policy(
        source=source,
        text=text,
        rules=(*rules.values(), *own, *(sigma.rules if sigma else ())),
        never_block=_networks(top["never_block"]) if "never_block" in top else (),
        block_private=top["block_private"].boolean() if "block_private" in top else False,
        brake_blocks=brake_blocks,
        brake_window_ms=brake_window_ms,
        login_paths=_paths(top, "login_paths"),
        login_forms=_paths(top, "login_forms"),
        health_paths=health_paths,
        review_grace_ms=grace.parse(parse_duration) if grace else DEFAULT_REVIEW_GRACE_MS,
        health_check=check,
        shared_from=_shared_from(top["shared_addresses"]) if "shared_addresses" in top else 0,
        examples=tuple(examples),
        sigma=sigma,
        verified_bots=bots[0],
        on_dns_failure=bots[1],
        trusted_clients=read_trusted_clients(top["trusted_clients"]) if "trusted_clients" in top else (),
        own_keys=read_own_keys(top["own_keys"]) if "own_keys" in top else (),
        plan=read_response_plan(top, taken + [rule.name for rule in (sigma.rules if sigma else ())]),
        digests=read_digests(top["digests"]) if "digests" in top else DigestPlan(),
    )


def _shared_from(value: Value) -> int:
    """`shared_addresses: {users: 5}`."""
    members = value.members({"users"})
    if "users" not in members:
        value.fail("needs users: how many different ones make an address a shared one, such as 5")
    return members["users"].integer(2, MOST_SHARED_USERS)


def _networks(value: Value) -> tuple[str, ...]:
    return tuple(entry.parse(lambda text: str(ip_network(text, strict=False))) for entry in value.each())


def _paths(top: dict[str, Value], key: str) -> tuple[str, ...] | None:
    if key not in top:
        return None
    found = []
    for entry in top[key].each():
        path = entry.text()
        if not path.startswith("/") or "?" in path:
            entry.fail(f"{path!r} is not a path: it must start with / and have no query")
        found.append(path)
    return tuple(found)


def _brake(value: Value) -> tuple[int, int]:
    members = value.members({"blocks", "window"})
    blocks = members["blocks"].integer(1, 1_000_000) if "blocks" in members else DEFAULT_BRAKE[0]
    window = members["window"].parse(parse_duration) if "window" in members else DEFAULT_BRAKE[1]
    return blocks, window


def _health_check(value: Value) -> HealthCheck:
    members = value.members({"endpoint", "interval", "timeout", "retries", "alert_threshold"})
    if "endpoint" not in members:
        value.fail("needs an endpoint: a path such as /api/health, or a whole address to poll")
    endpoint = members["endpoint"].text()
    if not endpoint.startswith(("/", "http://", "https://")):
        members["endpoint"].fail(f"{endpoint!r} is neither a path nor an http address")

    def read(key: str, parse: Callable[[Value], int], default: int) -> int:
        return parse(members[key]) if key in members else default

    check = HealthCheck(
        endpoint,
        interval_ms=read("interval", lambda v: v.parse(parse_duration), HealthCheck.interval_ms),
        timeout_ms=read("timeout", lambda v: v.parse(parse_duration), HealthCheck.timeout_ms),
        retries=read("retries", lambda v: v.integer(0, 20), HealthCheck.retries),
        alert_threshold=read("alert_threshold", lambda v: v.integer(1, 10_000), 0) or None,
    )
    if check.timeout_ms > check.interval_ms:
        members.get("timeout", value).fail("must not be longer than the interval")
    return check


def default_text() -> str:
    """The policy that is in force where there is no file: the operator's document, with its defaults."""
    lines = []
    for section, names in SECTIONS.items():
        lines.append(f"{section}:")
        for name in BUILT_IN:
            if name in names:
                rule = DEFAULTS[name]
                action = ", ".join(action.value for action in rule.actions)
                lines.append(f"  {name}: {{threshold: {threshold_text(rule)}, action: [{action}]}}")
    return "\n".join(lines) + "\n"


def threshold_text(rule: Rule) -> str:
    """The threshold as the policy writes it: `10/1m`, `10%`, `3`."""
    if rule.kind is Kind.RATIO:
        return f"{rule.threshold}%"
    if rule.name in INCIDENT_RULES:
        return str(rule.threshold)
    return f"{rule.threshold}/{format_duration(rule.window_ms)}"
