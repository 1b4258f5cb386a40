"""What the client's middleware adds to an allowed request, beside an empty middleware and fastapi-guard's.

One FastAPI application, called as a server calls it but without sockets, so that what is measured is the CPU
time of the middleware and nothing else. The cases take turns in one run, and of each request the best of its
rounds counts, because other programs on the machine only ever add. Requests come from 500 addresses behind a
trusted proxy; the list has 100,000 addresses and 5,000 ranges. fastapi-guard (`pip install fastapi-guard`)
has its rate limit out of the way, no Redis, and one blocked address: it looks at nothing more than ours.
"""

import asyncio
import importlib.util
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpx
from fastapi import FastAPI

from bartizan_client import BartizanMiddleware, BartizanWsgi
from bartizan_client.decision import FOREVER, Block

REQUESTS = 500
ROUNDS = 60
FEW = 50
"""Requests of a round for what takes a hundred times as long."""
BAR_US = 5.0
Asgi = Callable[..., Awaitable[None]]


async def _quiet(request: httpx.Request) -> httpx.Response:
    """A Bartizan with an empty list, on which nothing ever changes."""
    if request.url.path == "/v1/blocklist":
        return httpx.Response(200, json={"cursor": "1-0", "blocks": [], "allowlist": []})
    await asyncio.Event().wait()
    raise AssertionError


def _quiet_now(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/v1/blocklist":
        return httpx.Response(200, json={"cursor": "1-0", "blocks": [], "allowlist": []})
    return httpx.Response(503, headers={"retry-after": "60"})


class Empty:
    """A middleware that does nothing."""

    def __init__(self, app: Asgi) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def api() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{number}")
    async def item(number: int) -> dict[str, int]:
        return {"number": number}

    return app


def options(transport: Any) -> dict[str, Any]:
    return {
        "url": "http://bartizan.invalid",
        "token": "t",
        "snapshot": None,
        "trusted_proxies": ["10.0.0.0/8"],
        "exempt": ["/health"],
        "transport": transport,
    }


def fill(table: Any) -> None:
    """100,000 addresses and 5,000 ranges, none of which is asked for."""
    for number in range(100_000):
        value = f"203.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        table.add(Block(f"{number:016x}", value, "listed", None, FOREVER))
    for number in range(5_000):
        table.add(Block(f"{number:016x}", f"198.{number >> 8}.{number & 255}.0/24", "listed", None, FOREVER))


def scopes() -> list[dict[str, Any]]:
    headers = [(b"host", b"api.example"), (b"user-agent", b"bench"), (b"accept", b"*/*"), (b"cookie", b"a=b")]
    return [
        {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": f"/items/{number}",
            "raw_path": f"/items/{number}".encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [*headers, (b"x-forwarded-for", f"192.0.{2 + number // 250}.{number % 250}".encode())],
            "client": ("10.0.0.2", 40_000),
            "server": ("api.example", 80),
        }
        for number in range(REQUESTS)
    ]


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: dict[str, Any]) -> None:
    if message["type"] == "http.response.start":
        assert message["status"] == 200, message


async def us_per_request(cases: dict[str, Asgi], slow: Iterable[str] = ()) -> dict[str, float]:
    """Of each request the best of all rounds, and of these the mean."""
    requests = scopes()
    best = {name: [float("inf")] * (FEW if name in slow else REQUESTS) for name in cases}
    clock = time.perf_counter_ns
    for _ in range(ROUNDS):
        for name, app in cases.items():
            ns = best[name]
            for number, scope in enumerate([dict(scope) for scope in requests[: len(ns)]]):
                begun = clock()
                await app(scope, _receive, _send)
                ns[number] = min(ns[number], clock() - begun)
    return {name: sum(ns) / len(ns) / 1e3 for name, ns in best.items()}


async def alone(scope: Any, receive: Any, send: Any) -> None:
    """An application that costs nothing, so that the middleware's own microseconds can be seen."""


