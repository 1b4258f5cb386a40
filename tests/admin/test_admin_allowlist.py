"""The allowlist through the admin API."""

from typing import Any

import pytest
from admin_desk import HOUR_MS, Desk


async def allow(desk: Desk, value: str = "203.0.113.0/24", **fields: Any) -> dict[str, Any]:
    answer = await desk.admin.post("/allowlist", json={"value": value, "note": "the office", **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_allowing_a_network_lifts_the_blocks_inside_it_and_says_which(desk: Desk) -> None:
    for value in ("203.0.113.9", "203.0.113.10", "203.0.114.1"):
        await desk.rule_block(value)
    made = await allow(desk)
    assert sorted(block["value"] for block in made["lifted"]) == ["203.0.113.10", "203.0.113.9"]
    assert {block["status"] for block in made["lifted"]} == {"lifted"}
    assert (made["value"], made["note"], made["until"]) == ("203.0.113.0/24", "the office", None)
    active = (await desk.viewer.get("/blocks", params={"status": "active"})).json()["items"]
    assert [block["value"] for block in active] == ["203.0.114.1"]
    trail = await desk.trail()
    assert {(action, role) for _, role, action, _ in trail} >= {
        ("allowlist.add", "admin"),
        ("block.lift", "admin"),
    }


async def test_an_entry_may_have_an_end(desk: Desk) -> None:
    assert (await allow(desk, duration="1h"))["until"] == "2025-11-24T17:00:00.000Z"
    await allow(desk, "2001:db8::/32", until="2025-11-24T19:00:00Z")
    desk.pass_time(HOUR_MS)
    listed = (await desk.viewer.get("/allowlist")).json()
    assert [entry["value"] for entry in listed["items"]] == ["2001:db8::/32"]
    assert listed["next_cursor"] is None


async def test_allowing_again_replaces_the_note_and_the_end(desk: Desk) -> None:
    await allow(desk, duration="1h")
    await allow(desk, note="moved in for good")
    (entry,) = (await desk.viewer.get("/allowlist")).json()["items"]
    assert (entry["note"], entry["until"]) == ("moved in for good", None)


async def test_an_entry_is_removed_with_a_reason(desk: Desk) -> None:
    await allow(desk)
    query = {"value": "203.0.113.0/24", "reason": "moved out"}
    assert (await desk.admin.delete("/allowlist", params=query)).json()["note"] == "the office"
    assert (await desk.viewer.get("/allowlist")).json()["items"] == []
    trail = await desk.trail("allowlist:203.0.113.0/24")
    assert [(action, reason) for _, _, action, reason in trail] == [
        ("allowlist.remove", "moved out"),
        ("allowlist.add", "the office"),
    ]
    again = await desk.admin.delete("/allowlist", params=query)
    assert (again.status_code, "203.0.113.0/24" in again.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"value": "203.0.113.0/24"}, "body.note"),
        ({"value": "203.0.113.0/24", "note": " "}, "body.note"),
        ({"value": "example.com", "note": "x"}, "value"),
        ({"value": "203.0.113.0/24", "note": "x", "until": "2020-01-01T00:00:00Z"}, "until"),
        ({"value": "203.0.113.0/24", "note": "x", "until": "soon"}, "body.until"),
        ({"value": "203.0.113.0/24", "note": "x", "until": "2030-01-01", "duration": "1h"}, "body"),
    ],
)
async def test_a_wrong_field_is_named(desk: Desk, body: dict[str, Any], field: str) -> None:
    answer = await desk.admin.post("/allowlist", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_value_to_remove_that_is_no_network_is_named(desk: Desk) -> None:
    answer = await desk.admin.delete("/allowlist", params={"value": "x"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "value")
