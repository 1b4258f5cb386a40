"""What a finding shows of its events: the matched part of each, and no piece of a secret."""

import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from detectors.defaults import DEFAULTS
from detectors.engine import Engine
from detectors.event import Batch, Event
from detectors.finding import Evidence, Finding
from detectors.geo import Geo
from detectors.timestamps import to_rfc3339
from detectors.windows import Windows, findings_key, read_finding

T0 = 1_764_000_000_000
IP = "203.0.113.9"
TOKEN = "ghp_" + "Ab1cD2eF3g" * 3 + "Hi4jK5"


def events_of(count: int, every_ms: int = 10, **fields) -> list[Event]:
    """So many events, `{n}` in their texts their number."""

    def at(n: int) -> Event:
        filled = {k: v.replace("{n}", str(n)) if isinstance(v, str) else v for k, v in fields.items()}
        return Event(**{"timestamp": to_rfc3339(T0 + n * every_ms), "client_ip": IP, **filled})

    return [at(n) for n in range(count)]


async def findings_of(redis: Redis, rule: str, *batches: list[Event]) -> list[Finding]:
    engine = Engine([DEFAULTS[rule]], Windows(redis), fingerprint_key=b"k" * 32)
    for events in batches:
        records = [json.dumps({f: getattr(e, f) for f in e.__struct_fields__}).encode() for e in events]
        await engine.process(Batch(events, records, T0 + 10**8, "test"))
    return [read_finding(0, i, f) for i, f in await redis.xrange(findings_key(0))]


LOGIN = {"category": "authentication", "outcome": "failure", "user": "user{n}"}
MATCHED = {
    "auth_failures": (
        {"status": 401, "path": "/login?next=x", "user": "alice"},
        "status 401 on /login for alice",
    ),
    "rate_limit_violations": ({"status": 429, "path": "/api/x"}, "status 429 on /api/x"),
    "suspicious_activity": ({"path": "/.env", "status": 404}, "path: '/.env' (probe.dotenv)"),
    "api_key_exposure": (
        {"path": "/x", "query": "key=" + TOKEN, "status": 200},
        "github_token in the URL",
    ),
    "health_check_failure": (
        {"path": "/api/health", "method": "GET", "status": 503, "host": "api.example.org"},
        "health check of /api/health answered 503",
    ),
    "security_breach": (
        {"path": "/.env", "status": 200, "bytes": 120},
        "path: '/.env' was served with 120 bytes (probe.dotenv)",
    ),
    "credential_stuffing": (LOGIN, "outcome failure for user9"),
    "password_spraying": (LOGIN, "outcome failure for user14"),
    "distributed_brute_force": (
        {**LOGIN, "user": "alice", "client_ip": "198.51.100.{n}"},
        "outcome failure for alice",
    ),
    "slow_brute_force": (LOGIN, "outcome failure for user29"),
    "token_cracking": (
        {"api_key_id": "guess{n}", "status": 403, "path": "/v1/x"},
        "a key refused with status 403 on /v1/x",
    ),
    "key_shared": (
        {"api_key_id": "key-1", "client_ip": "198.51.{n}.7", "status": 200, "path": "/v1/x"},
        "key used from 198.51.9.0/24, status 200 on /v1/x",
    ),
    "object_enumeration": (
        {"path": "/users/{n}/bills", "status": 403},
        "status 403 on /users/{id}/bills with id 19",
    ),
    "not_found_churn": ({"path": "/guess{n}", "status": 404}, "status 404 on /guess19"),
    "user_agent_churn": (
        {"path": "/x", "status": 404, "user_agent": "Browser/{n}"},
        "status 404 on /x for user agent 'Browser/9'",
    ),
}


@pytest.mark.parametrize("rule", MATCHED)
async def test_the_evidence_names_the_matched_part_of_each_event(redis: Redis, rule):
    fields, matched = MATCHED[rule]
    found = await findings_of(redis, rule, events_of(DEFAULTS[rule].threshold, **fields))
    assert found
    assert found[0].evidence[-1].matched == matched
    assert all(e.matched and "{n}" not in e.matched for e in found[0].evidence)
    assert found[0].why.endswith(f"; last: {matched}")
    assert found[0].references == DEFAULTS[rule].references


def test_no_rule_is_missing_from_the_table():
    apart = {
        "high_error_rate",
        "elevated_error_rate",
        "slow_responses",
        "client_error_rate",
        "account_takeover",
        "leaked_key_in_use",
        "impossible_travel",
        "source_unreadable",
        "source_silent",
        "blocklist_stale",
        "crowdsec_alert",
    }
    assert set(MATCHED) | apart == set(DEFAULTS)


async def test_a_takeover_shows_the_failures_and_the_success(redis: Redis):
    failed = events_of(5, category="authentication", outcome="failure", user="alice")
    entered = events_of(6, category="authentication", outcome="success", user="alice")[5:]
    [finding] = await findings_of(redis, "account_takeover", failed + entered)
    matched = [e.matched for e in finding.evidence]
    assert matched == ["outcome failure for alice"] * 5 + ["login succeeded for alice"]
    assert finding.why.startswith(
        f"{IP} was let in after failing to log in 5 times in under 0.1 s (limit: 5 in"
    )
    assert finding.references == DEFAULTS["account_takeover"].references


