"""What is explained is what the engine would do; no secret is shown, and no line makes it fail or changes anything."""

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

sys.path.append(str(Path(__file__).resolve().parents[1] / "detectors"))

from attack_samples import ATTACKS, BENIGN_TARGETS
from key_contexts import contexts
from key_samples import SAMPLES, SECRETS

from actions.blocks.networks import NeverBlock
from app.durations import format_duration
from app.explain import Circumstances, Explanation, explain
from app.ingest.decode import Decoded, decode_as
from app.ingest.readings import NO_FORMAT, readings_of
from app.policies.policy import Policy, load_policy
from app.replay import offline_engine
from app.site import site_of
from detectors.addresses import Networks
from detectors.client_error_rate import ClientErrorRate
from detectors.defaults import DEFAULTS
from detectors.engine import Engine
from detectors.errors import ConfigError, DecodeError
from detectors.event import Batch
from detectors.explanation import Role
from detectors.roster import TALLIES
from detectors.timestamps import to_rfc3339
from detectors.windows import Crossed, Group, Windows

T0 = 1_764_000_000_000
IP, PROXY = "203.0.113.9", "198.51.100.99"
LINE = f'{IP} - - [24/Nov/2025:15:59:59 +0000] "GET /api/x HTTP/1.1" 401 12'
FAILED = "Nov 24 15:59:59 web sshd[12]: Failed password for root from 203.0.113.9 port 4022 ssh2"
"""OpenSSH auth.c, auth_log()."""

OWN = """
rules:
  exports: {where: {path: {starts: /api/export}, status: 200}, group_by: user, threshold: 20/5m, action: alert_admin}
"""
SHIPPED = (Path(__file__).resolve().parents[2] / "policy.yaml").read_text("utf-8")
EVERYTHING = load_policy(
    re.sub(r"^  # (\w+: \{(?:threshold|action))", r"  \1", SHIPPED, flags=re.MULTILINE) + OWN, "test"
)
"""Every rule that there is, one of our own, and shared addresses."""


