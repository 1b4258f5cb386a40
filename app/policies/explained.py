"""The policy's words about clients, addresses and keys, as people are shown them, defaults included."""

from dataclasses import dataclass, field

from actions.incidents.public_status import StatusPage
from app.durations import format_duration
from app.policies.dead_man import DeadManSettings
from app.policies.maintenance import notice_text, window_text
from app.policies.people_text import people_text
from app.policies.policy import Policy
from detectors.own_keys import prefix_of


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
