"""The policy's keys about clients that are no attackers: `verified_bots` and `trusted_clients`."""

from ipaddress import ip_network

from actions.blocks.verified_bots import OnDnsFailure
from app.policies.nodes import Value
from detectors.trusted_clients import TrustedClient

SHORTEST_USER_AGENT = 3
"""Characters: a shorter text stands in nearly every user agent."""


def read_verified_bots(value: Value) -> tuple[bool, OnDnsFailure]:
    """`true`, `false`, or `{on_dns_failure: block|alert}`: whether bots are verified, and what an outage means.

    Raises: ConfigError on the line of the key that is wrong.
    """
    if not value.is_mapping:
        return value.boolean(), OnDnsFailure.BLOCK
    members = value.members({"on_dns_failure"})
    return True, members["on_dns_failure"].choice(OnDnsFailure) if members else OnDnsFailure.BLOCK


def read_trusted_clients(value: Value) -> tuple[TrustedClient, ...]:
    """The list of `{user_agent, networks, note}`. Raises: ConfigError on the line of the key that is wrong."""
    return tuple(_client(entry) for entry in value.listed())


def _client(value: Value) -> TrustedClient:
    members = value.members({"user_agent", "networks", "note"})
    for key in ("user_agent", "networks"):
        if key not in members:
            value.fail(f"needs {key}: neither a user agent nor a network alone says who somebody is")
    agent = members["user_agent"].text()
    if len(agent) < SHORTEST_USER_AGENT:
        members["user_agent"].fail(f"{agent!r} is shorter than {SHORTEST_USER_AGENT} characters")
    networks = tuple(
        entry.parse(lambda text: str(ip_network(text, strict=False))) for entry in members["networks"].each()
    )
    if not networks:
        members["networks"].fail("needs at least one network")
    return TrustedClient(agent, networks, members["note"].text() if "note" in members else "")
