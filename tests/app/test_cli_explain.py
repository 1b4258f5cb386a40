"""`bartizan explain` without a service: what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.commands.explain import MOST_BYTES

IP = "203.0.113.9"
FAILURE = f'{IP} - - [30/Nov/2026:10:00:00 +0000] "GET /login HTTP/1.1" 401 12'
SUCCESS = FAILURE.replace("401", "200")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and no service anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BARTIZAN_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path(__file__).parent.parent.parent / ".pytest_cache"))
    return tmp_path


def run(*arguments: str, given: bytes | str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["explain", *arguments], input=given)
    return done.exit_code, done.output


def test_a_line_that_counts_is_exit_code_0_and_says_for_whom() -> None:
    code, output = run(FAILURE)
    assert code == 0
    lines = output.splitlines()
    assert lines[:2] == [FAILURE, "read as: a line of the format combined"]
    assert "time:    2026-11-30T10:00:00.000Z, its own" in lines
    assert f"client:  {IP}" in lines
    assert f"COUNTS for auth_failures, ip {IP}: status 401 on /login" in lines
    assert any(line.startswith("    fires at 10 in 1m, per ip; then block_ip for 4h") for line in lines)


def test_a_line_that_counts_for_nothing_is_exit_code_1_and_says_why() -> None:
    code, output = run(SUCCESS)
    assert code == 1
    assert "COUNTS FOR NOTHING" in output
    assert (
        "not for auth_failures: looks at status 401, 403, an outcome or a login form; here: status 200"
        in output
    )


def test_a_record_shows_the_names_that_its_fields_came_from() -> None:
    code, output = run(json.dumps({"client": {"ip": IP}, "status": 403, "path": "/login", "ip_client": IP}))
    assert code == 0
    assert f"  client_ip      {IP}  (from client.ip)" in output
    assert "  status         403\n" in output
    assert "  not understood: ip_client" in output


def test_several_lines_are_explained_one_after_the_other() -> None:
    code, output = run(SUCCESS, "[" + json.dumps({"status": 401}) + ",7]", FAILURE, "--json")
    found = [json.loads(line) for line in output.splitlines()]
    assert (code, [one["counts"] for one in found]) == (0, [False, False, False, True])
    assert found[2]["rejected"] == "not a JSON object"
    assert found[1]["client_note"] == "the record names no client address"


@pytest.mark.parametrize("arguments", [[], ["-"]], ids=["no argument", "a dash"])
def test_standard_input_is_read_as_a_log_is(arguments: list[str]) -> None:
    code, output = run(*arguments, "--json", given=f"{SUCCESS}\r\n\r\n{FAILURE}\r\n")
    assert (code, len(output.splitlines())) == (0, 2)


def test_another_policy_and_another_format_can_be_named(here: Path) -> None:
    (here / "p.yaml").write_text(
        "security_alerts:\n  auth_failures: {threshold: 3/minute, action: alert_admin}\n"
    )
    code, output = run(FAILURE, "--policy", "p.yaml", "--format", "combined")
    assert (code, "fires at 3 in 1m, per ip; then alert_admin" in output) == (0, True)
    code, output = run(FAILURE, "--format", "sshd")
    assert (code, output) == (1, "SET ASIDE: not a line of the format sshd\n")


def test_one_rule_can_be_asked_about() -> None:
    code, output = run(FAILURE, "--rule", "suspicious_activity")
    assert (code, "not for suspicious_activity: looks at" in output, "auth_failures" in output) == (
        1,
        True,
        False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["x", "--format", "nonsense"],
        ["x", "--rule", "nonsense"],
        ["x", "--live", "--policy", "p.yaml"],
        [""],
    ],
    ids=["format", "rule", "the service's own policy", "nothing"],
)
def test_what_cannot_be_taken_is_exit_code_2(arguments: list[str]) -> None:
    assert run(*arguments)[0] == 2


def test_a_whole_log_is_refused() -> None:
    code, output = run(given=b"x" * (MOST_BYTES + 1))
    assert (code, "bartizan replay" in output) == (2, True)


def test_a_log_cannot_write_to_the_terminal_and_shows_no_credential() -> None:
    secret = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hJ5"
    code, output = run(json.dumps({"client_ip": IP, "status": 401, "path": f"/\x1b[2J?token={secret}"}))
    assert (code, "\x1b" in output, secret in output) == (0, False, False)
    assert "secret:  github_token v1:" in output


def test_it_makes_no_data_folder(here: Path) -> None:
    run(FAILURE)
    assert list(here.iterdir()) == []


def test_a_service_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARTIZAN_ADMIN_TOKEN", "x" * 32)
    done = CliRunner().invoke(app, ["explain", FAILURE, "--live"])
    assert done.exit_code == 1
    assert "does not answer" in str(done.exception)
