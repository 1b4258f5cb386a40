"""`bartizan blocks import`, `export`, `undo-import` and `bartizan blocklists` against the real service."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service_thread import TOKEN, serving
from typer.testing import CliRunner

from app.cli import app
from app.policies.policy import default_text
from detectors.errors import BartizanError

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
