"""The embedded server: real processes, really killed."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from app.embedded_redis import EmbeddedRedis, folder_lock, is_running, major_version, socket_path
from detectors.errors import ConfigError

OWNER = """
import sys, time
from pathlib import Path
from app.embedded_redis import EmbeddedRedis, folder_lock
with folder_lock(Path(sys.argv[1])):
    server = EmbeddedRedis(Path(sys.argv[1]))
    server.start()
    print(server.pid, server.taken_over, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    server = EmbeddedRedis(folder)
    if is_running(folder):
        server.start()
        server.stop()


def own(data_dir: Path) -> tuple[subprocess.Popen[str], int, bool]:
    """A stand-in for the service: its process, the server's pid, and whether that was taken over."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(data_dir)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    pid, taken = owner.stdout.readline().split()
    return owner, int(pid), taken == "True"


def kill(owner: subprocess.Popen[str]) -> None:
    owner.send_signal(signal.SIGKILL)
    owner.wait(10)
    assert owner.stdout
    owner.stdout.close()


def client(data_dir: Path) -> Redis:
    return Redis(unix_socket_path=str(socket_path(data_dir)), decode_responses=True)


def kill_server(pid: int) -> None:
    """Kill a server that is not our child, and wait until the kernel has taken it away."""
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([descriptor], [], [], 10)
    os.close(descriptor)


def test_a_kill_9_of_the_service_leaves_the_server_and_the_next_start_takes_it_over(data_dir: Path) -> None:
    owner, server_pid, taken = own(data_dir)
    assert not taken
    with client(data_dir) as redis:
        redis.set("kept", "in memory")
    kill(owner)

    owner, second_pid, taken = own(data_dir)
    try:
        assert (second_pid, taken) == (server_pid, True)
        with client(data_dir) as redis:
            assert redis.get("kept") == "in memory"
    finally:
        kill(owner)


def test_a_kill_of_both_comes_back_from_the_append_only_file(data_dir: Path) -> None:
    owner, server_pid, _ = own(data_dir)
    with client(data_dir) as redis:
        redis.set("kept", "on disk")
    kill(owner)
    kill_server(server_pid)
    assert not is_running(data_dir)

    owner, second_pid, taken = own(data_dir)
    try:
        assert second_pid != server_pid
        assert not taken
        with client(data_dir) as redis:
            assert redis.get("kept") == "on disk"
    finally:
        kill(owner)


def test_a_normal_stop_shuts_the_server_down_and_keeps_what_it_held(data_dir: Path) -> None:
    server = EmbeddedRedis(data_dir)
    server.start()
    with client(data_dir) as redis:
        redis.set("kept", "1")
    server.stop()
    assert not is_running(data_dir)

    again = EmbeddedRedis(data_dir)
    again.start()
    with client(data_dir) as redis:
        assert redis.get("kept") == "1"
    again.stop()


def test_a_server_that_dies_while_the_service_runs_is_started_again(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.embedded_redis.WATCH_S", 0.01)
    server = EmbeddedRedis(data_dir)
    server.start()
    with client(data_dir) as redis:
        redis.set("kept", "1")
    back = threading.Event()
    start = server.start
    monkeypatch.setattr(server, "start", lambda: (start(), back.set()))
    server.watch()
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    assert back.wait(20)
    with client(data_dir) as redis:
        assert redis.get("kept") == "1"
    server.stop()
    assert not is_running(data_dir)


def test_a_second_service_on_the_same_folder_is_refused_and_told_who_has_it(data_dir: Path) -> None:
    with (
        folder_lock(data_dir),
        pytest.raises(ConfigError, match=f"in use by another Bartizan .process {os.getpid()}"),
        folder_lock(data_dir),
    ):
        pass


def test_a_missing_server_says_in_one_line_what_to_install(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("app.embedded_redis.find_spec", lambda _: None)
    with pytest.raises(ConfigError) as raised:
        EmbeddedRedis(data_dir).start()
    assert "apt install redis-server" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_server_that_cannot_start_shows_its_last_words_in_one_line(data_dir: Path) -> None:
    (data_dir / "redis").mkdir(parents=True)
    (data_dir / "redis" / "appendonly.aof").write_bytes(b"*1\r\n$3\r\nnot what a file holds\r\n" * 3)
    server = EmbeddedRedis(data_dir)
    with pytest.raises(ConfigError, match=r"did not start: .*append only file") as raised:
        server.start()
    assert "\n" not in str(raised.value)


def test_a_folder_of_a_newer_server_is_refused(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "redis" / "appendonlydir").mkdir(parents=True)
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=0'\n")
    old.chmod(0o755)
    with pytest.raises(ConfigError, match="written by Redis 7 or newer"):
        EmbeddedRedis(data_dir, binary=lambda: str(old)).start()


def test_the_version_is_read_from_the_binary(tmp_path: Path) -> None:
    fake = tmp_path / "valkey-server"
    fake.write_text("#!/bin/sh\necho 'Valkey server v=8.1.1 sha=0'\n")
    fake.chmod(0o755)
    assert major_version(str(fake)) == 8


def test_a_long_path_listens_in_a_private_folder(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    server = EmbeddedRedis(long)
    server.start()
    try:
        assert len(str(server.socket)) < 100
        assert server.socket.parent.stat().st_mode & 0o077 == 0
    finally:
        server.stop()
