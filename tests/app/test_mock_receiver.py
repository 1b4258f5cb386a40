"""The stand-ins are as strict as what they stand in for, and misbehave only as told."""

import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.mock_receiver.receiver import Receiver
from app.mock_receiver.running import addresses, line_of
from app.mock_receiver.smtp import checked
from app.mock_receiver.verdict import Received

KEY = "0123456789abcdef0123456789abcdef"
NOW = 1_795_000_000_000
HOOK = "/discord/api/webhooks/1/token"
QUIET = {"allowed_mentions": {"parse": []}}


class Clock:
    def __init__(self) -> None:
        self.ms = NOW

    def __call__(self) -> int:
        return self.ms


class Bench:
    """A receiver and a client of it."""

    def __init__(self, receiver: Receiver, clock: Clock, http: httpx.AsyncClient) -> None:
        self.receiver, self.clock, self.http = receiver, clock, http

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.http.post(path, json=body)

    async def pagerduty(self, **fields: Any) -> httpx.Response:
        payload = {"summary": "s", "source": "x", "severity": "error"}
        event = {"routing_key": KEY, "event_action": "trigger", "dedup_key": "k", "payload": payload}
        return await self.post("/v2/enqueue", {k: v for k, v in {**event, **fields}.items() if v is not None})

    async def slack(self, *blocks: Any, **fields: Any) -> httpx.Response:
        return await self.post("/slack/services/x", {"text": "t", "blocks": list(blocks), **fields})

    async def discord(self, **fields: Any) -> httpx.Response:
        return await self.post(f"{HOOK}?wait=true", {**QUIET, **fields})


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    clock = Clock()
    receiver = Receiver(now=clock, randomness=random.Random(1))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(receiver.app()), base_url="http://t") as http:
        yield Bench(receiver, clock, http)


def plain(text: str) -> dict[str, str]:
    return {"type": "plain_text", "text": text}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"routing_key": "short"}, "routing_key"),
        ({"event_action": "close"}, "event_action"),
        ({"dedup_key": "k" * 256}, "dedup_key: 256"),
        ({"event_action": "resolve", "dedup_key": None}, "dedup_key"),
        ({"payload": None}, "payload"),
        ({"payload": {"summary": "s" * 1025, "source": "x", "severity": "info"}}, "1,025 characters"),
        ({"payload": {"summary": "", "source": "x", "severity": "info"}}, "payload.summary"),
        ({"payload": {"summary": "s", "severity": "info"}}, "payload.source"),
        ({"payload": {"summary": "s", "source": "x", "severity": "high"}}, "payload.severity"),
        ({"payload": {"summary": "s", "source": "x", "severity": "info", "timestamp": "now"}}, "timestamp"),
        ({"payload": {"summary": "s", "source": "x", "severity": "info", "custom_details": "x"}}, "details"),
        ({"links": [{"href": "javascript:alert(1)"}]}, "links.href"),
        ({"client_url": "x"}, "client_url"),
        ({"surprise": 1}, "surprise: unknown"),
    ],
)
async def test_pagerduty_refuses_what_is_wrong_and_says_why(bench: Bench, fields: Any, why: str) -> None:
    answer = await bench.pagerduty(**fields)
    assert answer.status_code == 400
    assert answer.json()["status"] == "invalid event"
    assert why in str(answer.json()["errors"])
    assert bench.receiver.pagerduty.alerts == {}


async def test_pagerduty_takes_no_more_than_512_kb(bench: Bench) -> None:
    payload = {"summary": "s", "source": "x", "severity": "info", "custom_details": {"a": "x" * 524_288}}
    assert (await bench.pagerduty(payload=payload)).status_code == 413


