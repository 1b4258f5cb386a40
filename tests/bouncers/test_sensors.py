"""The watcher's side: logins, heartbeats, alerts and what becomes of them."""

from typing import Any

import pytest
from bouncing import ALICE, HOUR_MS, INGEST, LOOKUP, NOW, RESPONDER, Bench
from redis.asyncio import Redis

from actions.blocks.block import Origin
from actions.responder import Responder
from detectors.timestamps import to_rfc3339


def alert(address: str = "203.0.113.9", **more: Any) -> dict[str, Any]:
    """As an agent sends it."""
    meta = {"source_ip": address, "http_path": "/admin", "http_status": "401", "username": "root"}
    return {
        "scenario": "crowdsecurity/http-bf",
        "scenario_hash": "abc",
        "scenario_version": "0.1",
        "message": f"Ip {address} performed 'crowdsecurity/http-bf'",
        "events_count": 6,
        "start_at": to_rfc3339(NOW - 30_000),
        "stop_at": to_rfc3339(NOW),
        "capacity": 5,
        "leakspeed": "10s",
        "simulated": False,
        "events": [{"timestamp": to_rfc3339(NOW), "meta": [{"key": k, "value": v} for k, v in meta.items()]}],
        "source": {"scope": "Ip", "value": address, "ip": address, "as_number": "64500"},
        "decisions": None,
        "remediation": True,
        **more,
    }


def decision(value: str, **more: str) -> dict[str, str]:
    """As cscli sends it."""
    given = {"duration": "2h0m0s", "origin": "cscli", "scenario": "by hand", "scope": "Ip", "type": "ban"}
    return {**given, "value": value, **more}


async def respond(bench: Bench) -> None:
    await Responder(bench.actions).drain()
    await bench.follow()


async def incidents(bench: Bench) -> list[Any]:
    found, _ = await bench.actions.incidents.page()
    return list(found)


