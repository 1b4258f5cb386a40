"""`bartizan serve` as a person meets it: real processes, an embedded Redis, the printed curl line."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth import Role
from app.embedded_redis import EmbeddedRedis, is_running
from app.serve import banner, listen
from app.settings import Settings
from app.tokens import new_secret, read_tokens_file
from detectors.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
BARTIZAN = [sys.executable, "-m", "app.cli"]
START_TIMEOUT_S = 60.0


class Service:
    """A running `bartizan serve`."""

    def __init__(self, folder: Path, **settings: str) -> None:
        outside = {name: value for name, value in os.environ.items() if not name.startswith("BARTIZAN_")}
        self.environment = {
            **outside,
            "PYTHONPATH": str(ROOT),
            "BARTIZAN_DATA_DIR": str(folder / "data"),
            "BARTIZAN_PORT": "0",
            "BARTIZAN_LOG_FORMAT": "json",
            **settings,
        }
        self.folder = folder
        self.log = (folder / "log").open("a+b")
        self.process = subprocess.Popen(
            [*BARTIZAN, "serve"],
            cwd=folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self.banner = self._read_banner()
        self.url = re.findall(r"Bartizan is at (\S+)", self.banner)[0]
        self.environment["BARTIZAN_URL"] = self.url

    def _read_banner(self) -> str:
        assert self.process.stdout
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "/v1/lookup/" in line:
                return "".join(lines)
        raise AssertionError(f"no banner: {''.join(lines)} {(self.folder / 'log').read_text()}")

    def wait_until_ready(self) -> None:
        """The socket listens from the start, so the first answer is the moment it is ready."""
        assert self.get("/readyz").status_code == 200

    def get(self, path: str, role: Role = Role.ADMIN) -> httpx.Response:
        token = read_tokens_file(self.folder / "data" / "tokens.env").get(role, "none")
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(self.url + path, headers=headers, timeout=START_TIMEOUT_S)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command of the command line, beside this service."""
        return subprocess.run(
            [*BARTIZAN, *command], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(START_TIMEOUT_S)
        assert self.process.stdout
        self.process.stdout.close()
        self.log.close()
        return code


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Service]:
    service = Service(folder, **settings)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.end()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    if is_running(tmp_path / "data"):
        server = EmbeddedRedis(tmp_path / "data")
        server.start()
        server.stop()


def shell(line: str) -> Any:
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def curl_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("curl")]


