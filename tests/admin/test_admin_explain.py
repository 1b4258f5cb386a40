"""`POST /v1/admin/explain`: the live detectors asked, and nothing counted."""

import json
from pathlib import Path
from typing import Any

import pytest
from admin_desk import HOUR_MS, NOW, PROXY, Desk
from redis.asyncio import Redis

from actions.audit import Actor
from app.admin.explain import LONGEST_LINE, MOST_RECORDS
from app.site import site_of
from detectors.addresses import Networks
from detectors.engine import Engine
from detectors.windows import Windows

IP = "203.0.113.9"
LINE = f'{IP} - - [24/Nov/2025:15:59:59 +0000] "GET /api/x HTTP/1.1" 401 12'


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("patterns")


@pytest.fixture
def listening(desk: Desk, redis: Redis, compiled: Path) -> Desk:
    """The desk with the detectors of its policy."""
    policy = desk.world.policy.current
    desk.world.engine = Engine(
        policy.rules,
        Windows(redis),
        fingerprint_key=b"k" * 32,
        site=site_of(policy),
        trusted_proxies=Networks([PROXY]),
        cache=compiled,
    )
    return desk


async def asked(desk: Desk, **body: Any) -> dict[str, Any]:
    answer = await desk.viewer.post("/explain", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(desk: Desk, **body: Any) -> str:
    answer = await desk.viewer.post("/explain", json=body)
    assert answer.status_code == 422, answer.text
    return str(answer.json()["detail"]) + str(answer.json()["errors"])


async def test_a_line_is_explained(listening: Desk) -> None:
    found = await asked(listening, line=LINE)
    assert (found["policy"], found["counts"]) == (listening.world.policy.current.digest, True)
    [one] = found["records"]
    assert (one["format"], one["client"], one["client_state"]) == ("combined", IP, "not blocked")
    assert one["at"] == "2025-11-24T15:59:59.000Z"
    [rule] = [rule for rule in one["rules"] if rule["role"] == "counts"]
    assert (rule["rule"], rule["subject_kind"], rule["subject"]) == ("auth_failures", "ip", IP)
    assert (rule["threshold"], rule["window"], rule["mode"]) == ("10/1m", "1m", "enforce")
    assert {reason["rule"] for reason in one["reasons"]} >= {"rate_limit_violations", "suspicious_activity"}


async def test_a_record_says_which_name_each_field_came_from(listening: Desk) -> None:
    found = await asked(listening, record={"client": {"ip": PROXY}, "xff": IP, "code": 401, "colour": "red"})
    [one] = found["records"]
    assert {f["name"]: f["names"] for f in one["fields"]} == {
        "client_ip": ["client.ip"],
        "forwarded_for": ["xff"],
        "status": ["code"],
    }
    assert (one["unread"], one["client"]) == (["colour"], IP)
    assert one["client_note"] == f"from X-Forwarded-For, since {PROXY} is a trusted proxy"


async def test_several_lines_and_arrays_are_explained_one_after_the_other(listening: Desk) -> None:
    found = await asked(listening, line=f"{LINE}\nhello\n{LINE}")
    assert [one["counts"] for one in found["records"]] == [True, False, True]
    found = await asked(listening, line='[{"status": 401}, 3]')
    assert [one["rejected"] for one in found["records"]] == [None, "not a JSON object"]
    assert found["counts"] is False
    assert await asked(listening, line="") == {
        "policy": listening.world.policy.current.digest,
        "counts": False,
        "records": [],
    }


async def test_one_rule_can_be_asked_about(listening: Desk) -> None:
    [one] = (await asked(listening, line=LINE, rule="suspicious_activity"))["records"]
    assert (one["rules"], [reason["rule"] for reason in one["reasons"]]) == ([], ["suspicious_activity"])


async def test_what_is_known_now_of_the_address_is_said(listening: Desk) -> None:
    await listening.rule_block(IP)
    await listening.world.follower.step()
    [one] = (await asked(listening, line=LINE))["records"]
    assert one["client_state"].startswith("blocked until 2025-11-24T")
    await listening.actions.reviews.allow(IP, "ours", Actor("ada", "admin"))
    await listening.world.follower.step()
    [one] = (await asked(listening, line=LINE))["records"]
    assert one["client_state"] == "allowlisted"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "give either line or record"),
        ({"line": "x", "record": {}}, "give either line or record"),
        ({"line": "x", "format": "nonsense"}, "unknown format; known are auto"),
        ({"line": "x", "rule": "nonsense"}, "the policy does not name it"),
        ({"line": "x\n" * (MOST_RECORDS + 1)}, f"at most {MOST_RECORDS} are explained at a time"),
        ({"line": "x" * (LONGEST_LINE + 1)}, "at most 65536 characters"),
        ({"record": []}, "record"),
    ],
    ids=["nothing", "both", "format", "rule", "too many", "too long", "no object"],
)
async def test_what_cannot_be_explained_is_a_problem(listening: Desk, body: dict[str, Any], why: str) -> None:
    assert why in await refused(listening, **body)


async def test_nothing_is_counted_or_kept(listening: Desk, redis: Redis) -> None:
    before = sorted(await redis.keys("*"))
    for _ in range(20):
        await asked(listening, record={"client_ip": IP, "status": 401, "timestamp": NOW - HOUR_MS})
    assert sorted(await redis.keys("*")) == before
    assert await listening.trail() == []


async def test_no_credential_comes_back(listening: Desk) -> None:
    secret = "ghp_" + "".join("aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hJ5"[n] for n in range(36))
    [one] = (await asked(listening, record={"path": f"/x?token={secret}", secret: secret, "status": 200}))[
        "records"
    ]
    assert [found["kind"] for found in one["secrets"]] == ["github_token"]
    assert secret not in json.dumps(one)


@pytest.mark.parametrize(
    "content",
    [
        b'{"record": {"status": NaN}}',
        b'{"line": "\\ud800"}',
        b'{"record": ' + b'{"a":' * 900 + b"1" + b"}" * 901,
    ],
    ids=["NaN", "a lone surrogate", "deep"],
)
async def test_odd_json_is_no_error_of_the_server(listening: Desk, content: bytes) -> None:
    answer = await listening.viewer.post(
        "/explain", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (200, 422), answer.text