async def test_a_login_is_answered_as_upstream_does(bench: Bench):
    body = {"machine_id": "sensor", "password": INGEST, "scenarios": ["a"]}
    answer = await bench.post("/v1/watchers/login", body)
    found = answer.json()
    assert (answer.status_code, found["code"]) == (200, 200)
    assert found["expire"] == "2025-11-24T17:00:00Z"
    assert len(found["token"]) > 40
    headers = {"Authorization": f"Bearer {found['token']}"}
    beat = await bench.client.get("/v1/heartbeat", headers=headers)
    assert (beat.status_code, beat.content) == (200, b"")
    again = (await bench.client.get("/v1/refresh_token", headers=headers)).json()
    assert again["token"] != found["token"]
    assert (await bench.client.delete("/v1/watchers/self", headers=headers)).status_code == 204
    assert (await bench.client.get("/v1/heartbeat", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("password", "says"),
    [("wrong", "incorrect Username or Password"), (LOOKUP, "ingest or responder is needed")],
)
async def test_a_wrong_login_is_401(bench: Bench, password: str, says: str):
    answer = await bench.post("/v1/watchers/login", {"machine_id": "m", "password": password})
    assert answer.status_code == answer.json()["code"] == 401
    assert says in answer.json()["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"machine_id":1,"password":"x"}', b"{}"])
async def test_a_login_that_cannot_be_read_is_401(bench: Bench, body: bytes):
    assert (await bench.post("/v1/watchers/login", body)).status_code == 401


async def test_nobody_registers(bench: Bench):
    answer = await bench.post("/v1/watchers", {"machine_id": "m", "password": "x"})
    assert answer.status_code == 403
    assert "bartizan tokens create" in answer.json()["message"]


async def test_without_a_session_the_words_are_upstreams(bench: Bench):
    for headers, says in (({}, "cookie token is empty"), ({"Authorization": "Bearer x"}, "invalid token")):
        answer = await bench.post("/v1/alerts", [alert()], **headers)
        assert (answer.status_code, answer.json()) == (401, {"code": 401, "message": says})
        assert answer.headers["www-authenticate"].startswith("JWT realm=")


async def test_a_session_ends_with_its_token(bench: Bench):
    headers = await bench.log_in(INGEST)
    bench.world.tokens._outside.clear()
    assert (await bench.client.get("/v1/heartbeat", headers=headers)).status_code == 401


async def test_an_alert_is_an_incident_with_its_evidence_and_a_block(bench: Bench):
    headers = await bench.log_in(INGEST, "sensor-1")
    answer = await bench.post("/v1/alerts", [alert()], **headers, **{"Content-Encoding": "gzip"})
    assert answer.status_code == 201
    assert [number.isdecimal() for number in answer.json()] == [True]
    await respond(bench)
    [incident] = await incidents(bench)
    assert (incident.rule, incident.subject) == ("crowdsec_alert", "203.0.113.9")
    [evidence] = incident.evidence
    assert (evidence.path, evidence.status, evidence.user) == ("/admin", 401, "root")
    assert evidence.matched.startswith("crowdsecurity/http-bf (sensor-1): Ip 203.0.113.9 performed")
    block = await bench.actions.blocklist.find_active("203.0.113.9")
    assert block is not None
    assert (block.rule, block.origin, block.until) == ("crowdsec_alert", Origin.RULE, NOW + 4 * HOUR_MS)


async def test_the_same_alert_again_is_no_other(bench: Bench, redis: Redis):
    headers = await bench.log_in(INGEST)
    first = await bench.post("/v1/alerts", [alert()], **headers)
    again = await bench.post("/v1/alerts", [alert()], **headers)
    assert first.json() == again.json()
    assert await redis.xlen("bartizan:{0}:findings") == 1


async def test_an_alert_about_ipv6_is_about_the_network_and_knows_the_address(bench: Bench):
    headers = await bench.log_in(INGEST)
    await bench.post("/v1/alerts", [alert("2001:db8:7:7::9")], **headers)
    await respond(bench)
    block = await bench.actions.blocklist.find_active("2001:db8:7:7::/64")
    assert block is not None and block.seen == "2001:db8:7:7::9"


async def test_a_simulated_alert_and_an_old_one_block_nobody(bench: Bench):
    headers = await bench.log_in(INGEST)
    old = to_rfc3339(NOW - 5 * HOUR_MS)
    alerts = [alert(simulated=True), alert("203.0.113.10", start_at=old, stop_at=old)]
    await bench.post("/v1/alerts", alerts, **headers)
    await respond(bench)
    assert [i.subject for i in await incidents(bench)] == ["203.0.113.10"]
    assert await bench.values("") == []


async def test_an_alert_about_somebody_who_is_no_address_is_an_incident(bench: Bench):
    headers = await bench.log_in(INGEST)
    source = {"scope": "Username", "value": "mallory"}
    await bench.post("/v1/alerts", [alert(source=source, events=[])], **headers)
    await respond(bench)
    assert [i.subject for i in await incidents(bench)] == ["mallory"]


async def test_no_credential_in_an_alert_is_kept(bench: Bench, redis: Redis):
    headers = await bench.log_in(INGEST)
    key = "AKIA" + "Z7QK3M4XW2LP5RTV"
    meta = [{"key": "http_path", "value": f"/?key={key}"}, {"key": "source_ip", "value": "203.0.113.9"}]
    events = [{"timestamp": to_rfc3339(NOW), "meta": meta}]
    await bench.post("/v1/alerts", [alert(events=events, message=f"saw {key}")], **headers)
    assert key not in repr(await redis.xrange("bartizan:{0}:findings"))
    assert "[REDACTED:" in repr(await redis.xrange("bartizan:{0}:findings"))


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"[", 400), (b"[{}]", 500), (b'[{"scenario":1}]', 500), (b"{}", 500)],
)
async def test_an_alert_that_lacks_something_is_refused_as_upstream_does(
    bench: Bench, body: bytes, status: int
):
    headers = await bench.log_in(INGEST)
    answer = await bench.post("/v1/alerts", body, **headers)
    assert answer.status_code == status
    assert answer.json()["message"].startswith("invalid body" if status == 400 else "validation failure list")


async def test_what_a_sensor_decides_is_blocked_under_the_rule_for_as_long(bench: Bench):
    headers = await bench.log_in(INGEST)
    ordered = alert(decisions=[decision("203.0.113.9")])
    assert (await bench.post("/v1/alerts", [ordered], **headers)).status_code == 201
    await respond(bench)
    block = await bench.actions.blocklist.find_active("203.0.113.9")
    assert block is not None
    assert (block.rule, block.until) == ("crowdsec_alert", NOW + 2 * HOUR_MS)


async def test_what_a_person_decides_is_a_persons_block(bench: Bench):
    headers = await bench.log_in(RESPONDER)
    decisions = [
        decision("203.0.113.9"),
        decision("203.0.113.16/28", scope="Range", type="captcha", origin="cscli-import"),
        decision("FR", scope="Country"),
    ]
    answer = await bench.post("/v1/alerts", [alert(events=[], decisions=decisions)], **headers)
    assert answer.status_code == 201
    await bench.follow()
    assert await incidents(bench) == []
    found = {i["value"]: (i["type"], i["origin"]) for i in (await bench.get("/v1/decisions")).json()}
    assert found == {
        "203.0.113.9": ("ban", "cscli"),
        "203.0.113.16/28": ("captcha", "cscli-import"),
        "FR": ("ban", "cscli"),
    }
    longer = [decision("203.0.113.9", duration="9h")]
    await bench.post("/v1/alerts", [alert(events=[], decisions=longer)], **headers)
    block = await bench.actions.blocklist.find_active("203.0.113.9")
    assert block is not None and block.until == NOW + 9 * HOUR_MS


