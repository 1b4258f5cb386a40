"""docs/demo.md, as it stands there: a simulated attack through the real service to a strict receiver."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.service import TOKENS, free_port, running_service

ROOT = Path(__file__).resolve().parent.parent.parent
SECRET = "a-secret-of-the-demo"


@contextmanager
def receiver(port: int, smtp_port: int) -> Iterator[str]:
    """`bartizan mock-receiver` on free ports."""
    command = [sys.executable, "-m", "app.cli", "mock-receiver", "--port", str(port)]
    command += ["--smtp-port", str(smtp_port), "--secret", SECRET]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BARTIZAN_")}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    try:
        for wanted in (port, smtp_port):
            wait_for(wanted)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nobody listens on {port}")


def received(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/received").raise_for_status().json()["items"]
    return found


@pytest.mark.slow
def test_the_demonstration_tells_everybody_in_order_and_breaks_no_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, smtp_port = free_port(), free_port()
    policy = (ROOT / "docs" / "examples" / "demo.yaml").read_text("utf-8")
    policy = policy.replace("127.0.0.1:9999", f"127.0.0.1:{port}").replace("port: 2525", f"port: {smtp_port}")
    (tmp_path / "demo.yaml").write_text(policy)
    with receiver(port, smtp_port) as url:
        monkeypatch.setenv("DEMO_SLACK_URL", f"{url}/slack/services/T000/B000/demo")
        monkeypatch.setenv("DEMO_DISCORD_URL", f"{url}/discord/api/webhooks/1/demo")
        monkeypatch.setenv("DEMO_PAGERDUTY_KEY", "0123456789abcdef0123456789abcdef")
        monkeypatch.setenv("DEMO_WEBHOOK_SECRET", SECRET)
        with running_service(policy=str(tmp_path / "demo.yaml")) as service:
            command = [sys.executable, "-m", "app.cli", "simulate", "attack", "--yes"]
            ran = subprocess.run(
                command, capture_output=True, text=True, timeout=100, check=False, env=service.environment
            )
            assert ran.returncode == 0, ran.stderr + ran.stdout
            assert "escalated by its clock" in ran.stdout
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and pagerduty_actions(url)[-1:] != ["resolve"]:
                time.sleep(0.1)
            told = received(url)
            incidents = httpx.get(
                f"{service.url}/v1/admin/incidents", headers={"X-Api-Key": TOKENS["viewer"]}
            ).json()["items"]
    assert [item for item in told if item["violations"]] == []
    assert {item["status"] for item in told} <= {200, 202, 204, 250, 429}, "429 is obeyed and tried again"
    assert {item["channel"] for item in told} == {"pagerduty", "slack", "discord", "webhook", "smtp"}
    actions = pagerduty_order(told)
    assert actions[0] == "trigger"
    assert actions[-1] == "resolve"
    assert "acknowledge" in actions
    assert "trigger" not in actions[actions.index("acknowledge") :], "nobody is paged after somebody took it"
    [incident] = [i for i in incidents if i["rule"] == "credential_stuffing"]
    assert (incident["status"], incident["verdict"]) == ("resolved", "benign")
    for words in ("## Response times", "## Timeline", "## Evidence", "## Who was told"):
        assert words in ran.stdout


def pagerduty_actions(url: str) -> list[str]:
    return pagerduty_order(received(url))


def pagerduty_order(told: list[dict[str, Any]]) -> list[str]:
    """The actions about the incident that the simulation went through, in order."""
    events = [item["body"] for item in told if item["channel"] == "pagerduty"]
    resolved = {event["dedup_key"] for event in events if event["event_action"] == "resolve"}
    return [event["event_action"] for event in events if event["dedup_key"] in resolved or not resolved]
