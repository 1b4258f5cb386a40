"""`bartizan digest` against a service that answers as ours does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app

DIGEST = {
    "headline": "Daily digest, 24 Nov 2026: 1 incident",
    "text": "INCIDENTS\n1 opened\x1b[31m\n",
    "html": "<!doctype html>\n<p>1 opened</p>\n",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """What a service that answers every request with one digest was asked."""
    requests: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(f"{self.command} {self.path}")
            body = json.dumps(DIGEST).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    monkeypatch.chdir(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        monkeypatch.setenv("BARTIZAN_PORT", str(server.server_port))
        monkeypatch.setenv("BARTIZAN_ADMIN_TOKEN", "t" * 40)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield requests
        server.shutdown()
        thread.join()


def run(*command: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["digest", *command])
    return done.exit_code, done.output


def test_the_daily_one_is_shown_as_text_that_cannot_control_the_terminal(asked: list[str]) -> None:
    code, said = run("preview")
    assert (code, asked) == (0, ["GET /v1/admin/digests/daily"])
    assert said.splitlines() == [DIGEST["headline"], "", "INCIDENTS", "1 opened\N{REPLACEMENT CHARACTER}[31m"]


def test_the_weekly_one_of_a_day_is_shown_as_a_page_or_as_json(asked: list[str]) -> None:
    assert run("preview", "--weekly", "--date", "2026-11-24", "--html") == (0, DIGEST["html"])
    assert asked == ["GET /v1/admin/digests/weekly?date=2026-11-24"]
    assert json.loads(run("preview", "--daily", "--json")[1]) == DIGEST
    assert asked[1:] == ["GET /v1/admin/digests/daily"]


def test_a_copy_is_sent(asked: list[str]) -> None:
    assert run("send", "--weekly") == (0, f"queued: {DIGEST['headline']}\n")
    assert asked == ["POST /v1/admin/digests/weekly/send"]
