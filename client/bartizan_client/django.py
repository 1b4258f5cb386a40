"""For Django, under WSGI and ASGI: put `"bartizan_client.django.BartizanMiddleware"` first in MIDDLEWARE.

The settings are in `settings.BARTIZAN = {"url": ..., "token": ...}`. Django is imported where it is used.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, Callable

from bartizan_client.client import ClientStatus
from bartizan_client.judgement import Judge
from bartizan_client.middleware import settings_of
from bartizan_client.sync_client import SyncBlocklistClient
from bartizan_client.verdict import Verdict
from bartizan_client.wsgi import WsgiReader

_lock = threading.Lock()
_clients: dict[str, SyncBlocklistClient] = {}
"""The one client of this process, by the name of Django's setting."""


class DjangoReader:
    """How a Django HttpRequest tells about itself."""

    def __init__(self) -> None:
        self._meta = WsgiReader()

    def peer(self, native: Any) -> str | None:
        return self._meta.peer(native.META)

    def peer_and_forwarded(self, native: Any) -> tuple[str | None, Sequence[bytes]]:
        return self._meta.peer_and_forwarded(native.META)

    def header(self, native: Any, name: str) -> str | None:
        return self._meta.header(native.META, name)

    def path(self, native: Any) -> str:
        return str(native.path)

    def method(self, native: Any) -> str:
        return str(native.method or "")


def client() -> SyncBlocklistClient:
    """The client of this process, with `settings.BARTIZAN`: to report events, and to ask.

    Raises: ImproperlyConfigured naming what is wrong in the settings.
    """
    with _lock:
        if "BARTIZAN" not in _clients:
            _clients["BARTIZAN"] = SyncBlocklistClient.from_settings(_settings())
        return _clients["BARTIZAN"]


class BartizanMiddleware:
    """Refuses whom Bartizan blocked, from memory; hands everything else on as it is."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        """Raises: ImproperlyConfigured naming what is wrong in the settings."""
        from asgiref.sync import iscoroutinefunction, markcoroutinefunction

        settings = _settings()
        self.get_response = get_response
        self.client = client()
        self._judge = Judge(settings, self.client, DjangoReader())
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        else:
            settings.check_is_sync()

    def status(self) -> ClientStatus:
        """How the client is doing, and which decisions mean nothing here."""
        return self.client.status(self._judge.cannot_act())

    def __call__(self, request: Any) -> Any:
        if self._is_async:
            return self._answer(request)
        if not self.client.is_started:
            self.client.wait_started()
        verdict = self._judge.judge(request)
        if verdict.pending is not None:
            verdict = self._judge.settle_now(verdict)
        return self.get_response(request) if verdict.answer is None else _response(verdict)

    async def _answer(self, request: Any) -> Any:
        if not self.client.is_started:
            await asyncio.to_thread(self.client.wait_started)
        verdict = self._judge.judge(request)
        if verdict.pending is not None:
            verdict = await self._judge.settle(verdict)
        return await self.get_response(request) if verdict.answer is None else _response(verdict)


def _settings() -> Any:
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    options = getattr(settings, "BARTIZAN", None)
    if not isinstance(options, dict):
        raise ImproperlyConfigured("BARTIZAN: a dictionary with url and token is needed in the settings")
    try:
        return settings_of(None, options)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"BARTIZAN: {error}") from error


def _response(verdict: Verdict) -> Any:
    from django.http import HttpResponse

    answer = verdict.answer
    assert answer is not None  # noqa: S101 - asked by the caller
    response = HttpResponse(answer.body, status=answer.status)
    del response["Content-Type"]
    for name, value in answer.headers:
        response[name.title()] = value
    return response
