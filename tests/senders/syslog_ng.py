"""syslog-ng: it follows a web server's log file, and sends it as it stands, as JSON, or to `_bulk`.

It keeps what it could not send, here on disk, and tries again every `time-reopen()` for ever.
Source: lib/logthrdest/logthrdestdrv.c, modules/http and scl/elasticsearch of syslog-ng; the documentation of http()
"""

import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.service import Service
from tests.senders.sending import END_S, INSTALLED, Record, Running, running

PROGRAM = INSTALLED / "bin" / "syslog-ng"
UNPACKED = INSTALLED / "syslog-ng" / "usr"

CONFIGURATION = """@version: 3.38
{includes}
options {{ stats-freq(0); time-reopen(1); }};
source access_log {{ file("{log}" follow-freq(0.2) {flags}); }};
destination bartizan {{
  {destination}
}};
log {{ source(access_log); destination(bartizan); flags(flow-control); }};
"""
KEEPING = (
    'retries(100) disk-buffer(reliable(yes) disk-buf-size(10485760) mem-buf-size(1048576) dir("{folder}"))'
)
ONE_A_REQUEST = """http(
    url("{url}/v1/events") method("POST") headers("Authorization: Bearer {token}") timeout(10)
    {keeping}
  );"""
"""Its default: each message is the body of a request."""
BATCHES = """http(
    url("{url}/v1/events") method("POST") headers("Authorization: Bearer {token}", "Content-Type: application/json")
    body("$(format-json --scope rfc5424 --key ISODATE)") body-prefix("[") delimiter(",") body-suffix("]")
    batch-lines(100) batch-timeout(200) timeout(10)
    {keeping}
  );"""
ELASTICSEARCH = """elasticsearch-http(
    url("{url}/_bulk") index("logs-nginx") type("") workers(1) batch-timeout(200)
    headers("Content-Type: application/x-ndjson", "Authorization: Bearer {token}")
    {keeping}
  );"""


def version() -> str:
    """Of the program in .senders."""
    if not PROGRAM.exists():
        return ""
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    return said.stdout.partition("(")[2].partition(")")[0]


def to_http(
    destination: str, flags: str = "flags(no-parse)"
) -> Callable[[Service, Path], AbstractContextManager[Running]]:
    """Its program with an http() destination. `flags` of the file that it follows; without any, it is syslog."""
    return lambda service, folder: _program(service, folder, destination, "", flags)


def to_elasticsearch(service: Service, folder: Path) -> AbstractContextManager[Running]:
    """Its program with its configuration library's destination for Elasticsearch."""
    library = UNPACKED / "share" / "syslog-ng" / "include" / "scl"
    return _program(service, folder, ELASTICSEARCH, f'@include "{library}/elasticsearch/elastic-http.conf"')


@contextmanager
def _program(
    service: Service, folder: Path, destination: str, includes: str, flags: str = "flags(no-parse)"
) -> Iterator[Running]:
    log, configuration = folder / "access.log", folder / "syslog-ng.conf"
    log.touch()
    token = service.environment["BARTIZAN_INGEST_TOKEN"]
    keeping = KEEPING.format(folder=folder)
    filled = destination.format(url=service.url, token=token, keeping=keeping)
    configuration.write_text(
        CONFIGURATION.format(log=log, includes=includes, destination=filled, flags=flags)
    )
    modules = next((UNPACKED / "lib" / "syslog-ng").glob("[0-9]*"))
    command = [str(PROGRAM), "-F", "--no-caps", "--module-path", str(modules)]
    command += ["-f", str(configuration), "-R", str(folder / "s.persist")]
    command += ["-p", str(folder / "s.pid"), "-c", str(folder / "s.ctl")]
    with running(command, folder) as process:
        yield FileFollower(log, process)


class FileFollower:
    """A program that follows a log file."""

    def __init__(self, log: Path, process: "subprocess.Popen[bytes]") -> None:
        self._log, self._process = log, process

    def send(self, records: Sequence[Record]) -> None:
        """As a web server would: lines at the end of the file."""
        with self._log.open("a") as log:
            log.writelines(record.line + "\n" for record in records)

    def finish(self) -> None:
        """As the system would at shutdown."""
        assert self._process.poll() is None
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(END_S) == 0
