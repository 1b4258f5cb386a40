"""`bartizan sources` and `bartizan rejected`, over a service that answers as the test says."""

import json
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from app.cli import app

SOURCE = "tok_0123456789ab/events"
SUMS = {"accepted": 7, "rejected": 3, "no_client_ip": 1, "no_status": 2, "reasons": {"not JSON": 3, "x": 1}}
LISTED = {
    "id": SOURCE,
    "token_name": "web1 \x1b[31m",
    "state": "silent",
    "last_seen": "then",
    "skew_ms": 5,
    "today": SUMS,
    "week": SUMS,
}
RECORD = {"id": f"{SOURCE}:1-0a", "received_at": "now", "reason": "not JSON", "record": "\x1b[2J" + "x" * 900}


class Service:
    """Remembers what it was asked, and answers one after the other."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answers: list[Any] = []

    def __call__(self, **_: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call(self, method: str, path: str, *, params: Any = None, body: Any = None) -> Any:
        self.asked.append((f"{method} {path}", dict(body)))
        return self.answers.pop(0)

    def items(self, path: str, params: dict[str, Any], limit: int) -> Any:
        self.asked.append((f"GET {path}", params))
        return self.answers.pop(0)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    made = Service()
    monkeypatch.setattr("app.commands.api.Api", made)
    return made


def run(*command: str) -> str:
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    return done.output


def test_sources_are_shown_with_todays_numbers(service: Service) -> None:
    service.answers = [[LISTED]]
    text = run("sources", "list")
    assert "\x1b" not in text
    for part in (SOURCE, "web1", "silent", "7", "not JSON"):
        assert part in text


def test_as_json_everything_is_there(service: Service) -> None:
    service.answers = [[LISTED], [RECORD]]
    assert json.loads(run("sources", "list", "--json")) == LISTED
    assert json.loads(run("rejected", "list", "--json")) == RECORD


def test_records_cannot_control_the_terminal(service: Service) -> None:
    service.answers = [[RECORD]]
    text = run("rejected", "list", "--source", SOURCE, "--reason", "not JSON")
    assert "\x1b" not in text and "x" * 100 in text
    assert "x" * 201 not in text.replace("\n", "")
    assert service.asked == [("GET /v1/admin/rejected", {"source": SOURCE, "reason": "not JSON"})]


def test_reingest_goes_on_until_there_is_no_more(service: Service) -> None:
    page = {"accepted": 2, "rejected": 1, "duplicates": 0, "errors": [{"id": "a", "error": "it was cut"}]}
    service.answers = [{**page, "next_cursor": "c"}, {**page, "next_cursor": None}]
    assert json.loads(run("rejected", "reingest", "--source", SOURCE, "--json")) == {
        "accepted": 4,
        "rejected": 2,
        "duplicates": 0,
        "errors": [{"id": "a", "error": "it was cut"}] * 2,
    }
    assert [body["cursor"] for _, body in service.asked] == [None, "c"]


def test_what_cannot_be_counted_is_named_with_its_reason(service: Service) -> None:
    errors = [{"id": f"{SOURCE}:1-0a", "error": "it was cut"}]
    service.answers = [{"accepted": 0, "rejected": 1, "duplicates": 0, "errors": errors, "next_cursor": None}]
    assert f"{SOURCE}:1-0a: it was cut" in run("rejected", "reingest")


def test_some_may_be_named(service: Service) -> None:
    service.answers = [{"accepted": 1, "rejected": 0, "duplicates": 0, "next_cursor": None}]
    assert "accepted:   1" in run("rejected", "reingest", RECORD["id"])
    assert service.asked[0][1]["ids"] == [RECORD["id"]]
