"""Load that a service must put off rather than die of: slow bodies, tiny requests, one huge batch, a burst.

Each function drives a running service and gives a `Load`: what was answered, how late, and how much memory the service
held at its peak. tests/service/test_backpressure.py runs them smaller and holds the bounds.
"""

import asyncio
import gzip
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.service import TOKENS, Connection, Service, head_of, running_service

THRESHOLD = 10
"""Of auth_failures: so often an attacker fails, a careful one once less. An event lost or counted twice shows."""
TRIES = 400
LOOK_S = 0.05
OUTAGE_S = 3.0
TINY_S = 60.0


@dataclass
class Load:
    """What became of it."""

    statuses: Counter[int] = field(default_factory=Counter)
    slowest_s: float = 0.0
    """From a body's last byte to its answer."""
    peak_mib: float = 0.0
    """Resident memory of the service."""
    stall_s: float = 0.0
    """How late this process itself woke up: what a busy machine adds to every time that it measures."""

    def add(self, status: int, seconds: float) -> None:
        """One more answer."""
        self.statuses[status] += 1
        self.slowest_s = max(self.slowest_s, seconds)


def resident_mib(pid: int) -> float:
    """Of a process, in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@asynccontextmanager
async def watched(service: Service, load: Load) -> AsyncIterator[None]:
    """Keeps the peak of the memory."""

    async def watch() -> None:
        while True:
            load.peak_mib = max(load.peak_mib, resident_mib(service.process.pid))
            begun = time.perf_counter()
            await asyncio.sleep(LOOK_S)
            load.stall_s = max(load.stall_s, time.perf_counter() - begun - LOOK_S)

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()


@asynccontextmanager
async def connections(service: Service, count: int) -> AsyncIterator[list[Connection]]:
    """So many, closed at the end."""
    opened = [await Connection.open(service.port) for _ in range(count)]
    try:
        yield opened
    finally:
        for connection in opened:
            connection.close()
        await asyncio.sleep(0)


async def post(connection: Connection, load: Load, body: bytes, path: str = "/v1/events") -> int:
    """The status of one answer."""
    head = head_of("POST", path, TOKENS["ingest"], len(body))
    begun = time.perf_counter()
    status, _ = await connection.request(head, body)
    load.add(status, time.perf_counter() - begun)
    return status


async def deliver(connection: Connection, load: Load, body: bytes) -> None:
    """Send a body until it is taken, as a shipper does. Raises: RuntimeError."""
    for _ in range(TRIES):
        if await post(connection, load, body) == 200:
            return
        await asyncio.sleep(LOOK_S)
    raise RuntimeError("never taken")


def failures(pairs: range, each: int) -> list[str]:
    """`each` failed logins of every pair's attacker and of its careful one."""
    return [
        json.dumps({"client_ip": f"{net}.{pair >> 8}.{pair & 255}", "path": "/login", "status": 401})
        for pair in pairs
        for net in ("198.51", "192.0")
        for _ in range(each)
    ]


def harmless(count: int, name: str) -> list[str]:
    """Requests of nobody in particular; `name` makes them different from others."""
    return [
        json.dumps({"client_ip": "203.0.113.7", "path": f"/{name}/{n}", "status": 200}) for n in range(count)
    ]


async def blocked(service: Service) -> set[str]:
    """What is on the blocklist."""
    async with connections(service, 1) as [connection]:
        _, body = await connection.request(head_of("GET", "/v1/blocklist?format=txt", TOKENS["lookup"]))
    return set(body.decode().split())


async def slow_bodies(service: Service, slow_ones: int, others: int) -> Load:
    """So many bodies stop in the middle; others are sent meanwhile; then the slow ones end."""
    load = Load()
    body = b"\n".join(line.encode() for line in harmless(10, "slow"))
    async with watched(service, load):
        slow = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(slow_ones)]
        for _, writer in slow:
            writer.write(head_of("POST", "/v1/events", TOKENS["ingest"], len(body)) + body[:20])
            await writer.drain()
        async with connections(service, 1) as [quick]:
            for number in range(others):
                await post(quick, load, "\n".join(harmless(10, f"quick{number}")).encode())
        for reader, writer in slow:
            writer.write(body[20:])
            begun = time.perf_counter()
            status = int((await reader.readuntil(b"\r\n\r\n"))[9:12])
            load.add(status, time.perf_counter() - begun)
            writer.close()
            await writer.wait_closed()
    return load


