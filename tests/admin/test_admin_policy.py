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
