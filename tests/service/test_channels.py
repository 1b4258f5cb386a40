"""The commands of channels on a running service: tested, failing, rebuilt, and no secret said anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from test_crashes import eventually
from test_demo import SECRET, free_port, receiver

from benchmarks.service import TOKENS, Service, running_service

KEY = "0123456789abcdef0123456789abcdef"
RULES = "security_alerts:\n  auth_failures: {threshold: 10/minute, action: [block_ip, alert_admin]}\n"
SECRETS = ("slack-token-0123", "discord-token-0123", KEY, SECRET)


def policy_of(url: str) -> str:
    return f"""{RULES}
channels:
  team: {{type: slack, url_env: T_SLACK}}
  chat: {{type: discord, url_env: T_DISCORD}}
  oncall: {{type: pagerduty, base_url: '{url}', routing_key_env: T_PD}}
  hook: {{type: webhook, url: '{url}/webhook', secret_env: T_HOOK}}
"""


def run(service: Service, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *command],
        env=service.environment,
        capture_output=True,
        text=True,
        timeout=90,
    )


def give_secrets(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("T_SLACK", f"{url}/slack/services/T0/B0/slack-token-0123")
    monkeypatch.setenv("T_DISCORD", f"{url}/discord/api/webhooks/1/discord-token-0123")
    monkeypatch.setenv("T_PD", KEY)
    monkeypatch.setenv("T_HOOK", SECRET)


def test_channels_are_rebuilt_tried_and_say_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver(free_port(), free_port()) as url:
        give_secrets(monkeypatch, url)
        file = tmp_path / "policy.yaml"
        file.write_text(RULES)
        with running_service(policy=str(file)) as service:
            assert "not known" in run(service, "notify", "test", "team").stderr
            (tmp_path / "new").write_text(policy_of(url))
            (tmp_path / "new").replace(file)
            assert eventually(lambda: "oncall" in run(service, "notify", "list").stdout)
            said = run(service, "notify", "list").stdout
            for name in ("team", "chat", "oncall", "hook"):
                tried = run(service, "notify", "test", name)
                assert tried.returncode == 0, tried.stderr
            items = httpx.get(f"{url}/received").json()["items"]
            assert {i["channel"] for i in items} == {"slack", "discord", "pagerduty", "webhook"}
            assert all(i["ok"] for i in items), items
            httpx.post(f"{url}/chaos", json={"down": ["slack", "discord", "pagerduty", "webhook"]})
            for name in ("team", "chat", "oncall", "hook"):
                tried = run(service, "notify", "test", name)
                assert (tried.returncode, "not delivered: status 503" in tried.stderr) == (1, True), (
                    tried.stderr
                )
                said += tried.stderr
            said += httpx.get(f"{service.url}/v1/admin/policy", headers={"X-Api-Key": TOKENS["viewer"]}).text
            said += httpx.get(f"{service.url}/v1/admin/audit", headers={"X-Api-Key": TOKENS["viewer"]}).text
            said += (service.data_dir / "service.log").read_text()
            assert not [secret for secret in SECRETS if secret in said]


def test_a_missing_secret_stops_the_start_and_a_check_only_warns(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(
        RULES + "channels:\n  team: {type: slack, url_env: NOBODY_HAS_SET_THIS}\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BARTIZAN_")}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    said = "channels.team.url_env: the environment variable NOBODY_HAS_SET_THIS is not set or empty"
    for command, code in ((["serve"], 1), (["policy", "check"], 0)):
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, done.stderr
        assert said in done.stderr + done.stdout
