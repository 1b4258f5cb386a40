"""No credential is in the journal, and the keys are found again when it is counted once more."""

import json
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journaling import START, Desk
from redis.asyncio import Redis

sys.path.append(str(Path(__file__).resolve().parents[1] / "detectors"))

from samples import SECRETS

from app.policies.policy import load_policy
from app.policies.trial import together
from app.replay import offline_engine
from detectors.event import Batch
from detectors.windows import Crossed

POLICY = load_policy(
    "security_alerts:\n"
    "  api_key_exposure: {threshold: 1/minute, action: alert_admin}\n"
    "  auth_failures: {threshold: 5/minute, action: block_ip}\n"
    "  suspicious_activity: {threshold: 2/minute, action: investigate}\n",
    "test",
)
KEY = b"k" * 32
FIELDS = ("path", "query", "user_agent", "referer", "message", "user", "host", "api_key_id", "request_id")


def bodies() -> list[tuple[bytes, str | None]]:
    """Every made-up credential, in every field, and encoded as logs do."""
    texts = [text.replace("{}", secret) for secret, text in SECRETS.values()]
    found: list[tuple[bytes, str | None]] = []
    for write in (str, lambda t: quote(t, safe=""), lambda t: quote(quote(t, safe=""), safe=""), json.dumps):
        for name in FIELDS:
            events = [{"client_ip": "198.51.100.1", "status": 200, name: write(text)} for text in texts]
            found.append(("\n".join(map(json.dumps, events)).encode(), None))
        foreign = [{"remote_addr": "198.51.100.2", "status": "401", "x": {"y": write(t)}} for t in texts]
        found.append(("\n".join(map(json.dumps, foreign)).encode(), None))
    lines = [
        f'198.51.100.3 - - [23/Nov/2026:10:00:00 +0000] "GET /a?k={quote(t, safe="")} HTTP/1.1" 401 5 "-" "x"'
        for t in texts
    ]
    return [*found, ("\n".join(lines).encode(), "combined"), ("\n".join(texts).encode(), "auto")]


def test_no_credential_of_any_kind_in_any_field_is_in_the_journal(tmp_path: Path):
    desk = Desk(tmp_path)
    for body, format_name in bodies():
        desk.write(body, format_name)
    stored = desk.plain_bytes()
    assert len(stored) > 1_000_000
    assert desk.counts.keys() == {"written"}
    shown = [kind for kind, (secret, _) in SECRETS.items() if secret.encode() in stored]
    assert shown == []
    escaped = [
        kind for kind, (secret, _) in SECRETS.items()
        if (other := quote(secret, safe="")) != secret and other.encode() in stored
    ]  # fmt: skip
    assert escaped == []


async def found_in(redis: Redis, batches: list[Batch], masks: list[dict]) -> list[tuple[object, ...]]:
    await redis.flushall()
    known: dict = {}
    engine = offline_engine(POLICY, redis, fingerprint_key=KEY, masks=known)
    crossed: list[Crossed] = []
    for batch, stand_for in zip(batches, masks, strict=True):
        known.clear()
        known.update(stand_for)
        crossed += (await engine.process(batch)).crossed
    return sorted((c.group.rule.name, c.group.subject, c.at, c.count) for c in crossed)


async def test_the_same_keys_and_attacks_are_found_in_the_journal_as_were_found_live(
    tmp_path: Path, redis: Redis
):
    desk = Desk(tmp_path)
    live = []
    texts = [text.replace("{}", secret) for secret, text in SECRETS.values()]
    for number, text in enumerate(texts):
        desk.clock.now = START + number * 2000
        event = {"client_ip": f"198.51.100.{number % 250}", "status": 200, "path": "/a", "query": text}
        attack = {"client_ip": "192.0.2.1", "status": 401, "path": f"/.env?k={text}"}
        live.append(desk.write("\n".join([json.dumps(event), json.dumps(attack)] * 2).encode()))
    read = list(desk.reader().batches())
    assert [len(batch.events) for batch, _ in read] == [4] * len(texts)
    before = await found_in(redis, live, [{}] * len(live))
    after = await found_in(redis, [batch for batch, _ in read], [masks for _, masks in read])
    assert len({subject for rule, subject, *_ in before if rule == "api_key_exposure"}) > 500
    # A key that one record shows in two spellings (a private key's lines) counts twice live and once here.
    assert set(after) == set(before)
    assert len(before) - len(after) <= 4


async def test_small_batches_counted_together_find_the_same(tmp_path: Path, redis: Redis):
    desk = Desk(tmp_path)
    live = []
    for number in range(300):
        desk.clock.now = START + number * 37
        event = {"client_ip": f"198.51.100.{number % 7}", "status": 401, "path": "/login"}
        if number % 3 == 0:
            event["timestamp"] = (desk.clock.now + 400_000) / 1000  # a fast clock: the time of receipt counts
        live.append(desk.write(json.dumps(event).encode()))
    joined = list(together(desk.reader().batches()))
    assert len(joined) < 20
    before = await found_in(redis, live, [{}] * len(live))
    after = await found_in(redis, [batch for batch, _ in joined], [masks for _, masks in joined])
    assert len(before) > 40 and after == before


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(sorted(SECRETS)), min_size=1, max_size=40), st.text(max_size=20))
def test_many_credentials_in_one_record_are_all_masked(tmp_path_factory, kinds: list[str], between: str):
    desk = Desk(tmp_path_factory.mktemp("journal"))
    text = f" {between} ".join(SECRETS[kind][1].replace("{}", SECRETS[kind][0]) for kind in kinds)
    desk.write(json.dumps({"message": text, "user_agent": text}).encode())
    stored = desk.plain_bytes()
    live = {s.text for s in desk.secrets.find(text)}
    assert [kind for kind in kinds if SECRETS[kind][0] in live and SECRETS[kind][0].encode() in stored] == []
    [(batch, masks)] = desk.reader().batches()
    record = batch.records[0].decode()
    assert all(mask in record for mask in masks) and len(masks) <= 10


@pytest.mark.parametrize("length", [30_000, 60_000, 65_500, 65_530, 90_000, 300_000])
def test_an_encoded_credential_in_a_long_record_is_masked(tmp_path: Path, length: int):
    desk = Desk(tmp_path)
    secret, text = SECRETS["github_token"]
    padded = "x " * (length // 2) + quote(text.replace("{}", secret), safe="").replace("_", "%5F")
    plain = padded[:-200] + text.replace("{}", secret)
    for message, agent in ((padded, plain), (plain, padded), (plain, "x"), ("x", padded)):
        desk.write(json.dumps({"message": message, "user_agent": agent, "path": padded[-400:]}).encode())
    stored = desk.plain_bytes()
    assert secret[:30].encode() not in stored
    assert secret.encode() not in stored
    assert quote(secret, safe="").replace("_", "%5F").encode() not in stored


def test_a_mask_that_an_attacker_writes_is_no_key(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.write(b'{"message":"[REDACTED:github_token:abcd2345] 1"}\n{"message":"%41%42"}')
    [(_, masks)] = desk.reader().batches()
    assert masks == {}


@pytest.mark.parametrize("hits", [True, False])
def test_the_batch_that_is_being_counted_is_not_changed(tmp_path: Path, hits: bool):
    desk = Desk(tmp_path)
    secret, text = SECRETS["github_token"]
    body = json.dumps({"message": text.replace("{}", secret) if hits else "nothing"}).encode()
    batch = desk.write(body)
    assert batch.records == [body] and (secret in (batch.events[0].message or "")) is hits
