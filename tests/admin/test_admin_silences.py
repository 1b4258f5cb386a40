"""Silences and maintenance windows through the admin API."""

from typing import Any

import pytest
from admin_desk import HOUR_MS, NOW, Desk

from actions.quiet.maintenance import Schedule, Window

RULE = {"field": "rule", "values": ["high_error_rate"]}
DAY_MS = 24 * HOUR_MS
WEEKLY = Window(
    name="weekly",
    duration_ms=2 * HOUR_MS,
    schedule=Schedule(
        weekdays=((7, 7),), days_of_month=((1, 7), (-7, -1)), months=((11, 12),), at_minute=120
    ),
    notice_ms=DAY_MS,
)


async def silence(desk: Desk, **fields: Any) -> dict[str, Any]:
    if "until" not in fields:
        fields.setdefault("duration", "2h")
    answer = await desk.responder.post(
        "/silences", json={"matchers": [RULE], "comment": "load test", **fields}
    )
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_silence_is_made_listed_shown_extended_and_ended(desk: Desk) -> None:
    made = await silence(desk)
    assert {**made, "author": "x"} == {
        "id": "SIL-0001",
        "state": "active",
        "matchers": [{"field": "rule", "values": ["high_error_rate"], "glob": False}],
        "starts_at": "2025-11-24T16:00:00.000Z",
        "ends_at": "2025-11-24T18:00:00.000Z",
        "author": "x",
        "comment": "load test",
        "created_at": "2025-11-24T16:00:00.000Z",
    }
    assert "responder" in made["author"]
    assert (await desk.viewer.get("/silences")).json() == {"items": [made], "next_cursor": None}
    assert (await desk.viewer.get("/silences/SIL-0001")).json() == made
    desk.pass_time(HOUR_MS)
    longer = await desk.responder.patch("/silences/SIL-0001", json={"duration": "3h", "reason": "slow"})
    assert (longer.status_code, longer.json()["ends_at"]) == (200, "2025-11-24T20:00:00.000Z")
    ended = await desk.responder.delete("/silences/SIL-0001", params={"reason": "done"})
    assert (ended.json()["state"], ended.json()["ends_at"]) == ("expired", "2025-11-24T17:00:00.000Z")
    assert [(role, action, reason) for _, role, action, reason in await desk.trail("silence:SIL-0001")] == [
        ("responder", "silence.expire", "done"),
        ("responder", "silence.extend", "slow"),
        ("responder", "silence.create", "load test"),
    ]


async def test_the_list_is_narrowed_by_state(desk: Desk) -> None:
    await silence(desk, duration="1h")
    await silence(desk, starts_at="2025-11-25T00:00:00Z", until="2025-11-25T06:00:00Z")
    await silence(desk)
    desk.pass_time(HOUR_MS)

    async def ids(**query: str) -> list[str]:
        return [one["id"] for one in (await desk.viewer.get("/silences", params=query)).json()["items"]]

    assert await ids() == ["SIL-0003", "SIL-0002", "SIL-0001"]
    assert await ids(state="active") == ["SIL-0003"]
    assert await ids(state="pending") == ["SIL-0002"]
    assert await ids(state="expired") == ["SIL-0001"]
    assert (await desk.viewer.get("/silences", params={"state": "x"})).status_code == 422


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"matchers": []}, "matchers: match every message"),
        ({"matchers": [{"field": "rule", "values": ["*"], "glob": True}]}, "matchers: match every message"),
        ({"matchers": [{"field": "severity", "values": ["hihg"]}]}, "severity is never 'hihg'"),
        ({"matchers": [{"field": "rul", "values": ["x"]}]}, "body.matchers.0.field"),
        ({"duration": "31d"}, "until: a silence may last 30 days at most"),
        ({"duration": "permanent"}, "body.duration"),
        ({"duration": None}, "body"),
        ({"until": "2025-11-25T00:00:00Z"}, "body"),
        ({"duration": None, "until": "2025-11-24T15:00:00Z"}, "until: must be later"),
        ({"comment": " "}, "body.comment"),
        ({"starts_at": "2027-11-24T16:00:00Z"}, "starts_at: is more than a year ahead"),
    ],
)
async def test_a_wrong_silence_is_refused_in_words(desk: Desk, fields: dict[str, Any], says: str) -> None:
    body = {"matchers": [RULE], "duration": "2h", "comment": "x", **fields}
    answer = await desk.responder.post("/silences", json={k: v for k, v in body.items() if v is not None})
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert (await desk.viewer.get("/silences")).json()["items"] == []