async def tiny_requests(service: Service, senders: int, *, requests: int = 0, seconds: float = 60) -> Load:
    """One event a request from a process of its own, as fast as so many connections can, for so long.

    `requests`: at most; 0 for as many as there is time for. Raises: RuntimeError where one was not answered.
    """
    load = Load()
    arguments = [str(each) for each in (service.port, senders, requests, seconds)]
    async with watched(service, load):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.tiny", *arguments), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
    found = json.loads(said)
    if found["unanswered"]:
        raise RuntimeError(f"{found['unanswered']} requests were not answered")
    load.statuses.update({int(status): number for status, number in found["statuses"].items()})
    load.slowest_s, load.stall_s = found["slowest_s"], max(load.stall_s, found["stall_s"])
    return load


async def huge_batch(service: Service, records: int, pairs: range) -> Load:
    """One body with the failures of all pairs spread over it, sent until it is taken; lookups go on beside it."""
    load, lookups = Load(), Load()
    lines = harmless(records, "huge")
    wrong = failures(pairs, THRESHOLD - 1)
    step = max(1, len(lines) // len(wrong))
    for number, line in enumerate(wrong):
        lines.insert(number * (step + 1), line)
    body = gzip.compress("\n".join(lines).encode(), 1)

    async def look(other: Connection) -> None:
        while True:
            begun = time.perf_counter()
            status, _ = await other.request(head_of("GET", "/v1/lookup/192.0.2.1", TOKENS["lookup"]))
            lookups.add(status, time.perf_counter() - begun)
            await asyncio.sleep(LOOK_S)

    last = "\n".join(failures(pairs, 1)[::2]).encode()
    async with watched(service, load), connections(service, 2) as [sender, other]:
        looking = asyncio.create_task(look(other))
        await deliver(sender, load, body)
        looking.cancel()
        await deliver(sender, load, last)
    if set(lookups.statuses) != {200}:
        raise RuntimeError(f"lookups were answered {lookups.statuses}")
    return load


async def burst(service: Service, senders: int, bodies_each: int, events: int) -> Load:
    """Redis stands still while so many senders have bodies to send; then it goes on, and all send at once."""
    load = Load()
    stopped = service.redis_pid

    async def send(sender: int, connection: Connection) -> None:
        for number in range(bodies_each):
            wrong = failures(range(sender, sender + 1), THRESHOLD - 1 if number == 0 else 0)
            last = failures(range(sender, sender + 1), 1)[:1] if number == bodies_each - 1 else []
            lines = wrong + harmless(events, f"burst{sender}.{number}") + last
            await deliver(connection, load, "\n".join(lines).encode())

    async with watched(service, load), connections(service, senders) as opened:
        os.kill(stopped, signal.SIGSTOP)
        try:
            sending = asyncio.gather(*(send(*numbered) for numbered in enumerate(opened)))
            await asyncio.sleep(OUTAGE_S)
        finally:
            os.kill(stopped, signal.SIGCONT)
        await sending
    return load


def measure() -> dict[str, float]:
    """All loads at full size."""
    loads: dict[str, Callable[[Service], Awaitable[Load]]] = {
        "300 slow bodies": lambda s: slow_bodies(s, 300, 100),
        f"tiny requests of 100 connections for {TINY_S:.0f} s": lambda s: tiny_requests(
            s, 100, seconds=TINY_S
        ),
        "one batch of 600,000 records": lambda s: huge_batch(s, 600_000, range(100)),
        "a burst of 2,000 bodies after an outage": lambda s: burst(s, 20, 100, 1_000),
    }
    figures = {}
    for name, run in loads.items():
        with running_service() as service:
            load = asyncio.run(_run(run(service)))
        figures |= {
            f"{name}: slowest answer, s (bar 2)": load.slowest_s,
            f"{name}: peak memory, MiB": load.peak_mib,
            f"{name}: answers 200": load.statuses[200],
            f"{name}: answers 503": load.statuses[503],
            f"{name}: other answers (bar 0)": sum(load.statuses.values())
            - load.statuses[200]
            - load.statuses[503],
        }
    return figures


async def _run(load: Awaitable[Load]) -> Load:
    return await load
