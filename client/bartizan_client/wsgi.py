"""The WSGI middleware, for Flask and every other WSGI application. Source: PEP 3333."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Callable

from bartizan_client.client import ClientStatus
from bartizan_client.judgement import Judge
from bartizan_client.middleware import settings_of
from bartizan_client.sync_client import SyncBlocklistClient

if TYPE_CHECKING:
    from typing import Unpack

    from bartizan_client.settings import Options

StartResponse = Callable[..., Any]
WsgiApp = Callable[[Any, StartResponse], Iterable[bytes]]


class WsgiReader:
    """How a WSGI environ, and Django's META, tells about a request."""

    def peer(self, native: Any) -> str | None:
        return native.get("REMOTE_ADDR") or None

    def peer_and_forwarded(self, native: Any) -> tuple[str | None, Sequence[bytes]]:
        value = native.get("HTTP_X_FORWARDED_FOR")
        forwarded = [] if value is None else [value.encode("latin-1", "replace")]
        return native.get("REMOTE_ADDR") or None, forwarded

    def header(self, native: Any, name: str) -> str | None:
        value = native.get("HTTP_" + name.upper().replace("-", "_"))
        return None if value is None else str(value)

    def path(self, native: Any) -> str:
        raw = (native.get("SCRIPT_NAME") or "") + (native.get("PATH_INFO") or "")
        return str(raw.encode("latin-1", "replace").decode("utf-8", "replace"))

    def method(self, native: Any) -> str:
        return str(native.get("REQUEST_METHOD") or "")


class BartizanWsgi:
    """Refuses whom Bartizan blocked, from memory; hands everything else on as it is."""

    def __init__(
        self, app: WsgiApp, *, client: SyncBlocklistClient | None = None, **options: Unpack[Options]
    ) -> None:
        """What the settings mean: docs/client.md. A `client` brings url, token and all about the connection.

        Raises: ValueError naming the setting that is wrong.
        """
        settings = settings_of(client, options)
        settings.check_is_sync()
        self.app = app
        self.client = client or SyncBlocklistClient.from_settings(settings)
        self.counts = self.client.counts
        """What became of requests; the names: docs/client.md."""
        self._judge = Judge(settings, self.client, WsgiReader())

    def status(self) -> ClientStatus:
        """How the client is doing, and which decisions mean nothing here."""
        return self.client.status(self._judge.cannot_act())

    def __call__(self, environ: Any, start_response: StartResponse) -> Iterable[bytes]:
        if not self.client.is_started:
            self.client.wait_started()
        verdict = self._judge.judge(environ)
        if verdict.pending is not None:
            verdict = self._judge.settle_now(verdict)
        answer = verdict.answer
        if answer is None:
            return self.app(environ, start_response)
        start_response(status_line(answer.status), list(answer.headers))
        return [answer.body]


def status_line(status: int) -> str:
    """Such as `403 Forbidden`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Refused"
