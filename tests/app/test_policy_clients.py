"""The policy's keys about clients that are no attackers."""

from pathlib import Path

import pytest

from actions.blocks.verified_bots import OnDnsFailure
from app.policies.policy import load_policy
from app.settings import Settings
from app.world import build_world
from detectors.errors import ConfigError
from detectors.trusted_clients import TrustedClient

TRUSTED = 'trusted_clients: [{user_agent: "UptimeRobot/2", networks: [192.0.2.0/24, 2001:db8::1], note: "monitor"}]\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("block_private: false", (True, OnDnsFailure.BLOCK)),
        ("verified_bots: true", (True, OnDnsFailure.BLOCK)),
        ("verified_bots: false", (False, OnDnsFailure.BLOCK)),
        ("verified_bots: {on_dns_failure: alert}", (True, OnDnsFailure.ALERT)),
        ("verified_bots: {on_dns_failure: block}", (True, OnDnsFailure.BLOCK)),
        ("verified_bots: {}", (True, OnDnsFailure.BLOCK)),
    ],
)
def test_whether_bots_are_verified_and_what_an_outage_means(
    text: str, expected: tuple[bool, OnDnsFailure]
) -> None:
    policy = load_policy(text, "policy.yaml")
    assert (policy.verified_bots, policy.on_dns_failure) == expected


def test_trusted_clients_are_taken() -> None:
    policy = load_policy(TRUSTED, "policy.yaml")
    assert policy.trusted_clients == (
        TrustedClient("UptimeRobot/2", ("192.0.2.0/24", "2001:db8::1/128"), "monitor"),
    )
    without_note = "trusted_clients:\n  - user_agent: our-probe\n    networks: 192.0.2.7\n"
    assert load_policy(without_note, "p").trusted_clients[0].networks == ("192.0.2.7/32",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("verified_bots: maybe", "line 1: verified_bots: must be true or false"),
        ("verified_bots: {on_dns_failure: pass}", "unknown 'pass'; choose from block, alert"),
        ("verified_bots: {on_failure: block}", "on_failure: unknown key; did you mean on_dns_failure?"),
        ("trusted_clients: {user_agent: x}", "trusted_clients: must be a list"),
        ("trusted_clients:\n  - networks: [192.0.2.0/24]", "line 2: trusted_clients[0]: needs user_agent"),
        ("trusted_clients:\n  - user_agent: probe", "line 2: trusted_clients[0]: needs networks"),
        ("trusted_clients: [{user_agent: probe, networks: []}]", "networks: needs at least one network"),
        ("trusted_clients: [{user_agent: probe, networks: [here]}]", "networks[0]: 'here' does not appear"),
        ("trusted_clients: [{user_agent: '/', networks: [192.0.2.1]}]", "'/' is shorter than 3 characters"),
        ("trusted_clients: [{user_agent: probe, networks: [192.0.2.1], why: x}]", "why: unknown key"),
    ],
)
def test_every_mistake_names_its_line_and_key(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_policy(text + "\n", "policy.yaml")
    assert words in str(raised.value)


async def test_the_service_takes_them_up_at_the_start_and_on_a_change(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("verified_bots: {on_dns_failure: alert}\n" + TRUSTED)
    world = build_world(Settings(data_dir=tmp_path, policy=file), lambda: 0)
    bots = world.actions.verified_bots
    assert (bots.is_on, bots.on_dns_failure) == (True, OnDnsFailure.ALERT)
    assert world.engine.clients._clients
    world.take_policy(load_policy("verified_bots: false", "policy.yaml"))
    assert (bots.is_on, bots.on_dns_failure) == (False, OnDnsFailure.BLOCK)
    assert not world.engine.clients._clients
    await world.close()
