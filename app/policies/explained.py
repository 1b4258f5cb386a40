"""The policy's words as people are shown them, defaults included: its rules, and about clients, addresses and keys."""

from dataclasses import dataclass, field
from typing import Any

from actions.incidents.public_status import StatusPage
from app.durations import format_duration
from app.policies.dead_man import DeadManSettings
from app.policies.maintenance import notice_text, window_text
from app.policies.people_text import people_text
from app.policies.policy import Policy
from detectors.condition_words import describe
from detectors.finding import Action, Mode
from detectors.own_keys import prefix_of
from detectors.rule import Kind, Rule


@dataclass(frozen=True, slots=True)
class ExplainedClient:
    """An entry of `trusted_clients`."""

    user_agent: str
    networks: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class ExplainedPrefix:
    """An entry of `own_keys`: the prefix only, never a key."""

    prefix: str
    description: str
    severity: str


@dataclass(frozen=True, slots=True)
class Explained:
    """What holds for all rules alike."""

    shared_addresses: int
    """Users of one address that make it a shared one; 0: none do."""
    verified_bots: bool
    on_dns_failure: str
    """What becomes of a bot that cannot be verified: block, alert."""
    trusted_clients: tuple[ExplainedClient, ...]
    own_keys: tuple[ExplainedPrefix, ...]
    maintenance: tuple[str, ...] = ()
    """A sentence for each window."""
    maintenance_notice: str = ""
    dead_man: str = ""
    """How often it signals; the address is a secret."""
    status_page: str = ""
    people: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Who answers how fast, and who is told what: sentences by the policy's key."""


def explained(policy: Policy) -> Explained:
    """What a policy says of clients, addresses and keys."""
    return Explained(
        shared_addresses=policy.shared_from,
        verified_bots=policy.verified_bots,
        on_dns_failure=policy.on_dns_failure.value,
        trusted_clients=tuple(
            ExplainedClient(client.user_agent, client.networks, client.note)
            for client in policy.trusted_clients
        ),
        own_keys=tuple(
            ExplainedPrefix(prefix_of(key), key.description, key.severity.value) for key in policy.own_keys
        ),
        maintenance=tuple(window_text(window) for window in policy.maintenance),
        maintenance_notice=notice_text(policy.maintenance_notice),
        dead_man=_dead_man_text(policy.dead_man),
        status_page=_status_page_text(policy.status_page),
        people=people_text(policy),
    )


def _dead_man_text(settings: DeadManSettings | None) -> str:
    if settings is None:
        return ""
    every, lag = format_duration(settings.every_ms), format_duration(settings.lag_ms)
    return f"asks {settings.url.whence} every {every} while no finding waits for longer than {lag}"


def _status_page_text(page: StatusPage) -> str:
    if page == StatusPage():
        return ""
    components = f"components {', '.join(page.components)}" if page.components else "no components"
    return f"{page.title!r}, {components}, maintenance: {page.maintenance}"


def lines_of(found: Explained) -> list[str]:
    """The same in sentences, one a line."""
    users = found.shared_addresses
    lines = [
        f"shared_addresses: an address from which {users} users get in is not blocked, its limits are higher"
        if users
        else "shared_addresses: none; an office or a carrier is blocked like anybody else",
        f"verified_bots: search engines' bots are verified before a block; where the DNS fails, {found.on_dns_failure}"
        if found.verified_bots
        else "verified_bots: off; a search engine's bot is blocked like anybody else",
    ]
    for client in found.trusted_clients:
        note = f" ({client.note})" if client.note else ""
        lines.append(
            f"trusted_clients: {client.user_agent!r} from {', '.join(client.networks)} does not count{note}"
        )
    lines += [f"{key}: {text}" for key, texts in found.people.items() for text in texts]
    lines += [f"maintenance: {text}" for text in found.maintenance]
    named = {
        "maintenance_notice": found.maintenance_notice,
        "dead_man": found.dead_man,
        "status_page": found.status_page,
    }
    for name, text in named.items():
        lines += [f"{name}: {text}"] * bool(text)
    lines += [f"own_keys: {key.prefix}... is {key.severity}: {key.description}" for key in found.own_keys]
    return lines


def explain_rule(rule: Rule) -> dict[str, Any]:
    """One rule in words: when it fires, and what follows."""
    window = format_duration(rule.window_ms)
    what = "rules" if rule.parts else rule.distinct_field or rule.distinct or ""
    per = " and ".join(kind.value for kind in rule.group_by)
    fires_at = {
        Kind.COUNT: f"{rule.threshold} in {window}, per {per}",
        Kind.DISTINCT: f"{rule.threshold} different {what} in {window}, per {per}",
        Kind.RATIO: f"{rule.threshold}% of at least {rule.min_volume} in {window}, per {per}",
        Kind.STREAK: f"{rule.threshold} in a row, per {per}",
        Kind.SEQUENCE: f"{rule.threshold} in {window} and then the other, per {per}",
        Kind.SCORE: f"{rule.threshold} points in {window}, fading after it, per {per}",
        Kind.NEWCOMER: f"{rule.threshold} in {window} and then one from a new network, per {per}",
        Kind.TRAVEL: f"two in {window} too far apart for their time, per {per}",
        Kind.PERCENTILE: (
            f"the {rule.percentile}th percentile of at least {rule.min_volume} in {window} above "
            f"{format_duration(rule.threshold)}, per {per}"
        ),
        Kind.WATCH: f"{rule.threshold} ({window}), per {per}",
        Kind.SHARED: "never",
    }[rule.kind]
    actions = []
    for action in rule.actions:
        text = action.value
        if action is Action.BLOCK_IP:
            longest = format_duration(rule.max_duration_ms)
            text += f" for {format_duration(rule.duration_ms)}, doubling up to {longest}"
        actions.append(text)
    then = ", ".join(actions)
    if rule.mode is not Mode.ENFORCE:
        then = f"{rule.mode.value} only: {then}"
    row: dict[str, Any] = {
        "rule": rule.name,
        "fires_at": fires_at,
        "then": then,
        "severity": rule.severity.value,
    }
    if rule.title:
        row["title"] = rule.title
    if rule.where is not None:
        row["where"] = describe(rule.where)
    if rule.then is not None:
        row["then_where"] = describe(rule.then)
    if rule.references:
        row["references"] = list(rule.references)
    return row
