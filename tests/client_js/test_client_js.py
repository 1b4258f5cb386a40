"""client-js, by Node.js' own test runner: alone, and against a real service."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.service import TOKENS, running_service
from tests.conftest import ROOT, missing

CLIENT = ROOT / "client-js"
MODULES = ROOT / ".proxies" / "node" / "node_modules"


def run(*files: Path, **environment: str) -> None:
    """Runs test files; all of their tests must have run."""
    node = shutil.which("node")
    if node is None:
        missing("Node.js")
        return
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", *map(str, files)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    counts = dict(re.findall(r"^# (pass|fail|skipped|cancelled) (\d+)$", done.stdout, re.M))
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(counts["pass"]) > 0
    assert (counts["fail"], counts["skipped"], counts["cancelled"]) == ("0", "0", "0"), done.stdout


def test_it_keeps_its_promises_with_made_up_answers() -> None:
    run(*(file for file in sorted((CLIENT / "test").glob("*.test.js")) if file.name != "service.test.js"))


def test_it_works_with_a_real_service_express_and_the_edge_runtime() -> None:
    if not (MODULES / "express").is_dir():
        missing("Express (make proxies)")
    with running_service() as service:
        run(
            CLIENT / "test" / "service.test.js",
            SERVICE_URL=service.url,
            LOOKUP_TOKEN=TOKENS["lookup"],
            RESPONDER_TOKEN=TOKENS["responder"],
            MODULES=str(MODULES),
        )


def test_it_has_no_dependencies_and_only_the_express_side_knows_node() -> None:
    assert "ependencies" not in (CLIENT / "package.json").read_text("utf-8")
    for file in (CLIENT / "src").glob("*.js"):
        text = file.read_text("utf-8")
        imported = re.findall(r'(?:from|import\()\s*"([^"]+)"', text)
        assert all(name.startswith("./") for name in imported), file.name
        if file.name != "express.js":
            assert not re.search(r"\b(process\.|Buffer|require\(|__dirname)", text), (
                file.name
            )
