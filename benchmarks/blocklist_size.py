"""A million addresses and 50,000 ranges in one process: memory, lookups, and how soon a new process has them."""

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from actions.blocks.decision import Decision
from app.lookup.packed import PackedList
from app.lookup.snapshot import SnapshotFile
from app.lookup.table import Table

ADDRESSES, RANGES = 1_000_000, 50_000
LOOKUPS = 100_000
NOW = 1_795_000_000_000
HOUR = 3_600_000


def memory_mib() -> float:
    """The resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def v4(chance: random.Random) -> str:
    """Any address."""
    return socket.inet_ntop(socket.AF_INET, chance.randbytes(4))


def values(chance: random.Random) -> list[str]:
    """So many addresses and ranges, no two the same."""
    found: set[str] = set()
    while len(found) < ADDRESSES:
        found.add(v4(chance))
    ranges: set[str] = set()
    while len(ranges) < RANGES:
        prefix = chance.choice((28, 26, 24, 24, 24, 22, 20))
        ranges.add(f"{v4(chance)}/{prefix}")
    return [*found, *ranges]


def build(chance: random.Random) -> Table:
    """Decisions of our own, each with an id and an end of its own, and a thousand different reasons."""
    table = Table()
    for number, value in enumerate(values(chance)):
        until = NOW + HOUR + number
        reason = f"attack {number % 1000}"
        table.add(Decision(f"{chance.getrandbits(64):016x}", value, until, reason=reason, created_at=NOW))
    return table


def lookup_ns(table: Table, addresses: list[str]) -> float:
    """Nanoseconds per lookup, the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter_ns()
        for address in addresses:
            table.lookup(address, NOW)
        best = min(best, (time.perf_counter_ns() - begun) / len(addresses))
    return best


def child(what: str, folder: Path) -> None:
    """One figure after another, as JSON; in a process of its own, so that memory is only its."""
    chance, figures = random.Random(7), {}
    before = memory_mib()
    if what == "load":
        begun = time.perf_counter()
        found = SnapshotFile(folder).load()
        assert found is not None
        figures["load_s"], table = time.perf_counter() - begun, found[1]
    elif what == "list":
        table, numbers = Table(), values(chance)
        before = memory_mib()
        table.put_list("big", PackedList.of("big", numbers, reason="on a list", fetched_at=NOW))
    else:
        table = build(chance)
        SnapshotFile(folder).save("1-0", table.packed())
    figures["mib"] = memory_mib() - before
    others = random.Random(9)
    figures["any_ns"] = lookup_ns(table, [v4(others) for _ in range(LOOKUPS)])
    print(json.dumps(figures))


def measure() -> dict[str, float]:
    """All figures of this file."""
    small = Table()
    small.add(Decision("0" * 16, "203.0.113.9", None))
    chance = random.Random(8)
    figures = {
        "lookup of any address in a table of 1, ns": lookup_ns(small, [v4(chance) for _ in range(LOOKUPS)])
    }
    with tempfile.TemporaryDirectory() as folder:
        for what, told in (
            ("build", "1,050,000 decisions of our own"),
            ("load", "the same, from the copy on disk"),
            ("list", "1,050,000 entries of an external list"),
        ):
            command = [sys.executable, "-m", "benchmarks.blocklist_size", what, folder]
            found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            if what != "build":
                figures[f"{told}: MiB (bar 250)"] = found["mib"]
            figures[f"{told}: lookup of any address, ns"] = found["any_ns"]
            if "load_s" in found:
                figures[f"{told}: seconds (bar 2)"] = found["load_s"]
    return figures


if __name__ == "__main__":
    child(sys.argv[1], Path(sys.argv[2]))
