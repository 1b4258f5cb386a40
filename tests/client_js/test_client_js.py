"""client-js, by Node.js' own test runner: alone, and against a real service."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx

from benchmarks.service import TOKENS, free_port, running_service
from tests.needed import ROOT, missing
from tests.proxies.parts import is_open, until
from tests.senders.sending import running

CLIENT = ROOT / "client-js"
OLDEST_FOR_NEXT_JS = (20, 9)
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
            assert not re.search(r"\b(process\.|Buffer|require\(|__dirname)", text), file.name


def test_a_real_next_js_refuses_a_blocked_client(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (MODULES / "next").is_dir():
        missing("Next.js (make proxies)")
        return
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.strip("v\n").split(".")[:2])) < OLDEST_FOR_NEXT_JS:
        missing(f"Node.js 20.9 for Next.js 16 (this is {version.strip()})")
    # Its bundler takes nothing from outside the folder of the modules.
    app = MODULES.parent / "next-app"
    shutil.rmtree(app, ignore_errors=True)
    shutil.copytree(Path(__file__).parent / "next_app", app)
    installed = MODULES / "bartizan-client"
    shutil.rmtree(installed, ignore_errors=True)
    shutil.copytree(CLIENT, installed)
    next_js = [node, str(MODULES / "next" / "dist" / "bin" / "next")]
    quiet = {"NEXT_TELEMETRY_DISABLED": "1"}
    built = subprocess.run(
        [*next_js, "build"], cwd=app, env={**os.environ, **quiet}, capture_output=True, text=True, timeout=500
    )
    assert built.returncode == 0, built.stdout + built.stderr
    port = free_port()
    with running_service() as service:
        environment = {**quiet, "BLOCKLIST_URL": service.url, "BLOCKLIST_TOKEN": TOKENS["lookup"]}
        with running(
            [*next_js, "start", str(app), "-H", "127.0.0.1", "-p", str(port)], tmp_path, environment
        ):
            until(lambda: is_open(port, "127.0.0.1"), 60)
            refuses(f"http://127.0.0.1:{port}/", service.url)


def refuses(page: str, url: str) -> None:
    """Whether a page is there until the client is blocked, and for everybody else all the time."""

    def visit(client: str) -> httpx.Response:
        return httpx.get(page, headers={"X-Forwarded-For": client})

    assert visit("203.0.113.9").status_code == 200
    blocked = httpx.post(
        f"{url}/v1/admin/blocks",
        headers={"Authorization": f"Bearer {TOKENS['responder']}"},
        json={"value": "203.0.113.9", "duration": "1h", "reason": "test"},
    )
    until(lambda: visit("203.0.113.9").status_code == 403)
    assert visit("203.0.113.9").json()["reference"] == blocked.json()["id"]
    assert visit("203.0.113.10").status_code == 200
    assert "in" in visit("203.0.113.9, 203.0.113.10").text