def blocked_within(line: str, seconds: float = 5.0) -> bool:
    """Ask until it is so: what is asked about happens in another process."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if shell(line)["blocked"]:
            return True
    return False


@pytest.mark.slow
def test_the_printed_curl_line_gets_an_address_blocked_and_a_restart_keeps_it(folder: Path) -> None:
    with serving(folder) as service:
        service.wait_until_ready()
        made = read_tokens_file(folder / "data" / "tokens.env")
        assert all(secret in service.banner for secret in made.values())
        post, look = curl_lines(service.banner)
        assert shell(post) == {"accepted": 10, "rejected": 0, "duplicate": False, "errors": []}
        assert blocked_within(look)
        address = re.findall(r"/v1/lookup/(\S+)", look)[0]

        check = service.run("blocks", "check", address)
        assert check.returncode == 10, check.stderr
        listed = [json.loads(row) for row in service.run("blocks", "list", "--json").stdout.splitlines()]
        assert [row["value"] for row in listed] == [address]
        assert service.run("doctor").returncode == 0
        assert service.end() == 0
    assert not is_running(folder / "data")

    with serving(folder) as service:
        service.wait_until_ready()
        assert not [secret for secret in made.values() if secret in service.banner]
        assert "Tokens are in" in service.banner
        post, look = curl_lines(service.banner)
        assert service.get(f"/v1/lookup/{address}").json()["blocked"]
        assert shell(post)["accepted"] == 10
        assert blocked_within(look)


@pytest.mark.slow
def test_the_command_line_works_beside_a_running_service(folder: Path) -> None:
    with serving(folder) as service:
        service.wait_until_ready()

        def run(*command: str, code: int = 0) -> list[dict[str, Any]]:
            done = service.run(*command, "--json")
            assert done.returncode == code, done.stdout + done.stderr
            return [json.loads(line) for line in done.stdout.splitlines()]

        made = run("blocks", "add", "198.51.100.0/24", "--for", "2h", "--reason", "a test")[0]
        assert [row["id"] for row in run("blocks", "list")] == [made["id"]]
        assert run("blocks", "show", "198.51.100.0/24")[0]["reason"] == "a test"
        assert blocked_within(f"curl -sS {service.url}/v1/lookup/198.51.100.7{header(service)}")
        assert run("blocks", "check", "198.51.100.7", code=10)[0]["decision"]["id"] == made["id"]
        assert run("blocks", "remove", "198.51.100.0/24", "--reason", "over")[0]["status"] == "lifted"
        assert run("blocks", "list") == []
        refused = service.run("blocks", "add", "10.0.0.1", "--reason", "a slip")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "private network 10.0.0.0/8" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1

        run("allow", "add", "198.51.100.7", "--note", "the office", "--for", "7d")
        assert [row["note"] for row in run("allow", "list")] == ["the office"]
        run("allow", "remove", "198.51.100.7", "--reason", "moved")
        assert run("allow", "list") == []

        shell(curl_lines(service.banner)[0])
        assert blocked_within(curl_lines(service.banner)[1])
        incident = run("incidents", "list")[0]["id"]
        assert run("incidents", "show", incident)[0]["rule"] == "auth_failures"
        assert run("incidents", "ack", incident, "--note", "on it")[0]["status"] == "acknowledged"
        assert run("incidents", "resolve", incident, "--verdict", "true_positive")[0]["status"] == "resolved"
        assert service.run("incidents", "ack", "INC-2026-9999").returncode == 1
        tables = [
            service.run(*command)
            for command in (["blocks", "list"], ["incidents", "list"], ["allow", "list"])
        ]
        assert [table.returncode for table in tables] == [0, 0, 0]
        assert "auth_failures" in tables[0].stdout


def header(service: Service) -> str:
    token = read_tokens_file(service.folder / "data" / "tokens.env")[Role.LOOKUP]
    return f' -H "Authorization: Bearer {token}"'


@pytest.mark.slow
def test_a_kill_9_of_the_service_is_taken_over_by_the_next(folder: Path) -> None:
    with serving(folder) as service:
        service.wait_until_ready()
        shell(curl_lines(service.banner)[0])
        service.end(signal.SIGKILL)
    assert is_running(folder / "data")
    look = curl_lines(service.banner)[1].replace(service.url, "")
    address = re.findall(r"/v1/lookup/(\S+)", look)[0]
    with serving(folder) as service:
        service.wait_until_ready()
        assert "taken_over" in (folder / "log").read_text()
        url = f"curl -sS {service.url}/v1/lookup/{address} {look.split(address, 1)[1]}"
        assert blocked_within(url)


@pytest.mark.slow
def test_several_workers_share_one_blocklist_and_one_port_and_end_together(folder: Path) -> None:
    with serving(folder, BARTIZAN_WORKERS="2") as service:
        service.wait_until_ready()
        post, look = curl_lines(service.banner)
        shell(post)
        assert blocked_within(look)
        metrics = service.get("/metrics").text
        assert 'bartizan_events_ingested_total{kind="events"} 10.0' in metrics
        assert service.end() == 0
    assert not is_running(folder / "data")


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(folder: Path) -> None:
    with serving(folder, BARTIZAN_WORKERS="2") as service:
        service.wait_until_ready()
        service.end(signal.SIGKILL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{service.url}/livez", timeout=2)
            except httpx.HTTPError:
                break
        else:
            pytest.fail("the workers still serve")


@pytest.mark.slow
def test_a_service_whose_redis_is_away_starts_and_recovers_by_itself(folder: Path) -> None:
    (folder / "other").mkdir()
    other = EmbeddedRedis(folder / "other")
    with serving(folder, BARTIZAN_REDIS_URL=other.url, BARTIZAN_INGEST_TOKEN="i" * 24) as service:
        headers = {"Authorization": "Bearer " + "i" * 24}

        def post() -> httpx.Response:
            return httpx.post(
                f"{service.url}/v1/events", headers=headers, json=[{"status": 200}] * 2, timeout=30
            )

        def ready() -> int:
            return httpx.get(f"{service.url}/readyz", timeout=30).status_code

        assert httpx.get(f"{service.url}/livez", timeout=30).status_code == 200
        assert ready() == 503
        refused = httpx.post(
            f"{service.url}/v1/events",
            headers=headers,
            json=[{"status": 401, "client_ip": "203.0.113.9"}] * 2,
            timeout=30,
        )
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        other.start()
        try:
            deadline = time.monotonic() + 20
            while ready() != 200 and time.monotonic() < deadline:
                pass
            assert ready() == 200
            assert post().status_code == 200
        finally:
            other.stop()
        assert ready() == 503


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"BARTIZAN_PROT": "1"}, "bartizan: BARTIZAN_PROT: unknown setting; did you mean BARTIZAN_PORT?\n"),
        ({"BARTIZAN_POLICY": "none.yaml"}, "bartizan: policy file none.yaml: No such file or directory\n"),
    ],
)
def test_a_wrong_start_is_one_line_and_exit_code_1(
    tmp_path: Path, settings: dict[str, str], says: str
) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings}
    done = subprocess.run(
        [*BARTIZAN, "serve"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, says)
    assert list(tmp_path.iterdir()) == []


def test_the_banner_shows_new_tokens_once_and_else_where_they_are(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    made = {role: new_secret(role) for role in Role}
    first = banner(settings, 8000, made)
    assert all(secret in first for secret in made.values())
    (tmp_path / "tokens.env").write_text("")
    later = banner(settings, 8000, {})
    assert f"Tokens are in {tmp_path / 'tokens.env'}" in later
    assert "$(sed -n 's/^BARTIZAN_INGEST_TOKEN=//p'" in later
    outside = banner(Settings(data_dir=tmp_path / "x", ingest_token="i" * 24), 8000, {})
    assert "Bearer $BARTIZAN_INGEST_TOKEN" in outside
    assert "i" * 24 not in outside
