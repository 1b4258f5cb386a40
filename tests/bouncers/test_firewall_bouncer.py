"""crowdsec-firewall-bouncer, as Debian has it, in a network namespace of its own: what is in its nftables sets."""

from collections.abc import Iterator

import pytest
from real import SAID_S, Api, Firewall, eventually, firewall

from benchmarks.service import Service, running_service

POLICY = """
security_alerts:
  auth_failures: {threshold: 10/minute, action: block_ip, duration: 1h}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    policy = tmp_path_factory.mktemp("firewall") / "policy.yaml"
    policy.write_text(POLICY)
    with running_service(policy=str(policy)) as started:
        yield started


@pytest.fixture(scope="module")
def wall(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firewall]:
    with firewall(service, tmp_path_factory.mktemp("wall")) as started:
        yield started


@pytest.fixture
def api(service: Service) -> Api:
    return Api(service)


@pytest.mark.parametrize("family", ["203.0.113.{}", "2001:db8:5:{}::7"])
def test_an_attacker_is_in_the_set_within_two_seconds_and_gone_after_unblock(
    wall: Firewall, api: Api, family: str
):
    took = []
    for number in range(1, 5):
        address = family.format(number)
        api.attack(address)
        took.append(eventually(lambda address=address: address in wall.held()))
    assert None not in took
    assert min(t for t in took if t is not None) < SAID_S, took
    gone = []
    for number in range(1, 5):
        address = family.format(number)
        api.lift(address)
        gone.append(eventually(lambda address=address: address not in wall.held()))
    assert None not in gone
    assert min(t for t in gone if t is not None) < SAID_S, gone


def test_an_attacker_who_goes_on_from_another_address_of_the_network_is_in_the_set(wall: Firewall, api: Api):
    api.attack("2001:db8:77:1::a")
    assert eventually(lambda: "2001:db8:77:1::a" in wall.held()) is not None
    api.attack("2001:db8:77:1::b")
    assert eventually(lambda: "2001:db8:77:1::b" in wall.held()) is not None
    assert "2001:db8:77:1::" in wall.held(), "all that it makes of a /64"
    api.lift("2001:db8:77:1::")
    assert eventually(lambda: not [a for a in wall.held() if a.startswith("2001:db8:77:")]) is not None


@pytest.mark.parametrize("address", ["198.51.100.9", "2001:db8:9::9"])
def test_a_block_that_ends_is_gone(wall: Firewall, api: Api, address: str):
    api.block(address, "5s")
    assert eventually(lambda: address in wall.held()) is not None
    assert eventually(lambda: address not in wall.held()) is not None


def test_a_block_that_is_extended_stays(wall: Firewall, api: Api):
    block_id = api.block("198.51.100.20", "10m")
    assert eventually(lambda: 500 < wall.held().get("198.51.100.20", 0) <= 600) is not None
    api.call("PATCH", f"/v1/admin/blocks/{block_id}", {"duration": "3h", "reason": "longer"})
    assert eventually(lambda: wall.held().get("198.51.100.20", 0) > 3600) is not None
    api.call("PATCH", f"/v1/admin/blocks/{block_id}", {"duration": "permanent", "reason": "for good"})
    assert eventually(lambda: wall.held().get("198.51.100.20", 0) > 86_400) is not None
    api.lift("198.51.100.20")


def test_a_small_range_is_every_address_of_it_and_a_single_block_outlives_it(wall: Firewall, api: Api):
    api.block("192.0.2.0/29")
    single = "192.0.2.3"
    api.block(single)
    whole = {f"192.0.2.{n}" for n in range(8)}
    assert eventually(lambda: whole <= wall.held().keys()) is not None
    blocks = api.call("GET", "/v1/admin/blocks?status=active&contains=192.0.2.0/29")["items"]
    [network] = [b for b in blocks if b["value"] == "192.0.2.0/29"]
    api.call("DELETE", f"/v1/admin/blocks/{network['id']}")
    assert eventually(lambda: whole & wall.held().keys() == {single}) is not None
    api.lift(single)
    assert eventually(lambda: single not in wall.held()) is not None


def test_a_captcha_is_a_ban_for_it_and_a_throttle_is_nothing(wall: Firewall, api: Api):
    api.block("198.51.100.31", type="captcha")
    api.block("198.51.100.32", type="throttle")
    api.block("198.51.100.33")
    assert eventually(lambda: {"198.51.100.31", "198.51.100.33"} <= wall.held().keys()) is not None
    assert "198.51.100.32" not in wall.held()


def test_what_is_allowlisted_leaves_the_set(wall: Firewall, api: Api):
    api.block("192.0.2.64/28")
    assert eventually(lambda: "192.0.2.70" in wall.held()) is not None
    api.call("POST", "/v1/admin/allowlist", {"value": "192.0.2.70", "note": "a partner"})
    assert eventually(lambda: "192.0.2.70" not in wall.held()) is not None
    assert "192.0.2.71" in wall.held()


def test_it_goes_on_where_it_was_when_the_service_comes_back(wall: Firewall, api: Api, service: Service):
    api.block("198.51.100.41")
    assert eventually(lambda: "198.51.100.41" in wall.held()) is not None
    service.stop()
    service.start_again()
    api.lift("198.51.100.41")
    api.block("198.51.100.42")
    assert eventually(lambda: "198.51.100.42" in wall.held()) is not None
    assert eventually(lambda: "198.51.100.41" not in wall.held()) is not None
    rows = api.call("GET", "/v1/admin/bouncers", role="viewer")["items"]
    [row] = [row for row in rows if row["type"] == "crowdsec-firewall-bouncer"]
    assert (row["mode"], row["address"]) == ("stream", "127.0.0.1")