@pytest.mark.parametrize(
    ("value", "more", "says"),
    [
        ("127.0.0.1", {}, "loopback"),
        ("nonsense", {}, "nonsense"),
        ("203.0.113.9", {"type": "tarpit"}, "tarpit"),
        ("203.0.113.9", {"duration": "soon"}, "soon"),
        ("203.0.113.9", {"duration": "-5s"}, "is over"),
        ("x", {"scope": "planet"}, "planet"),
    ],
)
async def test_an_order_that_cannot_be_carried_out_is_refused_by_name(
    bench: Bench, value: str, more: dict[str, str], says: str
):
    headers = await bench.log_in(RESPONDER)
    ordered = alert(events=[], decisions=[decision("203.0.113.77"), decision(value, **more)])
    answer = await bench.post("/v1/alerts", [ordered], **headers)
    assert answer.status_code == 422
    assert says in answer.json()["message"]
    assert await bench.actions.blocklist.find_active("203.0.113.77") is not None


async def test_decisions_are_lifted_by_what_they_hold_and_by_number(bench: Bench):
    headers = await bench.log_in(RESPONDER)
    await bench.block("203.0.113.9")
    await bench.block("203.0.113.0/24")
    await bench.block("198.51.100.9", reason="other")
    answer = await bench.client.delete("/v1/decisions?ip=203.0.113.9", headers=headers)
    assert answer.json() == {"nbDeleted": "2"}
    await bench.follow()
    [item] = (await bench.get("/v1/decisions")).json()
    assert (await bench.client.delete("/v1/decisions?scenario=a+test", headers=headers)).json() == {
        "nbDeleted": "0"
    }
    answer = await bench.client.delete(f"/v1/decisions/{item['id']}", headers=headers)
    assert answer.json() == {"nbDeleted": "1"}
    await bench.follow()
    assert (await bench.client.delete("/v1/decisions/5", headers=headers)).status_code == 404
    sensor = await bench.log_in(INGEST)
    assert (await bench.client.delete("/v1/decisions", headers=sensor)).status_code == 403


async def test_blocks_are_listed_as_alerts(bench: Bench):
    headers = await bench.log_in(RESPONDER)

    async def listed(query: str) -> list[str]:
        answer = await bench.client.get(f"/v1/alerts?{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [a["source"]["value"] for a in answer.json() or []]

    assert (await bench.client.get("/v1/alerts", headers=headers)).content == b"null"
    await bench.block("203.0.113.9")
    await bench.captcha("203.0.113.0/24")
    await bench.lift(await bench.block("198.51.100.9"))
    assert len(await listed("")) == 3
    assert await listed("has_active_decision=true&ip=203.0.113.9&limit=1") in (
        ["203.0.113.9"],
        ["203.0.113.0/24"],
    )
    assert set(await listed("has_active_decision=true&limit=100")) == {"203.0.113.9", "203.0.113.0/24"}
    assert await listed("decision_type=captcha") == ["203.0.113.0/24"]
    assert await listed("since=1h&scope=Range") == ["203.0.113.0/24"]
    assert await listed("origin=crowdsec") == []
    assert (await bench.client.get("/v1/alerts?ip=x", headers=headers)).status_code == 500


async def test_the_allowlist_is_read_by_newer_agents(bench: Bench):
    headers = await bench.log_in(INGEST)
    await bench.actions.reviews.allow("203.0.113.0/24", "ours", ALICE, NOW + HOUR_MS)
    await bench.follow()
    [found] = (await bench.client.get("/v1/allowlists?with_content=true", headers=headers)).json()
    assert found["items"] == [
        {
            "value": "203.0.113.0/24",
            "description": "ours",
            "created_at": "2025-11-24T16:00:00.000Z",
            "expiration": "2025-11-24T17:00:00.000Z",
        }
    ]
    check = "/v1/allowlists/check/203.0.113.9"
    assert (await bench.client.get(check, headers=headers)).json()["allowlisted"] is True
    assert (await bench.client.head(check, headers=headers)).status_code == 200
    assert (await bench.client.head(check[:-2] + ".9/8", headers=headers)).status_code in (204, 400)


async def test_a_log_processors_report_is_taken(bench: Bench):
    headers = await bench.log_in(INGEST)
    body = {"remediation_components": None, "log_processors": [{"version": "v1.7"}]}
    assert (await bench.post("/v1/usage-metrics", body, **headers)).status_code == 201
