"""Real bouncers, as their users run them, against a real `bartizan serve`.

What is not installed skips with a clear word, and fails in CI; `make bouncers` gets what can be had.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from benchmarks.service import TOKENS, Service, free_port
from tests.needed import ROOT, missing

INSTALLED = ROOT / ".bouncers"
"""What install.sh has made."""
SAID_S = 2.0
"""How soon an attacker is shut out, by the product's own word. A busy machine is given PATIENCE_S, and the best of
several must keep the word."""
PATIENCE_S = 30.0


def program(name: str) -> str:
    """Where a program of Debian's is."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        missing(f"{name} (make bouncers)")
    return str(found)


def python_of_bouncers() -> str:
    """The Python that has pycrowdsec."""
    python = INSTALLED / "python" / "bin" / "python"
    if not python.exists():
        missing("pycrowdsec (make bouncers)")
    return str(python)


def eventually(holds: Callable[[], Any], seconds: float = PATIENCE_S) -> float | None:
    """Seconds until it held; None where it did not."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if holds():
            return time.monotonic() - started
        time.sleep(0.05)
    return None


@contextmanager
def running(command: Sequence[str], folder: Path, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A program, ended with the test. What it prints is in NAME.log of its folder."""
    with (folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


@dataclass
class Api:
    """The service, as its administrator uses it."""

    service: Service

    def call(self, method: str, path: str, body: Any = None, role: str = "admin") -> Any:
        headers = {"X-Api-Key": TOKENS[role]}
        url = f"{self.service.url}{path}"
        answer = httpx.request(method, url, json=body, headers=headers, timeout=30)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def attack(self, address: str) -> None:
        """Ten failed logins at once."""
        events = [{"client_ip": address, "status": 401, "path": "/login", "method": "POST"}] * 10
        assert self.call("POST", "/v1/events", events, role="ingest")["accepted"] == 10

    def block(self, value: str, duration: str = "1h", **more: Any) -> str:
        """The id of a person's block."""
        body = {"value": value, "duration": duration, "reason": "a test", **more}
        return str(self.call("POST", "/v1/admin/blocks", body)["id"])

    def lift(self, value: str) -> None:
        blocks = self.call("GET", f"/v1/admin/blocks?status=active&contains={value.partition('/')[0]}")
        for block in blocks["items"]:
            self.call("DELETE", f"/v1/admin/blocks/{block['id']}")


FIREWALL = """\
mode: nftables
pid_dir: {folder}/
update_frequency: 1s
daemonize: true
log_mode: stdout
log_level: info
api_url: http://127.0.0.1:{port}/
api_key: {key}
disable_ipv6: false
deny_action: DROP
deny_log: false
supported_decisions_types: [ban]
blacklists_ipv4: crowdsec-blacklists
blacklists_ipv6: crowdsec6-blacklists
nftables:
  ipv4: {{enabled: true, set-only: false, table: crowdsec, chain: crowdsec-chain}}
  ipv6: {{enabled: true, set-only: false, table: crowdsec6, chain: crowdsec6-chain}}
prometheus: {{enabled: false, listen_addr: 127.0.0.1, listen_port: 60601}}
"""
"""`daemonize: true` stays in the foreground and removes its tables at the end."""


@dataclass
class Firewall:
    """A network namespace of its own, in which crowdsec-firewall-bouncer keeps its sets."""

    process: "subprocess.Popen[bytes]"
    nft: str
    folder: Path

    def inside(self, *command: str) -> bytes:
        """What a command says there."""
        enter = ["nsenter", "-t", str(self.process.pid), "-n", *command]
        return subprocess.run(enter, capture_output=True, check=True, timeout=30).stdout

    def held(self) -> dict[str, int]:
        """Every address in its sets, and the seconds that it still stays."""
        found: dict[str, int] = {}
        for family, table, name in (
            ("ip", "crowdsec", "crowdsec-blacklists"),
            ("ip6", "crowdsec6", "crowdsec6-blacklists"),
        ):
            listed = msgspec.json.decode(self.inside(self.nft, "-j", "list", "set", family, table, name))
            [one] = [item["set"] for item in listed["nftables"] if "set" in item]
            for element in one.get("elem", []):
                found[element["elem"]["val"]] = element["elem"].get("expires", 0)
        return found

    def is_ready(self) -> bool:
        try:
            self.held()
        except subprocess.SubprocessError:
            return False
        return True


@contextmanager
def firewall(service: Service, folder: Path) -> Iterator[Firewall]:
    """crowdsec-firewall-bouncer at work."""
    bouncer, nft, unshare = program("crowdsec-firewall-bouncer"), program("nft"), program("unshare")
    program("ip"), program("nsenter")
    if os.geteuid() != 0:
        missing("root, for a network namespace,")
    socket, port = folder / "out.sock", free_port()
    text = FIREWALL.format(folder=folder, port=port, key=TOKENS["lookup"])
    (folder / "firewall.yaml").write_text(text)
    relay = Path(__file__).with_name("relay.py")
    start = (
        f"ip link set lo up && {sys.executable} {relay} tcp:{port} unix:{socket} & "
        f"for _ in $(seq 100); do ip link show lo | grep -q LOWER_UP && break; sleep 0.05; done; sleep 1; "
        f"exec {bouncer} -c {folder}/firewall.yaml"
    )
    with ExitStack() as stack:
        outside = [sys.executable, str(relay), f"unix:{socket}", f"tcp:{service.port}"]
        stack.enter_context(running(outside, folder, "outside"))
        process = stack.enter_context(running([unshare, "-n", "sh", "-c", start], folder, "firewall"))
        made = Firewall(process, nft, folder)
        assert eventually(made.is_ready) is not None, (folder / "firewall.log").read_text()
        yield made
