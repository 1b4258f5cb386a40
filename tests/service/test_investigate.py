"""Investigations beside the real service: over HTTP and the command line, with two processes and after a kill."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from shipping import ship
from test_crashes import eventually

from benchmarks.service import TOKENS, Service, running_service

POLICY = "security_alerts:\n  auth_failures: {threshold: 10/minute, action: [block_ip, investigate]}\n"
ATTACKER = "198.51.100.77"


@pytest.fixture
def policy(tmp_path: Path) -> str:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return str(tmp_path / "policy.yaml")


def post(service: Service, *events: dict[str, Any]) -> None:
    body = "\n".join(map(json.dumps, events)).encode()
    answer = ship(f"{service.url}/v1/events", body, TOKENS["ingest"])
    assert answer.status_code == 200, answer.text


def attack(service: Service) -> None:
    """In several batches, so that with two workers they come through both."""
    for n in range(14):
        post(service, {"client_ip": ATTACKER, "method": "POST", "path": "/login", "user": "alice", "status": 401,
                       "request_id": f"{n}"})  # fmt: skip
    post(service, {"client_ip": ATTACKER, "method": "POST", "path": "/login", "user": "alice", "status": 302})


def get(service: Service, path: str) -> Any:
    answer = httpx.get(f"{service.url}/v1/admin/{path}", headers={"X-Api-Key": TOKENS["viewer"]})
    return answer.json() if answer.status_code == 200 else None


def command(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=service.environment,
    )


def whole(service: Service) -> Any:
    """The incident's dossier once the events were read; None before."""
    incidents = get(service, "incidents")["items"]
    found = get(service, f"incidents/{incidents[0]['id']}/dossier") if incidents else None
    return found if found and found["events"] else None


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_incident_gets_its_dossier_and_a_person_another(workers: str, policy: str) -> None:
    with running_service(policy=policy, workers=workers) as service:
        attack(service)
        assert eventually(lambda: whole(service) is not None, 30)
        found = whole(service)
        assert (found["events"]["source"], found["events"]["events"]) == ("journal", 15)
        assert found["steps"][0]["text"].startswith(
            "account alice logged in successfully from this address at "
        )
        incident = found["incident_id"]
        page = command(service, "incidents", "dossier", incident, "--md", "--fresh")
        assert page.returncode == 0 and "after 14 failures" in page.stdout, page.stderr
        looked = command(service, "investigate", "user=alice")
        assert looked.returncode == 0, looked.stderr
        dossier = json.loads(looked.stdout)
        assert [one["value"] for one in dossier["events"]["addresses"]] == [ATTACKER]
        assert dossier["earlier_incidents"][0]["id"] == incident
        wrong = command(service, "investigate", "alice")
        assert wrong.returncode == 1 and "write 203.0.113.9" in wrong.stderr


def test_a_kill_before_the_investigation_loses_it_not(policy: str) -> None:
    with running_service(policy=policy) as service:
        attack(service)
        assert eventually(lambda: bool(get(service, "incidents")["items"]))
        assert eventually(
            lambda: get(service, f"incidents/{get(service, 'incidents')['items'][0]['id']}/dossier")
        )
        service.kill()
        service.start_again()
        assert eventually(lambda: whole(service) is not None, 30)
