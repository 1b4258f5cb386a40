"""Events in, findings out, over a real Redis: each detector on, below and beside its threshold."""

import asyncio
import json

import pytest
from msgspec import structs
from redis.asyncio import Redis
from samples import SECRETS

from detectors.addresses import Networks
from detectors.defaults import BUILT_IN, DEFAULTS
from detectors.engine import CHUNK_EVENTS, EVENTS_AT_A_TIME, Engine
from detectors.event import Batch, Event
from detectors.finding import Finding
from detectors.gathering import GROUPS_AT_A_TIME
from detectors.own_keys import own_prefix_pattern
from detectors.rule import Rule
from detectors.timestamps import to_rfc3339
from detectors.windows import Windows, findings_key, read_finding

T0 = 1_764_000_000_000
IP = "203.0.113.9"


OPERATORS = tuple(DEFAULTS[name] for name in BUILT_IN)


def engine_on(redis: Redis, *, rules: tuple[Rule, ...] = tuple(DEFAULTS.values()), **more) -> Engine:
    return Engine(rules, Windows(redis, **more.pop("windows", {})), fingerprint_key=b"k" * 32, **more)


def event(at_ms: int = 0, **fields) -> Event:
    return Event(**{"client_ip": IP, "timestamp": to_rfc3339(T0 + at_ms), **fields})


def batch(events: list[Event], mark: str | None = None, records: list[bytes] | None = None) -> Batch:
    written = [json.dumps({f: getattr(e, f) for f in e.__struct_fields__}).encode() for e in events]
    return Batch(events, records or written, T0 + 60_000, "test", mark)


async def findings(redis: Redis) -> list[Finding]:
    return [read_finding(0, i, f) for i, f in await redis.xrange(findings_key(0))]


async def found_by(redis: Redis, events: list[Event], **more) -> list[tuple[str, str]]:
    done = await engine_on(redis, **more).process(batch(events))
    return [(c.group.rule.name, c.group.subject) for c in done.crossed]


EVERY_SIXTH = list(SECRETS.items())[::6]
"""Enough to try what is stored; test_redact.py takes all."""

FAILURES = {
    "401": {"path": "/api/posts", "status": 401},
    "403 on a login path": {"path": "/api/auth/login", "status": 403},
    "a login form that answers 200": {"path": "/wp-login.php", "method": "POST", "status": 200},
    "an authentication event": {"category": "authentication", "outcome": "failure", "user": "root"},
    "an outcome with no status": {"outcome": "failure", "user": "root"},
    "an outcome on a login path": {"outcome": "failure", "path": "/login", "status": 200},
}
NO_FAILURES = {
    "403 elsewhere": {"path": "/private", "status": 403},
    "200 on a login path": {"path": "/login", "method": "POST", "status": 200},
    "the form shown": {"path": "/wp-login.php", "method": "GET", "status": 200},
    "a login that redirects": {"path": "/wp-login.php", "method": "POST", "status": 302},
    "a success": {"outcome": "success", "user": "root"},
    "a failed request that is no login": {"outcome": "failure", "path": "/cart", "status": 500},
    "no address": {"client_ip": "-", "status": 401},
}


@pytest.mark.parametrize("sort", FAILURES)
async def test_ten_failures_of_any_sort_are_found_and_nine_are_not(redis: Redis, sort):
    nine = [event(i * 1000, **FAILURES[sort]) for i in range(9)]
    assert await found_by(redis, nine) == []
    assert await found_by(redis, [event(59_900, **FAILURES[sort])]) == [("auth_failures", IP)]


@pytest.mark.parametrize("sort", NO_FAILURES)
async def test_what_is_no_failure_does_not_count(redis: Redis, sort):
    found = await found_by(redis, [event(i, **NO_FAILURES[sort]) for i in range(60)])
    assert "auth_failures" not in {rule for rule, _ in found}


async def test_a_repeated_message_counts_as_often_as_it_says(redis: Redis):
    failed = {"category": "authentication", "outcome": "failure"}
    assert await found_by(redis, [event(0, **failed), event(1, repeat=9, **failed)]) == [
        ("auth_failures", IP)
    ]


async def test_events_out_of_order_and_a_batch_sent_twice_give_one_finding(redis: Redis):
    engine = engine_on(redis)
    late_first = [event(t * 1000, status=401) for t in (9, 3, 7, 1, 8, 2, 6, 0, 5, 4)]
    first = await engine.process(batch(late_first, "m"))
    again = await engine.process(batch(late_first, "m"))
    assert (len(first.crossed), first.duplicate, first.counted) == (1, False, 10)
    assert (len(again.crossed), again.duplicate, again.counted) == (0, True, 0)
    assert len(await findings(redis)) == 1


