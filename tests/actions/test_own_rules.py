"""Rules of the operator's own on a real Redis: from the policy's text over the windows to the block."""

import json
from pathlib import Path

import pytest
from acting import IP, MINUTE, NOON
from redis.asyncio import Redis

from actions.blocks.block import BlockStatus
from actions.responder import Responder
from actions.world import World
from app.ingest.decode import decode_events
from app.policies.policy import load_policy
from app.replay import replay
from detectors.engine import Engine
from detectors.event import Batch
from detectors.timestamps import to_rfc3339
from detectors.windows import Windows

RULES = """\
rules:
  many_exports:
    where: {path: {starts: /api/export}, status: 200, user: {not: backup}}
    threshold: 3/1m
    action: block_ip
    references: [T1530]
    MODE
  many_files:
    where: {decoded_path: {starts: /files/}}
    distinct: path
    threshold: 3/1m
    action: block_ip
    MODE
  in_at_last:
    sequence: [{path: {ends: /otp}, status: 403}, {path: {ends: /otp}, status: 200}]
    threshold: 3/5m
    group_by: [ip, user]
    action: block_ip
    MODE
"""


def record(seconds: float, path: str, status: int = 200, **fields: object) -> bytes:
    at = to_rfc3339(NOON + int(seconds * 1000))
    return json.dumps({"timestamp": at, "client_ip": IP, "path": path, "status": status, **fields}).encode()


def export(seconds: float, **fields: object) -> bytes:
    return record(seconds, "/api/export/7", **fields)


async def crossed(
    redis: Redis, records: list[bytes], mode: str = "", text: str = RULES
) -> list[tuple[str, str]]:
    """The rules that these records make fire, with their subjects."""
    policy = load_policy(text.replace("MODE", f"mode: {mode}" if mode else "severity: high"), "policy.yaml")
    engine = Engine(policy.rules, Windows(redis), fingerprint_key=b"k" * 32)
    decoded = decode_events(b"\n".join(records), NOON + MINUTE)
    done = await engine.process(Batch(decoded.events, decoded.records, NOON + MINUTE, "test"))
    return [(found.group.rule.name, found.group.subject) for found in done.crossed]


async def test_events_that_meet_the_condition_are_counted_and_others_are_not(redis: Redis) -> None:
    others = [
        export(3, user="backup"), export(4, status=403), record(5, "/export"), export(6, client_ip="198.51.100.1"),
    ]  # fmt: skip
    assert await crossed(redis, [export(0), export(1), *others]) == []
    assert await crossed(redis, [export(70)]) == []
    assert await crossed(redis, [export(75, user="eve"), export(80)]) == [("many_exports", IP)]


async def test_different_values_of_any_field_are_counted(redis: Redis) -> None:
    same = [record(n, f"/files/a?n={n}") for n in range(9)]
    assert await crossed(redis, same) == []
    files = [
        record(10, "/files/b"),
        record(11, "/%66iles/c"),
        record(12, "/files/d", client_ip="198.51.100.1"),
    ]
    assert await crossed(redis, files) == [("many_files", IP)]


async def test_a_sequence_fires_on_its_end_after_enough_of_its_beginning(redis: Redis) -> None:
    tries = [record(n, "/login/otp", 403, user="alice") for n in range(3)]
    success = record(9, "/login/otp", 200, user="alice")
    assert await crossed(redis, [*tries[:2], success]) == []
    assert await crossed(redis, [record(10, "/login/otp", 200, user="bob"), *tries[2:]]) == []
    assert await crossed(redis, [record(11, "/login/otp", 200, user="alice")]) == [("in_at_last", IP)]


@pytest.mark.parametrize("mode", ["enforce", "propose", "observe"])
async def test_a_finding_does_what_the_rules_mode_says(world: World, redis: Redis, mode: str) -> None:
    records = [
        *(export(n, user="eve") for n in range(3)),
        *(record(3 + n, f"/files/{n}", client_ip="198.51.100.7") for n in range(3)),
        *(record(6 + n, "/otp", 403, user="bob", client_ip="192.0.2.5") for n in range(3)),
        record(9, "/otp", 200, user="bob", client_ip="192.0.2.5"),
    ]
    found = await crossed(redis, records, mode)
    assert found == [("many_exports", IP), ("many_files", "198.51.100.7"), ("in_at_last", "192.0.2.5")]
    assert await Responder(world).drain() == 3
    observed, _ = await world.observed.page()
    blocks, _ = await world.blocklist.page()
    assert len(observed) == (3 if mode == "observe" else 0)
    status = {"enforce": BlockStatus.ACTIVE, "propose": BlockStatus.PROPOSED}.get(mode)
    assert [block.status for block in blocks] == ([status] * 3 if status else [])
    incidents, _ = await world.incidents.page()
    evidence = {finding.rule: finding.evidence[0].matched for finding in observed} or {
        incident.rule: incident.evidence[0].matched for incident in incidents
    }
    assert evidence["many_exports"] == "path '/api/export/7' (starts '/api/export'), status 200"
    assert evidence["in_at_last"] == "path '/otp' (ends '/otp'), status 403"


async def test_where_narrows_a_built_in_rule(redis: Redis) -> None:
    text = "security_alerts:\n  auth_failures: {threshold: 3/1m, where: {path: {starts: /api}}}\n"
    elsewhere = [record(n, "/blog", 401) for n in range(9)]
    assert await crossed(redis, [*elsewhere, *(record(n, "/api/x", 401) for n in (10, 11))], text=text) == []
    assert await crossed(redis, [record(12, "/api/x", 401)], text=text) == [("auth_failures", IP)]


async def test_no_secret_of_a_matched_field_is_kept(redis: Redis) -> None:
    secret = "gh" + "p_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    text = "rules: {leak: {where: {target: {contains: token}}, threshold: 1}}\n"
    assert await crossed(redis, [record(0, f"/cb?token={secret}")], text=text) == [("leak", IP)]
    values = [await redis.xrange(key) for key in await redis.keys("*findings")]
    assert secret not in repr(values)
    assert "REDACTED" in repr(values)


async def test_a_replay_takes_the_rules_of_its_policy(redis: Redis, tmp_path: Path) -> None:
    line = '{} - eve [24/Nov/2026:10:00:0{} +0000] "GET /api/export/{} HTTP/1.1" 200 99 "-" "curl/8"\n'
    log = tmp_path / "access.log"
    log.write_text("".join(line.format(IP, n, n) for n in range(4)))
    policy = load_policy(RULES.replace("MODE", "severity: critical"), "policy.yaml")
    totals = await replay([str(log)], policy, redis=redis)
    assert [(c.group.rule.name, c.group.subject, c.count) for c in totals.crossed] == [
        ("many_exports", IP, 3)
    ]