class _Kept(Windows):
    """Counts nothing, and keeps what was to be counted."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.groups: list[Group] = []

    async def apply(self, groups: Iterable[Group], mark: str | None = None) -> tuple[bool, list[Crossed]]:
        self.groups += groups
        return True, []


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("patterns")


def engine_of(policy: Policy, redis: Redis, cache: Path, **more: Any) -> Engine:
    return Engine(
        policy.rules,
        _Kept(redis),
        fingerprint_key=b"k" * 32,
        site=site_of(policy),
        trusted_proxies=Networks([PROXY]),
        trusted_clients=policy.trusted_clients,
        own_keys=policy.own_keys,
        cache=cache,
        **more,
    )


def around(policy: Policy) -> Circumstances:
    return Circumstances(policy, Networks([PROXY]), NeverBlock([("trusted proxy", PROXY)]))


class Asked:
    """An engine, and what explains with it."""

    def __init__(self, redis: Redis, cache: Path) -> None:
        self._redis, self._cache = redis, cache
        self.policy = EVERYTHING
        self.engine = engine_of(EVERYTHING, redis, cache)

    def take(self, text: str) -> None:
        self.policy = load_policy(text, "test")
        self.engine = engine_of(self.policy, self._redis, self._cache)

    async def all(
        self, body: str | bytes, format_name: str = "auto", only: str | None = None, now: int = T0
    ) -> list[Explanation]:
        raw = body if isinstance(body, bytes) else body.encode("utf-8", "replace")
        readings = readings_of(raw, format_name, now)
        return await explain(readings, self.engine, around(self.policy), now, only)

    async def one(self, body: Any, **more: Any) -> Explanation:
        [found] = await self.all(body if isinstance(body, str | bytes) else json.dumps(body), **more)
        return found


@pytest.fixture
def asked(redis: Redis, compiled: Path) -> Asked:
    return Asked(redis, compiled)


def test_every_rule_is_among_them() -> None:
    assert {rule.name for rule in EVERYTHING.rules} == {*DEFAULTS, "exports"}


def rules_of(found: Explanation, *roles: Role) -> dict[str, str]:
    return {one.rule: one.subject for one in found.rules if one.role in (roles or (Role.COUNTS,))}


def why(found: Explanation, rule: str) -> str:
    return {one.rule: one.why for one in found.reasons}[rule]


def values(found: Explanation) -> dict[str, Any]:
    return {field.name: field.value for field in found.fields}


async def test_a_line_is_explained_from_its_format_to_its_rules(asked: Asked) -> None:
    found = await asked.one(LINE)
    assert (found.read_as, found.format, found.rejected) == (
        "a line of the format combined",
        "combined",
        None,
    )
    assert values(found) | {"timestamp": ""} == {
        "timestamp": "",
        "client_ip": IP,
        "method": "GET",
        "path": "/api/x",
        "status": 401,
        "bytes": 12,
    }
    assert (found.client, found.client_note, found.time) == (IP, "", "its own")
    assert found.at is not None and to_rfc3339(found.at) == "2025-11-24T15:59:59.000Z"
    [counted] = [one for one in found.rules if one.rule == "auth_failures"]
    assert counted.matched == "status 401 on /api/x"
    assert (counted.threshold, counted.window, counted.mode.value) == ("10/1m", "1m", "enforce")
    assert counted.then == "block_ip for 4h, doubling up to 7d"
    assert why(found, "rate_limit_violations") == "looks at status 429; here: status 401, no outcome"


async def test_a_record_is_traced_to_its_names_and_says_which_are_not_understood(asked: Asked) -> None:
    found = await asked.one({"client": {"ip": IP}, "http.status_code": "401", "callerAddr": IP})
    assert {field.name: field.names for field in found.fields} == {
        "client_ip": ("client.ip",),
        "status": ("http.status_code",),
    }
    assert found.unread == ("callerAddr",)
    assert found.read_as == "a JSON object, through the field map"
    own = await asked.one({"client_ip": IP, "status": 401})
    assert own.read_as == "a JSON object in our own names"


@pytest.mark.parametrize(
    ("record", "read_as", "format_name"),
    [
        (
            {"log": LINE, "stream": "stdout"},
            "a JSON object with a line of the format combined in its log",
            "combined",
        ),
        ({"message": FAILED}, "a JSON object with a line of the format sshd in its message", "sshd"),
        (
            {"log": json.dumps({"remote_addr": IP, "status": 401})},
            "a JSON object, and the one inside of its log",
            None,
        ),
    ],
    ids=["an access log", "sshd", "JSON"],
)
async def test_what_a_record_wraps_is_named(
    asked: Asked, record: dict[str, str], read_as: str, format_name: str | None
) -> None:
    found = await asked.one(record)
    assert (found.read_as, found.format) == (read_as, format_name)
    assert rules_of(found)["auth_failures"] == IP


async def test_a_line_of_no_format_counts_for_nothing_and_says_so(asked: Asked) -> None:
    found = await asked.one("hello world")
    assert (found.counts, found.read_as, found.client) == (False, NO_FORMAT, None)
    assert found.client_note == "the record names no client address"
    assert {one.rule for one in found.reasons} == {rule.name for rule in EVERYTHING.rules}


async def test_records_that_are_set_aside_stand_in_their_places(asked: Asked) -> None:
    found = await asked.all('[{"status": 401, "client_ip": "203.0.113.9"}, 3, {"status": 429}]')
    assert [one.rejected for one in found] == [None, "not a JSON object", None]
    [refused] = await asked.all("nonsense", "combined")
    assert refused.rejected == "not a line of the format combined"
    with pytest.raises(DecodeError, match="unknown format"):
        await asked.all("x", "nonsense")


REASONS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no client address": (
        {"status": 401},
        "auth_failures",
        "status 401, but no client address",
    ),
    "a status that is none of a failure": (
        {"client_ip": IP, "status": 200},
        "auth_failures",
        "looks at status 401, 403, an outcome or a login form; here: status 200, no outcome",
    ),
    "403 elsewhere": (
        {"client_ip": IP, "status": 403, "path": "/private"},
        "auth_failures",
        "status 403 counts on a login path, and /private is none",
    ),
    "a failure without a category": (
        {"client_ip": IP, "status": 500, "outcome": "failure", "path": "/cart"},
        "auth_failures",
        "outcome failure counts with category authentication or on a login path, and /cart is none",
    ),
    "a success": (
        {"client_ip": IP, "outcome": "success", "category": "authentication"},
        "auth_failures",
        "the outcome is success",
    ),
    "a form that was only shown": (
        {"client_ip": IP, "status": 200, "path": "/wp-login.php", "method": "GET"},
        "auth_failures",
        "a login form that answers 200 counts where the method is POST",
    ),
    "no user": (
        {"client_ip": IP, "status": 401},
        "credential_stuffing",
        "the event names no user",
    ),
    "no health path": (
        {"client_ip": IP, "status": 200, "outcome": "success", "path": "/x"},
        "health_check_failure",
        "/x is no health path",
    ),
    "an own rule": (
        {"client_ip": IP, "status": 403, "path": "/api/export/1", "user": "eve"},
        "exports",
        "where does not hold: status is 403; wanted: status is 200",
    ),
    "no duration": (
        {"client_ip": IP, "status": 200},
        "slow_responses",
        "adds up events with a duration_ms (but WebSockets: status 101)",
    ),
}


@pytest.mark.parametrize("sort", REASONS)
async def test_a_rule_that_does_not_count_says_why(asked: Asked, sort: str) -> None:
    record, rule, reason = REASONS[sort]
    found = await asked.one(record)
    assert rule not in rules_of(found, *Role)
    assert why(found, rule) == reason


NARROWED = """
security_alerts:
  auth_failures: {threshold: 10/minute, action: block_ip, where: {path: {starts: /api}}}
