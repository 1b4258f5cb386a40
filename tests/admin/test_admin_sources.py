"""Sources and rejected records through the admin API."""

from typing import Any

from admin_desk import NOW, Desk
from redis.asyncio import Redis

from app.auth import hash_token, token_id_of
from app.ingest.decode import Decoded, Rejected
from detectors.event import Event
from detectors.windows import findings_key

GONE = "tok_0123456789ab"
SECOND, DAY = 1_000, 86_400_000
HOSTILE = b'<script>alert(1)</script>\x1b[2J{"'
EVENT = b'{"client_ip":"203.0.113.9","status":401}'


def own_token(desk: Desk) -> str:
    return token_id_of(hash_token("ingest-token-for-tests-0123456789"))


async def send(desk: Desk, token: str, *, rejected: tuple[bytes, ...] = (), reason: str = "not JSON") -> None:
    events = [
        Event(timestamp=desk.clock[0] - 2_500, client_ip="203.0.113.9", status=200),
        Event(timestamp=desk.clock[0] - 2_500, message="x"),
    ]
    set_aside = [Rejected(index, reason, record) for index, record in enumerate(rejected)]
    decoded = Decoded(events, [b"{}"] * 2, set_aside)
    desk.world.sources.note(token, "events", decoded, desk.clock[0])
    await desk.world.sources.flush()


async def sources(desk: Desk, **params: Any) -> dict[str, Any]:
    answer = await desk.viewer.get("/sources", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_source_shows_what_came_of_it(desk: Desk) -> None:
    own = own_token(desk)
    await desk.world.sources.store.listen()
    await send(desk, own, rejected=(b"{", b"{"))
    desk.pass_time(30 * SECOND)
    await send(desk, own, rejected=(b"{",), reason="at line 12")
    [found] = (await sources(desk))["items"]
    assert found == {
        "id": f"{own}/events",
        "token_id": own,
        "token_name": "ingest token from the environment",
        "kind": "events",
        "state": "ok",
        "first_seen": "2025-11-24T16:00:00.000Z",
        "last_seen": "2025-11-24T16:00:30.000Z",
        "last_event": "2025-11-24T16:00:27.500Z",
        "skew_ms": 2_500,
        "ahead_ms": 0,
        "useless": 0,
        "longest_pause_ms": 30_000,
        "silent_after_ms": None,
        "today": found["week"],
        "week": {
            **{"accepted": 4, "rejected": 3, "refused": 0, "duplicates": 0, "reingested": 0},
            **{"no_client_ip": 2, "no_status": 2},
            "reasons": {"not JSON": 2, "at line N": 1},
        },
    }


async def test_today_is_not_the_week(desk: Desk) -> None:
    await send(desk, GONE)
    desk.pass_time(2 * DAY)
    await send(desk, GONE)
    [found] = (await sources(desk))["items"]
    assert (found["today"]["accepted"], found["week"]["accepted"]) == (2, 4)
    assert found["token_name"] is None


async def test_sources_come_in_pages(desk: Desk) -> None:
    for number in range(5):
        await send(desk, f"tok_{number}")
    first = await sources(desk, limit=3)
    rest = await sources(desk, limit=3, cursor=first["next_cursor"])
    assert [one["id"] for one in first["items"] + rest["items"]] == [f"tok_{n}/events" for n in range(5)]
    assert rest["next_cursor"] is None


async def test_rejected_records_are_shown_as_they_came(desk: Desk) -> None:
    await send(desk, GONE, rejected=(HOSTILE,))
    [found] = (await desk.viewer.get("/rejected")).json()["items"]
    assert found["record"] == HOSTILE.decode()
    assert (found["source"], found["received_at"], found["index"]) == (
        f"{GONE}/events",
        "2025-11-24T16:00:00.000Z",
        0,
    )
    assert (found["reason"], found["is_cut"], found["is_masked"], found["format_name"]) == (
        "not JSON",
        False,
        False,
        None,
    )


async def test_they_are_narrowed_by_source_and_reason(desk: Desk) -> None:
    await send(desk, GONE, rejected=(b"a",))
    await send(desk, "tok_1", rejected=(b"b", b"c"), reason="at line 7")
    for params, records in (
        ({"source": f"{GONE}/events"}, {"a"}),
        ({"reason": "at line N"}, {"b", "c"}),
        ({"source": f"{GONE}/events", "reason": "at line 7"}, set()),
        ({"source": "tok_9/events"}, set()),
    ):
        answer = await desk.viewer.get("/rejected", params=params)
        assert {one["record"] for one in answer.json()["items"]} == records, params
    assert (await desk.viewer.get("/rejected", params={"source": "*"})).status_code == 422
    assert (await desk.viewer.get("/rejected", params={"cursor": "nonsense"})).status_code == 422


async def test_a_fix_counts_them_after_all_and_says_so_in_the_audit_trail(desk: Desk, redis: Redis) -> None:
    await send(desk, GONE, rejected=(*[EVENT] * 10, b'{"a":'))
    desk.pass_time(60 * SECOND)
    body = {"source": f"{GONE}/events", "reason": "not JSON"}
    answer = await desk.responder.post("/rejected/reingest", json=body)
    found = answer.json()
    [error] = found.pop("errors")
    assert found == {"accepted": 10, "rejected": 1, "duplicates": 0, "next_cursor": None}
    assert error["id"].startswith(f"{GONE}/events:") and "broken JSON" in error["error"]
    assert await redis.xlen(findings_key(0)) == 1
    again = await desk.responder.post("/rejected/reingest", json={})
    assert (again.json()["accepted"], again.json()["rejected"]) == (0, 1)
    [trail] = await desk.trail(f"source:{GONE}/events")
    assert trail[2:] == ("rejected.reingest", "not JSON")
    [left] = (await desk.viewer.get("/rejected")).json()["items"]
    assert left["record"] == '{"a":'
    [found] = (await sources(desk))["items"]
    assert found["today"]["reingested"] == 10


async def test_some_may_be_named_and_unknown_ones_are_passed_over(desk: Desk) -> None:
    await send(desk, GONE, rejected=(EVENT, EVENT))
    [last, _] = (await desk.viewer.get("/rejected")).json()["items"]
    ids = [last["id"], last["id"], f"tok_9/events:{NOW}-0a"]
    answer = await desk.responder.post("/rejected/reingest", json={"ids": ids})
    assert answer.json()["accepted"] == 1
    other = {"ids": [one["id"] for one in (await desk.viewer.get("/rejected")).json()["items"]]}
    narrowed = await desk.responder.post("/rejected/reingest", json={**other, "source": "tok_9/events"})
    assert narrowed.json()["accepted"] == 0
    for wrong in ("x", f"tok_9/events:{NOW}-0a\n", "*"):
        answer = await desk.responder.post("/rejected/reingest", json={"ids": [wrong]})
        assert answer.status_code == 422, wrong
