"""`bartizan simulate attack` against the real service: every kind goes from its events to a resolved incident."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.simulation import RULE_OF, AttackKind
from benchmarks.service import TOKENS, Service, running_service

POLICY = """
security_alerts:
  auth_failures: {threshold: 10/minute, action: [block_ip, alert_admin]}
  credential_stuffing: {threshold: 10/5m, action: [block_ip, alert_admin]}
  rate_limit_violations: {threshold: 50/minute, action: alert_admin}
  suspicious_activity: {threshold: 5/minute, action: [investigate, alert_admin]}
  api_key_exposure: {threshold: 1/minute, action: alert_admin}
incident_detection:
  health_check_failure: {threshold: 3, action: create_incident}
  security_breach: {threshold: 1, action: create_incident_immediate}
priorities:
  P0: {response: 2s, escalation: immediate}
  P1: {response: 2s, escalation: 1s}
  P2: {response: 2s, escalation: 1s}
escalation: {1: {after: 1s}, 2: {after: 2s}, 3: {after: 3s}, 4: {after: 30s}}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    policy = tmp_path_factory.mktemp("policy") / "policy.yaml"
    policy.write_text(POLICY)
    with running_service(policy=str(policy)) as running:
        yield running


def simulate(service: Service, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", "simulate", "attack", "--yes", *options]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=service.environment
    )


def incident_of(service: Service, kind: AttackKind, address: str) -> dict[str, Any]:
    params = {"rule": RULE_OF[kind], "entity": address}
    headers = {"X-Api-Key": TOKENS["viewer"]}
    url = f"{service.url}/v1/admin/incidents"
    found = httpx.get(url, params=params, headers=headers).raise_for_status().json()["items"]
    assert len(found) == 1
    incident: dict[str, Any] = found[0]
    return incident


def open_incidents_of(service: Service, address: str) -> list[dict[str, Any]]:
    params = {"entity": address, "open": "true"}
    headers = {"X-Api-Key": TOKENS["viewer"]}
    answer = httpx.get(f"{service.url}/v1/admin/incidents", params=params, headers=headers)
    items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
    return items


@pytest.mark.parametrize("kind", AttackKind)
def test_an_attack_goes_from_its_events_to_a_report(service: Service, kind: AttackKind) -> None:
    address = f"203.0.113.{10 + list(AttackKind).index(kind)}"
    ran = simulate(service, "--kind", kind.value, "--address", address, "--patience", "5s")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    incident = incident_of(service, kind, address)
    assert (incident["status"], incident["verdict"]) == ("resolved", "benign")
    assert incident["escalation_level"] > 0
    assert incident["acknowledged_at"] is not None
    assert f"{incident['id']} {incident['priority']}" in ran.stdout
    assert "escalated by its clock" in ran.stdout
    report = ran.stdout.partition("\n\n")[2]
    assert report.startswith("# ") and incident["id"] in report
    lookup = httpx.get(f"{service.url}/v1/lookup/{address}", headers={"X-Api-Key": TOKENS["lookup"]})
    assert lookup.json()["blocked"] is False
    told = [line.partition("  ")[2] for line in ran.stdout.partition("\n\n")[0].splitlines()]
    assert sum(line.endswith("log: opened delivered") for line in told) == 1
    assert open_incidents_of(service, address) == [], "what nobody ends goes on telling people"


def test_a_simulation_that_nobody_agreed_to_sends_nothing(service: Service) -> None:
    command = [sys.executable, "-m", "app.cli", "simulate", "attack", "--address", "203.0.113.200"]
    ran = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=service.environment,
    )
    assert (ran.returncode, "--yes goes on without asking" in ran.stderr) == (1, True)
    assert open_incidents_of(service, "203.0.113.200") == []


def test_a_rule_that_is_off_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("security_alerts: {auth_failures: {}}\n")
    with running_service(policy=str(policy)) as service:
        ran = simulate(service, "--kind", "credential_stuffing")
        assert ran.returncode == 1
        assert "the policy does not name credential_stuffing" in ran.stderr
        ran = simulate(service, "--patience", "soon")
        assert (ran.returncode, "not a duration" in ran.stderr) == (2, True)


def test_the_made_up_attacks_lie_within_their_window_and_belong_to_nobody() -> None:
    from app.simulation import SPREAD_MS, address_for, attack
    from detectors.timestamps import parse_time

    chance = random.Random(1)
    for kind in AttackKind:
        records = attack(kind, address_for(chance), 1_764_000_000_000, chance)
        times = [parse_time(record["timestamp"]) or 0 for record in records]
        assert times == sorted(times)
        assert times[0] == 1_764_000_000_000 - SPREAD_MS
        assert all(record["client_ip"].startswith("203.0.113.") for record in records)
