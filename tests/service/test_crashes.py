"""The real service, killed at any moment, with its Redis or alone; and a Redis that goes away and comes back.

The sender resends what was not acknowledged, as a shipper does. Twice-counted events would block the careful
addresses, lost ones would spare the attackers, and a finding without its action would too.
"""

import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from redis import Redis
from redis.exceptions import RedisError

from app.embedded_redis import find_binary
from benchmarks.service import TOKENS, Service, running_service

PAIRS = 40
ATTACKER = "198.51.100.{}"
CAREFUL = "192.0.2.{}"


def failures(address: str, count: int) -> list[str]:
    event = {"client_ip": address, "path": "/login", "status": 401}
    return [json.dumps({**event, "request_id": f"{n}"}) for n in range(count)]


def batches() -> list[bytes]:
    """Of each pair, the attacker fails 5 + 5 times and the careful one 5 + 4 times, in two batches far apart."""
    first = [failures(ATTACKER.format(i), 5) + failures(CAREFUL.format(i), 5) for i in range(PAIRS)]
    second = [failures(ATTACKER.format(i), 5) + failures(CAREFUL.format(i), 4) for i in range(PAIRS)]
    numbered = enumerate(first + second)
    return ["\n".join([*lines, json.dumps({"message": f"batch {n}"})]).encode() for n, lines in numbered]


class Sender:
    """Sends each batch until it is acknowledged."""

    def __init__(self, service: Service) -> None:
        self._client = httpx.Client(base_url=service.url, timeout=5)

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def post(self, body: bytes) -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKENS['ingest']}"}
        return self._client.post("/v1/events", content=body, headers=headers)

    def deliver(self, body: bytes, on_refusal: Callable[[], None]) -> None:
        for _ in range(200):
            try:
                answer = self.post(body)
            except httpx.TransportError:
                on_refusal()
                continue
            if answer.status_code == 200:
                return
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["retry-after"]) >= 0
            on_refusal()
        raise AssertionError("never acknowledged")

    def blocked(self) -> set[str]:
        headers = {"Authorization": f"Bearer {TOKENS['lookup']}"}
        return set(
            self._client.get("/v1/blocklist?format=txt", headers=headers).raise_for_status().text.split()
        )

    def is_blocked(self, address: str) -> bool:
        headers = {"Authorization": f"Bearer {TOKENS['lookup']}"}
        return bool(
            self._client.get(f"/v1/lookup/{address}", headers=headers).raise_for_status().json()["blocked"]
        )


def eventually(check: Callable[[], bool], seconds: float = 20) -> bool:
    """Another process does the work, so all that can be done is look again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("with_redis", [False, True], ids=["service alone", "service and Redis"])
def test_killed_at_any_moment_nothing_is_lost_and_nothing_counts_twice(with_redis: bool):
    rng = random.Random(7)
    kills = set(rng.sample(range(2 * PAIRS), 4))
    with running_service() as service, Sender(service) as sender:

        def kill_and_start_again() -> None:
            if with_redis:
                os.kill(service.redis_pid, signal.SIGKILL)
            service.kill()
            service.start_again()

        for number, body in enumerate(batches()):
            if number in kills:
                # In the middle of a request: it is sent, and nobody waits for the answer.
                hasty = httpx.Client(base_url=service.url, timeout=0.001 + rng.random() / 100)
                with hasty, suppress(httpx.TransportError):
                    hasty.post("/v1/events", content=body, headers={"X-Api-Key": TOKENS["ingest"]})
                kill_and_start_again()
            sender.deliver(body, lambda: None)
        kill_and_start_again()
        attackers = {ATTACKER.format(i) for i in range(PAIRS)}
        assert eventually(lambda: sender.blocked() >= attackers), attackers - sender.blocked()
        assert sender.blocked() == attackers
        admin = {"Authorization": f"Bearer {TOKENS['viewer']}"}
        url = f"{service.url}/v1/admin/incidents"
        incidents = httpx.get(f"{url}?limit=500", headers=admin).json()["items"]
        members = {
            member["subject"]
            for campaign in incidents
            if campaign["members"]
            for member in httpx.get(f"{url}/{campaign['id']}/members", headers=admin).json()["items"]
        }
        assert {i["subject"] for i in incidents if not i["members"]} | members == attackers
        speaking = [i for i in incidents if i["status"] != "merged"]
        assert sum(i["finding_count"] for i in speaking) == PAIRS


@contextmanager
def own_redis() -> Iterator[tuple[str, Callable[[], subprocess.Popen[bytes]]]]:
    """A Redis of the operator's, with an append-only file, that can be started again in its folder."""
    folder = tempfile.mkdtemp(prefix="bz-")
    path = f"{folder}/r.sock"
    running: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [find_binary(), "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
        process = subprocess.Popen([*command, "--appendonly", "yes"], stdout=subprocess.DEVNULL)
        running.append(process)
        with Redis(unix_socket_path=path) as redis:
            assert eventually(lambda: is_answering(redis))
        return process

    start()
    try:
        yield f"unix://{path}", start
    finally:
        for process in running:
            process.kill()
            process.wait(10)


def is_answering(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except (RedisError, OSError):
        return False


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGSTOP], ids=["stopped", "hanging"])
def test_without_redis_ingest_says_503_and_lookups_go_on_and_everything_resumes(how: signal.Signals):
    with (
        own_redis() as (url, start_redis),
        running_service(redis_url=url) as service,
        Sender(service) as sender,
    ):
        sender.deliver("\n".join(failures("198.51.100.1", 10)).encode(), lambda: None)
        assert eventually(lambda: sender.is_blocked("198.51.100.1"))
        nine = "\n".join([*failures("198.51.100.2", 9), '{"message":"before"}']).encode()
        sender.deliver(nine, lambda: None)

        with Redis.from_url(url) as redis:
            pid = int(redis.info("server")["process_id"])
        os.kill(pid, how)
        if how is signal.SIGTERM:
            assert eventually(lambda: not Path(url.removeprefix("unix://")).exists())
        one = "\n".join([*failures("198.51.100.2", 1), '{"message":"during"}']).encode()
        begun = time.monotonic()
        refused = sender.post(one)
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
        assert int(refused.headers["retry-after"]) > 0
        assert time.monotonic() - begun < 4
        begun = time.monotonic()
        assert sender.is_blocked("198.51.100.1") and not sender.is_blocked("198.51.100.2")
        assert time.monotonic() - begun < 1

        if how is signal.SIGTERM:
            start_redis()
        else:
            os.kill(pid, signal.SIGCONT)
        sender.deliver(one, lambda: time.sleep(0.1))
        assert eventually(lambda: sender.is_blocked("198.51.100.2"))
        assert sender.blocked() == {"198.51.100.1", "198.51.100.2"}
