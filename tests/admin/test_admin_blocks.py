"""Blocks through the admin API: made, explained, extended, lifted, reviewed, undone."""

from typing import Any

import httpx
import pytest
from admin_desk import HOUR_MS, NOW, OWN, PROXY, Desk, finding

from actions.audit import SYSTEM

FIELDS = ["value", "type", "origin", "rule", "reason", "status", "review", "strikes", "incident_id"]
FIELDS += ["created_at", "until"]


async def make(desk: Desk, value: str = "203.0.113.9", **fields: Any) -> dict[str, Any]:
    answer = await desk.responder.post("/blocks", json={"value": value, "reason": "because", **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def in_force(desk: Desk, value: str) -> bool:
    return await desk.actions.blocklist.find_active(value) is not None


async def test_a_person_blocks_an_address_for_a_while(desk: Desk) -> None:
    made = await make(desk, duration="4h")
    assert [made[name] for name in FIELDS] == [
        "203.0.113.9",
        "ban",
        "admin",
        None,
        "because",
        "active",
        "not_needed",
        1,
        None,
        "2025-11-24T16:00:00.000Z",
        "2025-11-24T20:00:00.000Z",
    ]
    assert "responder" in made["actor"]
    assert made["allowed_actions"] == ["unblock", "extend", "undo"]
    assert await in_force(desk, "203.0.113.9")
    (entry,) = await desk.trail(f"block:{made['id']}")
    assert entry == (made["actor"], "responder", "block.create", "because")


async def test_a_permanent_block_has_no_end(desk: Desk) -> None:
    assert (await make(desk, duration="permanent"))["until"] is None


@pytest.mark.parametrize(
    ("value", "spelling"),
    [
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.77/24", "203.0.113.0/24"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
async def test_a_value_has_one_spelling(desk: Desk, value: str, spelling: str) -> None:
    assert (await make(desk, value))["value"] == spelling


@pytest.mark.parametrize(
    ("value", "stopped_by"),
    [
        ("127.0.0.1", "loopback 127.0.0.0/8"),
        ("10.1.2.3", "private network 10.0.0.0/8"),
        (PROXY, f"trusted proxy {PROXY}"),
        ("198.51.100.64/26", f"trusted proxy {PROXY}"),
        ("203.0.113.7", "allowlist 203.0.113.0/29 (office)"),
    ],
)
async def test_what_must_never_be_blocked_is_refused_even_with_force(
    desk: Desk, value: str, stopped_by: str
) -> None:
    await desk.admin.post("/allowlist", json={"value": "203.0.113.0/29", "note": "office"})
    for force in (False, True):
        answer = await desk.admin.post("/blocks", json={"value": value, "reason": "x", "force": force})
        assert answer.status_code == 422
        assert stopped_by in answer.json()["detail"]
        assert answer.json()["errors"][0]["field"] == "value"
    assert (await desk.viewer.get("/blocks")).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("value", [OWN, "198.51.100.16/28", f"::ffff:{OWN}"])
async def test_a_person_blocks_the_address_they_come_from_only_with_force(desk: Desk, value: str) -> None:
    answer = await desk.responder.post("/blocks", json={"value": value, "reason": "x"})
    assert answer.status_code == 422
    assert OWN in answer.json()["entry"]
    await make(desk, value, force=True)


async def test_behind_a_trusted_proxy_the_own_address_is_the_forwarded_one(desk: Desk) -> None:
    transport = httpx.ASGITransport(desk.app, client=(PROXY, 1))
    headers = {**desk.responder.headers, "X-Forwarded-For": "203.0.113.1, 203.0.113.50"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://t/v1/admin", headers=headers
    ) as client:
        refused = await client.post("/blocks", json={"value": "203.0.113.50", "reason": "x"})
        assert (refused.status_code, "203.0.113.50" in refused.json()["entry"]) == (422, True)
        assert (await client.post("/blocks", json={"value": "203.0.113.1", "reason": "x"})).status_code == 201


@pytest.mark.parametrize("value", ["64.0.0.0/15", "2001:db8::/31"])
async def test_a_very_wide_network_needs_force(desk: Desk, value: str) -> None:
    answer = await desk.responder.post("/blocks", json={"value": value, "reason": "x"})
    assert (answer.status_code, "needs force" in answer.json()["detail"]) == (422, True)
    await make(desk, value, force=True)


async def test_what_is_blocked_already_is_a_conflict_that_names_the_block(desk: Desk) -> None:
    made = await make(desk)
    answer = await desk.responder.post("/blocks", json={"value": "203.0.113.9", "reason": "x"})
    assert (answer.status_code, made["id"] in answer.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"value": "example.com", "reason": "x"}, "value"),
        ({"value": "203.0.113.9"}, "body.reason"),
        ({"value": "203.0.113.9", "reason": "  "}, "body.reason"),
        ({"value": "203.0.113.9", "reason": "x", "duration": "4"}, "body.duration"),
        ({"value": "203.0.113.9", "reason": "x", "duration": "0h"}, "body.duration"),
        ({"value": "203.0.113.9", "reason": "x", "durration": "4h"}, "body.durration"),
        ({"value": 7, "reason": "x"}, "body.value"),
    ],
)
async def test_a_wrong_field_is_named(desk: Desk, body: dict[str, Any], field: str) -> None:
    answer = await desk.responder.post("/blocks", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_a_block_is_explained_with_its_incident_its_evidence_and_its_history(desk: Desk) -> None:
    opened = await desk.actions.incidents.open_or_join(finding())
    first = await desk.rule_block(id="first", incident_id=opened.incident.id)
    await desk.actions.reviews.unblock(first.id, SYSTEM)
    second = await desk.rule_block(id="second", incident_id=opened.incident.id)
    why = (await desk.viewer.get(f"/blocks/{second.id}")).json()
    assert [why[name] for name in ("id", "strikes", "review", "actor")] == [
        "second",
        2,
        "unreviewed",
        "bartizan",
    ]
    assert why["incident"]["id"] == opened.incident.id
    assert why["references"] == ["T1110", "API2:2023"]
    assert why["incident"]["allowed_actions"] == ["acknowledge", "escalate", "dismiss", "merge"]
    (evidence,) = why["evidence"]
    assert (evidence["matched"], evidence["at"]) == ("status 401", "2025-11-24T15:59:59.000Z")
    assert [(old["id"], old["status"]) for old in why["history"]] == [("first", "lifted")]


@pytest.mark.parametrize("path", ["", "/approve", "/reject", "/undo"])
async def test_an_unknown_block_is_named(desk: Desk, path: str) -> None:
    for method in ("GET", "DELETE") if not path else ("POST",):
        answer = await desk.responder.request(method, f"/blocks/nothing{path}")
        assert (answer.status_code, "nothing" in answer.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("body", "until"),
    [
        ({"duration": "1d"}, "2025-11-25T16:00:00.000Z"),
        ({"until": "2025-11-24T16:30:00Z"}, "2025-11-24T16:30:00.000Z"),
        ({"duration": "permanent"}, None),
    ],
)
async def test_a_block_gets_another_end(desk: Desk, body: dict[str, Any], until: str | None) -> None:
    block = await desk.rule_block()
    answer = await desk.responder.patch(f"/blocks/{block.id}", json={**body, "reason": "again"})
    assert (answer.status_code, answer.json()["until"]) == (200, until)
    entries, _ = await desk.actions.audit.page(target=f"block:{block.id}")
    assert (entries[0].action, entries[0].reason) == ("block.extend", "again")
    assert entries[0].before["until"] == NOW + 4 * HOUR_MS
    assert entries[0].after["until"] != entries[0].before["until"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"duration": "1h", "until": "2030-01-01T00:00:00Z"},
        {"until": "2020-01-01T00:00:00Z"},
        {"until": "x"},
    ],
)
async def test_an_end_that_makes_no_sense_is_refused(desk: Desk, body: dict[str, Any]) -> None:
    block = await desk.rule_block()
    answer = await desk.responder.patch(f"/blocks/{block.id}", json={**body, "reason": "again"})
    assert answer.status_code == 422
    assert "until" in answer.json()["detail"] or "body" in answer.json()["detail"]


