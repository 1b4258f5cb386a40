"""What the tests share: real Redis servers, started and stopped here, compiled patterns, and the corpora."""

import asyncio
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import settings
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from app.embedded_redis import find_binary
from detectors import pattern_database
from detectors.errors import ConfigError
from tests.needed import ROOT, missing

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
"""How fast this machine is today must not decide: the tests that hold a time measure it themselves."""
MANY_PATTERNS = 50
"""From which on a database is compiled for seconds; those of a policy take milliseconds."""

_compile = pattern_database._compile


def _compile_once(expressions: Sequence[bytes], flags: int) -> bytes:
    """In one process of the suite, and not again until the patterns change: each compiles them while it collects."""
    if len(expressions) < MANY_PATTERNS:
        return _compile(expressions, flags)
    folder = Path(tempfile.gettempdir()) / f"bartizan-tests-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / f"patterns-{pattern_database._fingerprint(expressions, flags)}.hsdb"
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = pattern_database._read(file)
        if found is None:
            found = _compile(expressions, flags)
            pattern_database._write(file, found)
    return found


pattern_database._compile = _compile_once
"""Before a test module makes its scanner."""


def redis_binary() -> str:
    try:
        return find_binary()
    except ConfigError as error:
        missing(str(error))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a private Redis server on a Unix socket, with no file behind it."""
    folder = tempfile.mkdtemp(prefix="bz-")
    socket = f"{folder}/r.sock"
    process = subprocess.Popen(
        [redis_binary(), "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder],
        stdout=subprocess.DEVNULL,
    )
    client = SyncRedis(unix_socket_path=socket)
    for _ in range(200):
        try:
            client.ping()
            break
        except (ConnectionError, RedisConnectionError):
            time.sleep(0.02)
    client.close()
    yield f"unix://{socket}"
    process.terminate()
    process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def redis(redis_server: str) -> AsyncIterator[Redis]:
    """A connected, empty Redis, bytes in and out."""
    client = Redis.from_url(redis_server, socket_timeout=5)
    await client.flushall()
    yield client
    await client.aclose()
    await asyncio.sleep(0)


@pytest.fixture(scope="session")
def dnsmasq_binary() -> str:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which("dnsmasq", path=path)
    if found is None:
        missing("dnsmasq")
    return str(found)


@pytest.fixture(scope="session")
def corpora() -> Path:
    folder = ROOT.parent / "shared" / "corpora"
    if not folder.is_dir():
        missing("the folder ../shared/corpora")
    return folder
