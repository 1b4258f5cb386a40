"""The real systemd-journal-upload against the real service, which is killed while the journal is being sent."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.service import TOKENS, Service, running_service
from tests.needed import missing
from tests.senders.sending import INSTALLED

ATTACKERS = [f"203.0.113.{n}" for n in range(1, 21)]
CAREFUL = [f"198.51.100.{n}" for n in range(1, 21)]
NOISE = 20_000
"""Entries in between, so that the service can be killed in the middle of one request."""
RESTARTS = 50
BOOT = "ab" * 16


def program(name: str) -> str:
    places = [str(INSTALLED / "bin"), os.environ.get("PATH", ""), "/lib/systemd", "/usr/lib/systemd"]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        missing(f"{name} (make senders)")
    return str(found)


def lines() -> Iterator[str]:
    """Ten failures of each attacker, nine of each careful one, and a lot of nothing between them."""
    failures = [(address, n) for n in range(10) for address in ATTACKERS]
    failures += [(address, n) for n in range(9) for address in CAREFUL]
    for place, (address, n) in enumerate(sorted(failures, key=lambda each: (each[1], each[0]))):
        yield f"Failed password for invalid user of-{address} from {address} port {4000 + n} ssh2"
        for number in range(NOISE // len(failures)):
            yield f"Connection closed by 192.0.2.1 port {place}{number:03} [preauth]"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal file with those lines, of the last half minute."""
    begun_us = time.time_ns() // 1000 - 30_000_000
    export = "".join(
        f"__REALTIME_TIMESTAMP={begun_us + n * 1000}\n__MONOTONIC_TIMESTAMP={n + 1}\n_BOOT_ID={BOOT}\n"
        f"SYSLOG_IDENTIFIER=sshd\n_UID=0\n_HOSTNAME=web-1\nMESSAGE={line}\n\n"
        for n, line in enumerate(lines())
    )
    file = tmp_path / "web-1.journal"
    made = subprocess.run(
        [program("systemd-journal-remote"), "-o", str(file), "-"], input=export.encode(), capture_output=True
    )
    assert made.returncode == 0, made.stderr
    return file


def start_upload(service: Service, file: Path) -> subprocess.Popen[bytes]:
    """As its unit runs it, but of one file, and to its end."""
    return subprocess.Popen(
        [
            program("systemd-journal-upload"),
            f"--url={service.url}/k/{TOKENS['ingest']}",
            f"--file={file}",
            f"--save-state={file.with_suffix('.state')}",
            "--follow=no",
        ],
        stderr=subprocess.PIPE,
    )


def ingested(service: Service) -> float:
    text = httpx.get(f"{service.url}/metrics").text
    name = 'bartizan_events_ingested_total{kind="journal_upload"} '
    return next((float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name)), 0.0)


def blocked(service: Service) -> set[str]:
    headers = {"Authorization": f"Bearer {TOKENS['lookup']}"}
    return set(httpx.get(f"{service.url}/v1/blocklist?format=txt", headers=headers).text.split())


def eventually(check: Callable[[], bool], seconds: float = 30) -> bool:
    """Another process does the work, so all that can be done is look again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.slow
def test_killed_while_the_journal_is_sent_each_failure_counts_once(journal: Path) -> None:
    with running_service() as service:
        uploads = [start_upload(service, journal)]
        assert eventually(lambda: uploads[0].poll() is not None or ingested(service) > NOISE / 4)
        assert uploads[0].poll() is None, "it was faster than the test could look"
        service.kill()
        assert uploads[0].wait(30) != 0
        service.start_again()
        for _ in range(RESTARTS):  # as systemd does
            uploads.append(start_upload(service, journal))
            if uploads[-1].wait(60) == 0:
                break
        assert uploads[-1].returncode == 0, uploads[-1].communicate()
        assert eventually(lambda: blocked(service) >= set(ATTACKERS)), set(ATTACKERS) - blocked(service)
        assert blocked(service) == set(ATTACKERS)
        # What an answered request brought is not sent again; and all of it again, from a lost state, counts nothing.
        before = ingested(service)
        journal.with_suffix(".state").unlink()
        last = start_upload(service, journal)
        assert last.wait(60) == 0
        assert ingested(service) == before
        assert blocked(service) == set(ATTACKERS)
        for upload in [*uploads, last]:
            upload.communicate()


def test_a_token_that_is_not_valid_ends_it_with_the_reason(journal: Path) -> None:
    with running_service() as service:
        wrong = subprocess.run(
            [
                program("systemd-journal-upload"),
                f"--url={service.url}/k/wrong",
                f"--file={journal}",
                "--follow=no",
            ],
            capture_output=True,
        )
    assert wrong.returncode != 0
    assert b"failed with code 401: The token is not valid." in wrong.stderr
