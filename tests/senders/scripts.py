"""Senders that are libraries of Python and Node.js: small programs in programs/ use them as their READMEs say."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.service import Service
from tests.senders.sending import END_S, INSTALLED, Record, Running, running

PROGRAMS = Path(__file__).resolve().parent / "programs"
PYTHON = INSTALLED / "python"
MODULES = INSTALLED / "node" / "node_modules"

Version = Callable[[], str]
Start = Callable[[Service, Path], AbstractContextManager[Running]]


def of_python(distribution: str, program: str) -> tuple[Version, Start]:
    """programs/PROGRAM.py, run by the Python of .senders; without a distribution it needs Python alone."""
    command = [str(PYTHON / "bin" / "python"), "-u", str(PROGRAMS / f"{program}.py")]
    return lambda: _python_version(distribution), _start(command, {})


def of_node(package: str, program: str, *arguments: str) -> tuple[Version, Start]:
    """programs/PROGRAM.cjs, run by the Node.js of this machine with the packages of .senders."""
    command = ["node", str(PROGRAMS / f"{program}.cjs"), *arguments]
    return lambda: _node_version(package), _start(command, {"NODE_PATH": str(MODULES)})


class Script:
    """A program that reads a JSON array of records a line, and sends and ends when its input does."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def send(self, records: Sequence[Record]) -> None:
        """One line."""
        assert self._process.stdin is not None
        line = json.dumps([{"line": record.line, "fields": record.fields} for record in records])
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def finish(self) -> None:
        """Waits until it has ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(END_S) == 0


def _start(command: Sequence[str], environment: Mapping[str, str]) -> Start:
    @contextmanager
    def start(service: Service, folder: Path) -> Iterator[Running]:
        token = service.environment["BARTIZAN_INGEST_TOKEN"]
        target = {"BARTIZAN_URL": service.url, "BARTIZAN_TOKEN": token}
        with running(command, folder, {**environment, **target}) as process:
            yield Script(process)

    return start


def _python_version(distribution: str) -> str:
    if distribution:
        found = sorted(PYTHON.glob(f"lib/*/site-packages/{distribution}-*.dist-info"))
        return found[0].name.removesuffix(".dist-info").rpartition("-")[2] if found else ""
    about = PYTHON / "pyvenv.cfg"
    lines = about.read_text("utf-8").splitlines() if about.exists() else []
    return next((line.partition("=")[2].strip() for line in lines if line.startswith("version =")), "")


def _node_version(package: str) -> str:
    about = MODULES / package / "package.json"
    if not about.exists() or shutil.which("node") is None:
        return ""
    return str(json.loads(about.read_text("utf-8"))["version"])
