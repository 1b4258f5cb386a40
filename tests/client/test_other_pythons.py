"""The client on the Pythons that are installed here beside ours, from 3.9 on: every module loads, and one works.

Where an interpreter has no httpx of its own, a module that is only named so stands in: what is tested is that
our own files mean something to it.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CLIENT = Path(__file__).resolve().parents[2] / "client"
MODULES = sorted(path.stem for path in (CLIENT / "bartizan_client").glob("*.py") if path.stem != "__init__")
HTTPX = "AsyncBaseTransport = AsyncClient = Client = HTTPError = InvalidURL = Response = Timeout = OSError\n"
PROGRAM = f"""
import importlib
for name in {MODULES!r}:
    importlib.import_module("bartizan_client." + name)
import bartizan_client as b
blocks = [b.Block("1", "203.0.113.0/24", "", None, 9e9), b.Block("2", "FR", "", None, 9e9, b.Scope.COUNTRY)]
table = b.BlockTable(blocks)
assert table.is_blocked("203.0.113.9") and not table.is_blocked("203.0.114.9")
from pathlib import Path
from bartizan_client.snapshot import Contents, Snapshot
from bartizan_client.snapshot_format import copy_of
snapshot = Snapshot(Path("list.snapshot"), "http://x.invalid", lambda: 1.0)
snapshot.save(Contents("1-0", None, copy_of(table)))
assert snapshot.load().table.blocks() == table.blocks()
b.BartizanWsgi(None, url="http://x.invalid", token="t", snapshot=None)
b.BartizanMiddleware(None, url="http://x.invalid", token="t", snapshot=None)
"""


def interpreter(version: str) -> str | None:
    """From PATH, or one that pyenv has without having it active."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = sorted(str(path) for path in pyenv.glob(f"{version}.*/bin/python"))
    for python in filter(None, [shutil.which(f"python{version}"), *installed]):
        if subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
            return python
    return None


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"])
def test_every_module_loads(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"python{version} is not here; its syntax is tested all the same")
    (tmp_path / "httpx.py").write_text(HTTPX)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{CLIENT}{os.pathsep}{tmp_path}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [python, "-W", "error", "-c", PROGRAM]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