def guarded_by_another() -> Asgi | None:
    """The same application behind fastapi-guard, with its pattern scan off; None where it is not installed."""
    if importlib.util.find_spec("guard") is None:
        print(
            "fastapi-guard is not installed: its figure is left out (pip install fastapi-guard)",
            file=sys.stderr,
        )
        return None
    from guard import SecurityConfig, SecurityMiddleware  # type: ignore[import-not-found]

    app = api()
    config = SecurityConfig(
        enable_redis=False,
        enable_rate_limiting=False,
        enable_penetration_detection=False,
        trusted_proxies=["10.0.0.0/8"],
        blacklist=["203.0.113.9"],
    )
    app.add_middleware(SecurityMiddleware, config=config)
    return app


async def asgi() -> dict[str, float]:
    app, table_of = api(), []

    def ours(inner: Asgi) -> BartizanMiddleware:
        middleware = BartizanMiddleware(inner, **options(httpx.MockTransport(_quiet)))
        table_of.append(middleware)
        return middleware

    cases: dict[str, Asgi] = {
        "alone, empty": Empty(alone),
        "alone, ours": ours(alone),
        "FastAPI": app,
        "FastAPI, empty": Empty(app),
        "FastAPI, ours": ours(app),
    }
    other = guarded_by_another()
    slow = []
    if other is not None:
        cases["FastAPI, fastapi-guard"] = other
        slow.append("FastAPI, fastapi-guard")
    for middleware in table_of:
        middleware.client.start()
        await middleware.client.wait_started()
        fill(middleware.follower.table)
    if other is not None:
        logging_off()
        await other(dict(scopes()[0]), _receive, _send)
    best = await us_per_request(cases, slow)
    for middleware in table_of:
        await middleware.client.stop()
    return best


def logging_off() -> None:
    import logging

    logging.disable(logging.WARNING)


def wsgi_us() -> float:
    """Microseconds that the WSGI middleware adds to an application that costs nothing."""

    def inner(environ: Any, start_response: Any) -> list[bytes]:
        return []

    def empty(environ: Any, start_response: Any) -> list[bytes]:
        return inner(environ, start_response)

    ours = BartizanWsgi(inner, **options(httpx.MockTransport(_quiet_now)))
    ours.client.wait_started()
    fill(ours.client.table)
    environs = [
        {
            "REMOTE_ADDR": "10.0.0.2",
            "PATH_INFO": "/items",
            "HTTP_X_FORWARDED_FOR": f"192.0.{2 + n // 250}.{n % 250}",
        }
        for n in range(REQUESTS)
    ]
    best = {"empty": float("inf"), "ours": float("inf")}
    for _ in range(ROUNDS):
        for name, app in (("empty", empty), ("ours", ours)):
            begun = time.thread_time()
            for environ in environs:
                app(environ, None)
            best[name] = min(best[name], (time.thread_time() - begun) / REQUESTS * 1e6)
    ours.client.close()
    return best["ours"] - best["empty"]


def measure() -> dict[str, float]:
    """All figures of this file: microseconds of CPU, and ratios of one run."""
    best = asyncio.run(asgi())
    added = best["FastAPI, ours"] - best["FastAPI, empty"]
    figures = {
        "client middleware: added to an allowed request of FastAPI, us (bar 5)": added,
        "the same in a loop of nothing else, us": best["alone, ours"] - best["alone, empty"],
        "client middleware, WSGI: the same, us": wsgi_us(),
        "a FastAPI request without middleware, us": best["FastAPI"],
        "the same with an empty middleware, us": best["FastAPI, empty"],
        "the same with the client's middleware, us": best["FastAPI, ours"],
    }
    if "FastAPI, fastapi-guard" in best:
        others = best["FastAPI, fastapi-guard"] - best["FastAPI, empty"]
        figures["the same with fastapi-guard's, pattern scan off, us"] = best["FastAPI, fastapi-guard"]
        figures["added by fastapi-guard : added by the client's, ratio"] = others / added
    return figures


if __name__ == "__main__":
    for label, figure in measure().items():
        print(f"{label:<72} {figure:>10,.2f}")
