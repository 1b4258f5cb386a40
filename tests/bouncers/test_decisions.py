"""`GET /v1/decisions`, as bouncers read it."""

import httpx
import pytest
from bouncing import ALICE, FIREWALL, LOOKUP, NGINX, Bench

from actions.blocks.block import Origin
from app.lookup.table import Table
from detectors.finding import DecisionType


async def test_nothing_is_null_without_a_newline(bench: Bench):
    answer = await bench.get("/v1/decisions?ip=203.0.113.9")
    assert (answer.status_code, answer.content) == (200, b"null")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert "content-encoding" not in answer.headers


async def test_a_decision_has_every_member_and_whole_seconds(bench: Bench):
    await bench.block("203.0.113.9")
    bench.clock[0] += 1357
    [item] = (await bench.get("/v1/decisions?ip=203.0.113.9")).json()
    assert isinstance(item.pop("id"), int)
    assert item == {
        "duration": "59m59s",
        "origin": "cscli",
        "scenario": "a test",
        "scope": "Ip",
        "type": "ban",
        "value": "203.0.113.9",
    }


async def test_a_head_has_no_body_and_needs_a_key(bench: Bench):
    for path in ("/v1/decisions", "/v1/decisions/stream"):
        answer = await bench.client.head(path, headers={"X-Api-Key": LOOKUP})
        assert (answer.status_code, answer.content) == (200, b"")
        assert (await bench.client.head(path)).status_code == 403


@pytest.mark.parametrize("key", [None, "wrong", "ingest-token-for-tests-0123456789"])
@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/decisions/stream?startup=true"])
async def test_no_key_and_a_wrong_one_are_answered_alike(bench: Bench, path: str, key: str | None):
    answer = await bench.client.get(path, headers={"X-Api-Key": key} if key else {})
    assert (answer.status_code, answer.json()) == (403, {"message": "access forbidden"})


async def test_until_the_list_is_loaded_nobody_is_told_that_it_is_empty(bench: Bench):
    bench.world.feed.is_ready = False
    for path in ("/v1/decisions?ip=203.0.113.9", "/v1/decisions/stream?startup=true"):
        assert (await bench.get(path)).status_code == 503


UPSTREAM = [
    # Source: crowdsec, test/bats: 97_ipv4_single, 97_ipv4_range, 97_ipv6_single, 97_ipv6_range.
    ("1.2.3.4", "ip=1.2.3.4", True),
    ("1.2.3.4", "ip=1.2.3.5", False),
    ("1.2.3.4", "range=1.2.3.0/24", False),
    ("1.2.3.4", "range=1.2.3.0/24&contains=false", True),
    ("1.2.3.4", "range=1.2.3.4/32", True),
    ("4.4.4.0/24", "ip=4.4.4.3", True),
    ("4.4.4.0/24", "ip=4.4.4.4&contains=false", False),
    ("4.4.4.0/24", "ip=5.4.4.3", False),
    ("4.4.4.0/24", "range=4.4.0.0/16", False),
    ("4.4.4.0/24", "range=4.4.0.0/16&contains=false", True),
    ("4.4.4.0/24", "range=4.4.4.2/28", True),
    ("4.4.4.0/24", "range=4.4.3.2/28", False),
    ("4.4.4.0/24", "range=4.4.4.0/24", True),
    ("4.4.4.0/24", "range=4.4.4.0/24&contains=false", True),
    ("1111:2222:3333:4444:5555:6666:7777:8888", "ip=1111:2222:3333:4444:5555:6666:7777:8888", True),
    ("1111:2222:3333:4444:5555:6666:7777:8888", "ip=1211:2222:3333:4444:5555:6666:7777:8888", False),
    ("1111:2222:3333:4444:5555:6666:7777:8888", "ip=1111:2222:3333:4444:5555:6666:7777:8887", False),
    ("1111:2222:3333:4444:5555:6666:7777:8888", "range=1111:2222:3333:4444:5555:6666:7777:8888/48", False),
    (
        "1111:2222:3333:4444:5555:6666:7777:8888",
        "range=1111:2222:3333:4444:5555:6666:7777:8888/48&contains=false",
        True,
    ),
    (
        "1111:2222:3333:4444:5555:6666:7777:8888",
        "range=1111:2222:3333:4444:5555:6666:7777:8888/64&contains=false",
        True,
    ),
    ("aaaa:2222:3333:4444::/64", "ip=aaaa:2222:3333:4444:5555:6666:7777:8888", True),
    ("aaaa:2222:3333:4444::/64", "ip=aaaa:2222:3333:4445:5555:6666:7777:8888", False),
    ("aaaa:2222:3333:4444::/64", "range=aaaa:2222:3333:4444:5555::/80", True),
    ("aaaa:2222:3333:4444::/64", "range=aaaa:2222:3333:4441::/80", False),
    ("aaaa:2222:3333:4444::/64", "range=aaaa:2222:3333::/48", False),
    ("aaaa:2222:3333:4444::/64", "range=aaaa:2222:3333::/48&contains=false", True),
    ("aaaa:2222:3333:4444::/64", "range=aaaa:2222:3333:4444::/81", True),
    ("aaaa:2222:3333:4444::/64", "range=aaaa:2222:3333:4444::/64&contains=false", True),
    ("aaaa:2222:3333:4444::/64", "range=aaaa:2222:3333:4444::/81&contains=false", False),
]


