"""The policy through the admin API: shown, checked, replaced."""

import pytest
from admin_desk import Desk
from redis.asyncio import Redis

STRICTER = "security_alerts:\n  auth_failures: {threshold: 5/minute, action: block_ip}\n"
WRONG = "security_alerts:\n  auth_failures: {treshold: 5/minute, action: block_ip}\n"


async def test_the_policy_is_shown_as_written_and_as_understood(desk: Desk) -> None:
    shown = (await desk.viewer.get("/policy")).json()
    assert shown["text"] == desk.world.policy.current.text
    assert shown["error"] is None
    rule = next(rule for rule in shown["rules"] if rule["name"] == "auth_failures")
    assert (rule["threshold"], rule["actions"], rule["group_by"]) == ("10/1m", ["block_ip"], ["ip"])
    assert (rule["mode"], rule["duration"]) == ("enforce", "4h")


AROUND = """
shared_addresses: {users: 7}
verified_bots: {on_dns_failure: alert}
trusted_clients: [{user_agent: our-monitor/, networks: [192.0.2.0/24], note: ours}]
own_keys: [pc.live_, {prefix: acme_, description: Acme, severity: medium}]
"""


async def test_what_holds_for_all_rules_is_shown_and_its_changes_too(desk: Desk) -> None:
    text = STRICTER + AROUND
    checked = (await desk.viewer.post("/policy/check", json={"text": text})).json()
    assert "shared_addresses: 0 -> 7" in checked["changes"]
    assert 'on_dns_failure: "block" -> "alert"' in checked["changes"]
    assert any(line.startswith("own_keys: [] -> [") for line in checked["changes"])
    await desk.admin.put("/policy", json={"text": text, "reason": "x"})
    shown = (await desk.viewer.get("/policy")).json()
    assert (shown["shared_addresses"], shown["verified_bots"], shown["on_dns_failure"]) == (7, True, "alert")
    assert shown["trusted_clients"] == [
        {"user_agent": "our-monitor/", "networks": ["192.0.2.0/24"], "note": "ours"}
    ]
    assert shown["own_keys"] == [
        {
            "prefix": "pc.live_",
            "description": "Key of your own that begins with pc.live_",
            "severity": "critical",
        },
        {"prefix": "acme_", "description": "Acme", "severity": "medium"},
    ]


async def test_a_check_says_what_would_change_and_changes_nothing(desk: Desk) -> None:
    before = desk.world.policy.current
    found = (await desk.viewer.post("/policy/check", json={"text": STRICTER})).json()
    assert found["valid"] and found["error"] is None
    assert "auth_failures: threshold 10/1m -> 5/1m" in found["changes"]
    assert "suspicious_activity: switched off" in found["changes"]
    assert [rule["name"] for rule in found["rules"]] == ["auth_failures"]
    assert desk.world.policy.current == before


@pytest.mark.parametrize(
    "text", [WRONG, "", "[", "\x00", "a: &a [*a]", "security_alerts: {auth_failures: {}}\n" * 2]
)
async def test_a_check_of_a_wrong_policy_says_what_is_wrong(desk: Desk, text: str) -> None:
    found = (await desk.viewer.post("/policy/check", json={"text": text})).json()
    assert found["valid"] is False
    assert found["error"]
    if text == WRONG:
        assert "line 2" in found["error"] and "treshold" in found["error"]


async def test_sigma_rules_are_shown_with_those_that_were_refused(desk: Desk) -> None:
    folder = desk.world.policy.path.parent / "sigma"
    folder.mkdir()
    rule = "title: {0}\nlogsource: {{category: webserver}}\ndetection: {{s: {{{1}: a}}, condition: s}}\n"
    (folder / "a.yml").write_text(rule.format("Good", "cs-method"))
    (folder / "b.yml").write_text(rule.format("Bad", "cs-cookie"))
    text = f"{STRICTER}sigma: {{folder: sigma}}\n"
    checked = (await desk.viewer.post("/policy/check", json={"text": text})).json()
    assert "sigma_good: switched on" in checked["changes"]
    shown = (await desk.admin.put("/policy", json={"text": text, "reason": "x"})).json()
    refused = {"file": "b.yml", "rule": "Bad", "reason": "field 'cs-cookie': the events have no such field"}
    assert shown["sigma"] == {"loaded": 1, "parts_only": 0, "refused": [refused]}


