"""How long a block waits behind 10,000 findings about made-up API keys, each a subject of its own."""

import asyncio
import json
import random
import time

from redis.asyncio import Redis

from benchmarks.service import TOKENS, Connection, Service, head_of, running_service

KEYS = 10_000
PER_BODY = 100
FINDINGS = "bartizan:{0}:findings"
ATTACKER = "203.0.113.9"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def made_up_keys() -> list[bytes]:
    """Bodies of events, each of whose paths shows another key."""
    rng = random.Random(7)
    events = [
        {
            "client_ip": "198.51.100.7",
            "path": f"/x?token=glpat-{''.join(rng.choices(ALPHABET, k=20))}",
            "status": 200,
        }
        for _ in range(KEYS)
    ]
    lines = [json.dumps(event).encode() + b"\n" for event in events]
    return [b"".join(lines[at : at + PER_BODY]) for at in range(0, KEYS, PER_BODY)]


async def block_behind(service: Service) -> dict[str, float]:
    """Posts the keys, then an attacker's failed logins, and waits for his block."""
    connection = await Connection.open(service.port)

    async def post(body: bytes) -> None:
        status, answer = await connection.request(
            head_of("POST", "/v1/events", TOKENS["ingest"], len(body)), body
        )
        assert status == 200, answer

    begun = time.perf_counter()
    for body in made_up_keys():
        await post(body)
    posted_s = time.perf_counter() - begun
    async with Redis(unix_socket_path=str(service.redis_socket)) as redis:
        waiting = await redis.xlen(FINDINGS)
        begun = time.perf_counter()
        await post(f'{{"client_ip":"{ATTACKER}","path":"/login","status":401}}\n'.encode() * 10)
        lookup = head_of("GET", f"/v1/lookup/{ATTACKER}", TOKENS["lookup"])
        while b'"blocked":true' not in (await connection.request(lookup))[1].replace(b" ", b""):
            await _a_moment(begun)
        blocked_s = time.perf_counter() - begun
        behind = await redis.xlen(FINDINGS)
        while await redis.xlen(FINDINGS):
            await _a_moment(begun)
        drained_s = time.perf_counter() - begun
        incidents = await redis.zcard("bartizan:{act}:incidents:index")
    connection.close()
    return {
        "posting 10,000 made-up keys, s": posted_s,
        "findings that waited before the attacker's": waiting,
        "attacker's events posted to blocked, behind them, s (bar 1)": blocked_s,
        "findings that still waited then": behind,
        "until all were handled, s": drained_s,
        "incidents": incidents,
    }


async def _a_moment(begun: float) -> None:
    """Waits a little. Raises: SystemExit after two minutes."""
    if time.perf_counter() - begun > 120:
        raise SystemExit("not done after 120 s")
    await asyncio.sleep(0.005)


def measure() -> dict[str, float]:
    """All figures of this file."""
    with running_service() as service:
        return asyncio.run(block_behind(service))
