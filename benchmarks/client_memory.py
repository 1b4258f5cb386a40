"""A client with 1,000,000 addresses and 50,000 ranges: its memory, and how soon a restart is ready.

Each figure is that of a process of its own, httpx and all. Linux only (/proc).
"""

import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bartizan_client.decision import Block
from bartizan_client.snapshot import Contents, Snapshot
from bartizan_client.snapshot_format import copy_of
from bartizan_client.table import BlockTable

ADDRESSES = 1_000_000
RANGES = 50_000
URL = "http://bartizan.invalid"
FILL = "fill"
READ = "read"


def memory_mb() -> tuple[float, float]:
    """Resident now, and at most so far."""
    status = Path("/proc/self/status").read_text()
    kib = [int(status.partition(name)[2].split()[0]) for name in ("VmRSS:", "VmHWM:")]
    return kib[0] / 1000 * 1.024, kib[1] / 1000 * 1.024


def fill(path: Path) -> dict[str, float]:
    """Decide about them one after the other, and save."""
    chance = random.Random(1764)
    table = BlockTable()
    until_s = time.time() + 86_400
    begun = time.perf_counter()
    while len(table) < ADDRESSES + RANGES:
        value = socket.inet_ntop(socket.AF_INET, chance.randbytes(4))
        if len(table) >= ADDRESSES:
            value += f"/{chance.choice((20, 22, 24, 24, 24, 28))}"
        table.add(Block(f"{chance.getrandbits(64):016x}", value, "listed", None, until_s, origin="lists:x"))
    filled_s = time.perf_counter() - begun
    resident = memory_mb()[0]
    begun = time.perf_counter()
    contents = Contents("1-0", None, copy_of(table))
    copied_s = time.perf_counter() - begun
    Snapshot(path, URL, time.time).save(contents)
    saved_s = time.perf_counter() - begun - copied_s
    return {"filled_s": filled_s, "resident": resident, "copied_ms": copied_s * 1000, "saved_s": saved_s}


def read(path: Path) -> dict[str, float]:
    listing = Snapshot(path, URL, time.time).load()
    assert listing is not None
    assert len(listing.table) == ADDRESSES + RANGES
    resident, peak = memory_mb()
    return {"resident": resident, "peak": peak}


def in_a_process(what: str, path: Path) -> dict[str, float]:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.client_memory", what, str(path)]
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return figures | {"took_s": time.perf_counter() - begun}


def measure() -> dict[str, float]:
    """All figures of this file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.snapshot"
        filled = in_a_process(FILL, path)
        restarts = [in_a_process(READ, path) for _ in range(3)]
        size_mb = path.stat().st_size / 1e6
    best = min(restarts, key=lambda restart: restart["took_s"])
    return {
        "client with 1,050,000 entries: memory of the process, MB (bar 250)": filled["resident"],
        "the same after a restart from its snapshot, MB": best["resident"],
        "the same at most while it reads, MB": best["peak"],
        "restart to ready from that snapshot, Python's own start included, s (bar 2)": best["took_s"],
        "snapshot on disk, MB": size_mb,
        "copy for a snapshot, during which requests wait, ms": filled["copied_ms"],
        "snapshot written beside requests, s": filled["saved_s"],
        "1,050,000 entries added one by one, s": filled["filled_s"],
    }


if __name__ == "__main__":
    if sys.argv[1:2] in ([FILL], [READ]):
        print(json.dumps((fill if sys.argv[1] == FILL else read)(Path(sys.argv[2]))))
    else:
        for label, figure in measure().items():
            print(f"{label:<76} {figure:>10,.2f}")
