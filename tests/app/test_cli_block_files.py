"""`bartizan blocks import`, `export`, `undo-import` and `bartizan blocklists` against the real service."""

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service_thread import TOKEN, serving
from typer.testing import CliRunner

from app.cli import app
from app.policies.policy import default_text
from detectors.errors import BartizanError

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = "# seen elsewhere\n203.0.113.9\n198.51.100.0/24 ; a network\n127.0.0.1\nnonsense\n"


@pytest.fixture(scope="module")
def port(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("block_files")
    (folder / "partners.txt").write_text("192.0.2.77\n10.0.0.1\n")
    policy = f"{default_text()}\nblocklists: {{partners: {{file: partners.txt}}}}\n"
    with serving(redis_server, folder, policy) as found:
        yield found


@pytest.fixture(autouse=True)
def leads_there(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BARTIZAN_PORT", str(port))
    monkeypatch.setenv("BARTIZAN_ADMIN_TOKEN", TOKEN)


def run(*command: str, exit_code: int = 0, stdin: str | None = None) -> str:
    done = CliRunner().invoke(app, command, input=stdin)
    assert done.exit_code == exit_code, (done.output, done.exception)
    return done.output


def refused(*command: str) -> str:
    """What `bartizan` says of a command that fails."""
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, BartizanError), done.output
    return str(done.exception)


def until(is_so: Callable[[], bool]) -> None:
    """The table of the service follows within a second; a list is fetched within five."""
    end = time.monotonic() + 30
    while not is_so() and time.monotonic() < end:
        time.sleep(0.05)
    assert is_so()


def exported(form: str = "plain") -> str:
    return run("blocks", "export", "--format", form)


def test_a_file_goes_in_comes_out_and_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text(FILE)
    text = run("blocks", "import", "bad.txt", "--reason", "a partner", "--for", "7d")
    assert "line 4: 127.0.0.1 must never be blocked: loopback" in text
    assert "never_block 1, invalid 1" in text
    until(lambda: exported() == "203.0.113.9\n198.51.100.0/24\n")
    import_id = text.rpartition("undo-import ")[2].split()[0]
    for form in ("csv", "json", "crowdsec"):
        run("blocks", "export", "out", "--format", form)
        again = json.loads(run("blocks", "import", "out", "--reason", "again", "--json"))
        assert (again["already"], again["refused"], again["unreadable"]) == (2, 0, 0), form
    assert "lifted 2" in run("blocks", "undo-import", import_id, "--reason", "wrong file")
    until(lambda: exported() == "")


def test_standard_input_is_a_file_and_a_dry_run_makes_nothing() -> None:
    done = json.loads(
        run("blocks", "import", "-", "--reason", "r", "--dry-run", "--json", stdin="203.0.113.8\n")
    )
    assert (done["dry_run"], done["made"]) == (True, 1)
    assert "203.0.113.8" not in exported()


MANY = 20_000


def on_a_terminal(*command: str, is_terminal: bool = True) -> tuple[str, str]:
    """What a command of its own process prints: on standard output, and on standard error, a terminal or a pipe."""
    ours, theirs = pty.openpty() if is_terminal else os.pipe()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", *command], stdout=subprocess.PIPE, stderr=theirs, env=environment
    )
    os.close(theirs)
    pieces = []
    try:
        while piece := os.read(ours, 65536):
            pieces.append(piece)
    except OSError:  # how a terminal ends
        pass
    os.close(ours)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, (out, pieces)
    return out.decode(), b"".join(pieces).decode()


def test_a_large_file_shows_how_far_it_has_come_and_is_one_import(tmp_path: Path) -> None:
    lines = [f"198.{18 + n // 65_536}.{n // 256 % 256}.{n % 256}" for n in range(MANY)]
    (tmp_path / "many.txt").write_text("\n".join(lines))
    out, err = on_a_terminal("blocks", "import", "many.txt", "--reason", "r", "--json")
    done = json.loads(out)
    assert (done["made"], done["refused"]) == (MANY, 0)
    steps = [int(step) for step in re.findall(rf"(\d+)/{MANY}", err)]
    assert steps == sorted(steps)
    assert any(0 < step < MANY for step in steps)
    assert f"lifted {MANY}" in run("blocks", "undo-import", done["id"], "--reason", "wrong file")


def test_on_a_pipe_nothing_is_shown() -> None:
    Path("few.txt").write_text("203.0.113.77\n")
    out, err = on_a_terminal(
        "blocks", "import", "few.txt", "--reason", "r", "--dry-run", "--json", is_terminal=False
    )
    assert (json.loads(out)["made"], err) == (1, "")


def test_what_was_cut_short_is_completed_by_its_id() -> None:
    Path("few.txt").write_text("203.0.113.66\n")
    first = json.loads(run("blocks", "import", "few.txt", "--reason", "r", "--id", "mine", "--json"))
    Path("few.txt").write_text("203.0.113.66\n203.0.113.67\n203.0.113.67\n")
    again = json.loads(run("blocks", "import", "few.txt", "--reason", "r", "--id", "mine", "--json"))
    assert [(d["made"], d["already"], d["repeated"]) for d in (first, again)] == [(1, 0, 0), (1, 1, 1)]
    assert "lifted 2" in run("blocks", "undo-import", "mine", "--reason", "wrong file")


def test_who_loses_the_service_is_told_how_to_complete_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("few.txt").write_text("203.0.113.66\n")
    monkeypatch.setenv("BARTIZAN_PORT", "1")
    done = CliRunner().invoke(app, ["blocks", "import", "few.txt", "--reason", "r", "--id", "mine"])
    assert isinstance(done.exception, BartizanError)
    assert "the same once more with --id mine" in done.output


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    assert "No such file" in refused("blocks", "import", "missing", "--reason", "r")
    (tmp_path / "bad.json").write_text("[1,")
    assert "not JSON" in refused("blocks", "import", "bad.json", "--reason", "r")
    assert "not known" in refused("blocks", "undo-import", "none", "--reason", "r")


def test_external_lists_are_shown_enforced_and_fetched_anew() -> None:
    until(lambda: "partners" in run("blocklists", "list"))
    found = json.loads(run("blocklists", "list", "--json"))
    assert (found["entries"], found["skipped"], found["error"]) == (1, {"never_block": 1}, "")
    until(lambda: CliRunner().invoke(app, ["blocks", "check", "192.0.2.77"]).exit_code == 10)
    decision = json.loads(run("blocks", "check", "192.0.2.77", "--json", exit_code=10))["decision"]
    assert decision["origin"] == "lists:partners"
    assert "on the list partners" in run("blocks", "check", "192.0.2.77", exit_code=10)
    assert "192.0.2.77" not in exported()
    assert "within five seconds" in run("blocklists", "refresh", "partners")
    assert "not known" in refused("blocklists", "refresh", "others")
