"""Name servers for the tests: a real one with made-up records, and one that never answers."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from actions.blocks.reverse_dns import Confirmed, DnsAnswer, ReverseDns

GOOGLEBOT = "203.0.113.9"
GOOGLEBOT_V6 = ("2001:db8:4801:10::1", "2001:db8:4801:10::2")
BINGBOT = "203.0.113.20"
RECORDS = (
    ("host", "crawl-203-0-113-9.googlebot.com", GOOGLEBOT),
    ("host", "crawl-1.geo.googlebot.com", GOOGLEBOT_V6[0]),
    ("host", "crawl-2.geo.googlebot.com", GOOGLEBOT_V6[1]),
    ("host", "msnbot-203-0-113-20.search.msn.com", BINGBOT),
    ("host", "rate-limited-proxy-203-0-113-21.google.com", "203.0.113.21"),
)
IMPOSTORS = {
    "no name at all": "198.51.100.1",
    "its provider's name": "198.51.100.2",
    "a lookalike domain": "198.51.100.3",
    "the domain as a label of another": "198.51.100.4",
    "a machine anybody can rent": "198.51.100.5",
    "a proxy that fetches for anybody": "198.51.100.6",
    "a name that belongs to another address": "198.51.100.7",
    "a name under the domain that does not exist": "198.51.100.8",
    "the bare domain": "198.51.100.10",
    "many names, each a lie": "198.51.100.11",
    "another operator's machine": BINGBOT,
}
"""Addresses that claim to be Googlebot. All but the last have records of their own choice."""
LIES = (
    ("host", "c2.provider.example", "198.51.100.2"),
    ("host", "crawl.evilgooglebot.com", "198.51.100.3"),
    ("host", "crawl.googlebot.com.evil.example", "198.51.100.4"),
    ("host", "5.100.51.198.bc.googleusercontent.com", "198.51.100.5"),
    ("host", "google-proxy-198-51-100-6.google.com", "198.51.100.6"),
    ("ptr", "crawl-203-0-113-9.googlebot.com", "198.51.100.7"),
    ("ptr", "crawl-198-51-100-8.googlebot.com", "198.51.100.8"),
    ("host", "googlebot.com", "198.51.100.10"),
    *(("ptr", f"crawl-{number}.googlebot.com", "198.51.100.11") for number in range(30)),
)


def free_port() -> int:
    """A port that is free for UDP and for TCP: a name server takes both."""
    for _ in range(100):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connections,
        ):
            datagrams.bind(("127.0.0.1", 0))
            port = int(datagrams.getsockname()[1])
            try:
                connections.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free for both")


@contextmanager
def dnsmasq(binary: str) -> Iterator[str]:
    """Runs it with these records and no others; answers `127.0.0.1:PORT`."""
    folder = tempfile.mkdtemp(prefix="bz-dns-")
    records = []
    for kind, name, address in (*RECORDS, *LIES):
        if kind == "host":
            records.append(f"host-record={name},{address}")
        else:
            records.append(f"ptr-record={'.'.join(reversed(address.split('.')))}.in-addr.arpa,{name}")
    lines = [
        "listen-address=127.0.0.1",
        "bind-interfaces",
        "no-resolv",
        "no-hosts",
        "local=/#/",
    ]
    if os.getuid() == 0:
        lines += ["user=root", "group=root"]
    config = Path(folder) / "dnsmasq.conf"
    config.write_text("\n".join([*lines, *records]) + "\n")
    process, port = _started(binary, config)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _started(binary: str, config: Path) -> tuple["subprocess.Popen[bytes]", int]:
    """A name server that answers, and its port. Another process may take a free port first: then another is tried."""
    for _ in range(5):
        port = free_port()
        options = ["--keep-in-foreground", f"--conf-file={config}", f"--port={port}", "--pid-file="]
        process = subprocess.Popen([binary, *options])
        for _ in range(200):
            if process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return process, port
        process.terminate()
        process.wait(10)
    raise RuntimeError(f"dnsmasq ended with {process.returncode}")


class _Silence(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard = 0
        self.first = asyncio.Event()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard += 1
        self.first.set()


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[str, _Silence]]:
    """A name server that hears every question and answers none."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Silence, local_addr=("127.0.0.1", 0))
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}", protocol
    finally:
        transport.close()


class Asked(ReverseDns):
    """Remembers whom it was asked about."""

    def __init__(self, server: str, budget_s: float = 5.0) -> None:
        super().__init__((server,), budget_s=budget_s)
        self.about: list[str] = []

    async def confirm(self, address: str, is_wanted: object) -> DnsAnswer:
        self.about.append(address)
        return await super().confirm(address, is_wanted)  # type: ignore[arg-type]


class Gated(ReverseDns):
    """A name server that answers nothing before the gate opens, and then that it does not know."""

    def __init__(self) -> None:
        super().__init__((f"127.0.0.1:{free_port()}",))
        self.gate = asyncio.Event()
        self.about: list[str] = []

    async def confirm(self, address: str, is_wanted: object) -> DnsAnswer:
        self.about.append(address)
        await self.gate.wait()
        return DnsAnswer(Confirmed.UNANSWERED)
