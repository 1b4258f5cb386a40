"""Health checks of a real server on loopback that fails in many ways, and the incident from its opening to its end."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import trustme
from redis.asyncio import Redis

from actions.delivery.message import Letter
from actions.responder import Responder
from actions.world import World
from app.health_check import HealthChecker, turn_key
from app.policies.health import HealthCheck, Method
from app.policies.policy import Policy, load_policy
from detectors.engine import Engine
from detectors.event import Batch
from detectors.windows import Windows

NOON = 1_795_000_000_000
MINUTE = 60_000
FINE = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{"status":"ok"}'
ILL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Site:
    """A server that answers what it is told to, drops the connection (b'') or does not answer at all (None)."""

    def __init__(self) -> None:
        self.answer: bytes | None = FINE
        self.asked: list[bytes] = []
        self.is_asked = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            self.is_asked.set()
            if self.answer is None:
                await reader.read()  # until the client gives up
            else:
                writer.write(self.answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    @asynccontextmanager
    async def up(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        finally:
            server.close()


class Ear:
    """A channel that remembers."""

    name = type = "ear"
    rate = None
    groups = False

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def send(self, letter: Letter) -> str:
        self.heard += [message.kind.value for message in letter.messages]
        return ""


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.health_check.RETRY_S", 0)


async def said_of(redis: Redis, check: HealthCheck) -> tuple[int | None, str | None]:
    """Status and reason of one check."""
    found: list[Batch] = []

    async def take(batch: Batch) -> None:
        found.append(batch)

    await redis.delete(turn_key(check))
    async with httpx.AsyncClient() as client:
        checker = HealthChecker(redis, lambda: load_policy("health_paths: [/x]", "p"), take, lambda: NOON)
        assert await checker.check_if_due(client, check)
    [event] = found[0].events
    assert event.outcome == ("failure" if event.message else "success")
    return event.status, event.message


def check_of(url: str, **fields: object) -> HealthCheck:
    return HealthCheck(**{"endpoint": url, "timeout_ms": 300, "retries": 1, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "fields", "said"),
    [
        (FINE, {}, (200, None)),
        (MOVED, {}, (302, None)),
        (MOVED, {"expect_status": ((200, 299),)}, (302, "status 302")),
        (ILL, {}, (503, "status 503")),
        (ILL, {"expect_status": ((503, 503),)}, (503, None)),
        (FINE, {"expect_body": '"ok"'}, (200, None)),
        (FINE, {"expect_body": "up"}, (200, "status 200 without the text that is expected")),
        (None, {}, (None, "no answer within 0.3 s")),
        (FINE[:-5], {}, (None, "no answer (closed without an answer, or not HTTP)")),
        (b"", {}, (None, "no answer (closed without an answer, or not HTTP)")),
        (b"SSH-2.0-x\r\n", {}, (None, "no answer (closed without an answer, or not HTTP)")),
    ],
)
async def test_every_way_to_be_ill_is_named(
    redis: Redis, answer: bytes | None, fields: dict[str, object], said: tuple[int | None, str | None]
) -> None:
    site = Site()
    site.answer = answer
    async with site.up() as base:
        assert await said_of(redis, check_of(f"{base}/up", **fields)) == said
    assert len(site.asked) == (1 if said[1] is None else 2)


async def test_an_endless_answer_is_no_answer_in_time(redis: Redis) -> None:
    site = Site()
    site.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 3
    async with site.up() as base:
        status, reason = await said_of(redis, check_of(f"{base}/up"))
    assert status is None
    assert reason is not None


async def test_a_refused_connection_and_an_unknown_name_are_told_apart(redis: Redis) -> None:
    site = Site()
    async with site.up() as base:
        pass
    assert await said_of(redis, check_of(f"{base}/up")) == (None, "no answer (connection refused)")
    nowhere = check_of("http://nowhere.invalid/up", timeout_ms=5_000, retries=0)
    assert await said_of(redis, nowhere) == (None, "no answer (its name is not known)")
    status, reason = await said_of(redis, check_of("http://xn--/up", timeout_ms=5_000, retries=0))
    assert (status, reason.startswith("no answer (")) == (None, True)


async def test_what_is_wrong_with_a_certificate_is_named(redis: Redis) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    site = Site()
    async with site.up(context) as base:
        status, reason = await said_of(redis, check_of(f"{base}/up", timeout_ms=5_000))
    assert (status, reason) == (None, "no answer (TLS: unable to get local issuer certificate)")


async def test_it_asks_by_the_method_and_path_it_is_told(redis: Redis) -> None:
    site = Site()
    async with site.up() as base:
        check = check_of("/api/health?deep=1", base_url=f"{base}/", method=Method.POST)
        assert await said_of(redis, check) == (200, None)
    assert site.asked[0].startswith(b"POST /api/health?deep=1 HTTP/1.1\r\n")


class House:
    """The checker, the detectors and the responder together, and a clock that the test moves."""

    def __init__(self, redis: Redis, policy: Policy) -> None:
        self.redis, self.policy, self.now = redis, policy, NOON
        self.ear = Ear()
        self.world = World.make(redis, lambda: self.now, channels=[self.ear])
        self.engine = Engine(policy.rules, Windows(redis), fingerprint_key=b"k" * 32)
        self.checker = HealthChecker(redis, lambda: policy, self.engine.process, lambda: self.now)

    async def check(self, times: int) -> None:
        for _ in range(times):
            self.now += MINUTE
            async with httpx.AsyncClient() as client:
                for check in self.policy.health_checks:
                    await self.redis.delete(turn_key(check))
                    await self.checker.check_if_due(client, check)
            await Responder(self.world).drain()

    async def incidents(self) -> list[tuple[str, str]]:
        return [(i.title, i.status.value) for i in (await self.world.incidents.page())[0]]


def document(base: str, more: str = "") -> Policy:
    """The operator's block as it stands, and the one line that has it polled."""
    return load_policy(
        "health_check:\n  endpoint: /api/health\n  interval: 5m\n  timeout: 10s\n  retries: 3\n  alert_threshold: 3\n"
        f"  base_url: {base}\n{more}",
        "policy.yaml",
    )