async def test_an_ipv6_neighbourhood_is_one_subject_and_two_addresses_are_two(redis: Redis):
    spread = [event(i, client_ip=f"2001:db8:1:2::{i:x}", status=401) for i in range(10)]
    assert await found_by(redis, spread) == [("auth_failures", "2001:db8:1:2::/64")]
    apart = [event(i, client_ip=f"198.51.100.{i % 2}", status=401) for i in range(18)]
    assert await found_by(redis, apart) == []


async def test_the_client_behind_a_trusted_proxy_is_the_subject(redis: Redis):
    events = [
        event(i, client_ip="10.0.0.1", forwarded_for=f"192.0.2.{i}, {IP}", status=401) for i in range(10)
    ]
    assert await found_by(redis, events, trusted_proxies=Networks(["10.0.0.0/8"])) == [("auth_failures", IP)]


async def test_fifty_429s_are_a_violation_and_49_are_not(redis: Redis):
    assert await found_by(redis, [event(i, status=429) for i in range(49)]) == []
    assert await found_by(redis, [event(49, status=429)]) == [("rate_limit_violations", IP)]


async def test_five_probes_are_suspicious_and_four_are_not(redis: Redis):
    paths = ["/.env", "/.git/config", "/phpmyadmin/", "/a?id=1%27%20or%201=1", "/wp-login.php"]
    events = [event(i, path=p, status=404, method="GET") for i, p in enumerate(paths)]
    assert await found_by(redis, events[:4]) == []
    assert await found_by(redis, events[4:]) == [("suspicious_activity", IP)]
    [finding] = await findings(redis)
    assert finding.evidence[0].matched == "path: '/.env' (probe.dotenv)"


async def test_a_key_in_a_log_is_found_by_its_fingerprint_and_nobodys_address_is_the_subject(redis: Redis):
    secret, _ = SECRETS["github_token"]
    line = f'198.51.100.7 - - [x] "GET /hook?token={secret} HTTP/1.1" 200 5'.encode()
    done = await engine_on(redis).process(
        batch([event(path=f"/hook?token={secret}", status=200)], records=[line])
    )
    assert {c.group.rule.name for c in done.crossed} == {"api_key_exposure"}
    subjects = {c.group.subject for c in done.crossed}
    assert all(s.startswith(("github_token:v1:", "query_secret:v1:")) for s in subjects)
    evidence = (await findings(redis))[0].evidence[0]
    assert secret not in repr(evidence)
    assert evidence.matched.endswith("in the URL")


async def test_three_failed_health_checks_in_a_row_are_found_and_a_good_one_starts_over(redis: Redis):
    check = {"path": "/api/health", "host": "api.example.org"}
    first = [event(0, status=503, **check), event(1, status=503, **check), event(2, status=200, **check)]
    assert await found_by(redis, first) == []
    then = [event(3 + i, status=500, **check) for i in range(3)]
    assert await found_by(redis, then) == [("health_check_failure", "api.example.org")]


async def test_ten_per_cent_errors_are_found_when_their_bucket_is_over(redis: Redis):
    host = {"host": "api.example.org", "path": "/x"}
    events = [event(i * 10, status=500 if i % 10 == 0 else 200, **host) for i in range(120)]
    assert await found_by(redis, events) == []
    assert await found_by(redis, [event(20_000, status=200, **host)]) == [
        ("high_error_rate", "api.example.org"),
        ("elevated_error_rate", "api.example.org"),
    ]


async def test_a_login_after_ten_failures_is_a_breach_and_after_nine_is_not(redis: Redis):
    failed = {"category": "authentication", "outcome": "failure", "user": "root"}
    success = event(60_000, category="authentication", outcome="success", user="root")
    nine = [event(i * 5000, **failed) for i in range(9)]
    assert await found_by(redis, [*nine, success], rules=OPERATORS) == []
    other = event(46_000, category="authentication", outcome="success", user="alice")
    found = await found_by(redis, [event(45_000, **failed), other, success], rules=OPERATORS)
    assert ("security_breach", IP) in found
    assert [rule for rule, _ in found].count("security_breach") == 1


async def test_a_secret_file_that_was_served_is_a_breach_and_one_that_was_not_is_none(redis: Redis):
    assert await found_by(redis, [event(path="/.env", status=404, bytes=153)]) == []
    assert await found_by(redis, [event(path="/.env", status=200, bytes=0)]) == []
    assert await found_by(redis, [event(path="/.env", status=200, bytes=612)]) == [("security_breach", IP)]


async def test_a_site_that_answers_every_path_with_one_page_is_reported_once(redis: Redis):
    page = {"status": 200, "bytes": 1432, "host": "spa.example.org"}
    probes = [event(path=p, **page) for p in ("/.env", "/.git/config", "/id_rsa", "/dump.sql", "/.env")]
    found = await found_by(redis, probes, rules=(DEFAULTS["security_breach"],))
    assert found == [("security_breach", IP), ("security_breach", IP)]


