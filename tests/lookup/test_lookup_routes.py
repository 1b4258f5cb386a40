"""The lookup routes as a client sees them."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from actions.blocks.decision import Decision
from app.auth import TokenTable
from app.lookup.feed import Feed
from app.lookup.lists import Lists
from app.lookup.routes import router
from app.lookup.table import Allowed, Table
from app.metrics import Metrics
from app.problems import install_problem_handlers
from app.settings import Settings

NOW = 1_764_000_000_000
TOKEN = "lookup-token-for-tests-0123456789"


def decision(value: str, decision_id: str = "b1", until: int | None = NOW + 3_600_000) -> Decision:
    return Decision(
        id=decision_id,
        value=value,
        until=until,
        reason="10 in a minute",
        rule="auth_failures",
        incident_id="INC-2025-0001",
        created_at=NOW,
    )


@pytest.fixture
def feed() -> Feed:
    table = Table()
    table.add(decision("203.0.113.9"))
    table.add(decision("198.51.100.0/24", "b2", None))
    table.allow(Allowed("198.51.100.7", None))
    made = Feed(lambda: NOW)
    made.load("5-0", table)
    return made


@pytest.fixture
async def client(feed: Feed) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    install_problem_handlers(app)
    app.include_router(router)
    tokens = TokenTable(Settings(lookup_token=TOKEN, viewer_token="viewer" + TOKEN))
    lists = Lists(feed, lambda: NOW)
    app.state.world = SimpleNamespace(
        feed=feed, lists=lists, tokens=tokens, now=lambda: NOW, metrics=Metrics()
    )
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://t", headers=headers) as made:
        yield made


async def test_a_blocked_address_is_answered_with_its_decision(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/lookup/203.0.113.9")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "ip": "203.0.113.9",
        "blocked": True,
        "decision": {
            "id": "b1",
            "value": "203.0.113.9",
            "reason": "10 in a minute",
            "rule": "auth_failures",
            "incident_id": "INC-2025-0001",
            "created_at": "2025-11-24T16:00:00.000Z",
            "until": "2025-11-24T17:00:00.000Z",
            "scope": "Ip",
            "type": "ban",
            "origin": "rule",
        },
        "allowlisted": False,
    }


@pytest.mark.parametrize(
    ("asked", "ip", "blocked", "allowlisted"),
    [
        ("203.0.113.10", "203.0.113.10", False, False),
        ("::ffff:203.0.113.9", "203.0.113.9", True, False),
        ("198.51.100.7", "198.51.100.7", False, True),
        ("198.51.100.8", "198.51.100.8", True, False),
        ("2001:DB8::1", "2001:db8::1", False, False),
    ],
)
async def test_an_address_is_answered_in_its_one_spelling(
    client: httpx.AsyncClient, asked: str, ip: str, blocked: bool, allowlisted: bool
) -> None:
    body = (await client.get(f"/v1/lookup/{asked}")).json()
    assert (body["ip"], body["blocked"], body["allowlisted"]) == (ip, blocked, allowlisted)
    assert (body["decision"] is not None) == blocked


@pytest.mark.parametrize(
    "asked", ["example.com", "203.0.113.0%2F24", "203.0.113.0/24", "1.2.3", "%00", "%FF", "%ED%A0%80"]
)
async def test_what_is_no_address_is_named_in_a_problem(client: httpx.AsyncClient, asked: str) -> None:
    answer = await client.get(f"/v1/lookup/{asked}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "is not an IP address" in answer.json()["detail"]


async def test_many_addresses_are_answered_in_their_order(client: httpx.AsyncClient) -> None:
    asked = ["203.0.113.9", "2001:db8::1", "203.0.113.9", "198.51.100.7"]
    items = (await client.post("/v1/lookup", json={"ips": asked})).json()["items"]
    assert [item["ip"] for item in items] == asked
    assert [item["blocked"] for item in items] == [True, False, True, False]


async def test_a_thousand_addresses_are_answered_and_one_more_is_not(client: httpx.AsyncClient) -> None:
    many = [f"203.0.113.{n % 256}" for n in range(1000)]
    assert len((await client.post("/v1/lookup", json={"ips": many})).json()["items"]) == 1000
    answer = await client.post("/v1/lookup", json={"ips": [*many, "203.0.113.9"]})
    assert (answer.status_code, "1001" in answer.json()["detail"]) == (422, True)


async def test_a_bad_address_among_many_is_named_with_its_place(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/lookup", json={"ips": ["203.0.113.9", "x", "y"]})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "ips.1: 'x' is not an IP address and 1 more"
    assert [error["field"] for error in answer.json()["errors"]] == ["ips.1", "ips.2"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"ips":"203.0.113.9"}', b'{"ips":[1]}', b'{"ips":["\xff"]}', b"[" * 10_000]
)
async def test_a_body_that_is_no_question_is_a_problem(client: httpx.AsyncClient, body: bytes) -> None:
    assert (await client.post("/v1/lookup", content=body)).status_code == 422


async def test_a_body_too_large_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/lookup", content=b" " * 300_000)).status_code == 413


@pytest.mark.parametrize("path", ["/v1/lookup/203.0.113.9", "/v1/blocklist", "/v1/blocklist/changes"])
async def test_only_the_lookup_role_is_answered(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path, headers={"Authorization": "Bearer no"})).status_code == 401
    assert (await client.get(path, headers={"Authorization": f"Bearer viewer{TOKEN}"})).status_code == 403
    assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/lookup/203.0.113.9", "/v1/blocklist", "/v1/blocklist/changes?wait=30"])
async def test_nothing_is_answered_before_the_list_is_loaded(
    client: httpx.AsyncClient, feed: Feed, path: str
) -> None:
    feed.is_ready = False
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert (await client.post("/v1/lookup", json={"ips": []})).status_code == 503


async def test_the_list_comes_whole_and_not_again_while_it_is_the_same(
    client: httpx.AsyncClient, feed: Feed
) -> None:
    first = await client.get("/v1/blocklist")
    assert first.json()["cursor"] == "5-0"
    assert [block["id"] for block in first.json()["blocks"]] == ["b1", "b2"]
    assert first.json()["allowlist"] == [{"value": "198.51.100.7", "until": None}]
    same = await client.get("/v1/blocklist", headers={"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert (await client.get("/v1/blocklist", headers={"If-None-Match": '"x", *'})).status_code == 304
    feed.apply("6-0", decision("203.0.113.10", "b3"))
    later = await client.get("/v1/blocklist", headers={"If-None-Match": first.headers["etag"]})
    assert later.status_code == 200
    assert len(later.json()["blocks"]) == 3


async def test_the_plain_list_is_text_and_has_an_etag_of_its_own(client: httpx.AsyncClient) -> None:
    plain = await client.get("/v1/blocklist?format=txt")
    assert plain.headers["content-type"].startswith("text/plain")
    lines = plain.text.split("\n")
    assert (lines[0], lines[-2:]) == ("198.51.100.0/30", ["203.0.113.9", ""])
    other = await client.get("/v1/blocklist", headers={"If-None-Match": plain.headers["etag"]})
    assert other.status_code == 200
    assert (await client.get("/v1/blocklist?format=xml")).status_code == 422


async def test_a_long_poll_is_answered_when_something_happens(client: httpx.AsyncClient, feed: Feed) -> None:
    poll = asyncio.create_task(client.get("/v1/blocklist/changes?since=5-0&wait=60"))
    while not feed.waiting:  # noqa: ASYNC110 - the request passes through the app step by step
        await asyncio.sleep(0)
    feed.apply("6-0", decision("203.0.113.10", "b3"))
    answer = (await poll).json()
    assert (answer["cursor"], [block["id"] for block in answer["added"]]) == ("6-0", ["b3"])


async def test_without_a_wait_the_answer_is_immediate(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/blocklist/changes?since=5-0")).json()["added"] == []
    assert (await client.get("/v1/blocklist/changes?since=4-0")).json()["reset"] is True
    assert (await client.get("/v1/blocklist/changes")).json()["reset"] is True


@pytest.mark.parametrize("query", ["since=x", "since=5-0&wait=61", "wait=-1", "wait=nan", f"since={10**42}"])
async def test_a_question_that_makes_no_sense_is_a_problem(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/v1/blocklist/changes?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
