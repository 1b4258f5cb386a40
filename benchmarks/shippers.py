"""The same events through each shipper's protocol and through /v1/events, in one run: events per CPU-second."""

import asyncio
import itertools
import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import cramjam

from benchmarks.ingest import EVENTS, WARM_UP
from benchmarks.service import TOKENS, Connection, Service, running_service
from benchmarks.traffic import requests

ROUNDS = 100
DIFFERENT = 30
SUCCESS = (200, 204)
BUSY = 503

Records = list[dict[str, object]]


def nanoseconds(record: dict[str, object]) -> int:
    """When it happened, from the epoch."""
    return int(datetime.fromisoformat(str(record["timestamp"])).timestamp() * 1e9)


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def as_events(records: Records) -> bytes:
    return "\n".join(map(compact, records)).encode()


def as_loki(records: Records) -> bytes:
    values = [[str(nanoseconds(record)), compact(record)] for record in records]
    return compact({"streams": [{"stream": {"job": "api"}, "values": values}]}).encode()


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited field of protobuf."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def as_loki_protobuf(records: Records) -> bytes:
    entries = b"".join(
        field(
            2,
            field(
                1,
                b"\x08" + varint(nanoseconds(r) // 10**9) + b"\x10" + varint(nanoseconds(r) % 10**9),
            )
            + field(2, compact(r).encode()),
        )
        for r in records
    )
    return bytes(cramjam.snappy.compress_raw(field(1, field(1, b'{job="api"}') + entries)))


def as_hec(records: Records) -> bytes:
    return "".join(
        compact({"time": nanoseconds(record) / 1e9, "host": "api-1", "event": record}) for record in records
    ).encode()


def as_bulk(records: Records) -> bytes:
    return "".join(f'{{"create":{{"_index":"logs"}}}}\n{compact(record)}\n' for record in records).encode()


OTLP_NAMES = {
    "client_ip": "client.address", "method": "http.request.method", "path": "url.path",
    "status": "http.response.status_code", "bytes": "http.response.size", "user_agent": "user_agent.original",
    "host": "server.address", "request_id": "http.request.id",
}  # fmt: skip


def as_otlp(records: Records) -> bytes:
    def record_of(record: dict[str, object]) -> bytes:
        out = b"\x09" + struct.pack("<Q", nanoseconds(record))
        for ours, theirs in OTLP_NAMES.items():
            value = record[ours]
            any_value = b"\x18" + varint(value) if isinstance(value, int) else field(1, str(value).encode())
            out += field(6, field(1, theirs.encode()) + field(2, any_value))
        return field(2, out)

    resource = field(1, field(1, field(1, b"service.name") + field(2, field(1, b"api"))))
    return field(1, resource + field(2, b"".join(map(record_of, records))))


def as_otlp_json(records: Records) -> bytes:
    def record_of(record: dict[str, object]) -> dict[str, object]:
        attributes = [
            {
                "key": theirs,
                "value": {"intValue" if isinstance(record[ours], int) else "stringValue": record[ours]},
            }
            for ours, theirs in OTLP_NAMES.items()
        ]
        return {"timeUnixNano": str(nanoseconds(record)), "attributes": attributes}

    scope = {"scope": {}, "logRecords": list(map(record_of, records))}
    return compact({"resourceLogs": [{"resource": {}, "scopeLogs": [scope]}]}).encode()


PROTOCOLS: dict[str, tuple[str, str, Callable[[Records], bytes]]] = {
    "Loki, JSON": ("/loki/api/v1/push", "application/json", as_loki),
    "Loki, protobuf": ("/loki/api/v1/push", "application/x-protobuf", as_loki_protobuf),
    "HEC": ("/services/collector/event", "application/json", as_hec),
    "OTLP, protobuf": ("/v1/logs", "application/x-protobuf", as_otlp),
    "OTLP, JSON": ("/v1/logs", "application/json", as_otlp_json),
    "_bulk": ("/_bulk", "application/x-ndjson", as_bulk),
    "/v1/events": ("/v1/events", "application/x-ndjson", as_events),
}


async def post_all(port: int, path: str, kind: str, made: list[bytes]) -> None:
    """Over two connections. Raises: SystemExit where one is not taken."""
    connections = [await Connection.open(port) for _ in range(2)]
    waiting = iter(made)

    async def send(connection: Connection) -> None:
        for body in waiting:
            head = (
                f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKENS['ingest']}\r\n"
                f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            status, answer = await connection.request(head.encode(), body)
            while status == BUSY:
                await asyncio.sleep(0.1)
                status, answer = await connection.request(head.encode(), body)
            if status not in SUCCESS:
                raise SystemExit(f"{path} {status} {answer[:200]!r}")

    await asyncio.gather(*map(send, connections))
    for connection in connections:
        connection.close()


def through(service: Service, path: str, kind: str, write: Callable[[Records], bytes]) -> float:
    """Events per CPU-second of the service and its Redis. Bodies are different, so that none is a repeat."""
    now = datetime.now(UTC) - timedelta(seconds=EVENTS / 1000 + 1)
    made = [requests(EVENTS, seed, now) for seed in range(DIFFERENT)]
    numbers = itertools.count()

    def told_apart() -> bytes:
        number = next(numbers)
        records = made[number % DIFFERENT]
        return write([*records[:-1], {**records[-1], "request_id": f"{number:016x}"}])

    asyncio.run(post_all(service.port, path, kind, [told_apart() for _ in range(WARM_UP)]))
    bodies = [told_apart() for _ in range(ROUNDS)]
    before = sum(service.cpu_s())
    asyncio.run(post_all(service.port, path, kind, bodies))
    return ROUNDS * EVENTS / (sum(service.cpu_s()) - before)


def measure() -> dict[str, float]:
    """Each protocol beside /v1/events, one right after the other, the better of two rounds."""
    rates = dict.fromkeys(PROTOCOLS, 0.0)
    for _ in range(2):
        with running_service() as service:
            for name, how in PROTOCOLS.items():
                rates[name] = max(rates[name], through(service, *how))
    own = rates.pop("/v1/events")
    figures = {"events per CPU-second through /v1/events": own}
    for name, rate in rates.items():
        figures[f"{name}: events per CPU-second"] = rate
        figures[f"  {name}, per cent of /v1/events (bar 50)"] = 100 * rate / own
    return figures
