"""The audit trail, the numbers, and the tokens through the admin API."""

from typing import Any

import pytest
from admin_desk import Desk, finding
from redis.asyncio import Redis

from app.auth import Role


async def test_the_audit_trail_shows_who_did_what_when_and_why_with_before_and_after(desk: Desk) -> None:
    block = await desk.rule_block()
    await desk.responder.delete(f"/blocks/{block.id}", params={"reason": "a customer"})
    (entry,) = (await desk.viewer.get("/audit", params={"action": "block.lift"})).json()["items"]
    assert "responder" in entry["actor"]
    assert (entry["role"], entry["target"], entry["reason"]) == (
        "responder",
        f"block:{block.id}",
        "a customer",
    )
    assert entry["at"] == "2025-11-24T16:00:00.000Z"
    assert (entry["before"]["status"], entry["after"]["status"]) == ("active", "lifted")
    assert entry["before"]["until"] == "2025-11-24T20:00:00.000Z"


async def test_the_audit_trail_is_narrowed_and_comes_in_pages(desk: Desk) -> None:
    for number in range(3):
        await desk.responder.post("/blocks", json={"value": f"203.0.113.{number}", "reason": f"{number}"})
    await desk.admin.post("/allowlist", json={"value": "192.0.2.1", "note": "office"})

    async def reasons(**query: Any) -> list[str]:
        answer = await desk.viewer.get("/audit", params=query)
        return [entry["reason"] for entry in answer.json()["items"]]

    assert await reasons() == ["office", "2", "1", "0"]
    assert await reasons(action="block.") == ["2", "1", "0"]
    assert await reasons(target="allowlist:") == ["office"]
    actor = (await desk.viewer.get("/audit")).json()["items"][0]["actor"]
    assert await reasons(actor=actor) == ["office"]
    first = (await desk.viewer.get("/audit", params={"limit": 2})).json()
    assert await reasons(cursor=first["next_cursor"]) == ["1", "0"]
    assert (await desk.viewer.get("/audit", params={"cursor": "x"})).status_code == 422


async def test_the_numbers_add_up(desk: Desk) -> None:
    await desk.rule_block("203.0.113.1")
    await desk.rule_block("203.0.113.2", propose=True)
    await desk.actions.incidents.open_or_join(finding(), tell=True)
    await desk.world.follower.step()
    numbers = (await desk.viewer.get("/stats")).json()
    assert numbers["at"] == "2025-11-24T16:00:00.000Z"
    assert numbers["blocks"] == {"active": 1, "proposed": 1, "kept": 2, "false_positives": {}}
    assert numbers["incidents"] == {"by_status": {"triggered": 1}, "open_by_severity": {"high": 1}}
    assert (numbers["messages_waiting"], numbers["lookup"]["blocks"]) == (1, 1)
    assert numbers["lookup"]["is_ready"] is True
    assert numbers["policy"]["digest"] == desk.world.policy.current.digest


async def test_what_an_observing_rule_would_have_acted_on_is_listed(desk: Desk) -> None:
    assert await desk.actions.observed.record(finding())
    (item,) = (await desk.viewer.get("/observed")).json()["items"]
    assert (item["rule"], item["actions"]) == (finding().rule, [a.value for a in finding().actions])
    assert item["at"].endswith("Z")
    assert (await desk.viewer.get("/observed", params={"cursor": "x"})).status_code == 422


async def test_a_token_is_made_shown_once_and_revoked(desk: Desk) -> None:
    body = {"role": "viewer", "name": "dashboard", "expires_at": "2025-11-24T17:00:00Z"}
    answer = await desk.admin.post("/tokens", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["token"].startswith("bz_viewer_")
    assert (made["name"], made["expires_at"]) == ("dashboard", "2025-11-24T17:00:00.000Z")
    (listed,) = (await desk.admin.get("/tokens")).json()["items"]
    assert listed == {key: value for key, value in made.items() if key != "token"}
    ended = await desk.admin.delete(f"/tokens/{made['id']}", params={"reason": "lost"})
    assert ended.json()["revoked_at"] == "2025-11-24T16:00:00.000Z"
    again = await desk.admin.delete(f"/tokens/{made['id']}")
    assert (again.status_code, made["id"] in again.json()["detail"]) == (404, True)
    trail = await desk.trail(f"token:{made['id']}")
    assert [(role, action, reason) for _, role, action, reason in trail] == [
        ("admin", "token.revoke", "lost"),
        ("admin", "token.create", ""),
    ]


async def test_no_secret_of_a_token_is_kept_anywhere(desk: Desk, redis: Redis) -> None:
    secret = (await desk.admin.post("/tokens", json={"role": "ingest", "name": "shipper"})).json()["token"]
    for key in await redis.keys("*"):
        kind = await redis.type(key)
        kept = await (
            redis.hgetall(key)
            if kind == b"hash"
            else redis.xrange(key)
            if kind == b"stream"
            else redis.get(key)
        )
        assert secret not in repr(kept)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "king", "name": "x"}, "body.role"),
        ({"role": "viewer", "name": ""}, "body.name"),
        ({"role": "viewer", "name": "x" * 100}, "body.name"),
        ({"role": "viewer", "name": "x", "expires_at": "tomorrow"}, "body.expires_at"),
    ],
)
async def test_a_wrong_token_field_is_named(desk: Desk, body: dict[str, Any], field: str) -> None:
    answer = await desk.admin.post("/tokens", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_token_cannot_end_before_it_begins(desk: Desk) -> None:
    body = {"role": Role.VIEWER, "name": "x", "expires_at": "2025-11-24T15:00:00Z"}
    answer = await desk.admin.post("/tokens", json=body)
    assert (answer.status_code, "expires_at" in answer.json()["detail"]) == (422, True)


async def test_without_redis_every_list_says_try_again(desk: Desk, redis: Redis) -> None:
    for key in ("audit", "tokens", "notifications", "allowlist", "blocks:index", "incidents:index"):
        await redis.set(f"bartizan:{{act}}:{key}", "not what it should be")
    for path in ("/audit", "/notifications", "/allowlist", "/blocks", "/incidents", "/stats"):
        answer = await desk.viewer.get(path)
        assert (path, answer.status_code, answer.headers["retry-after"]) == (path, 503, "2")
    assert (await desk.admin.get("/tokens")).status_code == 503