async def test_a_trigger_after_its_resolve_is_a_violation_and_an_end_without_alert_a_note(
    bench: Bench,
) -> None:
    for action in ("acknowledge", "trigger", "acknowledge", "trigger", "resolve", "resolve"):
        assert (await bench.pagerduty(event_action=action)).status_code == 202
    assert not bench.receiver.violations
    assert [number for number, got in enumerate(bench.receiver.received) if got.notes] == [0, 5]
    await bench.pagerduty()
    [violation] = bench.receiver.violations
    assert "a trigger after its resolve" in violation.violations[0]


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ({"type": "header", "text": plain("x" * 151)}, "151 characters"),
        ({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}, "must be plain_text"),
        ({"type": "section", "text": plain("x" * 3001)}, "3,001 characters"),
        ({"type": "section", "text": plain("\U0001f600" * 1501)}, "3,002 characters"),
        ({"type": "section", "text": plain("")}, "not empty"),
        ({"type": "section"}, "needs text or fields"),
        ({"type": "section", "fields": [plain("x")] * 11}, "11, at most 10"),
        ({"type": "section", "fields": [plain("x" * 2001)]}, "2,001 characters"),
        ({"type": "section", "text": plain("<!channel>")}, "not escaped"),
        ({"type": "section", "text": plain("a & b")}, "not escaped"),
        ({"type": "actions", "elements": []}, "needs buttons"),
        (
            {"type": "actions", "elements": [{"type": "button", "text": plain("x" * 76), "action_id": "a"}]},
            "76",
        ),
        (
            {"type": "actions", "elements": [{"type": "button", "text": plain("x"), "action_id": "a"}] * 2},
            "an action_id of its own",
        ),
        ({"type": "video"}, "unknown 'video'"),
    ],
)
async def test_slack_refuses_what_is_wrong(bench: Bench, block: Any, why: str) -> None:
    answer = await bench.slack(block)
    assert (answer.status_code, answer.text) == (400, "invalid_blocks")
    assert why in str(bench.receiver.violations[0].violations)


async def test_slack_takes_fifty_blocks_and_needs_a_fallback(bench: Bench) -> None:
    assert (await bench.slack(*[{"type": "divider"}] * 50)).text == "ok"
    assert (await bench.slack(*[{"type": "divider"}] * 51)).status_code == 400
    assert (await bench.slack({"type": "divider"}, text="")).status_code == 400
    assert (await bench.http.post("/slack/x", content=b"{}")).text == "invalid_payload"
    assert (await bench.post("/slack/x", [])).text == "invalid_payload"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"embeds": [{"title": "x" * 257}]}, "257 characters"),
        ({"embeds": [{"title": "x", "description": "x" * 4097}]}, "4,097 characters"),
        ({"embeds": [{"title": "x", "fields": [{"name": "n", "value": "v"}] * 26}]}, "26, at most 25"),
        ({"embeds": [{"title": "x", "fields": [{"name": "n" * 257, "value": "v"}]}]}, "257 characters"),
        ({"embeds": [{"title": "x", "fields": [{"name": "n", "value": "v" * 1025}]}]}, "1,025 characters"),
        ({"embeds": [{"title": "x", "fields": [{"name": "n", "value": ""}]}]}, "not empty"),
        ({"embeds": [{"title": "x", "footer": {"text": "f" * 2049}}]}, "2,049 characters"),
        ({"embeds": [{"title": "x", "description": "d" * 3001}] * 2}, "6,004 characters in all"),
        ({"embeds": [{"title": "x"}] * 11}, "11, at most 10"),
        ({"embeds": [{"title": "x", "url": "y"}]}, "no http address"),
        ({"embeds": [{"title": "x", "color": -1}]}, "color"),
        ({"embeds": [{"title": "x", "timestamp": "now"}]}, "timestamp"),
        ({"embeds": [{"title": "@everyone"}]}, "a mention"),
        ({"embeds": [{"title": "x", "description": "[a](b)"}]}, "a live link"),
        ({"embeds": [{"title": "x", "description": "http://a"}]}, "a live link"),
        ({"content": ""}, "content"),
        ({"content": "x" * 2001}, "2,001 characters"),
        ({"content": "x", "allowed_mentions": {"parse": ["everyone"]}}, "allowed_mentions"),
    ],
)
async def test_discord_refuses_what_is_wrong(bench: Bench, fields: Any, why: str) -> None:
    answer = await bench.discord(**fields)
    assert (answer.status_code, answer.json()["code"]) == (400, 50035)
    assert why in str(answer.json()["errors"])


async def test_discord_keeps_edits_and_misses_messages(bench: Bench) -> None:
    made = (await bench.discord(content="one")).json()
    edited = await bench.http.patch(f"{HOOK}/messages/{made['id']}", json={**QUIET, "content": "two"})
    assert (edited.json()["id"], edited.json()["content"]) == (made["id"], "two")
    lost = await bench.http.patch(f"{HOOK}/messages/5", json={**QUIET, "content": "two"})
    assert (lost.status_code, lost.json()["code"]) == (404, 10008)
    silent = await bench.post(HOOK, {**QUIET, "content": "three"})
    assert silent.status_code == 204
    assert "wait=true" in bench.receiver.received[-1].notes[0]


