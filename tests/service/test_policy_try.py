"""`bartizan policy try` beside the real service: traffic goes in over HTTP, and two policies are held against it."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from shipping import ship
from test_crashes import eventually, failures

from benchmarks.service import TOKENS, Service, running_service

POLICY = "security_alerts:\n  auth_failures: {{threshold: {}/minute, action: {}}}\n"


@pytest.fixture
def policies(tmp_path: Path) -> dict[str, str]:
    texts = {
        "current": POLICY.format(10, "block_ip"),
        "strict": POLICY.format(5, "[block_ip, alert_admin]"),
        "mild": POLICY.format(20, "block_ip"),
        "watching": POLICY.format(10, "[block_ip], mode: observe"),
        "wrong": "security_alerts:\n  auth_failures: {treshold: 5/minute}\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return {name: str(tmp_path / f"{name}.yaml") for name in texts}


def post(service: Service, lines: list[str]) -> None:
    body = "\n".join([*lines, json.dumps({"message": lines[0]})]).encode()
    answer = ship(f"{service.url}/v1/events", body, TOKENS["ingest"])
    assert answer.status_code == 200, answer.text


def written(service: Service) -> int:
    text = httpx.get(f"{service.url}/metrics").text
    found = [line for line in text.splitlines() if line.startswith("bartizan_journal_events_total")]
    return sum(int(float(line.split()[-1])) for line in found if '"written"' in line)


def command(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "policy", "try", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**service.environment, "COLUMNS": "200"},
    )


def tried(service: Service, *arguments: str) -> dict[str, list[dict[str, object]]]:
    """What the command prints as JSON, by type."""
    done = command(service, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    by_type: dict[str, list[dict[str, object]]] = {"subject": [], "rule": [], "coverage": []}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        by_type[row.pop("type")].append(row)
    return by_type


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stricter_policy_blocks_newly_and_a_milder_one_no_longer(
    workers: str, policies: dict[str, str]
) -> None:
    with running_service(policy=policies["current"], workers=workers) as service:
        for number in range(4):
            # Two batches each, so that with two workers they may come through different ones.
            post(service, failures(f"198.51.100.{number}", 6))
            post(service, failures(f"198.51.100.{number}", 6) + failures(f"192.0.2.{number}", 7))
        post(service, failures("10.0.0.9", 30))
        assert eventually(lambda: written(service) == 4 * (7 + 14) + 31)

        twelve = {f"198.51.100.{number}" for number in range(4)}
        seven = {f"192.0.2.{number}" for number in range(4)}
        stricter = tried(service, policies["strict"], "--since", "1h")
        assert {(d["subject"], d["change"]) for d in stricter["subject"]} == {
            (s, "newly_blocked") for s in seven
        }
        [rule] = stricter["rule"]
        assert rule["before"] == {
            "findings": 7, "subjects": 5, "incidents": 5, "alerts": 0, "blocked": 4, "proposed": 0,
        }  # fmt: skip
        assert rule["after"] == {
            "findings": 18, "subjects": 9, "incidents": 9, "alerts": 9, "blocked": 8, "proposed": 0,
        }  # fmt: skip
        [coverage] = stricter["coverage"]
        assert coverage["events"] == 4 * (7 + 14) + 31
        assert (coverage["dropped_events"], coverage["damaged"]) == (0, 0)
        assert 0 < coverage["covered"] < 0.2 and len(coverage["gaps"]) == 1  # type: ignore[operator,arg-type]

        milder = tried(service, policies["mild"])
        assert {(d["subject"], d["change"]) for d in milder["subject"]} == {
            (s, "no_longer_blocked") for s in twelve
        }
        observing = tried(service, policies["watching"])
        assert {d["subject"] for d in observing["subject"]} == twelve
        assert observing["rule"][0]["after"]["incidents"] == 0  # type: ignore[index]
        other_way = tried(service, policies["mild"], "--against", policies["strict"])
        assert {d["subject"] for d in other_way["subject"]} == twelve | seven
        # The policy in force has not changed, and nothing of this reached the live state.
        admin = {"X-Api-Key": TOKENS["viewer"]}
        live = httpx.get(f"{service.url}/v1/admin/blocks?limit=200", headers=admin).json()["items"]
        assert {b["value"] for b in live} == twelve

        people = command(service, policies["strict"], "--since", "1h")
        assert (
            "192.0.2.0" in people.stdout and "newly blocked" in people.stdout and "7 -> 18" in people.stdout
        )
        assert "not covered" in people.stderr


def test_a_wrong_policy_is_named_with_its_line_and_a_missing_journal_is_said(
    policies: dict[str, str],
) -> None:
    with running_service(policy=policies["current"], journal_hours="0") as service:
        post(service, failures("198.51.100.1", 12))
        wrong = command(service, policies["wrong"])
        assert wrong.returncode == 1 and "line 2" in wrong.stderr and "treshold" in wrong.stderr
        off = command(service, policies["strict"])
        assert off.returncode == 1 and "journal is off" in off.stderr
        service.environment["BARTIZAN_JOURNAL_HOURS"] = "24"
        none = command(service, policies["strict"])
        assert none.returncode == 1 and "there is no journal in" in none.stderr
        wordless = command(service, policies["strict"], "--since", "24")
        assert wordless.returncode == 1 and "of what?" in wordless.stderr
        assert not (service.data_dir / "journal").exists()


def test_after_a_kill_the_journal_goes_on_and_what_was_written_is_there(policies: dict[str, str]) -> None:
    with running_service(policy=policies["current"]) as service:
        post(service, failures("198.51.100.1", 6))
        assert eventually(lambda: written(service) == 7)
        service.kill()
        [torn] = (service.data_dir / "journal").iterdir()
        with torn.open("ab") as file:
            file.write(torn.read_bytes()[:40])
        service.start_again()
        post(service, failures("198.51.100.1", 6))  # a repeat: neither counted nor journaled again
        post(service, failures("198.51.100.1", 7))
        assert eventually(lambda: written(service) == 8)
        found = tried(service, policies["strict"], "--since", "1h")
        assert found["rule"][0]["before"]["findings"] == 1  # type: ignore[index]
        assert found["coverage"][0]["damaged"] == 1
        files = list((service.data_dir / "journal").iterdir())
        assert len(files) == 2
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        assert (service.data_dir / "journal").stat().st_mode & 0o777 == 0o700
