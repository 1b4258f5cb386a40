"""What an attacker writes into a log: it must not cost much, frame anybody, or show a secret."""

import json
import random

import pytest
from key_samples import SECRETS
from redis.asyncio import Redis

from detectors.api_key_exposure import MOST_KEYS
from detectors.defaults import DEFAULTS
from detectors.detector import Surroundings, is_one_of, path_of
from detectors.engine import Engine
from detectors.event import Batch, Event
from detectors.windows import Windows, findings_key, read_finding

T0 = 1_764_000_000_000


async def crossed(redis: Redis, events: list[Event]) -> list[tuple[str, str]]:
    engine = Engine(DEFAULTS.values(), Windows(redis), fingerprint_key=b"k" * 32)
    records = [json.dumps({f: getattr(e, f) for f in e.__struct_fields__}).encode() for e in events]
    done = await engine.process(Batch(events, records, T0, "test"))
    return [(c.group.rule.name, c.group.subject) for c in done.crossed]


async def test_a_request_with_hundreds_of_credentials_causes_ten_findings_and_is_masked_as_a_whole(
    redis: Redis,
):
    rng = random.Random(1)
    query = "".join(f"&pwd={rng.getrandbits(40):010x}" for _ in range(550))
    found = await crossed(redis, [Event(client_ip="203.0.113.9", path="/a?x=" + query, status=404)])
    assert len(found) == MOST_KEYS
    for entry_id, fields in await redis.xrange(findings_key(0)):
        [evidence] = read_finding(0, entry_id, fields).evidence
        assert evidence.record == evidence.path == "[REDACTED: many credentials]"


@pytest.mark.parametrize(
    "path",
    ["/wp-login%2ephp", "/wp-login.php/x", "/wp-l%6fgin.php", "/%77p-login.php", "/xmlrpc.php/a", "/wp-login.php;a",
     "/blog//wp-login.php/", "/WP-LOGIN.PHP", "/./wp-login.php?a=b"],
)  # fmt: skip
def test_a_login_form_is_known_in_every_disguise(path):
    assert is_one_of(path_of(Event(path=path)), Surroundings.login_forms)


@pytest.mark.parametrize(
    "path",
    [
        "/lo%67in",
        "/login;x",
        "/login/.",
        "/api/login%20",
        "/login%2f",
        "//login//",
        "/api/login?x",
        "/login#a",
    ],
)
def test_a_login_path_is_known_in_every_disguise(path):
    assert is_one_of(path_of(Event(path=path)), Surroundings.login_paths)


@pytest.mark.parametrize("path", ["/", "", "/loginpage", "/wp-login.phpx", "/x?next=/login"])
def test_another_path_is_no_login(path):
    known = (*Surroundings.login_paths, *Surroundings.login_forms)
    assert not is_one_of(path_of(Event(path=path)), known)


async def test_an_encoded_login_form_counts(redis: Redis):
    tries = [Event(client_ip="203.0.113.9", method="POST", path="/wp-login%2ephp", status=200)] * 10
    assert await crossed(redis, tries) == [("auth_failures", "203.0.113.9")]


async def test_a_secret_in_the_host_is_no_subject(redis: Redis):
    secret, _ = SECRETS["github_token"]
    down = Event(host=f"{secret}.example.org", path="/health", method="GET", status=503)
    [(_, subject)] = [f for f in await crossed(redis, [down] * 3) if f[0] == "health_check_failure"]
    assert secret not in subject and "[REDACTED:" in subject
    for key in await redis.keys("*"):
        assert secret not in key.decode()


async def test_healthy_hosts_leave_nothing_behind(redis: Redis):
    await crossed(
        redis, [Event(host=f"{i}.example.org", path="/health", method="GET", status=200) for i in range(50)]
    )
    assert not await redis.keys("*health_check*")
