"""The WSGI middleware by plain calls, checked against PEP 3333 by the standard library's validator."""

import json
from collections.abc import Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx
import pytest
from fake_bartizan import decision

from bartizan_client import BartizanWsgi, SyncBlocklistClient
from bartizan_client.flask import Bartizan

LIST = {"cursor": "1-0", "blocks": [decision("203.0.113.9"), decision("198.51.100.0/24")], "allowlist": []}


def answering(request: httpx.Request) -> httpx.Response:
    """A list on which nothing ever changes."""
    if request.url.path == "/v1/blocklist":
        return httpx.Response(200, json=LIST)
    return httpx.Response(503, headers={"retry-after": "60"})


def application(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    yield b"one"
    yield b"two"


@pytest.fixture
def made() -> Iterator[list[BartizanWsgi]]:
    guards: list[BartizanWsgi] = []
    yield guards
    for guard in guards:
        guard.client.close()


def guard(made: list[BartizanWsgi], app: Any = application, **options: Any) -> BartizanWsgi:
    defaults = {"url": "http://b.invalid", "token": "t", "snapshot": None}
    transport = httpx.MockTransport(answering)
    made.append(BartizanWsgi(app, **{"transport": transport, **defaults, **options}))
    return made[-1]


def call(app: Any, address: str | None = "192.0.2.1", **more: Any) -> tuple[str, list[Any], bytes]:
    environ: dict[str, Any] = {"QUERY_STRING": "", "SCRIPT_NAME": "", "PATH_INFO": "/", **more}
    if address is not None:
        environ["REMOTE_ADDR"] = address
    setup_testing_defaults(environ)
    said: list[Any] = []

    def start_response(status: str, headers: list[Any], exc_info: Any = None) -> Any:
        said[:] = [status, headers]
        return lambda data: None

    body = validator(app)(environ, start_response)
    content = b"".join(body)
    body.close()
    return said[0], said[1], content


def test_a_blocked_address_gets_403_with_a_problem_body(made: list[BartizanWsgi]) -> None:
    app = guard(made)
    for address in ("203.0.113.9", "::ffff:203.0.113.9", "198.51.100.7"):
        status, headers, body = call(app, address)
        assert status == "403 Forbidden"
        assert dict(headers)["content-type"] == "application/problem+json"
        assert json.loads(body)["reference"].startswith("id-")
    assert app.counts == {"refused": 3, "refused_ban": 3}


def test_others_reach_the_application_and_get_its_very_answer(made: list[BartizanWsgi]) -> None:
    app = guard(made)
    status, headers, body = call(app)
    assert (status, body) == ("200 OK", b"onetwo")
    assert headers == [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]


def test_the_forwarded_address_counts_only_through_a_trusted_proxy(made: list[BartizanWsgi]) -> None:
    app = guard(made, trusted_proxies=["10.0.0.0/8", "unix"])
    forwarded = {"HTTP_X_FORWARDED_FOR": "198.51.100.7, 203.0.113.9"}
    assert call(app, "10.0.0.2", **forwarded)[0] == "403 Forbidden"
    assert call(app, "", **forwarded)[0] == "403 Forbidden"
    assert call(app, "192.0.2.1", **forwarded)[0] == "200 OK"


def test_an_exempt_path_is_read_with_the_mount_point_and_decoded(made: list[BartizanWsgi]) -> None:
    app = guard(made, exempt=["/api/gesundheit/ü"])
    path = {"SCRIPT_NAME": "/api", "PATH_INFO": "/gesundheit/ü".encode().decode("latin-1")}
    assert call(app, "203.0.113.9", **path)[0] == "200 OK"
    assert call(app, "203.0.113.9", **path | {"PATH_INFO": "/gesundheit"})[0] == "403 Forbidden"


def test_without_any_list_closed_answers_503(made: list[BartizanWsgi]) -> None:
    away = httpx.MockTransport(lambda request: httpx.Response(503))
    status, headers, _ = call(guard(made, transport=away, fail="closed"))
    assert status == "503 Service Unavailable"
    assert dict(headers)["retry-after"] == "2"
    assert call(guard(made, transport=away))[0] == "200 OK"


def test_a_client_is_shared_and_brings_the_connection(made: list[BartizanWsgi]) -> None:
    client = SyncBlocklistClient(
        "http://b.invalid", "t", snapshot=None, transport=httpx.MockTransport(answering)
    )
    one, two = (BartizanWsgi(application, client=client) for _ in range(2))
    made.append(one)
    assert call(one, "203.0.113.9")[0] == call(two, "203.0.113.9")[0] == "403 Forbidden"
    assert client.counts["refused"] == 2
    with pytest.raises(ValueError, match="token: belongs to the client"):
        BartizanWsgi(application, client=client, token="t")
    with pytest.raises(ValueError, match="url: is needed"):
        BartizanWsgi(application, token="t")


class Framework:
    """What of Flask the extension touches."""

    def __init__(self, **config: Any) -> None:
        self.config, self.extensions, self.wsgi_app = config, dict[str, Any](), application


def test_the_flask_extension_wraps_the_application_and_reads_its_settings(made: list[BartizanWsgi]) -> None:
    transport = httpx.MockTransport(answering)
    app = Framework(BARTIZAN_URL="http://b.invalid", BARTIZAN_TOKEN="t", BARTIZAN_EXEMPT=["/health"], DEBUG=1)
    Bartizan(snapshot=None, transport=transport).init_app(app)
    made.append(app.extensions["bartizan"])
    assert call(app.wsgi_app, "203.0.113.9")[0] == "403 Forbidden"
    assert call(app.wsgi_app, "203.0.113.9", PATH_INFO="/health")[0] == "200 OK"
    with pytest.raises(TypeError, match="wrong"):
        Bartizan(Framework(BARTIZAN_URL="http://b.invalid", BARTIZAN_TOKEN="t", BARTIZAN_WRONG=1))
