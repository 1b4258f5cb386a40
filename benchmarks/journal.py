"""What the journal costs: two services side by side, one with it and one without, in turns; and `policy try` on it."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.ingest import EVENTS, post_all
from benchmarks.service import TICKS, Service, running_service
from benchmarks.traffic import bodies

TURNS = 10
ROUNDS = 100
DIFFERENT = 60
SETTLE_S = 1.5
"""For the writer to be done before its time is read."""
STRICTER = "security_alerts: {auth_failures: {threshold: 5/minute, action: block_ip}}\n"


def loop_cpu_s(service: Service) -> float:
    """CPU seconds so far of the thread that answers requests."""
    stat = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/stat").read_text()
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def in_turns(path: str, *, combined: bool) -> dict[str, float]:
    """The CPU with a journal over that without: of the thread that answers requests, and of all with Redis."""
    made = bodies(DIFFERENT, EVENTS, combined=combined)
    with running_service(journal_hours="0") as off, running_service() as on:
        used = {False: [0.0, 0.0], True: [0.0, 0.0]}
        for service in (off, on):
            asyncio.run(post_all(service.port, path, made, 0, 20))
        for turn in range(TURNS):
            for has_journal, service in ((False, off), (True, on)):
                loop, total = loop_cpu_s(service), sum(service.cpu_s())
                asyncio.run(post_all(service.port, path, made, 20 + turn * ROUNDS, ROUNDS))
                time.sleep(SETTLE_S)
                used[has_journal][0] += loop_cpu_s(service) - loop
                used[has_journal][1] += sum(service.cpu_s()) - total
        events = (20 + TURNS * ROUNDS) * EVENTS
        size = sum(file.stat().st_size for file in (on.data_dir / "journal").iterdir())
        return {
            "loop": 100 * (used[True][0] / used[False][0] - 1),
            "total": 100 * (used[True][1] / used[False][1] - 1),
            "bytes": size / events,
            "tried": tried(on),
        }


def tried(service: Service) -> float:
    """Events per second of `policy try` under the built-in policy and a stricter one, its start included."""
    policy = service.data_dir / "stricter.yaml"
    policy.write_text(STRICTER)
    command = [sys.executable, "-m", "app.cli", "policy", "try", str(policy), "--since", "1h", "--json"]
    begun = time.perf_counter()
    done = subprocess.run(command, env=service.environment, capture_output=True, check=True)
    took = time.perf_counter() - begun
    return int(json.loads(done.stdout.splitlines()[-1])["events"]) / took


def measure() -> dict[str, float]:
    """All figures of this file."""
    figures = {}
    for name, path, combined in (
        ("NDJSON", "/v1/events", False),
        ("combined lines", "/v1/raw?format=combined", True),
        ("lines of any format", "/v1/raw?format=auto", True),
    ):
        found = in_turns(path, combined=combined)
        figures[f"journal, {name}: more CPU of the thread that answers, per cent (bar 5)"] = found["loop"]
        figures[f"  {name}: more CPU of service, writer and Redis together, per cent"] = found["total"]
        figures[f"  {name}: bytes per event on disk"] = found["bytes"]
        figures[f"  {name}: policy try, events per second under both policies"] = found["tried"]
    return figures
