"""`bartizan incidents` against the real admin API: moves, notes, ticks, the report, the public page."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_thread import TOKEN, serving
from typer.testing import CliRunner

from app.cli import app
from app.policies.policy import default_text

HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def port(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("incidents")
    policy = default_text()
    with serving(redis_server, folder, policy) as found:
        yield found


@pytest.fixture
def incident(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> str:
    """An incident that a person reported, and the settings that lead the commands to the service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BARTIZAN_PORT", str(port))
    monkeypatch.setenv("BARTIZAN_ADMIN_TOKEN", TOKEN)
    return reported(port, request.node.name)


def reported(port: int, title: str) -> str:
    made = httpx.post(
        f"http://127.0.0.1:{port}/v1/admin/incidents",
        json={"title": title, "text": "A customer called.", "severity": "high"},
        headers=HEADERS,
    )
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def run(*command: str) -> str:
    done = CliRunner().invoke(app, ["incidents", *command])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def after(*command: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*command, "--json"))
    return found


def test_an_incident_goes_its_whole_way(incident: str) -> None:
    assert after("escalate", incident, "--note", "worse than it looks")["escalation_level"] == 1
    assert after("ack", incident)["status"] == "acknowledged"
    assert after("mitigate", incident, "--note", "blocked")["status"] == "mitigated"
    ticked = after("check", incident, "root-cause-identified", "--note", "a script")
    item = next(i for i in ticked["checklist"] if i["id"] == "root-cause-identified")
    assert (item["note"], item["done_at"] is None) == ("a script", False)
    undone = after("check", incident, "root-cause-identified", "--undo")
    assert next(i for i in undone["checklist"] if i["id"] == "root-cause-identified")["done_at"] is None
    assert after("resolve", incident, "--verdict", "true_positive")["verdict"] == "true_positive"
    assert after("reopen", incident)["status"] == "acknowledged"
    after("resolve", incident, "--verdict", "benign")
    assert after("close", incident)["status"] == "closed"


def test_a_note_stands_on_the_timeline_at_its_time(incident: str) -> None:
    said = run("note", incident, "it began \x1b[2J here", "--at", "2026-01-02T03:04:05Z", "--pinned")
    assert said == f"noted on {incident}\n"
    entry = [json.loads(line) for line in run("timeline", incident, "--json").splitlines()][-1]
    assert (entry["kind"], entry["at"], entry["pinned"]) == ("comment", "2026-01-02T03:04:05.000Z", True)
    table = run("timeline", incident)
    assert "2026-01-02T03:04:05.000Z" in table
    assert "\x1b" not in table


def test_one_incident_is_merged_into_another_and_one_dismissed(port: int, incident: str) -> None:
    other = reported(port, "the same problem")
    merged = after("merge", other, "--into", incident, "--note", "same address")
    assert (merged["status"], merged["merged_into"], merged["verdict"]) == ("merged", incident, "duplicate")
    assert after("dismiss", incident, "--verdict", "false_positive")["status"] == "dismissed"


def test_a_report_is_printed_or_written_to_a_file(incident: str, tmp_path: Path) -> None:
    run("note", incident, "\x9b31m turned \u202e round")
    text = run("report", incident)
    assert text.startswith(f"# {incident}: ")
    assert {"\x1b", "\x9b", "\u202e"}.isdisjoint(text)
    assert json.loads(run("report", incident, "--format", "json"))["incident"]["id"] == incident
    assert run("report", incident, "--format", "html", "--output", "report.html") == "wrote report.html\n"
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert {"\x9b", "\u202e"}.isdisjoint(page)


def test_a_wrong_format_and_a_file_that_cannot_be_written_are_named(incident: str) -> None:
    done = CliRunner().invoke(app, ["incidents", "report", incident, "--format", "pdf"])
    assert done.exit_code == 2
    done = CliRunner().invoke(app, ["incidents", "report", incident, "--output", "no/such/folder.md"])
    assert "no/such/folder.md: No such file or directory" in str(done.exception)


def test_statistics_are_printed(incident: str) -> None:
    assert "to_acknowledge:" in run("stats", "--window", "7d")
    assert json.loads(run("stats", "--json"))["by_priority"]["P1"] >= 1


def test_an_incident_is_published_and_taken_off(port: int, incident: str) -> None:
    said = ["--state", "investigating", "--text", "We look into it.", "--title", "Slow logins"]
    assert after("publish", incident, *said)["public"]["title"] == "Slow logins"
    assert after("unpublish", incident)["public"]["until"] is not None
    answer = httpx.get(f"http://127.0.0.1:{port}/status.json")
    assert (answer.status_code, answer.json()["incidents"]) == (200, [])


def test_a_wrong_verdict_is_answered_with_those_there_are(incident: str) -> None:
    done = CliRunner().invoke(app, ["incidents", "dismiss", incident, "--verdict", "maybe"])
    assert done.exit_code == 1
    assert "body.verdict: " in str(done.exception)
    assert "'false_positive'" in str(done.exception)
