"""Delivery among failures: two processes, one of them killed, and a receiver that refuses, fails, stalls and is away.

The same run is a test (tests/service/test_delivery_chaos.py), which holds it against what must not happen.
"""

import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from redis.asyncio import Redis

from actions.delivery.message import Message, MessageKind
from actions.delivery.routing import Routes
from actions.incidents.response_plan import Campaign, ResponsePlan
from actions.world import World
from app.embedded_redis import find_binary
from detectors.finding import Action, Finding, Mode, Severity, SubjectKind
from detectors.timestamps import wall_clock_ms

ROOT = Path(__file__).resolve().parent.parent
WORKER = ROOT / "tests" / "service" / "delivery_worker.py"
CHANNELS = ("mail", "chat", "hook", "pager")
DEAD_CHANNEL = "gone"
INCIDENTS, DEAD = 104, 3
REFUSED, FAILED, STALLED = 0.1, 0.1, 0.03
RETRY_AFTER_S = 1
STALL_S = 0.8
"""Longer than the client waits; the letter has been accepted before."""
AWAY_S = 4.0
"""How long one channel's receiver answers nothing but 503."""
START_S = 30
"""Within so long the workers have sent something; else they never will."""
KILL_AFTER_S = 2.0
LONGEST_S = 60.0


@dataclass
class Receiver:
    """An HTTP server that misbehaves as chance says, and remembers what it accepted."""

    chances: dict[str, random.Random]
    """By channel, so that the n-th request of each meets the same luck in every run."""
    accepted: list[tuple[str, str, str, str, float]] = field(default_factory=list)
    """(channel, letter, incident, kind, when)."""
    stalled: Counter[str] = field(default_factory=Counter)
    """Letters that were accepted, but too late for the client to hear it."""
    requests: int = 0
    begun: float = 0.0
    is_reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *headers = head.decode("latin-1").split("\r\n")
                size = next(
                    int(h.partition(":")[2]) for h in headers if h.lower().startswith("content-length")
                )
                told = json.loads(await reader.readexactly(size))
                status, more = await self.answer(line.split()[1].strip("/"), told)
                writer.write(f"HTTP/1.1 {status} -\r\n{more}Content-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, channel: str, told: dict[str, str]) -> tuple[int, str]:
        self.requests += 1
        self.is_reached.set()
        if channel == DEAD_CHANNEL:
            return 404, ""
        if channel == CHANNELS[0] and time.monotonic() - self.begun < AWAY_S:
            return 503, ""
        luck = self.chances[channel].random()
        if luck < REFUSED:
            return 429, f"Retry-After: {RETRY_AFTER_S}\r\n"
        if luck < REFUSED + FAILED:
            return 500, ""
        self.accepted.append((channel, told["id"], told["incident"], told["kind"], time.monotonic()))
        if luck < REFUSED + FAILED + STALLED:
            self.stalled[told["id"]] += 1
            await asyncio.sleep(STALL_S)
        return 200, ""


@dataclass
class Outcome:
    """What a run came to."""

    receiver: Receiver
    wanted: set[tuple[str, str, str]]
    """(channel, incident, kind) of everything that must arrive."""
    dead: list[tuple[str, str]]
    """(channel, error) of the dead letters."""
    log: Counter[tuple[str, str]]
    """Status and channel of the log of deliveries."""
    left: int
    seconds: float

    @property
    def lost(self) -> set[tuple[str, str, str]]:
        return self.wanted - {(c, i, k) for c, _, i, k, _ in self.receiver.accepted}

    @property
    def doubles(self) -> Counter[str]:
        """Letters that were accepted more than once, and how often more."""
        counted = Counter(letter for _, letter, *_ in self.receiver.accepted)
        return Counter({letter: n - 1 for letter, n in counted.items() if n > 1})

    @property
    def of_stalls(self) -> int:
        """Doubles that come from an answer after the client had gone; the others come from the kill."""
        return sum(min(n, self.receiver.stalled[letter]) for letter, n in self.doubles.items())


def a_finding(number: int) -> Finding:
    return Finding(
        id=f"0:1-{number}",
        rule=f"rule_{number % 5}",
        subject=f"192.0.2.{number}",
        subject_kind=SubjectKind.IP,
        first_at=0,
        at=1,
        count=10,
        threshold=10,
        window_ms=60_000,
        severity=Severity.HIGH,
        actions=(Action.ALERT_ADMIN,),
        mode=Mode.ENFORCE,
        duration_ms=1,
        max_duration_ms=1,
        why="a sentence",
        phrase="{subject} {times}",
        evidence=(),
    )


async def write_messages(world: World) -> set[tuple[str, str, str]]:
    """Opens the incidents, and says of every fifth that it was acknowledged; a few go to the dead channel as well."""
    wanted = set()
    for number in range(INCIDENTS):
        incident = (await world.incidents.open_or_join(a_finding(number), tell=True)).incident
        kinds = [MessageKind.OPENED] + [MessageKind.ACKNOWLEDGED] * (number % 5 == 0)
        wanted |= {(channel, incident.id, kind.value) for channel in CHANNELS for kind in kinds}
        said = Message(
            kind=MessageKind.ACKNOWLEDGED,
            incident_id=incident.id,
            rule=incident.rule,
            subject=incident.subject,
            severity=incident.severity,
            priority=incident.priority,
            title=incident.title,
            text="",
            at=1,
            channels=CHANNELS,
        )
        more = [said] * (number % 5 == 0)
        if number < DEAD:
            more.append(_to_the_dead_channel(said))
        async with world.redis.pipeline(transaction=True) as pipe:
            for message in more:
                world.outbox.stage(pipe, message)
            await pipe.execute()
    return wanted


def _to_the_dead_channel(said: Message) -> Message:
    return msgspec.structs.replace(said, kind=MessageKind.NOTICE, channels=(DEAD_CHANNEL,), incident_id="")


@contextmanager
def own_redis() -> Iterator[str]:
    """The URL of a Redis of its own, with no file behind it."""
    with tempfile.TemporaryDirectory(prefix="bz-") as folder:
        socket = f"{folder}/r.sock"
        command = [find_binary(), "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not Path(socket).exists():
                time.sleep(0.02)
            yield f"unix://{socket}"
        finally:
            process.kill()
            process.wait(10)


def start_worker(redis_url: str, port: int, number: int) -> subprocess.Popen[bytes]:
    """One process that delivers."""
    names = (*CHANNELS, DEAD_CHANNEL)
    command = [sys.executable, str(WORKER), redis_url, f"http://127.0.0.1:{port}", f"worker-{number}", *names]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def run(seed: int = 38) -> Outcome:
    """One run. It takes as long as the receiver's misbehaviour asks for, half a minute or less."""
    with own_redis() as url:
        return asyncio.run(_run(url, seed))


async def _run(redis_url: str, seed: int) -> Outcome:
    receiver = Receiver({channel: random.Random(f"{seed} {channel}") for channel in CHANNELS})
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    redis = Redis.from_url(redis_url)
    # Incidents of their own: a campaign would make one message of many.
    plan = ResponsePlan(campaign=Campaign(subjects=10_000))
    routes = Routes(types=dict.fromkeys(CHANNELS, "webhook"))
    world = World.make(redis, wall_clock_ms, routes=routes, plan=plan)
    names = (*CHANNELS, DEAD_CHANNEL)
    started = receiver.begun = time.monotonic()
    wanted = await write_messages(world)
    workers = [start_worker(redis_url, port, number) for number in range(2)]
    try:
        async with asyncio.timeout(START_S):
            await receiver.is_reached.wait()
        started = receiver.begun = time.monotonic()
        await asyncio.sleep(KILL_AFTER_S)
        workers[0].send_signal(signal.SIGKILL)
        left = await _until_done(world, set(names), started)
        seconds = time.monotonic() - started
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            await asyncio.to_thread(worker.wait, 10)
        server.close()
    dead, _ = await world.dead_letters.page(limit=1000)
    log, cursor = await world.outbox.notifications(limit=10_000)
    assert cursor is None
    await redis.aclose()
    return Outcome(
        receiver=receiver,
        wanted=wanted,
        dead=[(one.channel, one.error) for one in dead],
        log=Counter((n.status, n.channel) for n in log),
        left=left,
        seconds=seconds,
    )


async def _until_done(world: World, names: set[str], started: float) -> int:
    """Waits until nothing waits any more; answers how many letters and messages are left in the end."""
    while True:
        health = await world.channel_health.all(names)
        left = sum(one.depth for one in health) + await world.outbox.waiting()
        if not left or time.monotonic() - started > LONGEST_S:
            return left
        await asyncio.sleep(0.1)


def measure() -> dict[str, float]:
    """The figures of docs/delivery.md."""
    found = run()
    doubles = sum(found.doubles.values())
    return {
        "delivery: messages wanted, over four channels": len(found.wanted),
        "delivery: lost": len(found.lost),
        "delivery: requests": found.receiver.requests,
        "delivery: arrived twice": doubles,
        "delivery: of these, accepted after the client had gone": found.of_stalls,
        "delivery: of these, because of the kill": doubles - found.of_stalls,
        "delivery: dead letters (all of them 404)": len(found.dead),
        "delivery: seconds": found.seconds,
    }
