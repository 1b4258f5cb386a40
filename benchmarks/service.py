"""A service of its own for a measurement, and the CPU time that it and its Redis use. Linux only (/proc)."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from app.world import PATTERN_CACHE

TICKS = os.sysconf("SC_CLK_TCK")
TOKENS = {
    role: f"bench-{role}-token-000000000000" for role in ("ingest", "lookup", "viewer", "responder", "admin")
}


def cpu_s(pid: int) -> float:
    """User and system time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Service:
    """A running `bartizan serve`."""

    port: int
    data_dir: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def redis_socket(self) -> Path:
        """Of the embedded server."""
        return next(self.data_dir.rglob("*.sock"))

    @property
    def redis_pid(self) -> int:
        """Of the embedded server."""
        with Redis(unix_socket_path=str(self.redis_socket)) as redis:
            return int(redis.info("server")["process_id"])

    def cpu_s(self) -> tuple[float, float]:
        """Of the service, and of its Redis."""
        return cpu_s(self.process.pid), cpu_s(self.redis_pid)

    def kill(self) -> None:
        """kill -9: nothing of it gets to clean up."""
        self.process.kill()
        self.process.wait(10)

    def start_again(self) -> None:
        """In the same folder, on the same port."""
        self.launch_again()
        wait_until_open(self.port, self.process)

    def launch_again(self) -> None:
        """The same without waiting until it listens."""
        self.process = _launch(self.environment)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def _launch(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """What it prints is in DATA_DIR/service.log."""
    with (Path(environment["BARTIZAN_DATA_DIR"]) / "service.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )


def wait_until_open(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Until /livez answers. Raises: RuntimeError where the service ended or took too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if b" 200 " in connection.recv(64):
                    return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError("the service did not get ready")


@contextmanager
def running_service(**settings: str) -> Iterator[Service]:
    """Starts `bartizan serve` in a folder of its own on a free port, and stops it again."""
    folder = Path(tempfile.mkdtemp(prefix="bartizan-bench-"))
    # All of them share the compiled patterns; a file that is not this user's own is not read.
    shared = Path(tempfile.gettempdir()) / f"bartizan-patterns-{os.geteuid()}"
    shared.mkdir(mode=0o700, exist_ok=True)
    (folder / PATTERN_CACHE).symlink_to(shared)
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BARTIZAN_")}
    environment |= {"BARTIZAN_DATA_DIR": str(folder), "BARTIZAN_PORT": str(port)}
    environment |= {f"BARTIZAN_{role.upper()}_TOKEN": token for role, token in TOKENS.items()}
    environment |= {f"BARTIZAN_{name.upper()}": value for name, value in settings.items()}
    service = Service(port, folder, environment, _launch(environment))
    try:
        wait_until_open(port, service.process)
        yield service
    finally:
        service.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Connection:
    """A keep-alive HTTP/1.1 connection that costs little itself: requests are bytes made beforehand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**24))

    async def request(self, head: bytes, body: bytes = b"") -> tuple[int, bytes]:
        """The status and body of the answer."""
        self._writer.write(head + body)
        await self._writer.drain()
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        return int(answer[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


def head_of(method: str, path: str, token: str, length: int = 0) -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()
