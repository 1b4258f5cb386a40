"""How soon a new process answers for a million decisions: with a copy on disk, and from Redis alone.

Beside it, in the same run, an application of FastAPI and uvicorn with one empty route. All is compiled to bytecode
before, as an installed package is.
"""

import asyncio
import compileall
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
from redis import Redis

from actions.blocks.decision import Decision
from actions.blocks.keys import blocks_key
from app.embedded_redis import embedded
from app.lookup.snapshot import FILE
from benchmarks.service import TOKENS, Connection, Service, free_port, head_of, running_service

DECISIONS = 1_000_000
AT_A_TIME = 10_000
ASKED = "198.18.0.0"
LONGEST_S = 120.0
EMPTY = """
import fastapi, uvicorn
app = fastapi.FastAPI()
app.get("/")(lambda: {{}})
uvicorn.run(app, port={port}, log_level="error")
"""


def decisions(count: int) -> Iterator[Decision]:
    """One for each address from 198.18.0.0 on, for an hour, with a hundred different reasons."""
    now = int(time.time() * 1000)
    for number in range(count):
        value = f"{198 + (number >> 24)}.{18 + (number >> 16) % 200}.{number >> 8 & 255}.{number & 255}"
        yield Decision(
            secrets.token_hex(8),
            value,
            now + 3_600_000,
            reason=f"attack {number % 100}",
            rule="auth_failures",
            created_at=now,
        )


def fill(url: str, count: int) -> None:
    """Put so many decisions where every process reads them from."""
    encode = msgspec.json.Encoder().encode
    with Redis.from_url(url) as redis:
        rows: dict[str, bytes] = {}
        for decision in decisions(count):
            rows[decision.key] = encode(decision)
            if len(rows) == AT_A_TIME:
                redis.hset(blocks_key("active"), mapping=rows)  # type: ignore[arg-type]
                rows = {}
        if rows:
            redis.hset(blocks_key("active"), mapping=rows)  # type: ignore[arg-type]


async def _is_blocked(port: int) -> bool:
    connection = await Connection.open(port)
    try:
        status, body = await connection.request(head_of("GET", f"/v1/lookup/{ASKED}", TOKENS["lookup"]))
    finally:
        connection.close()
    return status == 200 and b'"blocked":true' in body


def wait_until_blocked(service: Service, begun: float) -> float:
    """Seconds from `begun` until the first lookup is answered rightly."""
    while time.perf_counter() - begun < LONGEST_S:
        try:
            if asyncio.run(_is_blocked(service.port)):
                return time.perf_counter() - begun
        except OSError:
            pass
        time.sleep(0.01)
    raise SystemExit("the decisions were not known within two minutes")


def started(service: Service) -> float:
    """Seconds until a killed service that is started again answers rightly."""
    service.kill()
    begun = time.perf_counter()
    service.launch_again()
    return wait_until_blocked(service, begun)


def started_empty() -> float:
    """Seconds until an application that does nothing answers."""
    port = free_port()
    begun = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", EMPTY.format(port=port)]) as process:
        try:
            while time.perf_counter() - begun < LONGEST_S:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/").close()
                    return time.perf_counter() - begun
                except OSError:
                    time.sleep(0.01)
            raise SystemExit("the empty application did not answer within two minutes")
        finally:
            process.terminate()


def measure() -> dict[str, float]:
    """All figures of this file."""
    for room in ("app", "actions", "detectors"):
        compileall.compile_dir(room, quiet=1)
    figures = {"start of an empty FastAPI application, s": min(started_empty() for _ in range(3))}
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder)) as redis:
        fill(redis.url, 1)
        with running_service(redis_url=redis.url) as service:
            figures["start until the first right lookup, 1 decision, s"] = started(service)
        fill(redis.url, DECISIONS)
        with running_service(redis_url=redis.url) as service:
            wait_until_blocked(service, time.perf_counter())
            copy = service.data_dir / FILE
            copy.unlink(missing_ok=True)
            figures["the same, 1,000,000 decisions, from Redis alone, s"] = started(service)
            service.stop()
            if not copy.exists():
                raise SystemExit("the service left no copy of its list")
            service.launch_again()
            figures["the same, with the copy on disk, s (bar 2)"] = started(service)
    return figures
