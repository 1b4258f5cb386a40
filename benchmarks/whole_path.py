"""What the whole path costs with every rule on, combined lines: through HTTP, and without it.

A machine's speed varies, so each figure stands beside the pace of a fixed piece of work (`pace`) in the same run; the
best of several turns counts, because other programs on the machine only ever add.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from app.embedded_redis import EmbeddedRedis
from app.ingest.decode import decode_lines
from app.policies.policy import SECTIONS, load_policy
from app.redis import connect
from app.site import site_of
from benchmarks.ingest import post_all, told_apart
from benchmarks.service import TOKENS, Connection, Service, cpu_s, head_of, running_service
from benchmarks.traffic import bodies
from detectors.defaults import DEFAULTS
from detectors.engine import Engine
from detectors.event import Batch, Event
from detectors.timestamps import wall_clock_ms
from detectors.windows import Windows

LINES = 200_000
"""In one turn."""
TURNS = 5
DIFFERENT = 40
PATH = "/v1/raw?format=combined"
LOOKUP_EVERY_S = 0.002
BUSY_POSTS = 40
BIG_BATCH = 10_000


def every_rule() -> str:
    """A policy that names every rule there is, each with its defaults."""
    lines = []
    for section, names in SECTIONS.items():
        lines.append(f"{section}:")
        lines += [f"  {n}: {{action: [{', '.join(DEFAULTS[n].actions)}]}}" for n in DEFAULTS if n in names]
    return "\n".join(lines) + "\n"


@contextmanager
def service_with_every_rule() -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="bartizan-bench-") as folder:
        policy = Path(folder) / "policy.yaml"
        policy.write_text(every_rule())
        with running_service(policy=str(policy)) as service:
            yield service


def pace() -> float:
    """JSON events decoded in a CPU-second: work that no change of ours makes faster or slower."""
    decode = msgspec.json.Decoder(Event).decode
    records = [record for body in bodies(1, 2_000) for record in body.split(b"\n") if record]
    begun = time.process_time()
    for _ in range(100):
        for record in records:
            decode(record)
    return 100 * len(records) / (time.process_time() - begun)


class Turns:
    """One figure, measured in turns, each beside the pace of its moment; the best of both."""

    def __init__(self) -> None:
        self.best = 0.0
        self._pace = 0.0

    def add(self, lines_per_cpu_s: float) -> None:
        self.best = max(self.best, lines_per_cpu_s)
        self._pace = max(self._pace, pace())

    @property
    def share(self) -> float:
        """Of the pace, in per cent."""
        return 100 * self.best / self._pace


def through_http(service: Service, size: int) -> Turns:
    """Lines per CPU-second of the service and its Redis together, in batches of so many lines."""
    made = bodies(DIFFERENT * 1_000 // size or 1, size, combined=True)
    asyncio.run(post_all(service.port, PATH, made, 0, 10))
    turns, rounds = Turns(), LINES // size
    for turn in range(TURNS):
        before = sum(service.cpu_s())
        asyncio.run(post_all(service.port, PATH, made, 1_000 * (turn + 1), rounds))
        turns.add(rounds * size / (sum(service.cpu_s()) - before))
    return turns


async def _in_process(folder: Path, size: int) -> Turns:
    server = EmbeddedRedis(folder)
    await asyncio.to_thread(server.start)
    redis = connect(server.url)
    policy = load_policy(every_rule(), "every rule")
    engine = Engine(policy.rules, Windows(redis), fingerprint_key=b"bench", site=site_of(policy))
    redis_pid = int((await redis.info("server"))["process_id"])
    made, turns, number = bodies(DIFFERENT * 1_000 // size or 1, size, combined=True), Turns(), 0
    try:
        for turn in range(TURNS + 1):
            before = time.process_time() + cpu_s(redis_pid)
            for _ in range(LINES // size):
                number += 1
                body, now = told_apart(made[number % len(made)], number), wall_clock_ms()
                decoded = decode_lines(body, "combined", now)
                await engine.process(Batch(decoded.events, decoded.records, now, "bench", f"{number}"))
            if turn:
                turns.add(LINES // size * size / (time.process_time() + cpu_s(redis_pid) - before))
        return turns
    finally:
        await redis.aclose()
        await asyncio.to_thread(server.stop)


def in_process(size: int) -> Turns:
    """The same without HTTP and without a responder: decoding, detectors, Redis."""
    with tempfile.TemporaryDirectory(prefix="bartizan-bench-") as folder:
        return asyncio.run(_in_process(Path(folder), size))


async def lookups_meanwhile(service: Service) -> list[float]:
    """Milliseconds that lookups take while batches of 10,000 lines come in one after the other, sorted."""
    made = bodies(4, BIG_BATCH, combined=True)
    connection = await Connection.open(service.port)
    head = head_of("GET", "/v1/lookup/198.51.100.7", TOKENS["lookup"])
    posting = asyncio.create_task(post_all(service.port, PATH, made, 100_000, BUSY_POSTS))
    took = []
    while not posting.done():
        begun = time.perf_counter()
        status, _ = await connection.request(head)
        assert status == 200
        took.append(1_000 * (time.perf_counter() - begun))
        await asyncio.sleep(LOOKUP_EVERY_S)
    await posting
    connection.close()
    return sorted(took)


def measure() -> dict[str, float]:
    """All figures of this file."""
    figures: dict[str, float] = {}
    with service_with_every_rule() as service:
        for size in (1_000, BIG_BATCH):
            turns = through_http(service, size)
            name = f"whole path, every rule on, batches of {size:,}"
            figures[f"{name}: lines per CPU-second (bar 120,000)"] = turns.best
            figures["  in per cent of the pace of decoding JSON alone"] = turns.share
        took = asyncio.run(lookups_meanwhile(service))
    figures["a lookup while batches of 10,000 come in, ms, p99 (bar 25)"] = took[int(len(took) * 0.99)]
    figures["  the longest, ms"] = took[-1]
    turns = in_process(1_000)
    figures["the same without HTTP and responder: lines per CPU-second"] = turns.best
    figures["    in per cent of the pace of decoding JSON alone"] = turns.share
    return figures