async def test_a_leaked_key_shows_both_its_addresses_and_no_piece_of_it(redis: Redis):
    uses = events_of(2, path="/x?api_key=" + TOKEN, status=200, client_ip="198.51.{n}.7")
    found = await findings_of(redis, "leaked_key_in_use", uses)
    finding = next(f for f in found if f.subject.startswith("github_token:v1:"))
    used = ["github_token in use from 198.51.0.7", "github_token in use from 198.51.1.7"]
    assert [e.matched for e in finding.evidence] == used
    assert finding.why.startswith(f"The key {finding.subject} stands in a log and is in use from 2 different")
    assert TOKEN[4:12] not in str(finding)


async def test_a_journey_shows_both_its_ends(redis: Redis, corpora: Path):
    geo = Geo(corpora / "GeoIP2-City-Test.mmdb")
    engine = Engine([DEFAULTS["impossible_travel"]], Windows(redis), fingerprint_key=b"k" * 32, geo=geo)
    entered = {"category": "authentication", "outcome": "success", "user": "alice"}
    events = [
        *events_of(1, client_ip="81.2.69.142", **entered),
        *events_of(1, client_ip="2001:480:10::1", **entered),
    ]
    await engine.process(Batch(events, [b"{}"] * 2, T0, "test"))
    [(entry, fields)] = await redis.xrange(findings_key(0))
    finding = read_finding(0, entry, fields)
    assert [e.matched for e in finding.evidence] == ["login from 81.2.69.142", "login from 2001:480:10::1"]
    assert finding.why.startswith("alice logged in from two places too far apart")
    geo.close()


async def test_a_client_error_rate_shows_its_newest_errors_and_says_of_how_many(redis: Redis):
    bad = events_of(24, status=404, path="/guess{n}")
    good = events_of(6, status=200, path="/fine")
    next_bucket = events_of(1, every_ms=1, status=404, path="/later")
    next_bucket[0].timestamp = to_rfc3339(T0 + 4_000)
    [finding] = await findings_of(redis, "client_error_rate", bad + good, next_bucket)
    assert (finding.subject, finding.count, finding.total) == (IP, 24, 30)
    assert [e.matched for e in finding.evidence] == [f"status 404 on /guess{n}" for n in range(14, 24)]
    assert finding.why.startswith(f"{IP} met errors with 80 % of 30 requests in ")


async def test_points_are_said_to_be_points(redis: Redis):
    [finding] = await findings_of(redis, "suspicious_activity", events_of(5, path="/.env", status=404))
    assert "sent suspicious requests 5 times in under 0.1 s (limit: 5 points in 1 min)" in finding.why


async def test_a_high_error_rate_shows_its_newest_errors_and_says_of_how_many(redis: Redis):
    good = events_of(150, status=200, path="/fine", host="api.example.org")
    bad = events_of(30, status=503, path="/api/orders/{n}", host="api.example.org")
    other = events_of(5, status=500, path="/elsewhere", host="other.example.org")
    next_bucket = events_of(1, status=502, path="/later", host="api.example.org")
    next_bucket[0].timestamp = to_rfc3339(T0 + 10_000)
    [finding] = await findings_of(redis, "high_error_rate", good + bad + other, next_bucket)
    assert (finding.count, finding.total) == (30, 180)
    assert [e.matched for e in finding.evidence] == [f"status 503 on /api/orders/{n}" for n in range(20, 30)]
    assert finding.why.startswith("api.example.org answered 17 % of 180 requests with errors in ")


async def test_errors_of_an_earlier_window_are_no_evidence_for_a_later_one(redis: Redis):
    early = events_of(3, status=500, path="/early") + events_of(200, status=200, path="/x")
    late = events_of(4, status=500, path="/late") + events_of(6, status=200) + events_of(90, status=502)
    for event in late:
        event.timestamp = to_rfc3339(T0 + 3_600_000)
    end = events_of(1, status=200)
    end[0].timestamp = to_rfc3339(T0 + 3_600_000 + 60_000)
    [finding] = await findings_of(redis, "high_error_rate", early, late, end)
    assert all("/early" not in e.matched and e.at == T0 + 3_600_000 for e in finding.evidence)


@pytest.mark.parametrize("rule", ["auth_failures", "not_found_churn", "rate_limit_violations"])
@pytest.mark.parametrize("before", range(48, 81, 4))
async def test_a_quote_cut_within_a_secret_shows_no_piece_of_it(redis: Redis, rule, before):
    status = {"auth_failures": 401, "not_found_churn": 404, "rate_limit_violations": 429}[rule]
    path = "/" + "p" * (before - 4) + "{n}".rjust(3, "/") + "/" + TOKEN
    found = await findings_of(redis, rule, events_of(DEFAULTS[rule].threshold, status=status, path=path))
    for evidence in found[0].evidence:
        assert isinstance(evidence, Evidence)
        for start in range(0, len(TOKEN) - 8, 4):
            assert TOKEN[start : start + 8] not in str(evidence)
