"""systemd-journal-upload: it sends a journal, and systemd starts it again where it failed; it goes on at its cursor.

Its unit has `Restart=on-failure`, and it follows the journal; here it is run to the journal's end again and again.
Source: units/systemd-journal-upload.service.in and src/journal-remote/journal-upload.c of systemd
"""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.service import Service
from tests.senders.sending import END_S, INSTALLED, Record, Running, running

UPLOAD = INSTALLED / "bin" / "systemd-journal-upload"
WRITE = INSTALLED / "bin" / "systemd-journal-remote"
ENTRY = """__REALTIME_TIMESTAMP={at}
__MONOTONIC_TIMESTAMP={number}
_BOOT_ID={boot}
_HOSTNAME=web-1
_UID=33
SYSLOG_IDENTIFIER=nginx
MESSAGE={line}

"""
AGAIN = """
until [ -e "$1" ]; do "$2" "$3" "$4" "$5" --follow=no; sleep 0.5; done
exec "$2" "$3" "$4" "$5" --follow=no
"""


def version() -> str:
    """Of the program in .senders."""
    if not UPLOAD.exists():
        return ""
    said = subprocess.run([UPLOAD, "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[1]


@contextmanager
def upload(service: Service, folder: Path) -> Iterator[Running]:
    """Its program, with the token in its URL."""
    journal = Journal(folder)
    token = service.environment["BARTIZAN_INGEST_TOKEN"]
    options = [f"--url={service.url}/k/{token}", f"--file={journal.file}", f"--save-state={folder / 'state'}"]
    with running(["sh", "-c", AGAIN, "sh", str(journal.end), str(UPLOAD), *options], folder) as process:
        journal.process = process
        yield journal


class Journal:
    """A journal that grows."""

    process: "subprocess.Popen[bytes]"

    def __init__(self, folder: Path) -> None:
        self.file, self.end = folder / "web-1.journal", folder / "end"
        self._written = 0

    def send(self, records: Sequence[Record]) -> None:
        """One entry each."""
        entries = []
        for record in records:
            self._written += 1
            entries.append(
                ENTRY.format(
                    at=time.time_ns() // 1000 + self._written,
                    number=self._written,
                    boot="ab" * 16,
                    line=record.line,
                )
            )
        export = "".join(entries).encode()
        subprocess.run([WRITE, "-o", self.file, "-"], input=export, check=True, capture_output=True)

    def finish(self) -> None:
        """Once more to its end."""
        self.end.touch()
        assert self.process.wait(END_S) == 0
