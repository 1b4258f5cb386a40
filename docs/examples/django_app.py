"""A Django application in one file that refuses whom Bartizan has blocked, and reports failed logins.

    pip install bartizan-client django gunicorn uvicorn
    export BLOCKLIST_URL=http://127.0.0.1:8000 BLOCKLIST_TOKEN=...   # a token with the role lookup
    export REPORT_TOKEN=...                                          # one with the role ingest, to report events
    gunicorn --workers 2 --threads 4 --bind 127.0.0.1:9000 django_app:application
    uvicorn django_app:asgi --port 9000 --no-proxy-headers --lifespan off     # the same under ASGI

Settings, proxies, and what happens while Bartizan is away: docs/client.md.
"""

import os

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from bartizan_client import TrustedProxies, login_failed
from bartizan_client.django import client

trusted = os.environ.get("TRUSTED_PROXIES", "127.0.0.1,::1").split(",")
proxies = TrustedProxies(trusted)

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="of an example that keeps nothing",  # noqa: S106
    MIDDLEWARE=["bartizan_client.django.BartizanMiddleware"],  # first: nothing else runs for who is refused
    BARTIZAN={
        "url": os.environ.get("BLOCKLIST_URL", "http://127.0.0.1:8000"),
        "token": os.environ["BLOCKLIST_TOKEN"],
        "report_token": os.environ.get("REPORT_TOKEN"),
        "trusted_proxies": trusted,
        "exempt": ["/health"],
        "fail": "open",
    },
)
django.setup()


def hello(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"message": "hello"})


def health(request: HttpRequest) -> JsonResponse:
    status = client().status()
    counts = dict(client().counts)
    return JsonResponse({"blocklist": status.is_connected, "entries": status.entries, "counts": counts})


def login(request: HttpRequest) -> JsonResponse:
    """Nobody has the right password here."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR")
    address = proxies.client_address(request.META["REMOTE_ADDR"], [forwarded.encode()] if forwarded else [])
    if address is not None:
        client().report(login_failed(address, request.GET.get("user"), path="/login"))
    return JsonResponse({"detail": "wrong user or password"}, status=401)


urlpatterns = [path("", hello), path("health", health), path("login", login)]
application = get_wsgi_application()
asgi = get_asgi_application()
