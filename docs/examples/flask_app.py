"""A Flask application that refuses whom Bartizan has blocked, and reports failed logins.

    pip install bartizan-client flask gunicorn
    export BLOCKLIST_URL=http://127.0.0.1:8000 BLOCKLIST_TOKEN=...   # a token with the role lookup
    export REPORT_TOKEN=...                                          # one with the role ingest, to report events
    gunicorn --preload --workers 2 --threads 4 --bind 127.0.0.1:9000 flask_app:app

Settings, proxies, and what happens while Bartizan is away: docs/client.md.
"""

import os
from typing import Any

from flask import Flask, request

from bartizan_client import SyncBlocklistClient, TrustedProxies, login_failed
from bartizan_client.flask import Bartizan

app = Flask(__name__)
client = SyncBlocklistClient(
    os.environ.get("BLOCKLIST_URL", "http://127.0.0.1:8000"),
    os.environ["BLOCKLIST_TOKEN"],
    report_token=os.environ.get("REPORT_TOKEN"),
)
trusted = os.environ.get("TRUSTED_PROXIES", "127.0.0.1,::1").split(",")
proxies = TrustedProxies(trusted)
Bartizan(app, client=client, trusted_proxies=trusted, exempt=["/health"], fail="open")


@app.get("/")
def hello() -> dict[str, str]:
    return {"message": "hello"}


@app.get("/health")
def health() -> dict[str, Any]:
    status = client.status()
    return {"blocklist": status.is_connected, "entries": status.entries, "counts": dict(client.counts)}


@app.post("/login")
def login() -> tuple[dict[str, str], int]:
    """Nobody has the right password here."""
    forwarded = [value.encode() for value in request.headers.getlist("X-Forwarded-For")]
    address = proxies.client_address(request.remote_addr, forwarded)
    if address is not None:
        client.report(login_failed(address, request.args.get("user"), path="/login"))
    return {"detail": "wrong user or password"}, 401