async def test_a_check_reads_no_folder_but_the_policys_own(desk: Desk) -> None:
    found = (await desk.viewer.post("/policy/check", json={"text": "sigma: {folder: /}"})).json()
    assert "lies outside the policy's own folder" in found["error"]


async def test_a_new_policy_is_in_force_written_to_its_file_and_audited(desk: Desk) -> None:
    before = desk.world.policy.current
    taken = await desk.admin.put("/policy", json={"text": STRICTER, "reason": "an attack is on"})
    assert taken.status_code == 200, taken.text
    assert desk.world.policy.current.rule("auth_failures").threshold == 5
    assert desk.world.policy.path.read_text() == STRICTER
    (entry,), _ = await desk.actions.audit.page(action="policy.")
    assert (entry.role, entry.action, entry.reason) == ("admin", "policy.replace", "an attack is on")
    assert (entry.before["text"], entry.after["text"]) == (before.text, STRICTER)
    assert "auth_failures: threshold 10/1m -> 5/1m" in entry.after["changes"]


async def test_a_wrong_policy_is_refused_and_the_old_one_stays(desk: Desk) -> None:
    before = desk.world.policy.current
    answer = await desk.admin.put("/policy", json={"text": WRONG, "reason": "x"})
    assert (answer.status_code, "line 2" in answer.json()["detail"]) == (422, True)
    assert desk.world.policy.current == before
    assert desk.world.policy.path.read_text() == before.text
    assert await desk.trail() == []


async def test_a_change_that_cannot_be_audited_is_not_made(desk: Desk, redis: Redis) -> None:
    before = desk.world.policy.current
    await redis.set("bartizan:{act}:audit", "no stream")
    answer = await desk.admin.put("/policy", json={"text": STRICTER, "reason": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert desk.world.policy.current == before


OWN = """\
rules:
  code_found:
    title: The second factor was guessed
    sequence: [{path: {ends: /otp}, status: 403}, {path: {ends: /otp}, status: 200}]
    threshold: 5/15m
    references: [T1110]
    tests:
      match: [{path: /otp, status: 200}]
      no_match: [{path: /otp, status: 500}]
"""
FAILING = OWN.replace("status: 500", "status: 403")
FAILS = (
    "line 9: rules.code_found.tests.no_match[0]: matches, and must not: path '/otp' (ends '/otp'), status 403"
)


async def test_rules_of_ones_own_are_checked_with_their_tests_put_in_force_and_shown(desk: Desk) -> None:
    found = (await desk.viewer.post("/policy/check", json={"text": OWN})).json()
    assert found["valid"] is True
    assert [(test["example"], test["passed"]) for test in found["tests"]] == [
        ("match[0]", True),
        ("no_match[0]", True),
    ]
    assert "code_found: switched on" in found["changes"]
    assert (await desk.admin.put("/policy", json={"text": OWN, "reason": "x"})).status_code == 200
    (rule,) = (await desk.viewer.get("/policy")).json()["rules"]
    assert (rule["name"], rule["is_own"], rule["title"]) == (
        "code_found",
        True,
        "The second factor was guessed",
    )
    assert rule["where"] == "path ends with '/otp' and status is 403"
    assert rule["then_where"] == "path ends with '/otp' and status is 200"
    assert (rule["references"], rule["distinct"], rule["distinct_field"]) == (["T1110"], None, None)


async def test_a_policy_whose_tests_fail_is_wrong_and_refused(desk: Desk) -> None:
    before = desk.world.policy.current
    found = (await desk.viewer.post("/policy/check", json={"text": FAILING})).json()
    assert found["valid"] is False
    assert found["error"].endswith(FAILS)
    assert [(test["line"], test["passed"]) for test in found["tests"]] == [(8, True), (9, False)]
    answer = await desk.admin.put("/policy", json={"text": FAILING, "reason": "x"})
    assert (answer.status_code, FAILS in answer.json()["detail"]) == (422, True)
    assert desk.world.policy.current == before
    assert desk.world.policy.path.read_text() == before.text
    assert await desk.trail() == []