Break = Callable[[Site], None]


def answers_503(site: Site) -> None:
    site.answer = ILL


def drops(site: Site) -> None:
    site.answer = b""


@pytest.mark.parametrize(
    ("breaks", "named"),
    [(answers_503, "status 503"), (drops, "no answer (closed without an answer, or not HTTP)")],
)
async def test_an_outage_opens_one_incident_and_its_end_resolves_it(
    redis: Redis, breaks: Break, named: str
) -> None:
    site = Site()
    async with site.up() as base:
        house = House(redis, document(base))
        await house.check(3)
        breaks(site)
        await house.check(2)
        assert await house.incidents() == []
        await house.check(5)
        [(title, status)] = await house.incidents()
        assert status == "triggered"
        [opened] = (await house.world.incidents.page())[0]
        assert opened.why.endswith(f"; last: health check of /api/health: {named}")
        assert opened.evidence[-1].matched == f"health check of /api/health: {named}"
        assert title == f"health_check_failure: 127.0.0.1:{site.port} in the check of /api/health"
        site.answer = FINE
        await house.check(1)
        assert [status for _, status in await house.incidents()] == ["triggered"]
        await house.check(1)
        assert [status for _, status in await house.incidents()] == ["resolved"]
    [incident] = (await house.world.incidents.page())[0]
    entries = (await house.world.timeline.page(incident.id))[0]
    last = next(entry for entry in entries if entry.kind == "resolved")
    assert (last.kind, last.actor) == ("resolved", "bartizan")
    assert last.text == f"127.0.0.1:{site.port} is well again: 2 checks passed in a row in 1 min"
    assert house.ear.heard[0] == "opened"
    assert house.ear.heard[-1] == "resolved"


async def test_two_paths_of_one_host_are_followed_each_by_itself(redis: Redis) -> None:
    site, other = Site(), Site()
    async with site.up() as base, other.up() as second:
        policy = load_policy(
            "health_check:\n"
            f"  - {{endpoint: '{base}/api/health', retries: 0, alert_threshold: 3}}\n"
            f"  - {{endpoint: /database, base_url: '{second}', retries: 0, success_threshold: 1}}\n",
            "policy.yaml",
        )
        house = House(redis, policy)
        other.answer = ILL
        await house.check(3)
        [(title, status)] = await house.incidents()
        assert (title.rpartition(" ")[2], status) == ("/database", "triggered")
        other.answer = FINE
        await house.check(1)
        assert [status for _, status in await house.incidents()] == ["resolved"]


async def test_a_checker_that_runs_is_told_to_stop_amid_a_check_that_stalls(redis: Redis) -> None:
    site = Site()
    site.answer = None
    async with site.up() as base:
        policy = load_policy(f"health_check: {{endpoint: '{base}/up', timeout: 30s}}", "policy.yaml")
        house, stop = House(redis, policy), asyncio.Event()
        task = asyncio.create_task(house.checker.run(stop))
        async with asyncio.timeout(10):
            await site.is_asked.wait()
            stop.set()
            await task
    assert await house.incidents() == []