async def test_rates_are_kept_and_answered_as_each_service_does(bench: Bench) -> None:
    for _ in range(5):
        assert (await bench.discord(content="x")).status_code == 200
        assert (await bench.slack()).status_code == 200
    bench.clock.ms += 700
    many = await bench.discord(content="x")
    assert (many.status_code, many.json()["retry_after"], many.headers["Retry-After"]) == (429, 1.3, "1.300")
    many = await bench.slack()
    assert (many.status_code, many.headers["Retry-After"]) == (429, "5")
    bench.clock.ms += 1_300
    assert (await bench.discord(content="x")).status_code == 200
    for _ in range(120):
        assert (await bench.pagerduty()).status_code == 202
    assert (await bench.pagerduty()).status_code == 429
    assert (await bench.pagerduty(routing_key=KEY[::-1])).status_code == 202


async def test_it_misbehaves_as_told(bench: Bench) -> None:
    assert (await bench.post("/chaos", {"down": ["slack"]})).json()["down"] == ["slack"]
    assert (await bench.slack()).status_code == 503
    assert (await bench.pagerduty()).status_code == 202
    await bench.post("/chaos", {"status_429": 0.3, "status_500": 0.3})
    statuses = [(await bench.pagerduty()).status_code for _ in range(100)]
    assert 15 < statuses.count(429) < 45 and 15 < statuses.count(500) < 45
    await bench.post("/chaos", {})
    assert (await bench.slack()).status_code == 200
    for wrong in ({"status_429": 2}, {"stall_s": -1}, {"down": ["pigeon"]}, {"up": []}, []):
        assert (await bench.post("/chaos", wrong)).status_code == 400, wrong


async def test_what_came_in_is_shown_and_forgotten(bench: Bench) -> None:
    await bench.slack()
    await bench.slack({"type": "video"})
    assert (await bench.http.get("/ping/abc")).text == "OK"
    shown = (await bench.http.get("/received")).json()["items"]
    assert [(item["channel"], item["ok"], item["status"]) for item in shown] == [
        ("slack", True, 200),
        ("slack", False, 400),
        ("ping", True, 200),
    ]
    [violation] = (await bench.http.get("/violations")).json()["items"]
    assert violation["violations"] == ["blocks[0].type: unknown 'video'"]
    assert (await bench.http.delete("/received")).json()["items"] == []


async def test_it_stalls_as_told(bench: Bench) -> None:
    assert (await bench.post("/chaos", {"stall_s": 0.001})).json()["stall_s"] == 0.001
    assert (await bench.slack()).status_code == 200


async def test_nothing_that_comes_in_breaks_it(bench: Bench) -> None:
    for path in ("/v2/enqueue", "/slack/x", HOOK, "/webhook"):
        for body in (b"", b"\xff", b"[]", b"1", b'{"a":', b'{"blocks": 5, "embeds": [1], "payload": []}'):
            answer = await bench.http.post(path, content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in (400, 401, 429), (path, body)


def test_a_line_for_each_thing_cannot_write_to_the_terminal() -> None:
    got = Received(
        at=NOW, channel="slack", status=400, summary="a\x1b[31m\nb", violations=("text: too long",)
    )
    line = line_of(got)
    assert line.startswith("2026-11-18T11:06:40.000Z slack     400 VIOLATION a")
    assert line.isprintable()
    assert "text: too long" in line
    assert "http://[::1]:9999/slack/" in addresses("::1", 9999)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "From: must stand there once"),
        (b"Subject: a\r\nSubject: b\r\n\r\nx", "Subject: must stand there once"),
        (b"Message-ID: nothing\r\n\r\nx", "Message-ID: is no id"),
        (b"Content-Type: text/html\r\n\r\n<b>x</b>", "parts: a text and its HTML"),
        (b"Subject: " + b"x" * 1000 + b"\r\n\r\nx", "more than 998 bytes"),
        (b"\r\nx", "Auto-Submitted"),
    ],
)
def test_the_mailbox_finds_what_is_wrong(raw: bytes, why: str) -> None:
    assert why in str(checked(raw).violations)
