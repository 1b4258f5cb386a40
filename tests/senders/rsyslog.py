"""rsyslog's omelasticsearch: it follows a web server's log file, and sends it to `_bulk`.

With `action.resumeRetryCount="-1"` it tries again for ever where nobody answers; its default is to give up within a
second. Whatever is answered is final, though, a 503 too: it looks at the items of an answer, and not at its status.
Source: plugins/omelasticsearch of rsyslog and its documentation
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.service import Service
from tests.senders.sending import INSTALLED, Running, running
from tests.senders.syslog_ng import FileFollower

PROGRAM = INSTALLED / "bin" / "rsyslogd"

CONFIGURATION = """
global(workDirectory="{folder}")
module(load="imfile" mode="inotify")
module(load="omelasticsearch")
input(type="imfile" file="{log}" tag="nginx:" ruleset="to_bartizan" freshStartTail="off")
template(name="document" type="list" option.json="on") {{
  constant(value="{{\\"@timestamp\\":\\"")  property(name="timereported" dateFormat="rfc3339")
  constant(value="\\",\\"host\\":\\"")        property(name="hostname")
  constant(value="\\",\\"message\\":\\"")     property(name="msg")
  constant(value="\\"}}")
}}
ruleset(name="to_bartizan") {{
  action(
    type="omelasticsearch" server="127.0.0.1" serverport="{port}" uid="rsyslog" pwd="{token}"
    template="document" searchIndex="logs-nginx" searchType="" bulkmode="on"
    action.resumeRetryCount="-1" action.resumeInterval="1"
    queue.type="LinkedList" queue.filename="bartizan" queue.maxDiskSpace="10m" queue.saveOnShutdown="on"
    queue.dequeueBatchSize="100"
  )
}}
"""


def version() -> str:
    """Of the program in .senders."""
    if not PROGRAM.exists():
        return ""
    said = subprocess.run([PROGRAM, "-v"], capture_output=True, text=True, check=True)
    return said.stdout.split()[1]


@contextmanager
def to_elasticsearch(service: Service, folder: Path) -> Iterator[Running]:
    """Its program with a destination at `_bulk`."""
    log, configuration = folder / "access.log", folder / "rsyslog.conf"
    log.touch()
    token = service.environment["BARTIZAN_INGEST_TOKEN"]
    configuration.write_text(CONFIGURATION.format(log=log, port=service.port, token=token, folder=folder))
    modules = next(INSTALLED.glob("rsyslog/usr/lib/*-linux-gnu/rsyslog"))
    command = [str(PROGRAM), "-n", "-f", str(configuration)]
    command += ["-M", str(modules), "-i", str(folder / "rsyslog.pid")]
    with running(command, folder) as process:
        yield FileFollower(log, process)
