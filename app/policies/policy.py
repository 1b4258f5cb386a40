"""The operator's file: which rules are on, and what follows. docs/policy.md explains every key.

A rule that the file does not name is off. Anything it does not say about a rule it names is the rule's
default (detectors/defaults.py).
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

from actions.blocks.verified_bots import OnDnsFailure
from actions.channels.settings import ChannelSettings
from actions.delivery.routing import LOG, Route, Timing
from actions.digests.periods import DigestPlan
from actions.incidents.public_status import StatusPage
from actions.incidents.response_plan import ResponsePlan
from actions.quiet.maintenance import Window
from actions.quiet.maintenance_notices import NOTICE_AHEAD_ONLY, NoticeSettings
from app.durations import format_duration, parse_duration
from app.policies.blocklists import ListSource, read_blocklists
from app.policies.channels import check_channel_names, read_channels
from app.policies.clients import read_trusted_clients, read_verified_bots
from app.policies.dead_man import DeadManSettings, read_dead_man
from app.policies.digests import read_digests
from app.policies.enforcement import Enforcement, read_enforcement
from app.policies.health import (
    HealthCheck,
    alert_threshold_of,
    read_health_checks,
    watched_paths,
    with_thresholds,
)
from app.policies.maintenance import read_maintenance, read_maintenance_notice
from app.policies.nodes import Value, read_document
from app.policies.own_keys import read_own_keys
from app.policies.own_rules import Example, read_own_rules
from app.policies.response import RESPONSE_KEYS, read_response_plan
from app.policies.routes import read_delivery, read_routes
from app.policies.rules import HEALTH_RULE, read_rule, with_alert_threshold
from app.policies.sigma import read_sigma
from app.policies.status import read_status_page
from app.sigma.library import Sigma
from detectors.defaults import BUILT_IN, DEFAULTS
from detectors.rule import Kind, Rule
from detectors.scanner import Pattern
from detectors.trusted_clients import TrustedClient

INCIDENT_RULES = frozenset(
    {
        *("health_check_failure", "high_error_rate", "elevated_error_rate", "slow_responses"),
        *("security_breach", "source_unreadable", "source_silent", "blocklist_stale"),
    }
)
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
        *("maintenance", "maintenance_notice", "dead_man"),
        *("routes", "delivery"),
        "status_page",
        *("rules", "sigma", "shared_addresses", "verified_bots", "trusted_clients", "own_keys", "channels"),
        *("digests", "enforcement", "blocklists"),
    }
)
DEFAULT_HEALTH_PATHS = ("/api/health", "/health")
DEFAULT_BRAKE = (500, 600_000)
"""Blocks, and milliseconds. A broken log format makes thousands of "attackers"; no real attack that a
blocklist stops makes 500 new ones in ten minutes."""
DEFAULT_REVIEW_GRACE_MS = 86_400_000
MOST_SHARED_USERS = 50
"""As many users of an address are told apart, and a few more. Source: detectors/lua/count_batch/."""


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
    health_checks: tuple[HealthCheck, ...] = ()
    shared_from: int = 0
    """Users of one address that make it a shared one, which is not blocked; 0: none do."""
    examples: tuple[Example, ...] = ()
    """What the own rules must match and must not; policies/tests.py runs them."""
    sigma: Sigma | None = None
    """What the folder of Sigma rules brought; its rules are among `rules`."""
    verified_bots: bool = True
    on_dns_failure: OnDnsFailure = OnDnsFailure.BLOCK
    trusted_clients: tuple[TrustedClient, ...] = ()
    own_keys: tuple[Pattern, ...] = ()
    plan: ResponsePlan = field(default_factory=ResponsePlan)
    """How fast people answer incidents, and whom they escalate to."""
    maintenance: tuple[Window, ...] = ()
    maintenance_notice: NoticeSettings = NOTICE_AHEAD_ONLY
    dead_man: DeadManSettings | None = None
    routes: tuple[Route, ...] | None = None
    """None: who is told and when is as the operator's document says."""
    delivery: Timing = field(default_factory=Timing)
    status_page: StatusPage = field(default_factory=StatusPage)
    channels: tuple[ChannelSettings, ...] = ()
    """Where people are told besides the log; the channels themselves are built by channels.py."""
    digests: DigestPlan = field(default_factory=DigestPlan)
    """What is summed up by day and by week, and for whom."""
    blocklists: tuple[ListSource, ...] = ()
    """External lists of addresses."""
    enforcement: Enforcement = field(default_factory=Enforcement)

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
    """The policy that this text states. The examples of its own rules are read, not run (policies/tests.py).

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
    checks = read_health_checks(top["health_check"]) if "health_check" in top else ()
    with_alert_threshold(rules, top, alert_threshold_of(checks))
    if HEALTH_RULE in rules:
        rules[HEALTH_RULE] = with_thresholds(rules[HEALTH_RULE], checks)
    own, examples = read_own_rules(top["rules"]) if "rules" in top else ([], [])
    taken = [*rules, *(rule.name for rule in own)]
    sigma = read_sigma(top["sigma"], home, within=within, taken=taken) if "sigma" in top else None
    brake_blocks, brake_window_ms = _brake(top["brake"]) if "brake" in top else DEFAULT_BRAKE
    grace = top.get("review_grace")
    bots = read_verified_bots(top["verified_bots"]) if "verified_bots" in top else (True, OnDnsFailure.BLOCK)
    rule_names = {*DEFAULTS, *taken, *(rule.name for rule in (sigma.rules if sigma else ()))}
    channel_names = _channel_names(top)
    policy = Policy(
        source=source,
        text=text,
        rules=(*rules.values(), *own, *(sigma.rules if sigma else ())),
        never_block=_networks(top["never_block"]) if "never_block" in top else (),
        block_private=top["block_private"].boolean() if "block_private" in top else False,
        brake_blocks=brake_blocks,
        brake_window_ms=brake_window_ms,
        login_paths=_paths(top, "login_paths"),
        login_forms=_paths(top, "login_forms"),
        health_paths=watched_paths(checks, _paths(top, "health_paths"), DEFAULT_HEALTH_PATHS),
        review_grace_ms=grace.parse(parse_duration) if grace else DEFAULT_REVIEW_GRACE_MS,
        health_checks=checks,
        shared_from=_shared_from(top["shared_addresses"]) if "shared_addresses" in top else 0,
        examples=tuple(examples),
        sigma=sigma,
        verified_bots=bots[0],
        on_dns_failure=bots[1],
        trusted_clients=read_trusted_clients(top["trusted_clients"]) if "trusted_clients" in top else (),
        own_keys=read_own_keys(top["own_keys"]) if "own_keys" in top else (),
        plan=read_response_plan(top, taken + [rule.name for rule in (sigma.rules if sigma else ())]),
        maintenance=read_maintenance(top["maintenance"]) if "maintenance" in top else (),
        maintenance_notice=(
            read_maintenance_notice(top["maintenance_notice"])
            if "maintenance_notice" in top
            else NOTICE_AHEAD_ONLY
        ),
        dead_man=read_dead_man(top["dead_man"]) if "dead_man" in top else None,
        routes=read_routes(top["routes"], channel_names, rule_names) if "routes" in top else None,
        delivery=read_delivery(top["delivery"]) if "delivery" in top else Timing(),
        status_page=read_status_page(top["status_page"]) if "status_page" in top else StatusPage(),
        channels=read_channels(top["channels"]) if "channels" in top else (),
        digests=read_digests(top["digests"]) if "digests" in top else DigestPlan(),
        blocklists=(read_blocklists(top["blocklists"], home, within=within) if "blocklists" in top else ()),
        enforcement=read_enforcement(top["enforcement"]) if "enforcement" in top else Enforcement(),
    )
    check_channel_names(top, channel_names)
    return policy


def _channel_names(top: dict[str, Value]) -> set[str]:
    """The names of the policy's channels, and that of the service's own log."""
    return {LOG, *(top["channels"].entries() if "channels" in top else ())}


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
    if rule.kind is Kind.PERCENTILE:
        return format_duration(rule.threshold)
    if rule.name in INCIDENT_RULES:
        return str(rule.threshold)
    return f"{rule.threshold}/{format_duration(rule.window_ms)}"
