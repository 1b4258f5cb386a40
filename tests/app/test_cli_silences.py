"""`bartizan silence` and `bartizan maintenance` against the real admin API."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import uvicorn
from redis import Redis
from typer.testing import CliRunner

from app.cli import app
from app.commands.silences import read_matcher
from app.main import create_app
from app.settings import Settings

TOKEN = "admin-token-for-tests-0123456789"
POLICY = """\
maintenance:
  - {name: weekly, weekdays: sunday, at: '02:00', duration: 2h, notice: 24h}
"""


@pytest.fixture
def service(redis_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The service on a real socket in a thread of its own, and the settings that lead the commands to it."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    with Redis.from_url(redis_server) as redis:
        redis.flushall()
    made = create_app(
        Settings(
            redis_url=redis_server,
            data_dir=tmp_path / "d",
            policy=tmp_path / "policy.yaml",
            admin_token=TOKEN,
        )
    )
    server = uvicorn.Server(uvicorn.Config(made, port=0, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BARTIZAN_PORT", str(server.servers[0].sockets[0].getsockname()[1]))
    monkeypatch.setenv("BARTIZAN_ADMIN_TOKEN", TOKEN)
    yield
    server.should_exit = True
    thread.join(20)


def run(*command: str) -> str:
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_what_people_silence_and_announce_is_added_listed_and_ended(service: None) -> None:
    said = run(
        "silence", "add", "rule=auth_failures", "subject~203.0.113.*", "--for", "2h", "--comment", "a test"
    )
    assert "SIL-0001" in said
    assert "rule=auth_failures subject~203.0.113.*" in said
    (row,) = [json.loads(line) for line in run("silence", "list", "--json").splitlines()]
    assert (row["state"], row["comment"]) == ("active", "a test")
    assert run("silence", "extend", "SIL-0001", "--for", "1d", "--reason", "slow")
    assert "expired" in run("silence", "expire", "SIL-0001", "--reason", "done")
    assert run("silence", "list") == "no silences\n"
    assert "SIL-0001" in run("silence", "list", "--all")

    said = run("maintenance", "add", "kernel", "--for", "1h", "--comment", "a hole", "--match", "host=api")
    assert "MNT-0001" in said
    listed = run("maintenance", "list")
    assert "weekdays sunday, at 02:00 UTC" in listed
    assert "kernel" in listed
    removed = run("maintenance", "remove", "MNT-0001")
    assert removed == "removed MNT-0001, kernel: it mutes nothing any more\n"
    rows = [json.loads(line) for line in run("maintenance", "list", "--json").splitlines()]
    assert [(row["name"], len(row["occurrences"])) for row in rows] == [("weekly", 5)]

    done = CliRunner().invoke(app, ["silence", "add", "severity=hihg", "--for", "2h", "--comment", "x"])
    assert (done.exit_code, "severity is never 'hihg'" in str(done.exception)) == (1, True)
    done = CliRunner().invoke(app, ["silence", "add", "rule=x", "--until", "yesterday", "--comment", "x"])
    assert "body.until: is not a time; write 2026-" in str(done.exception)


@pytest.mark.parametrize("command", ["silence", "maintenance"])
def test_each_explains_itself(command: str) -> None:
    assert "Usage:" in run(command, "add", "--help")


def test_wrong_usage_is_exit_code_2() -> None:
    assert CliRunner().invoke(app, ["silence", "add", "rule", "--for", "2h", "--comment", "x"]).exit_code == 2
    assert CliRunner().invoke(app, ["silence", "add", "rule=x", "--for", "2h"]).exit_code == 2


def test_a_matcher_is_read_at_its_first_sign() -> None:
    assert read_matcher("rule=a,b") == {"field": "rule", "values": ["a", "b"], "glob": False}
    assert read_matcher("subject~x=*") == {"field": "subject", "values": ["x=*"], "glob": True}
    assert read_matcher("subject=x~y") == {"field": "subject", "values": ["x~y"], "glob": False}
    with pytest.raises(typer.BadParameter):
        read_matcher("rule")
