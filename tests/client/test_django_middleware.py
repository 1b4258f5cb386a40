"""The Django middleware by Django's own request objects, sync and async; real servers: tests/service."""

import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fake_bartizan import decision

import bartizan_client.django as guard

if importlib.util.find_spec("django") is None and not os.environ.get("CI"):
    pytest.skip("django is not here", allow_module_level=True)

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.test.utils import override_settings

if not settings.configured:
    settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="x", DEFAULT_CHARSET="utf-8")

LIST = {
    "cursor": "1-0",
    "blocks": [decision("203.0.113.9"), decision("198.51.100.7", type="captcha")],
    "allowlist": [],
}


def answering(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/v1/blocklist":
        return httpx.Response(200, json=LIST)
    return httpx.Response(503, headers={"retry-after": "60"})


def options(**more: Any) -> dict[str, Any]:
    transport = httpx.MockTransport(answering)
    return {"url": "http://b.invalid", "token": "t", "snapshot": None, "transport": transport, **more}


@pytest.fixture(autouse=True)
def _one_client_a_test() -> Iterator[None]:
    yield
    for client in guard._clients.values():
        client.close()
    guard._clients.clear()


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


def test_a_blocked_address_is_refused_and_others_are_not() -> None:
    with override_settings(BARTIZAN=options(exempt=["/health"])):
        middleware = guard.BartizanMiddleware(view)
        refused = middleware(RequestFactory().get("/", REMOTE_ADDR="203.0.113.9"))
        assert refused.status_code == 403
        assert refused["Content-Type"] == "application/problem+json"
        assert middleware(RequestFactory().get("/", REMOTE_ADDR="203.0.113.10")).content == b"hello"
        assert middleware(RequestFactory().get("/health", REMOTE_ADDR="203.0.113.9")).content == b"hello"
        assert guard.client().counts["refused"] == 1
        assert middleware.status().decisions == {"ban": 1, "captcha": 1}


async def test_the_same_under_asgi_with_an_asynchronous_hook() -> None:
    async def on_captcha(address: str, block: Any, request: Any) -> Any:
        return 302, {"Location": "/captcha"}, ""

    with override_settings(BARTIZAN=options(on_captcha=on_captcha)):
        middleware = guard.BartizanMiddleware(async_view)

        async def ask(address: str) -> HttpResponse:
            request = AsyncRequestFactory().get("/")
            request.META["REMOTE_ADDR"] = address
            return await middleware(request)

        assert (await ask("203.0.113.9")).status_code == 403
        assert (await ask("203.0.113.10")).content == b"hello"
        sent_on = await ask("198.51.100.7")
        assert (sent_on.status_code, sent_on["Location"]) == (302, "/captcha")
        with pytest.raises(ValueError, match="on_captcha"):
            guard.BartizanMiddleware(view)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [(None, "BARTIZAN"), ({}, "url"), (options(fail="ajar"), "fail"), (options(colour="red"), "colour")],
)
def test_wrong_settings_stop_the_start_and_are_named(wrong: Any, named: str) -> None:
    with override_settings(BARTIZAN=wrong), pytest.raises(ImproperlyConfigured, match=named):
        guard.BartizanMiddleware(view)
