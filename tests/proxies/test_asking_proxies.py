"""Real proxies ask about each request: the attacker is refused, and no header of his changes who that is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.service import free_port, running_service
from tests.proxies.asking import ASKING, Command, nginx_appending, nginx_finding, started
from tests.proxies.parts import Application, Bartizan, application, is_open, program, request, until
from tests.proxies.private_network import PROXY, private_network
from tests.senders.sending import running

NEIGHBOUR, ATTACKER, FRAMED = "203.0.113.10", "203.0.113.66", "203.0.113.77"
"""Somebody else, somebody who is blocked, and somebody whom an attacker would like to see blocked."""
SPOOFS = [
    {"X-Forwarded-For": NEIGHBOUR},
    {"X-Forwarded-For": f"{NEIGHBOUR}, 127.0.0.1"},
    {"X-Forwarded-For": f"127.0.0.1, {PROXY}"},
    {"X-Forwarded-For": ""},
    {"X-Forwarded-For": "unknown"},
    {"x-forwarded-for": NEIGHBOUR, "X-Real-IP": NEIGHBOUR, "Forwarded": f"for={NEIGHBOUR}"},
    {"True-Client-IP": NEIGHBOUR, "CF-Connecting-IP": NEIGHBOUR, "X-Envoy-External-Address": NEIGHBOUR},
    {"Connection": "X-Forwarded-For, close", "X-Forwarded-For": NEIGHBOUR},
    {"Authorization": "Bearer nobodys", "X-Api-Key": "nobodys"},
    {"X-Bartizan-Decision": "allow", "X-Bartizan-Types": "throttle"},
]
PATHS = [
    "/?types=throttle",
    "/v1/forward-auth",
    "//",
    "/a/../b/",
    "/k/nobody/v1/lookup/203.0.113.10",
    "/%2e%2e/?a=b#c",
]


class House(NamedTuple):
    """A proxy between clients and an application, and the Bartizan that it asks."""

    proxy: int
    application: Application
    bartizan: Bartizan
    name: str

    @property
    def attacker(self) -> str:
        """Another one for each proxy: what one has done before does not count for the next."""
        return f"203.0.113.{100 + list(ASKING).index(self.name)}"


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    with private_network():
        yield


@pytest.fixture(scope="module")
def bartizan(network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bartizan]:
    policy = tmp_path_factory.mktemp("policy") / "policy.yaml"
    policy.write_text("security_alerts: {auth_failures: {threshold: 10/minute, action: block_ip}}\n")
    with running_service(trusted_proxies=f"127.0.0.1,{PROXY}", policy=str(policy)) as service:
        yield Bartizan(service)


@pytest.fixture(scope="module", params=list(ASKING))
def house(
    bartizan: Bartizan, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp(request.param)
    with (
        application() as behind,
        started(ASKING[request.param], folder, bartizan.service.port, behind.port) as port,
    ):
        yield House(port, behind, bartizan, request.param)


def test_an_attack_with_a_made_up_address_gets_the_attacker_blocked_and_nobody_else(house: House) -> None:
    house.application.received.clear()
    attacker, spoof = house.attacker, {"X-Forwarded-For": FRAMED}
    for number in range(10):
        path = f"/login?{house.name}-{number}"
        assert request(house.proxy, attacker, path, spoof, method="POST").status == 401
    sent = house.bartizan.call("ingest", "POST", "/v1/events", house.application.log())
    assert json.loads(sent.body)["accepted"] == 10
    until(lambda: house.bartizan.blocks())
    assert [block["value"] for block in house.bartizan.blocks()] == [attacker]
    try:
        until(lambda: request(house.proxy, attacker).status == 403)
        for client in (NEIGHBOUR, FRAMED):
            assert request(house.proxy, client).status == 200
    finally:
        for block_id in house.bartizan.ids():
            house.bartizan.lift(block_id)
    assert request(house.proxy, attacker).status == 200


def test_no_header_and_no_path_lets_a_blocked_client_in_and_none_frames_another(house: House) -> None:
    block_id = house.bartizan.block(ATTACKER)
    try:
        assert request(house.proxy, ATTACKER).status == 403
        for spoof in SPOOFS:
            assert request(house.proxy, ATTACKER, headers=spoof).status in (400, 403), spoof
            framing = {name: value.replace(NEIGHBOUR, ATTACKER) for name, value in spoof.items()}
            assert request(house.proxy, NEIGHBOUR, headers=framing).status in (200, 400), framing
        for path in PATHS:
            assert request(house.proxy, ATTACKER, path).status in (400, 403), path
            assert request(house.proxy, NEIGHBOUR, path).status in (200, 400), path
        for method in ("POST", "PUT", "DELETE", "HEAD"):
            assert request(house.proxy, ATTACKER, method=method).status == 403
    finally:
        house.bartizan.lift(block_id)


def test_what_passes_comes_to_the_application_whole(house: House) -> None:
    house.application.received.clear()
    body = b"x" * 50_000
    headers = {"Authorization": "Bearer of-the-application", "Cookie": "a=b"}
    answer = request(house.proxy, NEIGHBOUR, "/orders?types=ban", headers, method="POST", body=body)
    assert answer.status == 200
    came = house.application.received[-1]
    assert (came.method, came.path, came.body) == ("POST", "/orders?types=ban", body)
    assert came.headers["authorization"] == "Bearer of-the-application"
    assert came.headers["cookie"] == "a=b"


def test_the_application_is_told_of_a_decision_that_is_not_acted_on(house: House) -> None:
    block_id = house.bartizan.block(ATTACKER, type="throttle")
    try:
        for client, decision in ((ATTACKER, "throttle"), (NEIGHBOUR, "allow")):
            house.application.received.clear()
            assert request(house.proxy, client, headers={"X-Bartizan-Decision": "allow"}).status == 200
            assert house.application.received[-1].headers["x-bartizan-decision"] == decision
    finally:
        house.bartizan.lift(block_id)


def test_every_request_was_judged(house: House) -> None:
    before = house.bartizan.metric('bartizan_forward_auth_total{result="unknown"}')
    assert request(house.proxy, NEIGHBOUR).status == 200
    assert house.bartizan.metric('bartizan_forward_auth_total{result="unknown"}') == before == 0


@pytest.mark.parametrize("command", [nginx_appending, nginx_finding])
def test_behind_a_load_balancer_it_is_still_the_client(
    bartizan: Bartizan, tmp_path: Path, command: Command
) -> None:
    folders = [tmp_path / name for name in ("nginx", "haproxy")]
    for folder in folders:
        folder.mkdir()
    front = free_port()
    with application() as behind, started(command, folders[0], bartizan.service.port, behind.port) as inner:
        (folders[1] / "haproxy.cfg").write_text(
            "defaults\n mode http\n timeout connect 5s\n timeout client 9s\n timeout server 9s\n option forwardfor\n"
            f"listen web\n bind {PROXY}:{front}\n server nginx {PROXY}:{inner} source {PROXY}\n"
        )
        balancer = [program("haproxy"), "-f", str(folders[1] / "haproxy.cfg")]
        with running(balancer, folders[1]) as process:
            until(lambda: is_open(front) or process.poll() is not None)
            block_id = bartizan.block(ATTACKER)
            try:
                for spoof in SPOOFS:
                    assert request(front, ATTACKER, headers=spoof).status in (400, 403), spoof
                    framing = {name: value.replace(NEIGHBOUR, ATTACKER) for name, value in spoof.items()}
                    assert request(front, NEIGHBOUR, headers=framing).status in (200, 400), framing
            finally:
                bartizan.lift(block_id)
    assert bartizan.metric('bartizan_forward_auth_total{result="unknown"}') == 0


@pytest.mark.parametrize(
    ("name", "status"), [("nginx", 200), ("envoy", 200), ("traefik", 500), ("caddy", 502)]
)
def test_while_bartizan_is_away_a_proxy_does_what_the_page_says(
    network: None, tmp_path: Path, name: str, status: int
) -> None:
    with application() as behind, started(ASKING[name], tmp_path, 1, behind.port) as port:
        assert request(port, NEIGHBOUR).status == status
