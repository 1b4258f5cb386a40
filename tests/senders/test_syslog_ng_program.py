"""The real syslog-ng with the default body of its http(): the bare message, its program in a header."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.backpressure import blocked
from benchmarks.service import Service, running_service
from tests.needed import missing
from tests.senders.syslog_ng import ONE_A_REQUEST, PROGRAM, to_http

ATTACKER, FRAMED = "203.0.113.9", "198.51.100.7"
FAILURES = 10


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    if not PROGRAM.exists():
        missing("syslog-ng (make senders)")
    with running_service() as made:
        yield made


def line(program: str, address: str, number: int) -> str:
    now = time.strftime("%b %e %H:%M:%S")
    return f"{now} web-1 {program}[7]: Failed password for root from {address} port {4000 + number} ssh2\n"


def test_sshd_is_believed_and_who_quotes_it_is_not(service: Service, tmp_path: Path) -> None:
    with to_http(ONE_A_REQUEST, flags="")(service, tmp_path) as running:
        with (tmp_path / "access.log").open("a") as log:
            for number in range(FAILURES):
                log.write(line("myapp", FRAMED, number))
                log.write(line("sshd", ATTACKER, number))
        for _ in range(400):
            if asyncio.run(blocked(service)):
                break
            time.sleep(0.05)
        running.finish()
    assert asyncio.run(blocked(service)) == {ATTACKER}