async def test_a_rule_that_the_policy_leaves_out_is_off(redis: Redis):
    only = (DEFAULTS["rate_limit_violations"],)
    assert await found_by(redis, [event(i, status=401) for i in range(20)], rules=only) == []


async def test_a_large_batch_is_counted_in_chunks_and_its_repeat_is_known(redis: Redis):
    events = [event(0, status=200)] * CHUNK_EVENTS + [event(i, status=401) for i in range(10)]
    engine = engine_on(redis, windows={"shards": 8})
    whole = batch(events, "m", [b"{}"] * len(events))
    done = await engine.process(whole)
    assert [c.group.rule.name for c in done.crossed] == ["auth_failures"]
    assert (await engine.process(whole)).duplicate


async def test_evidence_is_redacted_cut_and_flagged(redis: Redis):
    secret, _ = SECRETS["jwt"]
    events = [
        event(0, status=401, path=f"/x?access_token={secret}", user_agent="A" * 999, timestamp=None)
    ] * 10
    await engine_on(redis, rules=(DEFAULTS["auth_failures"],)).process(batch(events))
    [finding] = await findings(redis)
    for evidence in finding.evidence:
        assert secret not in repr(evidence)
        assert evidence.path.startswith("/x?access_token=[REDACTED:")
        assert len(evidence.record) <= 512 and len(evidence.user_agent) <= 256
        assert evidence.flags == ("no_time",)


async def test_no_secret_is_in_any_stored_byte(redis: Redis):
    engine = engine_on(redis)
    for kind, (secret, text) in EVERY_SIXTH:
        written = text.replace("{}", secret)
        e = event(0, status=401, path="/" + written, user=written, user_agent=written, message=written)
        await engine.process(batch([e] * 12, kind))
    for key in await redis.keys("*"):
        stored = repr(await redis.xrange(key) if key.endswith(b"findings") else await redis.get(key))
        for kind, (secret, _) in EVERY_SIXTH:
            assert secret not in stored, kind
            assert secret not in key.decode()


async def test_a_detector_that_fails_on_a_record_is_named_and_sinks_nothing(redis: Redis, monkeypatch):
    def fail(_self, _look):
        raise RuntimeError("a bug")

    monkeypatch.setattr("detectors.rate_limit_violations.RateLimitViolations.judge", fail)
    failed: list[str] = []
    engine = engine_on(redis, on_failure=lambda name, _error: failed.append(name))
    done = await engine.process(batch([event(i, status=s) for i in range(10) for s in (429, 401)]))
    assert failed == ["rate_limit_violations"] * 10
    assert [c.group.rule.name for c in done.crossed] == ["auth_failures"]


async def test_others_on_the_loop_get_a_turn_while_a_large_batch_is_selected(redis: Redis):
    turns = turns_before_counting = 0

    class Counting(Windows):
        async def apply(self, groups, mark):
            nonlocal turns_before_counting
            turns_before_counting = turns
            return await super().apply(groups, mark)

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    looking = asyncio.create_task(others())
    rules = (DEFAULTS["auth_failures"],)
    engine = Engine(rules, Counting(redis), fingerprint_key=b"k" * 32)
    many = [event(i, client_ip=f"198.51.100.{i % 200}", status=401) for i in range(4 * EVENTS_AT_A_TIME)]
    done = await engine.process(batch(many))
    looking.cancel()
    assert turns_before_counting >= 4 + 200 // GROUPS_AT_A_TIME - 1
    assert len(done.crossed) == 200 * (20 // 10)


@pytest.mark.parametrize(
    ("kind", "severity"), [("github_token", "critical"), ("php_session", "medium"), ("jwt", "high")]
)
async def test_a_key_is_as_bad_as_its_format_says_unless_the_policy_says_it(redis: Redis, kind, severity):
    secret, text = SECRETS[kind]
    rule = DEFAULTS["api_key_exposure"]
    for stated, expected in ((rule, severity), (structs.replace(rule, severity_stated=True), "high")):
        await redis.flushall()
        await found_by(redis, [event(message=text.replace("{}", secret))], rules=(stated,))
        assert {f.severity.value for f in await findings(redis) if f.subject.startswith(kind)} == {expected}


async def test_a_key_of_the_operators_own_is_found_where_its_prefix_is_known(redis: Redis):
    key = "pc_live_" + "q7Rk2Zx9Lm4Tb8Vn3Wc6"
    sent = event(message=f"sent {key}")
    for own_keys, expected in (((own_prefix_pattern("pc_live_"),), ["own_key_pc_live"]), ((), [])):
        engine = engine_on(redis, rules=(DEFAULTS["api_key_exposure"],), own_keys=own_keys)
        done = await engine.process(Batch([sent], [f"sent {key}".encode()], T0, "test"))
        assert [c.group.subject.partition(":")[0] for c in done.crossed] == expected
