"""Lookups per second of one core over HTTP, and from an event posted to an address blocked in a client's memory."""

import asyncio
import time

from bartizan_client import BlocklistFollower
from benchmarks.service import TOKENS, Connection, Service, head_of, running_service

LOOKUPS = 20_000
ATTACKS = 300


async def lookups(service: Service) -> float:
    """GET /v1/lookup answers per CPU-second of the service."""
    connections = [await Connection.open(service.port) for _ in range(4)]
    head = head_of("GET", "/v1/lookup/198.51.100.7", TOKENS["lookup"])

    async def ask(connection: Connection) -> None:
        for _ in range(LOOKUPS // len(connections)):
            status, _ = await connection.request(head)
            assert status == 200

    before = service.cpu_s()[0]
    await asyncio.gather(*map(ask, connections))
    return LOOKUPS / (service.cpu_s()[0] - before)


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
    with running_service() as service:
        rate = asyncio.run(lookups(service))
        took = asyncio.run(latencies(service))
    return {
        "GET /v1/lookup per CPU-second (bar 5,000)": rate,
        "event posted to blocked in a client's memory, ms, median": took[len(took) // 2],
        "event posted to blocked in a client's memory, ms, p99 (bar 250)": took[int(len(took) * 0.99)],
    }