@pytest.mark.parametrize(("value", "query", "hit"), UPSTREAM)
async def test_the_matching_table_of_upstream(bench: Bench, value: str, query: str, hit: bool):
    await bench.block("198.51.100.200")
    await bench.block(value)
    assert await bench.values(query) == ([value] if hit else [])


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", {"203.0.113.9", "198.51.100.0/24", "FR"}),
        ("scope=ip", {"203.0.113.9"}),
        ("scopes=RANGE,country", {"198.51.100.0/24", "FR"}),
        ("scopes=username", set()),
        ("scope=Country&value=FR", {"FR"}),
        ("value=203.0.113.9", {"203.0.113.9"}),
        ("value=198.51.100.7", set()),
        ("type=ban", {"203.0.113.9", "FR"}),
        ("type=captcha", {"198.51.100.0/24"}),
        ("type=captcha&ip=203.0.113.9", set()),
        ("origins=crowdsec", {"198.51.100.0/24"}),
        ("origins=cscli,CAPI", {"203.0.113.9", "FR"}),
        ("origins=rule", {"198.51.100.0/24"}),
        ("scenarios_containing=AUTH,nothing", {"198.51.100.0/24"}),
        ("scenarios_not_containing=auth", {"203.0.113.9", "FR"}),
        ("unknown=1&also=2", {"203.0.113.9", "198.51.100.0/24", "FR"}),
    ],
)
async def test_the_filters(bench: Bench, query: str, values: set[str]):
    await bench.block("203.0.113.9")
    await bench.captcha("198.51.100.0/24", origin=Origin.RULE, rule="auth_failures")
    await bench.block("FR")
    assert set(await bench.values(query)) == values


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("ip=notanip", "unable to convert 'notanip' to int: invalid address: 'notanip'"),
        ("range=1.2.3.4/99", "unable to convert '1.2.3.4/99' to int: invalid address: '1.2.3.4/99'"),
        ("ip=1.2.3.4&contains=x", 'invalid contains value : strconv.ParseBool: parsing "x": invalid syntax'),
    ],
)
async def test_what_cannot_be_read_is_a_500_with_upstreams_words(bench: Bench, query: str, says: str):
    answer = await bench.get(f"/v1/decisions?{query}")
    assert (answer.status_code, answer.json()) == (500, {"message": says})


async def test_the_strongest_comes_first(bench: Bench):
    await bench.captcha("203.0.113.9")
    await bench.block("203.0.113.0/24")
    items = (await bench.get("/v1/decisions?ip=203.0.113.9")).json()
    assert [(item["type"], item["value"]) for item in items] == [
        ("ban", "203.0.113.0/24"),
        ("captcha", "203.0.113.9"),
    ]


async def test_paging_by_id_meets_everything_once(bench: Bench):
    for n in range(7):
        await bench.block(f"203.0.113.{n}")
    seen: list[int] = []
    while items := (await bench.get(f"/v1/decisions?limit=3&id_gt={seen[-1] if seen else 0}")).json():
        seen += [item["id"] for item in items]
    assert len(seen) == len(set(seen)) == 7
    assert seen == sorted(seen)
    assert all(0 < number < 2**53 for number in seen)


async def test_what_is_allowlisted_is_never_offered(bench: Bench):
    await bench.block("203.0.113.0/24")
    await bench.actions.allowlist.put("203.0.113.128/25", "ours", ALICE)
    await bench.follow()
    assert await bench.values("ip=203.0.113.200") == []
    assert await bench.values("ip=203.0.113.5") == ["203.0.113.0/25"]


async def test_a_bouncer_that_can_only_ban_gets_what_the_policy_says_instead(bench: Bench):
    await bench.captcha("203.0.113.9")
    await bench.block("203.0.113.10", type=DecisionType.THROTTLE)
    kinds = [
        {i["value"]: i["type"] for i in (await bench.get("/v1/decisions", agent)).json() or []}
        for agent in (FIREWALL, NGINX, "python-bouncer/0.0.5")
    ]
    assert kinds == [
        {"203.0.113.9": "ban"},
        {"203.0.113.9": "captcha"},
        {"203.0.113.9": "captcha", "203.0.113.10": "throttle"},
    ]


async def test_a_live_query_looks_at_no_more_than_what_holds_the_address(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    await bench.block("203.0.113.9")
    await bench.values("ip=203.0.113.9")

    def never(*_: object) -> list[object]:
        raise AssertionError("looked at everything")

    for name in ("blocks", "every", "inside"):
        monkeypatch.setattr(Table, name, never)
    assert await bench.values("ip=203.0.113.9") == ["203.0.113.9"]
    assert await bench.values("scope=Country&value=FR") == []


async def test_any_of_our_ways_to_show_a_token_is_taken(bench: Bench):
    answer: httpx.Response = await bench.client.get(
        "/v1/decisions", headers={"Authorization": f"Bearer {LOOKUP}"}
    )
    assert answer.status_code == 200