trusted_clients: [{user_agent: our-monitor/, networks: [192.0.2.0/24]}]
"""


async def test_where_and_trusted_clients_say_that_it_was_them(asked: Asked) -> None:
    asked.take(NARROWED)
    elsewhere = await asked.one({"client_ip": IP, "status": 401, "path": "/x"})
    assert why(elsewhere, "auth_failures") == (
        "where does not hold: path is '/x'; wanted: path starts with '/api'"
    )
    ours = await asked.one(
        {"client_ip": "192.0.2.7", "status": 401, "path": "/api", "user_agent": "our-monitor/1"}
    )
    assert why(ours, "auth_failures") == "a client of trusted_clients: it does not count against its address"
    assert not elsewhere.counts and not ours.counts


CLIENTS: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "as logged": ({"client_ip": f"{IP}:443"}, IP, ""),
    "none": ({}, None, "the record names no client address"),
    "no address": ({"client_ip": "unknown"}, None, "what client_ip holds is no address"),
    "behind a proxy": (
        {"client_ip": PROXY, "forwarded_for": f"192.0.2.1, {IP}"},
        IP,
        f"from X-Forwarded-For, since {PROXY} is a trusted proxy",
    ),
    "behind a proxy, unreadable": (
        {"client_ip": PROXY, "forwarded_for": "192.0.2.1, unknown"},
        None,
        f"{PROXY} is a trusted proxy, and the entry of X-Forwarded-For before it is no address",
    ),
    "not believed": (
        {"client_ip": "198.51.100.7", "forwarded_for": IP},
        "198.51.100.7",
        "X-Forwarded-For is not believed: 198.51.100.7 is no trusted proxy (BARTIZAN_TRUSTED_PROXIES)",
    ),
    "a proxy alone": (
        {"client_ip": PROXY},
        PROXY,
        f"{PROXY} is a trusted proxy itself (BARTIZAN_TRUSTED_PROXIES): the record names nobody behind it",
    ),
    "a chain": (
        {"client_ip": f"192.0.2.1, {IP}, {PROXY}"},
        IP,
        "the first address from the right of the chain that is no trusted proxy",
    ),
    "a broken chain": (
        {"client_ip": f"{IP}, unknown"},
        None,
        "client_ip is a chain, and the entry that counts is no address",
    ),
}


@pytest.mark.parametrize("sort", CLIENTS)
async def test_the_client_address_is_explained(asked: Asked, sort: str) -> None:
    record, address, note = CLIENTS[sort]
    found = await asked.one({"status": 401, **record})
    assert (found.client, found.client_note) == (address, note)


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [
        (to_rfc3339(T0), "its own"),
        (None, "the time of receipt: it has none (no_time)"),
        ("yesterday", "the time of receipt: its own cannot be read (no_time)"),
        (
            to_rfc3339(T0 + 3_600_000),
            "the time of receipt: its own lies more than 5 minutes ahead (clock_skew)",
        ),
    ],
    ids=["own", "none", "unreadable", "ahead"],
)
async def test_the_time_is_explained(asked: Asked, timestamp: str | None, words: str) -> None:
    found = await asked.one({"client_ip": IP, "status": 401, "timestamp": timestamp})
    assert (found.at, found.time) == (T0, words)


@pytest.mark.parametrize(
    ("record", "note"),
    [
        ({"client_ip": "10.0.0.7"}, "never blocked: private network 10.0.0.0/8"),
        ({"client_ip": PROXY}, f"never blocked: trusted proxy {PROXY}"),
        ({"timestamp": T0 - 5 * 3_600_000}, "so long ago that its block would be over"),
        ({"user_agent": "Googlebot/2.1"}, "not blocked if reverse DNS verifies that it is googlebot"),
        ({}, "not blocked where 5 users lately got in from there (shared_addresses)"),
    ],
    ids=["private", "proxy", "late", "bot", "shared"],
)
async def test_what_would_keep_an_address_from_being_blocked_is_said(
    asked: Asked, record: dict[str, Any], note: str
) -> None:
    found = await asked.one({"client_ip": IP, "status": 401, **record})
    assert note in next(one.notes for one in found.rules if one.rule == "auth_failures")


async def test_the_part_that_an_event_plays_is_told(asked: Asked) -> None:
    success = await asked.one(
        {"client_ip": IP, "user": "eve", "outcome": "success", "category": "authentication"}
    )
    assert rules_of(success, Role.ENDS)["account_takeover"] == "eve"
    assert "shared_address" in rules_of(success, Role.REMEMBERED)
    assert "account_takeover" not in rules_of(success)
    good = await asked.one({"client_ip": IP, "status": 200, "path": "/x"})
    assert rules_of(good, Role.MEASURED) == {"high_error_rate": "*", "elevated_error_rate": "*"}
    bad = await asked.one({"client_ip": IP, "status": 503, "path": "/x", "host": "api"})
    assert rules_of(bad)["high_error_rate"] == "api"
    repeated = await asked.one(FAILED.replace("Failed", "message repeated 7 times: [ Failed") + "]")
    assert next(one.times for one in repeated.rules if one.rule == "auth_failures") == 7
    weak = await asked.one({"client_ip": IP, "status": 404, "path": "/x"})
    assert next(one.points for one in weak.rules if one.rule == "suspicious_activity") == 0.5


async def test_one_rule_can_be_asked_about_and_an_unknown_one_is_an_error(asked: Asked) -> None:
    found = await asked.one(LINE, only="suspicious_activity")
    assert (found.rules, [one.rule for one in found.reasons]) == ((), ["suspicious_activity"])
    counted = await asked.one(LINE, only="auth_failures")
    assert (rules_of(counted), counted.reasons) == ({"auth_failures": IP}, ())
    with pytest.raises(ConfigError, match="the policy does not name it"):
        await asked.all(LINE, only="nonsense")


async def test_of_very_many_own_rules_only_some_say_why(asked: Asked) -> None:
    rules = "".join(
        f"  own_{n}: {{where: {{path: /p{n}}}, threshold: 5/1m, action: alert_admin}}\n" for n in range(40)
    )
    asked.take(f"rules:\n{rules}")
    found = await asked.one({"client_ip": IP, "status": 200, "path": "/p7"})
    assert rules_of(found) == {"own_7": IP}
    assert (len(found.reasons), found.more) == (20, 19)
    asked_for = await asked.one({"client_ip": IP, "status": 200, "path": "/p7"}, only="own_39")
    assert why(asked_for, "own_39") == "where does not hold: path is '/p7'; wanted: path is '/p39'"


async def test_a_detector_that_fails_is_named_and_the_others_go_on(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("detectors.suspicious_activity.refused_route", fail)
    found = await asked.one({"client_ip": IP, "status": 403, "path": "/login"})
    assert (
        why(found, "suspicious_activity")
        == "its detector failed on this event, which is a fault of the program"
    )
    assert rules_of(found)["auth_failures"] == IP


def _bodies(corpora: Path) -> dict[str, tuple[bytes, str]]:
    """Real logs, attacks and what resembles them, logins, durations."""
    lines = (corpora / "elastic-apache-10k.log").read_bytes().splitlines()
    apache = [*lines[:200], *(line for line in lines if b'" 404 ' in line or b'" 403 ' in line)]
    lines = (corpora / "elastic-auth.log").read_bytes().splitlines()
    auth = [*lines[:100], *(line for line in lines if b"sshd" in line and b" from " in line)][:400]
    targets = [*(target for known in ATTACKS.values() for target in known), *BENIGN_TARGETS]
    attacks = [
        {
            "client_ip": f"203.0.113.{n % 250}",
            "path": target,
            "status": (404, 200, 403)[n % 3],
            "bytes": n % 9,
        }
        for n, target in enumerate(targets)
    ]
    others = [
        {
            "client_ip": (IP, "2001:db8::7", "-", PROXY)[n % 4],
            "forwarded_for": "192.0.2.1",
            "path": ("/login", "/api/health", "/wp-login.php", "/api/export/7", f"/api/users/{n}")[n % 5],
            "method": ("POST", "GET")[n % 2],
            "status": (None, 200, 401, 403, 404, 429, 503)[n % 7],
            "user": (None, "eve", f"u{n}")[n % 3],
            "outcome": (None, "failure", "success")[n % 3],
            "category": (None, None, "authentication", "health_check")[n % 4],
            "api_key_id": (None, "k1")[n % 2],
            "duration_ms": n * 100,
            "user_agent": f"agent {n % 13}",
            "host": ("api", None)[n % 2],
        }
        for n in range(300)
    ]
    secrets = [
        {"client_ip": IP, "status": 200, "path": text.replace("{}", s)} for s, text in SECRETS.values()
    ]
    return {
        "access log": (b"\n".join(apache), "combined"),
        "auth log": (b"\n".join(auth), "sshd"),
        "attacks": (json.dumps(attacks).encode(), "events"),
        "others": (json.dumps(others).encode(), "events"),
        "secrets": (json.dumps(secrets).encode(), "events"),
    }


FEWEST = {"access log": 300, "auth log": 20, "attacks": 300, "others": 900, "secrets": 60}
"""So many verdicts at least, or the test would show nothing."""


@pytest.mark.parametrize("sort", FEWEST)
async def test_what_is_explained_is_what_the_engine_counts(
    asked: Asked, redis: Redis, compiled: Path, corpora: Path, sort: str
) -> None:
    body, format_name = _bodies(corpora)[sort]
    explained = await asked.all(body, format_name)
    said = Counter[tuple[str, str, str]]()
    for found in explained:
        for one in found.rules:
            if one.rule not in TALLIES:
                said[one.rule, one.window, one.subject] += one.times
    engine = engine_of(EVERYTHING, redis, compiled)
    decoded: Decoded = decode_as(body, format_name, T0)
    await engine.process(Batch(decoded.events, decoded.records, T0, "test"))
    assert isinstance(engine.windows, _Kept)
    counted = Counter[tuple[str, str, str]]()
    for group in engine.windows.groups:
        if group.rule.name not in TALLIES:
            window = format_duration(group.rule.window_ms)
            counted[group.rule.name, window, group.subject] += len(group.times)
    assert counted.total() > FEWEST[sort]
    assert said == counted
    tallied = {(g.rule.name, g.subject) for g in engine.windows.groups if g.rule.name in TALLIES}
    by_tally = {(r.rule, r.subject) for e in explained for r in e.rules if r.rule in TALLIES}
    remembering = {rule.name for rule in EVERYTHING.rules if TALLIES.get(rule.name) is ClientErrorRate}
    assert {one for one in by_tally if one[0] not in remembering} == {
        one for one in tallied if one[0] not in remembering
    }
    assert {one for one in tallied if one[0] in remembering} <= by_tally


async def test_explaining_leaves_redis_and_the_detectors_as_they_were(
    redis: Redis, asked: Asked, compiled: Path
) -> None:
    served = {"client_ip": IP, "status": 200, "bytes": 33}
    assert "security_breach" in rules_of(await asked.one({**served, "path": "/.env"}))
    for _ in range(20):
        await asked.one({"client_ip": IP, "status": 404, "path": "/x"})
    body = json.dumps({**served, "path": "/.git/config"}).encode()
    decoded = decode_as(body, "auto", T0)
    await asked.engine.process(Batch(decoded.events, decoded.records, T0, "test"))
    assert isinstance(asked.engine.windows, _Kept)
    counted = {group.rule.name for group in asked.engine.windows.groups}
    assert "security_breach" in counted, "the other file's size was remembered"
    assert "client_error_rate" not in counted
    assert await redis.keys("*") == []
    assert asked.engine.secrets._remembered == {}


async def test_no_credential_is_shown_whatever_it_stands_in(asked: Asked) -> None:
    """Each kind in one of its contexts, in turn; that each is found in all of them, test_keys.py shows."""
    named = 0
    for number, sample in enumerate(SAMPLES.values()):
        ways = list(contexts(sample))
        name, record = ways[number % len(ways)]
        found = await asked.all(record)
        if any(one.secrets for one in found):
            named += 1
            shown = json.dumps([msgspec.to_builtins(one) for one in found])
            assert sample.secret not in shown, (sample.kind, name)
    assert named > 0.9 * len(SAMPLES)


async def test_a_credential_is_named_by_kind_fingerprint_and_place(asked: Asked) -> None:
    secret, text = SECRETS["github_token"]
    found = await asked.one({"client_ip": IP, "path": text.replace("{}", secret), secret: "a name"})
    [shown] = found.secrets
    assert (shown.kind, shown.place) == ("github_token", "URL")
    assert f"github_token:{shown.fingerprint}" == rules_of(found)["api_key_exposure"]
    assert secret not in repr(found)


HOSTILE = {
    "nothing": b"\0\xff\xfe",
    "deep": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "deep array": b"[" * 5000,
    "many names": json.dumps({f"n{n}": n for n in range(5000)}).encode(),
    "a name that is a table": b'{"client": {"ip": {"ip": ["203.0.113.9"]}}}',
    "terminal": b'{"client_ip":"203.0.113.9","path":"/\\u001b[2J","status":401}',
    "surrogates": b'{"user":"\\ud800","status":401,"client_ip":"\\udfff"}',
    "numbers": b'{"timestamp":1e400,"status":99999999999999999999,"duration_ms":-1e308,"bytes":-1}',
    "quotes": b"203.0.113.9 - - [" + b'"' * 4000,
    "percent": b'{"client_ip":"203.0.113.9","status":404,"path":"' + b"%25" * 5000 + b'"}',
    "credentials": b'{"status":404,"client_ip":"203.0.113.9","path":"/?'
    + b"&".join(b"pwd=%010x" % (n * 7_919_111_117 % 2**40) for n in range(500))
    + b'"}',
    "log in log": json.dumps({"log": json.dumps({"log": json.dumps({"log": LINE})})}).encode(),
}


@pytest.mark.parametrize("sort", HOSTILE)
async def test_hostile_records_are_explained_like_others(asked: Asked, sort: str) -> None:
    for found in await asked.all(HOSTILE[sort]):
        msgspec.json.encode(found)


@cache
def an_engine() -> Engine:
    """That asks no Redis: nothing is counted."""
    return offline_engine(EVERYTHING, Redis.from_url("redis://localhost"), trusted_proxies=[PROXY])


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace"))
    | st.dictionaries(
        st.sampled_from(["client_ip", "status", "path", "log", "user", "timestamp", "outcome", "x"]),
        st.text(max_size=60) | st.integers() | st.floats() | st.lists(st.text(max_size=5), max_size=2),
    ).map(lambda record: json.dumps(record).encode())
)
def test_no_line_makes_it_raise(body: bytes) -> None:
    async def ask() -> None:
        for found in await explain(readings_of(body, "auto", T0), an_engine(), around(EVERYTHING), T0):
            msgspec.json.encode(found)

    asyncio.run(ask())
