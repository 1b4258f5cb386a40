"""Dossiers of what went through the real engine into a real journal: addresses, accounts, keys, and who hides."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from investigating import LOGIN, PROXY, START, Lab
from journaling import HOUR_MS, Desk
from redis.asyncio import Redis

sys.path.append(str(Path(__file__).resolve().parents[1] / "detectors"))

from key_samples import SAMPLES

from actions.audit import Actor
from actions.investigations.dossiers import LARGEST_BYTES, encoded
from actions.investigations.investigation import EventSummary, Subject
from actions.investigations.page import markdown_of
from app.event_history import Budget, JournalHistory
from app.event_search import needles as looked_for
from detectors.addresses import Networks

ATTACKER = "203.0.113.9"
ALICE = Actor("alice", "responder")


def failures(count: int, user: str = "alice", address: str = ATTACKER) -> list[dict[str, Any]]:
    return [{**LOGIN, "client_ip": address, "user": user, "status": 401} for _ in range(count)]


def entered(user: str = "alice", address: str = ATTACKER) -> dict[str, Any]:
    return {**LOGIN, "client_ip": address, "user": user, "status": 302, "bytes": 250}


def others(count: int = 30) -> list[dict[str, Any]]:
    """Ordinary users, each from their own address."""
    return [
        {"client_ip": f"198.51.100.{n}", "user": f"u{n}", "path": f"/api/v1/posts/{n}", "status": 200}
        for n in range(count)
    ]


async def test_an_attacker_who_got_in_at_last_is_told_with_account_time_and_failures(
    tmp_path: Path, redis: Redis
) -> None:
    lab = Lab(tmp_path, redis)
    await lab.take(*others(), *failures(14))
    await lab.take(
        entered(), {"client_ip": ATTACKER, "path": "/api/v1/export", "status": 200, "bytes": 9_000}
    )
    [dossier, breach] = await lab.investigated()
    summary = dossier.events
    assert summary is not None and dossier.subject == ATTACKER
    assert (summary.source, summary.events, summary.bytes) == ("journal", 16, 9_250)
    assert (summary.login_failures, summary.login_successes) == (14, 1)
    [account] = summary.accounts
    assert (account.value, account.failures, account.successes) == ("alice", 14, 1)
    assert (account.failures_before_success, account.success_at) == (14, START + 44_000)
    first = dossier.steps[0]
    assert (first.id, first.urgent, first.runbook) == ("reset_account", True, "rules.md#security_breach")
    assert first.text == (
        "account alice logged in successfully from this address at 2027-01-15T08:00:44.000Z after 14 failures: "
        "reset its password and end its sessions, then look at what it did since"
    )
    assert "no_more" not in {step.id for step in dossier.steps}
    assert "review_block" in {step.id for step in dossier.steps}
    assert [n.sign for n in summary.notable] == ["first_event", "login_after_failures", "last_event"]
    assert [(m.path, m.status, m.count) for m in summary.minutes][:1] == [("/login", 401, 14)]
    assert (breach.rule, breach.steps[0].text) == ("security_breach", first.text)
    entries, _ = await lab.world.timeline.page(dossier.incident_id)
    assert entries[-1].kind == "evidence_added" and first.text in entries[-1].text
    page = markdown_of(dossier)
    assert "**Urgent:** account alice logged in" in page and "### Minute by minute" in page


async def test_where_nothing_succeeded_it_says_so(tmp_path: Path, redis: Redis) -> None:
    lab = Lab(tmp_path, redis)
    for _ in range(24 * 60 + 5):  # a day with a mark every minute
        lab.desk.writer.flush()
        lab.clock.now += 60_000
    await lab.take(*failures(12))
    [dossier] = await lab.investigated()
    assert dossier.events is not None and dossier.events.is_whole
    assert dossier.steps[-1].text == "nothing succeeded: no further action beyond the block"
    assert "read_logs" not in {step.id for step in dossier.steps}


async def test_of_a_young_journal_it_says_what_is_not_covered(tmp_path: Path, redis: Redis) -> None:
    lab = Lab(tmp_path, redis)
    await lab.take(*failures(12))
    [dossier] = await lab.investigated()
    assert dossier.events is not None
    assert dossier.events.missing_ms > 23 * HOUR_MS
    assert dossier.steps[-1].text.startswith("nothing succeeded, as far as is known")
    assert "read_logs" in {step.id for step in dossier.steps}


async def asked(lab: Lab, *subjects: tuple[str, str]) -> list[EventSummary]:
    wanted = [Subject(kind, value) for kind, value in subjects]
    return list(await lab.history.about(wanted, lab.clock.now - 24 * HOUR_MS, lab.clock.now))


async def test_an_account_shows_where_it_was_entered_from(tmp_path: Path, redis: Redis) -> None:
    lab = Lab(tmp_path, redis)
    await lab.take(entered(address="192.0.2.1"), *failures(5), *failures(4, "bob"), entered())
    actions = lab.world
    found = await actions.investigations.ask(Subject("user", "alice"), ALICE)
    await lab.investigated()
    dossier = (await actions.investigations.find(found.id)).dossier
    assert dossier is not None and dossier.events is not None
    by_address = {one.value: one for one in dossier.events.addresses}
    assert by_address.keys() == {"192.0.2.1", ATTACKER}
    assert by_address[ATTACKER].failures_before_success == 5
    assert [step.id for step in dossier.steps if step.urgent] == ["reset_account"]
    assert dossier.steps[0].text.startswith(f"{ATTACKER} logged in as alice at ")


async def test_a_leaked_key_shows_who_used_it_by_its_fingerprint(tmp_path: Path, redis: Redis) -> None:
    lab = Lab(tmp_path, redis)
    secret = SAMPLES["github_token"].secret
    use = {"path": "/api/v1/posts", "query": f"token={secret}", "status": 200}
    await lab.take(*({**use, "client_ip": f"192.0.2.{n}"} for n in range(3)), *others())
    dossiers = await lab.investigated()
    [leaked] = [one for one in dossiers if one.rule == "api_key_exposure"]
    assert leaked.subject_kind == "key" and leaked.subject.startswith("github_token:v1:")
    assert leaked.events is not None and leaked.events.events == 3
    assert [(k.value, k.successes) for k in leaked.events.keys] == [(leaked.subject, 3)]
    assert {one.value for one in leaked.events.addresses} == {"192.0.2.0", "192.0.2.1", "192.0.2.2"}
    assert any(step.id == "revoke_key" and "accepted 3 times, from 3" in step.text for step in leaked.steps)
    stored = b"".join([encoded(one) for one in dossiers] + [markdown_of(one).encode() for one in dossiers])
    assert secret.encode() not in stored and secret[-12:].encode() not in stored


@pytest.mark.parametrize(
    ("subject", "event"),
    [
        (("ip", ATTACKER), {"client_ip": f"::ffff:{ATTACKER}"}),
        (("ip", ATTACKER), {"client_ip": "::ffff:cb00:7109"}),
        (("ip", ATTACKER), {"client_ip": f"{ATTACKER}:443"}),
        (("ip", ATTACKER), {"client_ip": PROXY, "forwarded_for": f"198.51.100.7, {ATTACKER}"}),
        (("ip", "2001:db8:1:2::/64"), {"client_ip": "2001:0DB8:0001:0002::5"}),
        (("ip", "2001:db8::/64"), {"client_ip": "[2001:db8::1]:443"}),
        (("user", "alice"), {"user": "alice"}),
        (("user", "Ann O'Hara & <co>"), {"user": "Ann O'Hara & <co>"}),
        (("user", "j\u00fcrgen"), {"user": "j\u00fcrgen"}),
        (("user", "\u5f20\u4f1f"), {"user": "\u5f20\u4f1f"}),
        (("key", "key-1"), {"api_key_id": "key-1"}),
        (("host", "api.example.org"), {"host": "api.example.org"}),
        (("host", "*"), {"path": "/x"}),
    ],
)
async def test_events_are_found_however_the_log_spells_the_subject(
    tmp_path: Path, redis: Redis, subject: tuple[str, str], event: dict[str, Any]
) -> None:
    lab = Lab(tmp_path, redis)
    noise = {"client_ip": "192.0.2.77", "user": "zoe", "host": "other", "api_key_id": "k2", "path": "/y"}
    await lab.take(noise, {"status": 200, **event}, noise)
    [summary] = await asked(lab, subject)
    assert summary.events == 1


async def test_who_is_named_elsewhere_in_a_record_did_not_do_it(tmp_path: Path, redis: Redis) -> None:
    lab = Lab(tmp_path, redis)
    other = {"client_ip": "192.0.2.77", "path": f"/{ATTACKER}", "user_agent": "alice", "status": 200}
    forged = {**other, "forwarded_for": ATTACKER}
    await lab.take(other, forged)
    assert [s.events for s in await asked(lab, ("ip", ATTACKER), ("user", "alice"))] == [0, 0]


async def test_one_pass_serves_all_who_wait_and_reads_every_process(tmp_path: Path, redis: Redis) -> None:
    lab, second = Lab(tmp_path, redis), Desk(tmp_path, size_bytes=2**26, slot=1)
    await lab.take(*(one for n in range(8) for one in failures(12, f"u{n}", f"192.0.2.{n}")), every_ms=400)
    second.clock.now = lab.clock.now
    second.write(json.dumps({**entered("u3", "192.0.2.3"), "timestamp": lab.clock.now}).encode())
    read: list[int] = []
    real = lab.history._read
    lab.history._read = lambda subjects, *rest: read.append(len(subjects)) or real(subjects, *rest)  # type: ignore[method-assign,func-returns-value]
    dossiers = await lab.investigated()
    assert read == [8]
    let_in = {d.subject: d.events.login_successes for d in dossiers if d.events}
    assert let_in == {f"192.0.2.{n}": int(n == 3) for n in range(8)}


async def test_a_shared_address_is_not_to_be_blocked(tmp_path: Path, redis: Redis) -> None:
    lab = Lab(tmp_path, redis)
    await lab.take(*(entered(f"u{n}") for n in range(6)), *failures(12, "mallory"), *(entered("u7"),))
    [dossier] = await lab.investigated()
    assert dossier.shared_users == 7
    texts = [step.text for step in dossier.steps]
    assert any("shared by 7 users" in text and "do not block it" in text for text in texts)
    assert not [step for step in dossier.steps if step.id == "reset_account"]


async def test_a_pass_that_is_cut_says_so_and_has_the_newest_hours(tmp_path: Path, redis: Redis) -> None:
    worked = iter(range(1_000))
    lab = Lab(tmp_path, redis, budget=Budget(cpu_s=2), cpu=lambda: next(worked))
    for _ in range(4):
        await lab.take(*failures(2, "old"))
        lab.clock.now += HOUR_MS
    await lab.take(*failures(3, "new"))
    [summary] = await asked(lab, ("ip", ATTACKER))
    assert summary.cut == "reading was cut after 2 s of work"
    assert "new" in {one.value for one in summary.accounts} and 3 <= summary.events < 11
    assert summary.complete_since_at > START
    assert not summary.is_whole


async def test_a_journal_that_cannot_be_read_is_said_and_the_evidence_stands_in(
    tmp_path: Path, redis: Redis
) -> None:
    lab = Lab(tmp_path, redis)
    await lab.take(*failures(12))
    for file in lab.desk.files():
        file.write_bytes(b"no frame at all")
    [dossier] = await lab.investigated()
    assert dossier.events is not None
    assert (dossier.events.source, dossier.events.login_failures) == ("evidence", 10)
    assert dossier.events.cut.startswith("the journal holds no event of it")


HOSTILE = "<img src=x onerror=alert(1)>|](javascript:alert(2))`\n# http://evil.example www.evil.example\u202e"


async def test_hostile_texts_stay_text_and_a_dossier_stays_small(tmp_path: Path, redis: Redis) -> None:
    lab = Lab(tmp_path, redis)
    events = [
        {
            "client_ip": ATTACKER, "method": HOSTILE, "path": f"/{n}{HOSTILE * 20}", "user": f"{n}{HOSTILE * 9}",
            "user_agent": f"{HOSTILE * 40}{n}", "status": 401, "host": HOSTILE, "bytes": 2**62,
        }
        for n in range(3_000)
    ]  # fmt: skip
    await lab.take(*events, every_ms=50)
    [dossier] = [one for one in await lab.investigated() if one.rule == "auth_failures"]
    assert dossier.events is not None and dossier.events.events == 3_000
    assert len(encoded(dossier)) <= LARGEST_BYTES
    page = markdown_of(dossier)
    for mark in ("<img", "](javascript", "http://", "www.evil", "\u202e", "`"):
        assert mark not in page, mark
    for rows in page.split("\n\n"):
        lines = [line for line in rows.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1, "a cell that ends early"


async def test_a_flood_of_failures_hides_no_success(tmp_path: Path, redis: Redis) -> None:
    lab = Lab(tmp_path, redis)
    for turn in range(3):
        await lab.take(*(one for n in range(2_500) for one in failures(1, f"made-up-{turn}-{n}")), every_ms=1)
    await lab.take(*failures(4, "victim"), entered("victim"))
    await lab.take(*(one for n in range(2_500) for one in failures(1, f"more-{n}")), every_ms=1)
    [summary] = await asked(lab, ("ip", ATTACKER))
    assert [one.value for one in summary.accounts[:1]] == ["victim"]
    assert summary.accounts[0].failures_before_success == 4
    assert any(n.sign == "login_after_failures" and n.user == "victim" for n in summary.notable)


@pytest.mark.parametrize(
    ("subject", "needles"),
    [
        (("ip", "203.0.113.9"), (b"203.0.113.9", b"ffff:cb00:", b"ffff:cb00:")),
        (("ip", "10.0.0.1"), (b"10.0.0.1", b"ffff:a00:", b"ffff:0a00:")),
        (("ip", "2001:db8:1:2::/64"), (b"2001",)),
        (("user", "Alice"), (b"alice",)),
        (("user", "a"), ()),
        (("user", "\u5f20"), ()),
        (("host", "*"), ()),
    ],
)
def test_what_is_looked_for_first(subject: tuple[str, str], needles: tuple[bytes, ...]) -> None:
    assert looked_for(Subject(*subject)) == needles


async def test_a_folder_without_a_journal_says_nothing(tmp_path: Path, redis: Redis) -> None:
    lab = Lab(tmp_path, redis)
    lab.history = JournalHistory(tmp_path / "none", Networks())
    lab.history.take_engine(lab.engine, lab.site)
    [summary] = await asked(lab, ("ip", ATTACKER))
    assert (summary.events, summary.missing_ms) == (0, 24 * HOUR_MS)
