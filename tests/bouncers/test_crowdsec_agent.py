"""A real CrowdSec agent as a sensor, and `cscli` in the hands of a person."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents import agent_in, running_agent
from real import Api, eventually

from benchmarks.service import TOKENS, Service, running_service


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running_service() as started:
        yield started


@pytest.fixture
def api(service: Service) -> Api:
    return Api(service)


def is_blocked(api: Api, address: str) -> bool:
    return bool(api.call("GET", f"/v1/lookup/{address}", role="lookup")["blocked"])


def test_what_an_agent_finds_is_an_incident_with_evidence_and_a_block(
    service: Service, api: Api, tmp_path: Path
):
    agent = agent_in(tmp_path, service, TOKENS["ingest"])
    with running_agent(agent):
        agent.log("203.0.113.50", 8)
        agent.log("2001:db8:50::1", 8)
        assert eventually(lambda: is_blocked(api, "203.0.113.50")) is not None
        assert eventually(lambda: is_blocked(api, "2001:db8:50::1")) is not None
    incidents = api.call("GET", "/v1/admin/incidents?rule=crowdsec_alert")["items"]
    [incident] = [i for i in incidents if i["subject"] == "203.0.113.50"]
    shown = api.call("GET", f"/v1/admin/incidents/{incident['id']}")
    assert "reported by a CrowdSec agent" in shown["why"]
    assert "bartizan/own-bf (sensor-1)" in shown["evidence"][-1]["matched"]
    assert shown["evidence"][-1]["client_ip"] == "203.0.113.50"
    assert shown["evidence"][-1]["user"] == "root"
    [block] = api.call("GET", "/v1/admin/blocks?status=active&contains=203.0.113.50")["items"]
    assert (block["rule"], block["origin"], block["review"]) == ("crowdsec_alert", "rule", "unreviewed")
    sources = eventually(
        lambda: [s for s in api.call("GET", "/v1/admin/sources")["items"] if s["kind"] == "crowdsec"]
    )
    assert sources is not None


def test_an_agent_with_a_wrong_password_is_told_so(service: Service, tmp_path: Path):
    agent = agent_in(tmp_path, service, "wrong")
    said = agent.cscli("decisions", "list", check=False)
    assert "incorrect Username or Password" in said


def test_a_person_blocks_lists_and_lifts_with_cscli(service: Service, api: Api, tmp_path: Path):
    agent = agent_in(tmp_path, service, TOKENS["responder"], "laptop")
    agent.cscli("decisions", "add", "--ip", "198.51.100.60", "--duration", "2h", "--reason", "seen by hand")
    agent.cscli("decisions", "add", "--range", "198.51.100.64/28", "--duration", "1h", "--type", "captcha")
    [block] = api.call("GET", "/v1/admin/blocks?status=active&contains=198.51.100.60")["items"]
    assert (block["origin"], block["reason"]) == ("admin", "seen by hand")
    assert "laptop" in block["actor"]
    assert eventually(lambda: is_blocked(api, "198.51.100.60")) is not None
    listed = json.loads(agent.cscli("decisions", "list", "-o", "json"))
    decisions = {d["value"]: d for alert in listed for d in alert["decisions"]}
    assert decisions["198.51.100.64/28"]["type"] == "captcha"
    assert decisions["198.51.100.60"]["duration"].startswith(("2h0m0s", "1h59m"))
    alerts = json.loads(agent.cscli("alerts", "list", "-o", "json"))
    assert {alert["source"]["value"] for alert in alerts} >= {"198.51.100.60", "198.51.100.64/28"}
    number = str(next(a["id"] for a in alerts if a["source"]["value"] == "198.51.100.60"))
    assert "198.51.100.60" in agent.cscli("alerts", "inspect", number, "-o", "json")
    assert "1 decision(s) deleted" in agent.cscli(
        "decisions", "delete", "--ip", "198.51.100.60", "-o", "human"
    )
    assert eventually(lambda: not is_blocked(api, "198.51.100.60")) is not None
    assert "198.51.100.64/28" in agent.cscli("decisions", "list", "-o", "json")


def test_an_import_with_cscli_is_a_block_of_that_origin(service: Service, api: Api, tmp_path: Path):
    agent = agent_in(tmp_path, service, TOKENS["responder"], "laptop")
    lines = ["duration,scope,value"] + [f"4h,ip,198.51.100.{n}" for n in range(100, 110)]
    (tmp_path / "bad.csv").write_text("\n".join(lines) + "\n")
    agent.cscli("decisions", "import", "-i", str(tmp_path / "bad.csv"))
    found = api.call("GET", "/v1/admin/blocks?status=active&origin=import")["items"]
    assert {b["value"] for b in found} == {f"198.51.100.{n}" for n in range(100, 110)}


def test_what_must_not_be_blocked_is_refused_with_the_reason(service: Service, api: Api, tmp_path: Path):
    agent = agent_in(tmp_path, service, TOKENS["responder"], "laptop")
    api.call("POST", "/v1/admin/allowlist", {"value": "192.0.2.77", "note": "a partner"})
    said = agent.cscli("decisions", "add", "--ip", "192.0.2.77", check=False)
    assert "a partner" in said
    assert not is_blocked(api, "192.0.2.77")


def test_a_sensor_may_not_lift_what_others_have_blocked(service: Service, api: Api, tmp_path: Path):
    agent = agent_in(tmp_path, service, TOKENS["ingest"])
    api.block("198.51.100.99")
    said = agent.cscli("decisions", "delete", "--ip", "198.51.100.99", check=False)
    assert "responder is needed" in said
    assert is_blocked(api, "198.51.100.99")
