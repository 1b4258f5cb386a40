"""The middleware by plain ASGI calls: what it refuses, and that it touches nothing else."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fake_bartizan import decision

from bartizan_client import BartizanMiddleware

Messages = list[dict[str, Any]]


def answering(document: dict[str, Any]) -> httpx.MockTransport:
    """A Bartizan with one list, on which nothing ever changes."""

    async def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/blocklist":
            return httpx.Response(200, json=document)
        await asyncio.Event().wait()
        raise AssertionError

    return httpx.MockTransport(handle)


def away() -> httpx.MockTransport:
    def handle(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    return httpx.MockTransport(handle)


LIST = {
    "cursor": "1-0",
    "blocks": [decision("203.0.113.9"), decision("198.51.100.0/24"), decision("2001:db8:1:2::/64")],
    "allowlist": [{"value": "198.51.100.128/25", "until": None}],
}


class Inner:
    """An application that says what it got and answers what it is told to."""

    def __init__(self, *answer: dict[str, Any]) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, Any, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append((scope, receive, send))
        for message in self.answer:
            await send(message)


def guard(app: Any, **settings: Any) -> BartizanMiddleware:
    defaults: dict[str, Any] = {
        "url": "http://bartizan.invalid",
        "token": "t",
        "snapshot": None,
        "transport": answering(LIST),
    }
    return BartizanMiddleware(app, **defaults | settings)


def http_scope(client: str | None = "192.0.2.1", **more: Any) -> dict[str, Any]:
    address = None if client is None else (client, 40_000)
    return {"type": "http", "method": "GET", "path": "/", "headers": [], "client": address} | more


async def no_message() -> Any:
    raise AssertionError("nothing was to be received")


async def call(app: Any, scope: dict[str, Any], *incoming: dict[str, Any]) -> Messages:
    sent: Messages = []
    queue = list(incoming)

    async def receive() -> dict[str, Any]:
        return queue.pop(0)

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await app(scope, receive, send)
    return sent


@pytest.fixture(autouse=True)
async def _stop_followers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    made: list[BartizanMiddleware] = []
    init = BartizanMiddleware.__init__

    def remember(self: BartizanMiddleware, *args: Any, **settings: Any) -> None:
        init(self, *args, **settings)
        made.append(self)

    monkeypatch.setattr(BartizanMiddleware, "__init__", remember)
    yield
    for middleware in made:
        await middleware.client.stop()


@pytest.mark.parametrize("client", ["203.0.113.9", "::ffff:203.0.113.9", "198.51.100.7", "2001:db8:1:2:3::4"])
async def test_a_blocked_address_gets_403_with_a_problem_body(client: str) -> None:
    inner = Inner()
    app = guard(inner)
    start, body = await call(app, http_scope(client))
    assert not inner.calls
    assert start["type"] == "http.response.start"
    assert start["status"] == 403
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    assert headers[b"cache-control"] == b"no-store"
    problem = json.loads(body["body"])
    assert problem.pop("reference").startswith("id-")
    assert problem == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "Requests from this address are refused.",
    }
    assert app.counts == {"refused": 1, "refused_ban": 1}


@pytest.mark.parametrize("client", ["203.0.113.10", "198.51.100.200", "2001:db8:1:3::1"])
async def test_others_reach_the_application_which_gets_the_very_same_objects(client: str) -> None:
    inner = Inner()
    app = guard(inner)
    scope = http_scope(client)

    async def send(message: Any) -> None:
        raise AssertionError

    await app(scope, no_message, send)
    ((got_scope, got_receive, got_send),) = inner.calls
    assert got_scope is scope
    assert set(scope) == set(http_scope(client))
    assert got_receive is no_message
    assert got_send is send
    assert app.counts == {"allowed": 1}


async def test_an_allowed_response_is_left_exactly_as_it_is() -> None:
    cookies = [(b"set-cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"x-empty", b"")]
    answer: Messages = [
        {"type": "http.response.start", "status": 200, "headers": cookies, "trailers": True},
        {"type": "http.response.body", "body": b"one", "more_body": True},
        {"type": "http.response.body", "body": b"", "more_body": True},
        {"type": "http.response.body", "body": b"two"},
        {"type": "http.response.trailers", "headers": [(b"x", b"y")]},
    ]
    assert await call(guard(Inner(*answer)), http_scope()) == answer


async def test_an_error_of_the_application_stays_its_own() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("its own")

    with pytest.raises(RuntimeError, match="its own"):
        await call(guard(broken), http_scope())


async def test_a_websocket_is_refused_before_it_is_accepted() -> None:
    inner = Inner()
    scope = http_scope("203.0.113.9", type="websocket")
    sent = await call(guard(inner), scope, {"type": "websocket.connect"})
    assert [(m["type"], m["code"]) for m in sent] == [("websocket.close", 1008)]
    assert not inner.calls


async def test_a_websocket_gets_the_problem_body_where_the_server_can_carry_it() -> None:
    scope = http_scope("203.0.113.9", type="websocket", extensions={"websocket.http.response": {}})
    start, body = await call(guard(Inner()), scope, {"type": "websocket.connect"})
    assert start["type"] == "websocket.http.response.start"
    assert start["status"] == 403
    assert body["type"] == "websocket.http.response.body"
    assert json.loads(body["body"])["status"] == 403


async def test_a_websocket_that_has_gone_gets_nothing() -> None:
    scope = http_scope("203.0.113.9", type="websocket")
    assert await call(guard(Inner()), scope, {"type": "websocket.disconnect"}) == []


async def test_an_allowed_websocket_reaches_the_application() -> None:
    inner = Inner({"type": "websocket.accept"})
    assert await call(guard(inner), http_scope(type="websocket")) == [{"type": "websocket.accept"}]


async def test_the_forwarded_address_counts_only_through_a_trusted_proxy() -> None:
    headers = [(b"x-forwarded-for", b"198.51.100.200"), (b"x-forwarded-for", b"203.0.113.9")]
    trusting = guard(Inner(), trusted_proxies=["10.0.0.0/8"])
    assert (await call(trusting, http_scope("10.0.0.2", headers=headers)))[0]["status"] == 403
    inner = Inner()
    assert await call(guard(inner), http_scope("10.0.0.2", headers=headers)) == []
    assert len(inner.calls) == 1


async def test_without_any_list_open_lets_through_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 1_764_000_000.0
    inner = Inner()
    app = guard(inner, transport=away(), now=lambda: now_s)
    for _ in range(3):
        assert await call(app, http_scope("203.0.113.9")) == []
    now_s += 1
    await call(app, http_scope("203.0.113.9"))
    assert len(inner.calls) == 4
    assert app.counts == {"let_through": 4}
    said = [r.getMessage() for r in caplog.records if "unjudged" in r.getMessage()]
    assert said == [
        "requests let through unjudged: 1 (no list)",
        "requests let through unjudged: 3 (no list)",
    ]


async def test_without_any_list_closed_answers_503() -> None:
    inner = Inner()
    app = guard(inner, transport=away(), fail="closed")
    start, body = await call(app, http_scope())
    assert start["status"] == 503
    assert dict(start["headers"])[b"retry-after"] == b"2"
    assert json.loads(body["body"])["title"] == "Service Unavailable"
    assert not inner.calls
    assert app.counts == {"turned_away": 1}
    scope = http_scope(type="websocket")
    assert (await call(app, scope, {"type": "websocket.connect"}))[0]["code"] == 1013


@pytest.mark.parametrize(("fail", "calls"), [("open", 1), ("closed", 0)])
@pytest.mark.parametrize("client", [None, "testclient"])
async def test_a_request_without_an_address_is_judged_by_the_same_setting(
    client: str | None, fail: str, calls: int
) -> None:
    inner = Inner()
    await call(guard(inner, fail=fail), http_scope(client))
    assert len(inner.calls) == calls


async def test_a_bartizan_that_hangs_holds_the_first_request_for_a_moment_only() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    inner = Inner()
    app = guard(inner, transport=httpx.MockTransport(hang), startup_wait_s=0.01)
    await call(app, http_scope())
    await call(app, http_scope())
    assert len(inner.calls) == 2


async def test_the_follower_lives_as_long_as_the_lifespan() -> None:
    seen: list[bool] = []
    sent: Messages = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        seen.append(app.follower.has_list)
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        seen.append(app.follower.is_running)
        await send({"type": "lifespan.shutdown.complete"})
        seen.append(app.follower.is_running)

    app = guard(inner)
    steps = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = await call(app, {"type": "lifespan"}, *steps)
    assert seen == [True, True, False]
    assert [m["type"] for m in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_an_application_without_a_lifespan_is_protected_from_its_first_request() -> None:
    async def inner(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise AssertionError("no lifespan here")

    app = guard(inner)
    with pytest.raises(AssertionError, match="no lifespan here"):
        await call(app, {"type": "lifespan"})
    assert not app.follower.is_running
    assert (await call(app, http_scope("203.0.113.9")))[0]["status"] == 403


async def test_what_is_neither_http_nor_websocket_is_handed_on() -> None:
    inner = Inner()
    await call(guard(inner), {"type": "webtransport"})
    assert len(inner.calls) == 1


def test_a_middleware_that_outlives_its_event_loop_follows_in_the_next_one() -> None:
    app = guard(Inner())

    async def once() -> int:
        return (await call(app, http_scope("203.0.113.9")))[0]["status"]

    assert asyncio.run(once()) == 403
    assert not app.follower.is_running
    assert asyncio.run(once()) == 403


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"url": "bartizan.internal"}, "url"),
        ({"token": ""}, "token"),
        ({"token": "a\nb"}, "token"),
        ({"fail": "ajar"}, "fail"),
        ({"trusted_proxies": ["nowhere"]}, "trusted_proxies"),
        ({"poll_wait_s": 0}, "poll_wait_s"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        guard(Inner(), **wrong)


async def test_neither_the_token_nor_the_address_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "bartizan_client"):
        await call(guard(Inner(), token="very-secret"), http_scope("203.0.113.9"))
        await call(guard(Inner(), token="very-secret", transport=away()), http_scope("203.0.113.9"))
    assert "very-secret" not in caplog.text
    assert "203.0.113.9" not in caplog.text
