"""The list's files are loaded for real: nftables and ipset in a network of their own, HAProxy and nginx with clients.

The script of docs/examples/ fetches them, as the page says.
"""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.service import TOKENS, free_port, running_service
from tests.proxies.asking import Ports, nginx
from tests.proxies.page import SCRIPT, blocks_below, configuration
from tests.proxies.parts import Bartizan, application, is_open, program, request, until
from tests.proxies.private_network import PROXY, private_network
from tests.senders.sending import running

ATTACKER, NEIGHBOUR, NETWORK = "203.0.113.66", "203.0.113.10", "203.0.113.128/25"
ALLOWED = "203.0.113.200"


@pytest.fixture(scope="module")
def bartizan() -> Iterator[Bartizan]:
    with private_network(), running_service(trusted_proxies=f"127.0.0.1,{PROXY}") as service:
        made = Bartizan(service)
        made.call("admin", "POST", "/v1/admin/allowlist", {"value": ALLOWED, "note": "ours"})
        for value in (ATTACKER, NETWORK, "198.51.100.0/24", "198.51.100.7", "2001:db8:1:2::/64"):
            made.block(value)
        made.block("203.0.113.11", type="throttle")
        made.block("203.0.113.12", type="captcha")
        yield made


def fetch(bartizan: Bartizan, query: str, file: Path, *command: str, fails: bool = False) -> None:
    """The page's script; the command takes the file up."""
    environment = {
        **os.environ,
        "BARTIZAN_URL": bartizan.service.url,
        "BARTIZAN_LOOKUP_TOKEN": TOKENS["lookup"],
    }
    done = subprocess.run(
        ["sh", str(SCRIPT), query, str(file), *command], env=environment, capture_output=True, timeout=60
    )
    assert (done.returncode != 0) == fails, done.stderr
    assert TOKENS["lookup"].encode() not in done.stdout + done.stderr


