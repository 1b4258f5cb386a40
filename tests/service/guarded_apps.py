"""The examples of the documentation as server processes, and who sends requests to them."""

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.needed import ROOT, missing

EXAMPLES = ROOT / "docs" / "examples"
GUNICORN = ("-m", "gunicorn", "--preload", "--workers", "2", "--threads", "4", "--no-control-socket")
COMMANDS = {
    "fastapi": ("-m", "uvicorn", "fastapi_app:app", "--no-proxy-headers"),
    "flask": (*GUNICORN, "flask_app:app"),
    "django": (*GUNICORN, "django_app:application"),
    "django_asgi": ("-m", "uvicorn", "django_app:asgi", "--no-proxy-headers", "--lifespan", "off"),
}
"""How each is started, as its own docstring says."""
NEEDS = {
    "fastapi": ("fastapi",),
    "flask": ("flask", "gunicorn"),
    "django": ("django", "gunicorn"),
    "django_asgi": ("django",),
}


def skip_without(name: str) -> None:
    """Skip on a laptop where a package is missing, fail in CI."""
    lacking = [package for package in NEEDS[name] if importlib.util.find_spec(package) is None]
    if lacking:
        missing(" and ".join(lacking))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(name: str, folder: Path, **environment: str) -> Iterator[str]:
    """One of the applications; its URL. It ends by SIGTERM, as in service."""
    port = free_port()
    bind = ("--bind", f"127.0.0.1:{port}") if "gunicorn" in COMMANDS[name] else ("--port", str(port))
    paths = f"{EXAMPLES}{os.pathsep}{ROOT / 'client'}"
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *COMMANDS[name], *bind],
            cwd=folder,
            env=os.environ
            | {"XDG_STATE_HOME": str(folder), "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
            | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_open(port, process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{name} did not end: {log.read_text()}") from None
    assert "Traceback" not in log.read_text(), log.read_text()


def wait_until_open(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@dataclass
class Load:
    """Requests from many addresses, one after the other by several senders, until it is told to end."""

    url: str
    benign: list[str]
    attackers: set[str] = field(default_factory=set)
    """Those that must be refused from now on."""
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(benign or attacker, status) so often."""
    wrong: list[str] = field(default_factory=list)
    is_over: bool = False

    async def send(self, http: httpx.AsyncClient, address: str, path: str = "/") -> int:
        """The status of one request from this address."""
        return (await http.get(self.url + path, headers={"x-forwarded-for": address})).status_code

    async def run(self, pause_s: float = 0.002) -> None:
        number = 0
        async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
            while not self.is_over:
                number += 1
                attackers = sorted(self.attackers)
                is_attacker = bool(attackers) and number % 3 == 0
                pool = attackers if is_attacker else self.benign
                address = pool[number % len(pool)]
                try:
                    status = await self.send(http, address)
                except httpx.HTTPError as error:
                    self.wrong.append(f"{address}: {error!r}")
                    continue
                self.seen["attacker" if is_attacker else "benign", status] += 1
                if status != (403 if is_attacker else 200):
                    self.wrong.append(f"{address}: {status}")
                await asyncio.sleep(pause_s)