async def test_what_is_over_or_unknown_is_answered_as_such(desk: Desk) -> None:
    await silence(desk)
    desk.pass_time(2 * HOUR_MS)
    for method, name, status in (
        ("DELETE", "SIL-0001", 409),
        ("PATCH", "SIL-0001", 409),
        ("DELETE", "SIL-7", 404),
        ("PATCH", "SIL-7", 404),
    ):
        body = {"duration": "1h"} if method == "PATCH" else None
        answer = await desk.responder.request(method, f"/silences/{name}", json=body)
        assert (answer.status_code, name in answer.json()["detail"]) == (status, True)
    assert (await desk.viewer.get("/silences/SIL-7")).status_code == 404


async def test_maintenance_shows_the_policys_windows_and_what_was_announced(desk: Desk) -> None:
    desk.actions.maintenance.planned = (WEEKLY,)
    body = {
        "name": "kernel",
        "comment": "a hole",
        "duration": "1h",
        "channels": ["mail"],
        "matchers": [{"field": "host", "values": ["api-*"], "glob": True}],
    }
    answer = await desk.responder.post("/maintenance", json=body)
    assert answer.status_code == 201, answer.text
    weekly, kernel = (await desk.viewer.get("/maintenance")).json()["items"]
    assert kernel == answer.json()
    span = {"starts_at": "2025-11-24T16:00:00.000Z", "ends_at": "2025-11-24T17:00:00.000Z"}
    assert (kernel["id"], kernel["recurs"], kernel["duration"], kernel["notice"]) == (
        "MNT-0001",
        None,
        "1h",
        "0s",
    )
    assert (kernel["open"], kernel["occurrences"], kernel["channels"]) == (span, [span], ["mail"])
    assert (weekly["id"], weekly["author"], weekly["notice"], weekly["open"]) == (None, None, "1d", None)
    assert weekly["recurs"] == (
        "weekdays sunday, days_of_month 1:7 -7:-1, months november:december, at 02:00 UTC"
    )
    assert [one["starts_at"][:10] for one in weekly["occurrences"]] == [
        *("2025-11-30", "2025-12-07", "2025-12-28", "2026-11-01", "2026-11-29"),
    ]
    gone = await desk.responder.delete("/maintenance/MNT-0001", params={"reason": "done"})
    assert (gone.status_code, gone.json()["id"]) == (200, "MNT-0001")
    assert [one["name"] for one in (await desk.viewer.get("/maintenance")).json()["items"]] == ["weekly"]
    assert [
        (role, action, reason) for _, role, action, reason in await desk.trail("maintenance:MNT-0001")
    ] == [
        ("responder", "maintenance.remove", "done"),
        ("responder", "maintenance.announce", "a hole"),
    ]


async def test_an_announced_window_may_lie_ahead(desk: Desk) -> None:
    body = {
        "name": "quarter",
        "comment": "x",
        "from": "2025-12-07T02:00:00Z",
        "until": "2025-12-07T10:00:00Z",
        "notice": "14d",
    }
    made = (await desk.responder.post("/maintenance", json=body)).json()
    assert (made["duration"], made["notice"], made["open"]) == ("8h", "14d", None)
    later = {**body, "until": None, "duration": "8h"}
    again = await desk.responder.post("/maintenance", json={k: v for k, v in later.items() if v})
    assert again.json()["occurrences"] == made["occurrences"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"comment": ""}, "body.comment"),
        ({"name": " "}, "body.name"),
        ({"duration": "8d"}, "until: a maintenance window may last 7 days at most"),
        ({"notice": "100d"}, "notice: must not be longer than 90d"),
        ({"from": "2028-12-07T02:00:00Z"}, "from: is more than two years ahead"),
        ({"from": "soon"}, "body.from"),
        ({"matchers": [{"field": "area", "values": ["x"]}]}, "area is never 'x'"),
    ],
)
async def test_a_wrong_window_is_refused_in_words(desk: Desk, fields: dict[str, Any], says: str) -> None:
    answer = await desk.responder.post(
        "/maintenance", json={"name": "w", "comment": "x", "duration": "1h", **fields}
    )
    assert (answer.status_code, says in answer.json()["detail"]) == (422, True), answer.text


async def test_a_window_of_the_policy_cannot_be_removed_here(desk: Desk) -> None:
    desk.actions.maintenance.planned = (WEEKLY,)
    answer = await desk.responder.delete("/maintenance/weekly")
    assert (answer.status_code, "window of the policy" in answer.json()["detail"]) == (409, True)
    assert (await desk.responder.delete("/maintenance/MNT-9")).status_code == 404
    assert desk.clock == [NOW]