def loaded(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_nftables_takes_the_file_beside_the_rules_of_the_page(bartizan: Bartizan, tmp_path: Path) -> None:
    nft = program("nft")
    rules, file = tmp_path / "rules.nft", tmp_path / "blocked.nft"
    rules.write_text(blocks_below("nftables")[0])
    loaded([nft, "-f", str(rules)])
    fetch(bartizan, "format=nftables", file, nft, "-f", str(file))
    first = json.loads(loaded([nft, "-j", "list", "set", "inet", "bartizan", "bartizan4"]))
    assert ATTACKER in json.dumps(first)
    assert "203.0.113.12" in json.dumps(first)  # a captcha falls back to a ban
    assert "203.0.113.11" not in json.dumps(first)
    for address, is_in in ((ATTACKER, True), ("203.0.113.199", True), (ALLOWED, False), (NEIGHBOUR, False)):
        found = subprocess.run(
            [nft, "get", "element", "inet", "bartizan", "bartizan4", f"{{ {address} }}"], capture_output=True
        )
        assert (found.returncode == 0) == is_in, address
    assert "2001:db8:1:2::/64" in loaded([nft, "list", "set", "inet", "bartizan", "bartizan6"])
    # Again, and with another list: the old elements go, the chain stays.
    loaded([nft, "-f", str(file)])
    fetch(bartizan, "format=nftables&types=throttle", file, nft, "-f", str(file))
    listing = loaded([nft, "list", "table", "inet", "bartizan"])
    assert "203.0.113.11" in listing and ATTACKER not in listing
    assert "@bartizan4 drop" in listing
    loaded([nft, "delete", "table", "inet", "bartizan"])


def test_ipset_exchanges_its_sets(bartizan: Bartizan, tmp_path: Path) -> None:
    ipset, file = program("ipset"), tmp_path / "blocked.ipset"
    for _ in range(2):
        fetch(bartizan, "format=ipset", file, ipset, "restore", "-file", str(file))
        assert loaded([ipset, "list", "-n"]).split() == ["bartizan4", "bartizan6"]
        for address, is_in in (
            *((ATTACKER, True), ("203.0.113.199", True), ("198.51.100.7", True)),
            *((ALLOWED, False), (NEIGHBOUR, False)),
        ):
            tested = subprocess.run([ipset, "test", "bartizan4", address], capture_output=True)
            assert (tested.returncode == 0) == is_in, address
        assert (
            subprocess.run([ipset, "test", "bartizan6", "2001:db8:1:2::9"], capture_output=True).returncode
            == 0
        )
        (tmp_path / "blocked.ipset.etag").unlink()


def test_haproxy_refuses_by_its_map_and_takes_up_what_changed(bartizan: Bartizan, tmp_path: Path) -> None:
    file, port = tmp_path / "bartizan.map", free_port()
    fetch(bartizan, "format=haproxy", file, "true")
    with application() as behind:
        text = configuration(
            "HAProxy",
            {
                "bind :80": f"bind {PROXY}:{port}",
                "/etc/haproxy/bartizan.map": str(file),
                "127.0.0.1:9000": f"127.0.0.1:{behind.port}",
            },
        )
        socket_path = tmp_path / "admin.sock"
        times = f"global\n    stats socket {socket_path} level admin\n"
        times += "defaults\n    timeout connect 5s\n    timeout client 10s\n    timeout server 10s\n"
        (tmp_path / "haproxy.cfg").write_text(f"{times}{text}")
        with running([program("haproxy"), "-W", "-f", str(tmp_path / "haproxy.cfg")], tmp_path) as process:
            until(lambda: is_open(port) or process.poll() is not None)
            for client, status in ((ATTACKER, 403), ("203.0.113.199", 403), (ALLOWED, 200), (NEIGHBOUR, 200)):
                spoof = {"X-Forwarded-For": NEIGHBOUR if status == 403 else ATTACKER}
                assert request(port, client).status == status, client
                assert request(port, client, headers=spoof).status == status, client
            # Reloading is what systemctl does: the master process starts a new worker.
            block_id = bartizan.block(NEIGHBOUR)
            fetch(bartizan, "format=haproxy", file, "kill", f"-{signal.SIGUSR2.value}", str(process.pid))
            until(lambda: request(port, NEIGHBOUR).status == 403)
            bartizan.lift(block_id)
            fetch(bartizan, "format=haproxy", file, "kill", f"-{signal.SIGUSR2.value}", str(process.pid))
            until(lambda: request(port, NEIGHBOUR).status == 200)
            # The same without a reload.
            block_id = bartizan.block(NEIGHBOUR)
            fetch(bartizan, "format=haproxy", file, "true")
            version = tell(socket_path, f"prepare map {file}").rpartition(" ")[2].strip()
            assert request(port, NEIGHBOUR).status == 200
            lines = [line for line in file.read_text().splitlines() if line]
            tell(socket_path, f"add map @{version} {file} <<\n" + "\n".join(lines) + "\n")
            tell(socket_path, f"commit map @{version} {file}")
            assert request(port, NEIGHBOUR).status == request(port, ATTACKER).status == 403
            bartizan.lift(block_id)


def tell(path: Path, command: str) -> str:
    """What HAProxy's runtime API answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(command.encode() + b"\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert "nknown" not in answer and "error" not in answer.lower(), answer
    return answer


def test_nginx_refuses_by_its_geo_block(bartizan: Bartizan, tmp_path: Path) -> None:
    file, port = tmp_path / "bartizan.geo", free_port()
    fetch(bartizan, "format=nginx", file, "true")
    with application() as behind:
        command = nginx(
            tmp_path,
            Ports(port, bartizan.service.port, behind.port),
            "nginx geo",
            **{"/etc/nginx/bartizan.geo": str(file)},
        )
        with running(command, tmp_path) as process:
            until(lambda: is_open(port) or process.poll() is not None)
            for client, status in ((ATTACKER, 403), ("203.0.113.199", 403), (ALLOWED, 200), (NEIGHBOUR, 200)):
                assert request(port, client, headers={"X-Forwarded-For": NEIGHBOUR}).status == status, client
            block_id = bartizan.block(NEIGHBOUR)
            fetch(bartizan, "format=nginx", file, "kill", f"-{signal.SIGHUP.value}", str(process.pid))
            until(lambda: request(port, NEIGHBOUR).status == 403)
            bartizan.lift(block_id)


def test_the_script_fetches_only_what_has_changed_and_keeps_the_file_where_it_fails(
    bartizan: Bartizan, tmp_path: Path
) -> None:
    file, runs = tmp_path / "blocked.txt", tmp_path / "runs"
    note = ["sh", "-c", f"echo run >> {runs}"]
    for expected in (1, 1):
        fetch(bartizan, "format=txt", file, *note)
        assert len(runs.read_text().split()) == expected
    assert ATTACKER in file.read_text().split()
    # A command that fails is run again next time, although nothing has changed.
    block_id = bartizan.block("203.0.113.13")
    fetch(bartizan, "format=txt", file, "false", fails=True)
    fetch(bartizan, "format=txt", file, *note)
    assert len(runs.read_text().split()) == 2
    # An empty list is a list.
    fetch(bartizan, "format=txt&types=throttle&family=6", tmp_path / "none.txt", *note)
    assert (tmp_path / "none.txt").read_text() == ""
    assert len(runs.read_text().split()) == 3
    before = file.read_text()
    bartizan.service.kill()
    try:
        fetch(bartizan, "format=txt", file, *note, fails=True)
        assert file.read_text() == before
    finally:
        bartizan.service.start_again()
    bartizan.lift(block_id)
