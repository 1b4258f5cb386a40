"""Digests through the admin API: a preview that sends nothing, and copies."""

from datetime import UTC, datetime

import msgspec
import pytest
from admin_desk import HOUR_MS, NOW, Desk, finding
from redis.asyncio import Redis

from actions.delivery.message import Message, MessageKind
from actions.storage import act_key
from app.policies.policy import load_policy

POLICY = """
security_alerts: {auth_failures: {}}
digests: {daily: {channels: [mail]}, timezone: Europe/Berlin}
channels: {mail: {type: slack, url_env: SOMEWHERE}}
"""
TODAY = "2025-11-24"  # NOW is 16:00 of this day in UTC, 17:00 in Berlin


@pytest.fixture
async def busy(desk: Desk) -> Desk:
    """A desk whose policy names a daily digest, with an incident and a block of today."""
    desk.world.policy.current = load_policy(POLICY, "p.yaml")
    await desk.actions.incidents.open_or_join(finding(), tell=True)
    block = await desk.rule_block()
    await desk.responder.delete(f"/blocks/{block.id}", params={"reason": "a customer"})
    return desk


async def digests_in(redis: Redis) -> list[Message]:
    rows = await redis.xrange(act_key("outbox"))
    found = [msgspec.json.decode(fields[b"m"], type=Message) for _, fields in rows]
    return [message for message in found if message.kind is MessageKind.DIGEST]


async def test_a_digest_is_shown_as_json_text_and_a_page(busy: Desk, redis: Redis) -> None:
    title = "Daily digest, 24 Nov 2025 so far: 1 incident, 0 resolved, 1 block"
    found = (await busy.viewer.get("/digests/daily", params={"date": TODAY})).json()
    assert found["headline"] == title
    assert found["period"] == {
        "rhythm": "daily",
        "first_day": TODAY,
        "last_day": TODAY,
        "since": "2025-11-23T23:00:00.000Z",
        "until": "2025-11-24T23:00:00.000Z",
        "timezone": "Europe/Berlin",
    }
    assert (found["is_over"], found["is_empty"], found["opened"]["total"]) == (False, False, 1)
    assert [line["id"] for line in found["listed"]] == ["INC-2025-0001"]
    assert found["blocks"]["rules"] == [
        {"rule": "auth_failures", "made": 1, "reviewed": 0, "rejected": 0, "false_positive_rate": None}
    ]
    assert found["attackers"][0]["address"] == "203.0.113.9"
    assert [person["actions"] for person in found["people"]] == [{"block.lift": 1}]

    text = await busy.viewer.get("/digests/daily", params={"date": TODAY, "format": "text"})
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert text.text == f"{title}\n\n{found['text']}"
    page = await busy.viewer.get("/digests/daily", params={"date": TODAY, "format": "html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.text == found["html"]
    assert page.text.startswith("<!doctype html>")
    assert await digests_in(redis) == [], "a preview sends nothing"
    assert await redis.keys("*digest*") == []


async def test_without_a_day_it_is_the_last_period_that_is_over(busy: Desk) -> None:
    found = (await busy.viewer.get("/digests/daily")).json()
    assert found["headline"] == "Daily digest, 23 Nov 2025: nothing happened"
    busy.clock[0] = round(datetime(2025, 11, 24, 23, tzinfo=UTC).timestamp() * 1000)
    found = (await busy.viewer.get("/digests/daily")).json()
    assert found["headline"] == "Daily digest, 24 Nov 2025: 1 incident, 0 resolved, 1 block"
    found = (await busy.viewer.get("/digests/weekly")).json()
    assert found["headline"].startswith("Weekly digest, 17 to 23 Nov 2025")


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2025-11-25", "date: the period of 2025-11-25 has not begun"),
        ("9999-12-31", "date: 9999-12-31 is outside 1970-01-08 to 9998-12-01"),
        ("0001-01-01", "date: 0001-01-01 is outside"),
        ("2025-02-30", "date"),
        ("1764000000", "date"),
        ("yesterday", "date"),
    ],
)
async def test_a_day_that_cannot_be_shown_is_refused(busy: Desk, day: str, words: str) -> None:
    answer = await busy.viewer.get("/digests/daily", params={"date": day})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


async def test_another_rhythm_and_another_form_are_refused(busy: Desk) -> None:
    assert (await busy.viewer.get("/digests/monthly")).status_code == 422
    assert (await busy.viewer.get("/digests/daily", params={"format": "pdf"})).status_code == 422


async def test_a_copy_is_sent_now_and_is_in_the_audit_trail(busy: Desk, redis: Redis) -> None:
    answer = await busy.admin.post("/digests/daily/send", params={"date": TODAY})
    assert answer.status_code == 200
    [message] = await digests_in(redis)
    assert message.title == "Copy: Daily digest, 24 Nov 2025 so far: 1 incident, 0 resolved, 1 block"
    assert message.channels == ("mail",)
    assert await redis.keys("*digest:daily*") == [], "the one that is due still comes"
    [(actor, role, action, _)] = await busy.trail("digest:")
    assert ("admin" in actor, role, action) == (True, "admin", "digest.send")


async def test_a_digest_that_the_policy_does_not_name_goes_nowhere(busy: Desk, redis: Redis) -> None:
    answer = await busy.admin.post("/digests/weekly/send")
    assert answer.status_code == 409
    assert "the policy names no weekly digest" in answer.json()["detail"]
    assert await digests_in(redis) == []


async def test_names_of_attackers_cannot_leave_the_page(busy: Desk) -> None:
    subject = '"><script>alert(1)</script>'
    await busy.actions.incidents.open_or_join(finding(subject, number=2, at=NOW - HOUR_MS))
    page = (await busy.viewer.get("/digests/daily", params={"date": TODAY, "format": "html"})).text
    assert "<script" not in page
    assert "&lt;script&gt;" in page
