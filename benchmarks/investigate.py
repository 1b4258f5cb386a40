"""What one investigation costs: a journal of ordinary traffic with an attacker in it, read for one and for many."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from actions.investigations.investigation import Subject
from app.event_history import Budget, JournalHistory
from app.ingest.decode import decode_events
from app.journal.journal import JournalWriter
from app.journal.masking import pack
from app.main import SWITCH_S
from benchmarks.ingest import EVENTS
from benchmarks.traffic import bodies
from detectors.addresses import Networks
from detectors.defaults import DEFAULTS
from detectors.engine import Engine, Site
from detectors.event import Batch
from detectors.redact import SecretFinder
from detectors.windows import Windows

DIFFERENT = 60
SIZE_MB = 100
CONTROL_S = 10.0
HOUR_MS = 3_600_000
NOW = 500_000 * HOUR_MS
UNBOUND = Budget(cpu_s=1e6, wall_s=1e6, read_bytes=10**12)
ATTACKER = Subject("ip", "203.0.113.3")


def filled(folder: Path, engine: Engine) -> int:
    """Writes a journal of SIZE_MB over some hours; how many events stand in it."""
    clock = [NOW - 6 * HOUR_MS]
    writer = JournalWriter(folder, 0, lambda: clock[0], keep_ms=24 * HOUR_MS, most_bytes=2**32)
    secrets = SecretFinder(engine.scanner.twin(), b"k" * 32)
    decoded = [decode_events(body, NOW) for body in bodies(DIFFERENT, EVENTS, combined=False)]
    hits = [engine.scanner.scan(one.records) for one in decoded]
    events = size = 0
    while size < SIZE_MB * 2**20:
        for one, found in zip(decoded, hits, strict=True):
            batch = Batch(one.events, one.records, clock[0], "bench", None, one.read_as)
            writer.add(pack(batch, found), secrets, 1)
            events += len(one.events)
            clock[0] += 500
        writer.flush()
        size = sum(path.stat().st_size for path in folder.iterdir())
    writer.close()
    return events


async def delays(work: asyncio.Task[Any]) -> list[float]:
    """How late the event loop was, in ms, while the work went on."""
    late = []
    while not work.done():
        begun = time.perf_counter()
        await asyncio.sleep(0.002)
        late.append((time.perf_counter() - begun) * 1000 - 2)
    return late


async def undisturbed() -> list[float]:
    """How late the event loop is where nothing is read: what the machine's other work does to it."""
    return await delays(asyncio.create_task(asyncio.sleep(CONTROL_S)))


async def measured(history: JournalHistory, subjects: list[Subject]) -> dict[str, float]:
    """CPU and time of one pass, and what it did to the event loop."""
    used = [0.0]
    real = history._read

    def read(*arguments: object) -> object:
        begun = time.thread_time()
        found = real(*arguments)  # type: ignore[arg-type]
        used[0] = time.thread_time() - begun
        return found

    history._read = read  # type: ignore[method-assign,assignment]
    begun = time.perf_counter()
    work = asyncio.create_task(history.about(subjects, NOW - 24 * HOUR_MS, NOW + HOUR_MS))
    late = sorted(await delays(work))
    history._read = real  # type: ignore[method-assign]
    summaries = work.result()
    return {
        "CPU seconds": used[0],
        "seconds": time.perf_counter() - begun,
        "events of the first": summaries[0].events,
        "event loop late, ms, p99": late[int(len(late) * 0.99)],
        "event loop late, ms, worst": late[-1],
    }


def measure() -> dict[str, float]:
    """All figures of this file."""
    figures: dict[str, float] = {}
    sys.setswitchinterval(SWITCH_S)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = Engine(DEFAULTS.values(), Windows(Redis()), fingerprint_key=b"k" * 32)
        events = filled(folder, engine)
        figures[f"investigate: events in {SIZE_MB} MB of journal"] = events
        history = JournalHistory(folder, Networks(), UNBOUND)
        history.take_engine(engine, Site())
        late = sorted(asyncio.run(undisturbed()))
        figures["  nobody: event loop late, ms, p99"] = late[int(len(late) * 0.99)]
        figures["  nobody: event loop late, ms, worst"] = late[-1]
        for label, subjects in (
            ("a stranger", [Subject("ip", "192.0.2.200")]),
            ("an attacker", [ATTACKER]),
            ("100 at once", [Subject("ip", f"203.0.113.{n}") for n in range(100)]),
            ("a name that must be decoded", [Subject("user", "\u5f20")]),
        ):
            for what, figure in asyncio.run(measured(history, subjects)).items():
                figures[f"  {label}: {what}"] = figure
    return figures
