"""Lookups per second of one core over HTTP, and from an event posted to an address blocked in a client's memory.

Beside them, in the same run and asked in the same way: an empty FastAPI route and an empty ASGI app on the same server,
because a machine that does something else at the time changes all of them alike, and the ratio hardly.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bartizan_client import BlocklistFollower
from benchmarks.service import (
    TOKENS,
    Connection,
    Service,
    cpu_s,
    free_port,
    head_of,
    running_service,
    wait_until_open,
)

LOOKUPS = 8_000
"""In one round."""
WARM_UP = 800
ROUNDS = 5
ATTACKS = 300


async def rate_of(port: int, pid: int, head: bytes) -> float:
    """Answers to one request per CPU-second of a process."""
    connections = [await Connection.open(port) for _ in range(4)]

    async def ask(connection: Connection, number: int) -> None:
        for _ in range(number):
            status, _ = await connection.request(head)
            assert status in (200, 204), status

    await asyncio.gather(*(ask(connection, WARM_UP // 4) for connection in connections))
    before = cpu_s(pid)
    await asyncio.gather(*(ask(connection, LOOKUPS // 4) for connection in connections))
    took = cpu_s(pid) - before
    for connection in connections:
        connection.close()
    return LOOKUPS / took


@contextmanager
def empty_server() -> Iterator[tuple[int, int]]:
    """The port and process of a server like ours on which nothing is done: benchmarks/empty_app.py."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.empty_app", str(port)])
    try:
        wait_until_open(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


def rates(service: Service) -> dict[str, float]:
    """Each figure in answers per CPU-second: the median of several rounds, taken in turn."""
    token = TOKENS["lookup"]
    ours = {
        "GET /v1/lookup": head_of("GET", "/v1/lookup/198.51.100.7", token),
        "/v1/forward-auth": head_of("GET", "/v1/forward-auth", token).replace(
            b"Host:", b"X-Forwarded-For: 198.51.100.7\r\nHost:"
        ),
    }
    found: dict[str, list[float]] = {}
    with empty_server() as (port, pid):
        for _ in range(ROUNDS):
            for name, path in (("empty FastAPI route", "/empty"), ("empty ASGI app", "/raw")):
                rate = asyncio.run(rate_of(port, pid, head_of("GET", path, token)))
                found.setdefault(name, []).append(rate)
            for name, head in ours.items():
                rate = asyncio.run(rate_of(service.port, service.process.pid, head))
                found.setdefault(name, []).append(rate)
    return {name: sorted(values)[len(values) // 2] for name, values in found.items()}


async def latencies(service: Service) -> list[float]:
    """Milliseconds from posting ten failed logins to the address being blocked in a client's memory, sorted."""
    took = []
    async with BlocklistFollower(service.url, TOKENS["lookup"]) as follower:
        connection = await Connection.open(service.port)
        for number in range(ATTACKS):
            address = f"203.0.{113 + number // 250}.{number % 250}"
            line = f'{{"client_ip":"{address}","path":"/login","status":401}}\n'.encode()
            head = head_of("POST", "/v1/events", TOKENS["ingest"], len(line) * 10)
            begun = time.perf_counter()
            status, _ = await connection.request(head, line * 10)
            assert status == 200
            while not follower.is_blocked(address):
                if time.perf_counter() - begun > 10:
                    raise SystemExit(f"{address} was not blocked within 10 s")
                await asyncio.sleep(0.0005)
            took.append((time.perf_counter() - begun) * 1000)
        connection.close()
    return sorted(took)


def measure() -> dict[str, float]:
    """All figures of this file."""
    with running_service(trusted_proxies="127.0.0.1") as service:
        rate = rates(service)
        took = asyncio.run(latencies(service))
    figures = {f"{name} per CPU-second": value for name, value in rate.items()}
    for name in ("GET /v1/lookup", "/v1/forward-auth"):
        for empty in ("empty FastAPI route", "empty ASGI app"):
            figures[f"{name}, % of the rate of an {empty}"] = 100 * rate[name] / rate[empty]
    return {
        **figures,
        "event posted to blocked in a client's memory, ms, median": took[len(took) // 2],
        "event posted to blocked in a client's memory, ms, p99 (bar 250)": took[int(len(took) * 0.99)],
    }