async def test_a_block_is_lifted_and_the_move_can_be_undone(desk: Desk) -> None:
    block = await desk.rule_block()
    lifted = (await desk.responder.delete(f"/blocks/{block.id}", params={"reason": "a customer"})).json()
    assert (lifted["status"], lifted["note"]) == ("lifted", "a customer")
    assert lifted["allowed_actions"] == ["approve", "reject", "undo"]
    assert not await in_force(desk, "203.0.113.9")
    again = await desk.responder.delete(f"/blocks/{block.id}")
    assert (again.status_code, again.json()["allowed"]) == (409, ["approve", "reject", "undo"])
    undone = (await desk.responder.post(f"/blocks/{block.id}/undo", json={"note": "no customer"})).json()
    assert (undone["status"], undone["until"]) == ("active", "2025-11-24T20:00:00.000Z")
    assert await in_force(desk, "203.0.113.9")
    trail = await desk.trail(f"block:{block.id}")
    assert [(action, reason) for _, _, action, reason in trail][:2] == [
        ("block.undo", "no customer"),
        ("block.lift", "a customer"),
    ]


async def test_a_block_is_approved_once(desk: Desk) -> None:
    block = await desk.rule_block()
    assert (await desk.responder.post(f"/blocks/{block.id}/approve")).json()["review"] == "approved"
    assert (await desk.responder.post(f"/blocks/{block.id}/approve")).status_code == 409


