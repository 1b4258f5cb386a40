"""apprise, where it is installed: any URL that it knows, one attempt, and no URL in an error."""

import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest
from letters import a_letter, url_of

from actions.channels.apprise import AppriseChannel, target_of
from detectors.errors import ConfigError, DeliveryError

pytestmark = pytest.mark.filterwarnings(
    "ignore:'imghdr' is deprecated:DeprecationWarning"
)  # apprise imports it


class Hook(HTTPServer):
    """A plain JSON endpoint, as apprise's `json://` posts to."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        hook = self.server
        assert isinstance(hook, Hook)
        hook.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(hook.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    pytest.importorskip("apprise")
    server = Hook()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join(10)
    server.server_close()


def channel_of(hook: Hook) -> AppriseChannel:
    target = target_of(f"json://127.0.0.1:{hook.server_port}/path?retry=5&wait=0.01")
    return AppriseChannel("any", target, url_of)


async def test_a_letter_arrives_with_its_words(hook: Hook) -> None:
    assert await channel_of(hook).send(a_letter()) == ""
    [body] = map(msgspec.json.decode, hook.bodies)
    assert body["title"] == "[P1 high] auth_failures: 203.0.113.9"
    assert "Subject: 203.0.113.9" in body["message"]
    assert url_of("INC-2026-0001") in body["message"]


async def test_a_failure_is_temporary_and_not_retried_by_apprise(hook: Hook) -> None:
    hook.status = 500
    with pytest.raises(DeliveryError, match="apprise") as caught:
        await channel_of(hook).send(a_letter())
    assert not caught.value.permanent
    assert len(hook.bodies) == 1


@pytest.mark.parametrize("url", ["nonsense", "unknown://token-0123/x", "json://a, json://b", ""])
def test_a_url_that_apprise_does_not_know_is_refused_and_not_repeated(url: str) -> None:
    pytest.importorskip("apprise")
    with pytest.raises(ConfigError, match="no URL that apprise knows") as caught:
        target_of(url)
    assert "token-0123" not in str(caught.value)


def test_where_apprise_is_missing_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"pip install 'bartizan\[apprise\]'"):
        target_of("json://127.0.0.1/")


@pytest.mark.parametrize("url", ["tgram://secretoken", "slack://a-secret-token/b/c"])
def test_a_wrong_url_is_not_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError):
        target_of(url)
    assert "secret" not in caplog.text
    assert not logging.getLogger("apprise").disabled
