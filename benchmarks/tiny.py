"""One event a request, as fast as keep-alive connections can: a process of its own, so that what it costs is not
measured with the service.

`python -m benchmarks.tiny PORT SENDERS REQUESTS SECONDS` ends after so many requests or seconds, whichever comes first,
and prints what came of them as JSON. Each connection has one request under way: more of them would wait for each other,
and that would be measured.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator

from benchmarks.service import TOKENS

LOOK_S = 0.05
WAIT_S = 30
"""For the last answers."""


class Sender(asyncio.Protocol):
    """One connection. Reads of an answer only its status and where it ends."""

    def __init__(self, load: "Tiny") -> None:
        self._load = load
        self._sent_at: float | None = None
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        buffer, now = self._buffer + data, time.perf_counter()
        self._buffer = buffer
        end = buffer.find(b"\r\n\r\n")
        length = int(buffer[:end].lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if end < 0 or len(buffer) < end + 4 + length:
            return
        assert self._sent_at is not None
        self._load.add(int(buffer[9:12]), now - self._sent_at)
        self._buffer = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.unanswered += self._sent_at is not None
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        request = self._load.next_request()
        self._sent_at = None if request is None else time.perf_counter()
        if request is None:
            self._transport.close()
        else:
            self._transport.write(request)


class Tiny:
    """The load of all connections."""

    def __init__(self, requests: int, seconds: float) -> None:
        self.statuses: Counter[int] = Counter()
        self.slowest_s = self.stall_s = 0.0
        self.unanswered = 0
        self._ends_at = time.perf_counter() + seconds
        self._numbers: Iterator[int] = iter(range(requests)) if requests else itertools.count()

    def next_request(self) -> bytes | None:
        """Its bytes; None where there are to be no more."""
        number = next(self._numbers, None) if time.perf_counter() < self._ends_at else None
        if number is None:
            return None
        body = b'{"client_ip":"203.0.113.7","path":"/tiny/%d","status":200}' % number
        return b"%bContent-Length: %d\r\n\r\n%b" % (_HEAD, len(body), body)

    def add(self, status: int, seconds: float) -> None:
        """One answer, so long after its request was sent."""
        self.statuses[status] += 1
        self.slowest_s = max(self.slowest_s, seconds)

    async def run(self, port: int, senders: int) -> None:
        """Until all are answered. Raises: TimeoutError where one is not, long after the last was sent."""
        loop = asyncio.get_running_loop()
        watching = asyncio.create_task(self._watch())
        made = [await loop.create_connection(lambda: Sender(self), "127.0.0.1", port) for _ in range(senders)]
        left = max(0.0, self._ends_at - time.perf_counter())
        await asyncio.wait_for(asyncio.gather(*(sender.done for _, sender in made)), left + WAIT_S)
        watching.cancel()

    async def _watch(self) -> None:
        """How late this process itself wakes up."""
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(LOOK_S)
            self.stall_s = max(self.stall_s, time.perf_counter() - begun - LOOK_S)


_HEAD = f"POST /v1/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKENS['ingest']}\r\n".encode()


def main(arguments: list[str]) -> None:
    port, senders, requests = map(int, arguments[:3])
    load = Tiny(requests, float(arguments[3]))
    asyncio.run(load.run(port, senders))
    print(
        json.dumps(
            {
                "statuses": load.statuses,
                "slowest_s": load.slowest_s,
                "stall_s": load.stall_s,
                "unanswered": load.unanswered,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
