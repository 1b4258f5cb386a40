"""Events per CPU-second through HTTP, all rules on, Redis included; beside them the bare limits."""

import asyncio
import subprocess
import sys
import time

import msgspec

from benchmarks.service import TOKENS, Connection, Service, cpu_s, free_port, head_of, running_service
from benchmarks.traffic import bodies
from detectors.event import Event

EVENTS = 1_000
"""Per batch, as the bar says."""
WARM_UP = 20
ROUNDS = 300
DIFFERENT = 60
EMPTY_APP = """
import uvicorn
from fastapi import FastAPI, Request, Response
app = FastAPI()
@app.post("/")
async def take(request: Request) -> Response:
    await request.body()
    return Response(b"{}")
@app.get("/")
async def give() -> Response:
    return Response(b"{}")
uvicorn.run(app, host="127.0.0.1", port=%d, log_level="warning", access_log=False)
"""


def told_apart(body: bytes, number: int) -> bytes:
    """The same body with another request id in its last record, so that it is no repeat."""
    end = body.rindex(b'"')
    return b"%s%016x%s" % (body[: end - 16], number, body[end:])


async def post_all(port: int, path: str, made: list[bytes], first: int, rounds: int) -> float:
    """Wall seconds for so many different bodies over two connections."""
    connections = [await Connection.open(port) for _ in range(2)]
    numbers = iter(range(first, first + rounds))

    async def send(connection: Connection) -> None:
        for number in numbers:
            body = told_apart(made[number % len(made)], number)
            status, answer = await connection.request(
                head_of("POST", path, TOKENS["ingest"], len(body)), body
            )
            if status != 200 or b'"duplicate":true' in answer:
                raise SystemExit(f"{status} {answer[:200]!r}")

    begun = time.perf_counter()
    await asyncio.gather(*map(send, connections))
    took = time.perf_counter() - begun
    for connection in connections:
        connection.close()
    return took


def through_http(service: Service, path: str, *, combined: bool) -> dict[str, float]:
    """Events per CPU-second of the service and its Redis together."""
    made = bodies(DIFFERENT, EVENTS, combined=combined)
    asyncio.run(post_all(service.port, path, made, 0, WARM_UP))
    before = service.cpu_s()
    wall = asyncio.run(post_all(service.port, path, made, WARM_UP, ROUNDS))
    server, redis = (now - then for now, then in zip(service.cpu_s(), before, strict=True))
    events = ROUNDS * EVENTS
    return {
        "events_per_cpu_s": events / (server + redis),
        "redis_share": redis / (server + redis),
        "events_per_s": events / wall,
        "bytes_per_event": sum(map(len, made)) / DIFFERENT / EVENTS,
    }


def decode_only() -> float:
    """Events per CPU-second of the JSON decoder alone."""
    decode = msgspec.json.Decoder(Event).decode
    made = bodies(10, EVENTS)
    begun = time.process_time()
    for _ in range(20):
        for body in made:
            for record in body.split(b"\n"):
                if record:
                    decode(record)
    return 200 * EVENTS / (time.process_time() - begun)


def empty_route() -> dict[str, float]:
    """The same bodies into a FastAPI route that only reads them; and GETs of an empty answer."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", EMPTY_APP % port])
    try:
        for _ in range(100):
            try:
                asyncio.run(_gets(port, 1))
                break
            except OSError:
                time.sleep(0.1)
        made = bodies(DIFFERENT, EVENTS)
        before = cpu_s(process.pid)
        asyncio.run(post_all(port, "/", made, 0, ROUNDS))
        posts = cpu_s(process.pid) - before
        before = cpu_s(process.pid)
        asyncio.run(_gets(port, 10_000))
        return {
            "events_per_cpu_s": ROUNDS * EVENTS / posts,
            "gets_per_cpu_s": 10_000 / (cpu_s(process.pid) - before),
        }
    finally:
        process.terminate()
        process.wait(10)


async def _gets(port: int, count: int) -> None:
    connection = await Connection.open(port)
    head = head_of("GET", "/", "none")
    for _ in range(count):
        await connection.request(head)
    connection.close()


def measure() -> dict[str, float]:
    """All figures of this file."""
    with running_service() as service:
        json_events = through_http(service, "/v1/events", combined=False)
        lines = through_http(service, "/v1/raw?format=combined", combined=True)
    with running_service(journal_hours="0") as service:
        unkept = through_http(service, "/v1/events", combined=False)
    empty = empty_route()
    return {
        "NDJSON events per CPU-second through HTTP (bar 150,000)": json_events["events_per_cpu_s"],
        "  of which Redis, per cent": 100 * json_events["redis_share"],
        "  bytes per event": json_events["bytes_per_event"],
        "the same without the journal": unkept["events_per_cpu_s"],
        "combined lines per CPU-second through HTTP (bar 100,000)": lines["events_per_cpu_s"],
        "bare limit: decode only": decode_only(),
        "bare limit: the same bodies into an empty FastAPI route": empty["events_per_cpu_s"],
        "bare limit: GETs per CPU-second of an empty FastAPI route": empty["gets_per_cpu_s"],
    }