async def test_a_proposed_block_comes_into_force_when_it_is_approved(desk: Desk) -> None:
    block = await desk.rule_block(propose=True)
    assert not await in_force(desk, block.value)
    listed = (await desk.viewer.get("/blocks", params={"status": "proposed"})).json()["items"]
    assert [item["allowed_actions"] for item in listed] == [["approve", "reject", "extend"]]
    assert (await desk.responder.post(f"/blocks/{block.id}/approve")).json()["status"] == "active"
    assert await in_force(desk, block.value)


async def test_a_rejected_block_is_lifted_and_counts_against_its_rule(desk: Desk) -> None:
    block = await desk.rule_block()
    rejected = (await desk.responder.post(f"/blocks/{block.id}/reject", json={"note": "the office"})).json()
    assert (rejected["status"], rejected["review"], rejected["note"]) == (
        "rejected",
        "rejected",
        "the office",
    )
    assert not await in_force(desk, block.value)
    assert (await desk.viewer.get("/stats")).json()["blocks"]["false_positives"] == {"auth_failures": 1}


async def test_a_responder_cannot_undo_what_only_an_admin_may_do(desk: Desk) -> None:
    await desk.admin.post("/allowlist", json={"value": "203.0.113.9", "note": "office"})
    entries, _ = await desk.actions.audit.page(target="allowlist:")
    answer = await desk.responder.post(f"/blocks/{entries[0].id}/undo")
    assert answer.status_code == 404
    assert len(await desk.actions.allowlist.entries()) == 1


async def test_a_block_whose_time_is_over_says_so_at_once(desk: Desk) -> None:
    block = await desk.rule_block()
    desk.pass_time(4 * HOUR_MS)
    shown = (await desk.viewer.get(f"/blocks/{block.id}")).json()
    assert (shown["status"], shown["allowed_actions"]) == ("expired", ["approve", "reject"])
    assert (await desk.responder.delete(f"/blocks/{block.id}")).status_code == 409


async def listed(desk: Desk, **query: Any) -> list[str]:
    answer = await desk.viewer.get("/blocks", params=query)
    assert answer.status_code == 200, answer.text
    return [item["value"] for item in answer.json()["items"]]


