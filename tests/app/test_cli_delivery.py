"""`bartizan notify` and `bartizan route`, over a service that answers as the test says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.route_test import targets_of
from detectors.errors import ConfigError

MESSAGE = {"title": "a \x1b[31m title", "incident_id": "INC-2026-0001", "kind": "opened", "at": "then"}
DEAD = {"id": "1-0", "at": "now", "channel": "chat", "error": "404", "total": 1, "messages": [MESSAGE]}


class Service:
    """Remembers what it was asked, and answers the same each time."""

    asked: list[tuple[str, str, Any]]
    answer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call(self, method: str, path: str, *, params: Any = None, body: Any = None) -> Any:
        self.asked.append((method, path, params or body))
        return self.answer

    def items(self, path: str, params: dict[str, Any], limit: int) -> Any:
        self.asked.append(("GET", path, {k: v for k, v in params.items() if v is not None}))
        return self.answer


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    made = Service()
    made.asked = []
    monkeypatch.setattr("app.commands.api.Api", lambda: made)
    return made


@pytest.fixture
def run() -> Callable[..., tuple[int, str]]:
    def run(*command: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, command)
        return done.exit_code, done.output

    return run


Run = Callable[..., tuple[int, str]]


def test_the_log_is_shown_and_cannot_control_the_terminal(service: Service, run: Run) -> None:
    service.answer = [
        {"at": "now", "channel": "chat", "status": "muted", "error": "muted_by x", "message": MESSAGE}
    ]
    code, output = run("notify", "log", "--channel", "chat", "--status", "muted")
    assert code == 0
    assert all(word in output for word in ("chat", "muted_by x", "INC-2026-0001", "now"))
    assert "\x1b[31m" not in output
    assert service.asked == [("GET", "/v1/admin/notifications", {"channel": "chat", "status": "muted"})]
    _, output = run("notify", "log", "--json")
    assert json.loads(output)["message"]["title"] == MESSAGE["title"]


def test_channels_and_dead_letters_are_listed(service: Service, run: Run) -> None:
    service.answer = {"items": [{"channel": "chat", "depth": 3, "dead": 2, "error": "404"}]}
    code, output = run("notify", "channels")
    assert (code, "chat" in output, "404" in output) == (0, True, True)
    service.answer = [DEAD]
    code, output = run("notify", "dead", "list")
    assert (code, "1-0" in output, "title" in output) == (0, True, True)


def test_dead_letters_are_sent_again_and_dropped(service: Service, run: Run) -> None:
    service.answer = {"retried": 2}
    assert run("notify", "dead", "retry", "--channel", "chat")[0] == 0
    service.answer = DEAD
    assert run("notify", "dead", "retry", "1-0")[0] == 0
    assert run("notify", "dead", "drop", "1-0", "--reason", "old")[0] == 0
    dead = "/v1/admin/notifications/dead"
    assert service.asked == [
        ("POST", f"{dead}/retry", {"channel": "chat"}),
        ("POST", f"{dead}/1-0/retry", None),
        ("DELETE", f"{dead}/1-0", {"reason": "old"}),
    ]
    assert run("notify", "dead", "retry")[0] == 2
    assert run("notify", "dead", "retry", "1-0", "--channel", "chat")[0] == 2


def test_route_test_says_who_would_be_told(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    policy = tmp_path / "p.yaml"
    policy.write_text("routes: [{severity: low, channels: [log]}]")
    code, output = run(
        "route", "test", "severity=low", "rule=auth_failures", "--policy", str(policy), "--json"
    )
    assert (code, json.loads(output)) == (0, {"channel": "log", "type": "log", "when": "at_once"})
    with pytest.raises(ConfigError, match=r"rule=auth_failure: unknown rule; did you mean auth_failures\?"):
        targets_of(["rule=auth_failure"], policy)
