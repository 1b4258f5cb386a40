"""What a real sender is to these tests: what it is called, what it speaks, how it is started, what it must not lose.

Each sender is a program of somebody else's, as its users run it: it is given records of an access log, in the form in
which it would find them, and sends them to a real `bartizan serve`.
"""

import enum
import math
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from benchmarks.service import Service

ROOT = Path(__file__).resolve().parent.parent.parent
INSTALLED = ROOT / ".senders"
"""What install.sh has made."""
END_S = 60
"""A program that was told to end has sent what it has by then."""


@dataclass(frozen=True)
class Record:
    """One request, as an access log has it."""

    address: str
    path: str
    status: int
    at: datetime

    @property
    def line(self) -> str:
        """In the combined format of nginx and Apache."""
        return (
            f"{self.address} - - [{self.at:%d/%b/%Y:%H:%M:%S %z}] "
            f'"POST {self.path} HTTP/1.1" {self.status} 17 "-" "Mozilla/5.0"'
        )

    @property
    def fields(self) -> dict[str, object]:
        """As an application logs it."""
        return {
            "client_ip": self.address,
            "method": "POST",
            "path": self.path,
            "status": self.status,
            "user_agent": "Mozilla/5.0",
        }


class Fate(enum.Enum):
    """What becomes of records that the service could not take at once."""

    KEPT = "each counted once"
    KEPT_UNTIL_CLOSED = "each counted once; it tries again after a minute, or when it is closed"
    LOST = "lost: it does not try again; nothing doubled"


class Running(Protocol):
    """A sender's program at work."""

    def send(self, records: Sequence[Record]) -> None:
        """Gives it records to send, and does not wait for it."""

    def finish(self) -> None:
        """Ends it as its users would; what it still has is sent first, if it does such a thing."""


@dataclass(frozen=True)
class Sender:
    """One sender in one configuration."""

    name: str
    protocol: str
    version: Callable[[], str]
    """Of what is installed here; empty where it is not."""
    start: Callable[[Service, Path], AbstractContextManager[Running]]
    """In a folder of its own."""
    on_503: Fate
    """Of the records for which the service said "try again"."""
    on_kill: Fate
    """Of the records that the sender had while no service was there."""
    patience_s: float = math.inf
    """How long it tries. Where a busy machine takes longer to start the service, what it had may be lost."""

    @property
    def slug(self) -> str:
        """The name, for files and test ids."""
        return "-".join(re.findall("[a-z0-9]+", self.name.lower()))


@contextmanager
def running(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program, ended with the test at the latest. What it prints is in output.log of its folder."""
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        assert process.stdin is not None
        if process.poll() is None:
            process.kill()
        process.wait(10)
        process.stdin.close()