async def test_the_list_is_narrowed_by_each_of_its_filters(desk: Desk) -> None:
    await desk.rule_block("203.0.113.9")
    desk.pass_time(1000)
    await make(desk, "203.0.113.0/25")
    await make(desk, "2001:db8:1:2::/64")
    lifted = await make(desk, "192.0.2.1")
    await desk.responder.delete(f"/blocks/{lifted['id']}")
    assert len(await listed(desk)) == 4
    assert await listed(desk, status="lifted") == ["192.0.2.1"]
    assert await listed(desk, rule="auth_failures") == ["203.0.113.9"]
    assert await listed(desk, origin="rule") == ["203.0.113.9"]
    assert await listed(desk, review="unreviewed") == ["203.0.113.9"]
    assert sorted(await listed(desk, contains="203.0.113.9")) == ["203.0.113.0/25", "203.0.113.9"]
    assert await listed(desk, contains="2001:db8:1:2::99") == ["2001:db8:1:2::/64"]
    assert await listed(desk, q="FAILED") == ["203.0.113.9"]
    assert "203.0.113.9" not in await listed(desk, since="2025-11-24T16:00:00.500Z")
    for query in ({"contains": "x"}, {"since": "x"}, {"cursor": "!"}, {"status": "x"}, {"limit": 0}):
        assert (await desk.viewer.get("/blocks", params=query)).status_code == 422, query


async def test_the_list_comes_in_pages(desk: Desk) -> None:
    for number in range(5):
        await desk.rule_block(f"203.0.113.{number}")
        desk.pass_time(1)
    found, cursor = [], None
    for _ in range(10):
        page = (
            await desk.viewer.get("/blocks", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        found += [item["value"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [f"203.0.113.{number}" for number in (4, 3, 2, 1, 0)]


async def test_many_are_moved_at_once_and_one_failure_stops_none(desk: Desk) -> None:
    body = {"action": "block", "values": ["203.0.113.1", "127.0.0.1", "203.0.113.2"], "reason": "a list"}
    answer = (await desk.responder.post("/blocks/bulk", json=body)).json()
    assert [(item["target"], item["ok"]) for item in answer["items"]] == [
        ("203.0.113.1", True),
        ("127.0.0.1", False),
        ("203.0.113.2", True),
    ]
    assert "loopback" in answer["items"][1]["error"]
    assert answer["failed"] == 1
    first = answer["items"][0]["block"]["id"]
    body = {"action": "unblock", "ids": [first], "values": ["203.0.113.2", "203.0.113.3"], "reason": "over"}
    answer = (await desk.responder.post("/blocks/bulk", json=body)).json()
    assert [item["ok"] for item in answer["items"]] == [True, True, False]
    body = {"action": "undo", "ids": [first, "unknown"], "reason": "not over"}
    answer = (await desk.responder.post("/blocks/bulk", json=body)).json()
    assert [item["ok"] for item in answer["items"]] == [True, False]
    assert await in_force(desk, "203.0.113.1")
    assert len(await desk.trail(f"block:{first}")) == 3


@pytest.mark.parametrize("action", ["approve", "reject"])
async def test_many_are_reviewed_at_once(desk: Desk, action: str) -> None:
    ids = [(await desk.rule_block(f"203.0.113.{number}")).id for number in range(3)]
    body = {"action": action, "ids": ids, "reason": "seen"}
    answer = (await desk.responder.post("/blocks/bulk", json=body)).json()
    assert {item["block"]["review"] for item in answer["items"]} == {
        f"{action}d".replace("rejectd", "rejected")
    }


@pytest.mark.parametrize(
    "body",
    [
        {"action": "unblock", "reason": "x"},
        {"action": "block", "ids": ["a"], "reason": "x"},
        {"action": "approve", "values": ["203.0.113.9"], "reason": "x"},
        {"action": "delete", "ids": ["a"], "reason": "x"},
        {"action": "unblock", "ids": ["a"] * 501, "reason": "x"},
    ],
)
async def test_a_bulk_that_makes_no_sense_is_refused(desk: Desk, body: dict[str, Any]) -> None:
    assert (await desk.responder.post("/blocks/bulk", json=body)).status_code == 422
