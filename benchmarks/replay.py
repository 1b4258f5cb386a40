"""A million lines through `bartizan replay`: lines per second and peak memory of the command."""

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.traffic import as_combined, requests

LINES = 1_000_000
PART = 10_000


def write_log(path: Path) -> None:
    """A million combined lines over about seventeen minutes."""
    start = datetime.now(UTC) - timedelta(days=1)
    with path.open("wb") as file:
        for part in range(LINES // PART):
            file.write(as_combined(requests(PART, part, start + timedelta(milliseconds=part * PART))))


def measure() -> dict[str, float]:
    """All figures of this file. Memory is that of the command, as the system accounts for it."""
    with tempfile.TemporaryDirectory(prefix="bartizan-bench-") as folder:
        log = Path(folder) / "access.log"
        write_log(log)
        begun = time.perf_counter()
        with (Path(folder) / "out").open("wb") as out:
            command = [sys.executable, "-m", "app.cli", "replay", str(log), "--format", "combined", "--json"]
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, process.returncode
        findings = (Path(folder) / "out").read_bytes().count(b"\n")
    return {
        "replay of 1,000,000 lines, lines per second (bar 100,000)": LINES / took,
        "  peak memory of the command, MiB (bar 200)": usage.ru_maxrss / 1024,
        "  findings": findings,
    }
