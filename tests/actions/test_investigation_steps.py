"""From facts to steps, as a table; and the sums that the facts are made of."""

from typing import Any

import msgspec
import pytest
from acting import HOUR, IP, MINUTE, NOON

from actions.blocks.block import AllowEntry
from actions.investigations.dossiers import Dossier, EarlierBlock
from actions.investigations.investigation import MINUTES_LISTED, AttackSeen, EventSummary, Notable, Tallied
from actions.investigations.neighbours import Alike, Neighbour
from actions.investigations.steps import next_steps, shared_by
from actions.investigations.tally import FOLDED, MOST_DISTINCT, Signs, Tally, of_evidence
from detectors.event import Event
from detectors.finding import Evidence

WHOLE = EventSummary(
    source="journal", since_at=NOON - 24 * HOUR, until_at=NOON, complete_since_at=NOON - 24 * HOUR
)
FAILED, IN, QUIET = Signs(failed=True), Signs(let_in=True), Signs()


def dossier(events: dict[str, Any] | None = None, **fields: Any) -> Dossier:
    known: dict[str, Any] = {
        "incident_id": "INC-2026-0001", "finding_id": "f", "made_at": NOON, "subject": IP, "subject_kind": "ip",
        "rule": "auth_failures", "evidence": (), "events": msgspec.structs.replace(WHOLE, **(events or {})),
    }  # fmt: skip
    return Dossier(**(known | fields))


def account(value: str = "alice", **fields: Any) -> Tallied:
    known: dict[str, Any] = {"events": 15, "first_at": NOON - MINUTE, "last_at": NOON}
    return Tallied(value, **(known | fields))


def a_block(status: str = "active", review: str = "unreviewed") -> EarlierBlock:
    return EarlierBlock("b1", "auth_failures", "why", status, 1, NOON, NOON + HOUR, "", review)


def let_in(failures: int, beside: int = 0) -> Tallied:
    return account(
        successes=1, failures=failures, failures_before_success=failures, failures_beside=beside or failures,
        success_at=NOON,
    )  # fmt: skip


USERS = tuple(account(f"u{n}", successes=3) for n in range(6))
TABLE: dict[str, tuple[Dossier, list[str], str]] = {
    "nothing succeeded": (
        dossier(earlier_blocks=(a_block("active", "approved"),)),
        ["no_more"],
        "nothing succeeded: no further action beyond the block",
    ),
    "not blocked": (
        dossier({"login_failures": 14}),
        ["block", "no_more"],
        "the address is not blocked: `bartizan blocks add 203.0.113.9 --reason ...`, if it goes on",
    ),
    "unreviewed": (dossier(earlier_blocks=(a_block(),)), ["review_block", "no_more"], "has not been reviewed"),
    "proposed": (
        dossier(earlier_blocks=(a_block("proposed"),)), ["review_block", "no_more"], "waits for approval",
    ),
    "a slip": (dossier({"accounts": (let_in(2),)}), ["no_more"], "nothing succeeded"),
    "got in": (
        dossier({"accounts": (let_in(3),)}, earlier_blocks=(a_block("active", "approved"),)),
        ["reset_account"],
        "account alice logged in successfully from this address at 2026-11-18T11:06:40.000Z after 3 failures: ",
    ),
    "got in, spraying": (
        dossier({"accounts": (let_in(0, 10),)}, earlier_blocks=(a_block("active", "approved"),)),
        ["reset_account"],
        "after 10 failures of others",
    ),
    "an account": (
        dossier({"addresses": (msgspec.structs.replace(let_in(7), value=IP),)}, subject="alice", subject_kind="user"),
        ["reset_account"],
        "203.0.113.9 logged in as alice at ",
    ),
    "secrets served": (
        dossier({
            "attacks": (AttackSeen("probe.dotenv", 2, 1, 1),),
            "notable": (Notable(NOON, "secret_served", path="/.env"),),
        }),
        ["rotate_secrets", "block"],
        "/.env was served with content: take it off the server now",
    ),
    "attacks answered": (
        dossier({"attacks": (AttackSeen("sqli.union", 9, 2, 0),)}),
        ["check_answers", "block"],
        "2 attacks were answered with 2xx, 3xx or 5xx (sqli.union)",
    ),
    "attacks refused": (dossier({"attacks": (AttackSeen("sqli.union", 9, 0, 0),)}), ["block", "no_more"], ""),
    "shared": (
        dossier({"accounts": USERS, "login_failures": 30}, earlier_blocks=(a_block(),)),
        ["keep_unblocked", "no_more"],
        "the address is shared by 6 users who logged in from it: do not block it, and lift the block",
    ),
    "allowlisted": (
        dossier(allowed_by=AllowEntry("203.0.113.0/24", "office", "ada", NOON)),
        ["keep_unblocked", "no_more"],
        "on the allowlist as 203.0.113.0/24 (office, by ada)",
    ),
    "a key in use": (
        dossier(
            {"keys": (account("k", successes=5),), "addresses": (account(IP),), "addresses_count": 1},
            subject="k", subject_kind="key", rule="api_key_exposure",
        ),
        ["revoke_key"],
        "the key k was accepted 5 times, from 1 addresses",
    ),
    "neighbours": (
        dossier(
            found_nearby=tuple(Neighbour(f"203.0.113.{n}", "r", NOON) for n in range(3)), vicinity="203.0.113.0/24",
            alike=tuple(Alike(f"192.0.2.{n}", "r", "INC", NOON, ()) for n in range(3)),
        ),
        ["watch_network", "watch_network", "no_more"],
        "3 others of 203.0.113.0/24",
    ),
    "evidence only": (
        dossier({"source": "evidence", "cut": "there is no journal"}), ["read_logs", "no_more"], "evidence only",
    ),
    "cut": (
        dossier({"cut": "reading was cut after 20 s of work", "missing_ms": 2 * HOUR, "dropped": 3}),
        ["read_logs", "no_more"],
        "(reading was cut after 20 s of work; no journal for 120 min of it; 3 events of anybody were not journaled)",
    ),
    "a first one": (dossier().__class__(
        incident_id="i", finding_id="f", made_at=NOON, subject=IP, evidence=()), [], ""),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_steps_follow_from_facts(name: str) -> None:
    found, ids, text = TABLE[name]
    steps = next_steps(found)
    assert [step.id for step in steps] == ids
    assert text in (" | ".join(step.text for step in steps))


def test_an_incident_says_first_what_harms() -> None:
    steps = next_steps(dossier({"accounts": (let_in(9),), "attacks": (AttackSeen("probe.dotenv", 2, 1, 1),)}))
    assert [(step.id, step.urgent) for step in steps] == [
        ("reset_account", True),
        ("rotate_secrets", True),
        ("block", True),
    ]
    assert {step.runbook for step in steps} == {"rules.md#security_breach", "rules.md#auth_failures"}


def test_many_accounts_are_counted() -> None:
    accounts = tuple(msgspec.structs.replace(let_in(9), value=f"u{n}") for n in range(30))
    steps = next_steps(dossier({"accounts": accounts}, earlier_blocks=(a_block("active", "approved"),)))
    assert len(steps) == 11 and steps[-1].text == "20 more got in likewise: see accounts and addresses"


def test_a_rule_of_ones_own_has_no_page_to_link() -> None:
    assert next_steps(dossier(rule="mine"))[0].runbook == ""


def test_five_users_without_failures_make_an_address_shared() -> None:
    assert shared_by(dossier({"accounts": USERS[:4]})) == 0
    assert shared_by(dossier({"accounts": USERS[:5]})) == 5
    assert shared_by(dossier({"accounts": USERS[:1]}, shared_users=40)) == 40


def summed(*taken: tuple[int, str, Event, Signs]) -> EventSummary:
    tally = Tally()
    for one in taken:
        tally.take(*one)
    return tally.summary(source="journal", since_at=0, until_at=NOON, complete_since_at=0)


def login(at: int, user: str, signs: Signs, address: str = IP) -> tuple[int, str, Event, Signs]:
    status = 302 if signs.let_in else 401
    return at, address, Event(method="POST", path="/login?a=b", status=status, user=user, bytes=100), signs


def test_events_in_any_order_are_told_in_order() -> None:
    taken = [login(NOON + n, "alice", IN if n == 5 else FAILED) for n in (7, 5, 3, 1, 4, 2)]
    summary = summed(*taken)
    [alice] = summary.accounts
    assert (alice.failures, alice.successes, alice.failures_before_success) == (5, 1, 4)
    assert (alice.success_at, alice.first_at, alice.last_at) == (NOON + 5, NOON + 1, NOON + 7)
    assert [(m.path, m.status, m.count, m.bytes) for m in summary.minutes] == [
        ("/login", 401, 5, 500),
        ("/login", 302, 1, 100),
    ]
    assert (summary.statuses, summary.bytes) == ((("401", 5), ("302", 1)), 600)
    assert [(n.sign, n.at - NOON) for n in summary.notable] == [
        ("first_event", 1),
        ("login_after_failures", 5),
        ("last_event", 7),
    ]


def test_a_success_ends_a_run_of_failures_and_the_worst_run_is_kept() -> None:
    signs = [FAILED] * 6 + [IN] + [FAILED] * 2 + [IN]
    [alice] = summed(*(login(NOON + n, "alice", s) for n, s in enumerate(signs))).accounts
    assert (alice.failures_before_success, alice.success_at) == (6, NOON + 6)


def test_a_first_guess_that_is_right_is_told_by_the_failures_beside_it() -> None:
    taken = [login(NOON + n, f"u{n}", FAILED) for n in range(12)]
    rows = summed(*taken, login(NOON + 20, "alice", IN)).accounts
    assert (rows[0].value, rows[0].failures_before_success, rows[0].failures_beside) == ("alice", 0, 12)


def test_repeats_count_and_sizes_that_are_none_do_not() -> None:
    event = Event(status=401, repeat=7, bytes=-5, user="a")
    summary = summed((NOON, IP, event, FAILED), (NOON, IP, Event(bytes=2**60, outcome="failure"), QUIET))
    assert (summary.events, summary.login_failures, summary.bytes) == (8, 7, 0)
    assert summary.statuses == (("401", 7), ("failure", 1))


def test_made_up_values_are_folded_past_the_bound() -> None:
    tally = Tally()
    for n in range(MOST_DISTINCT + 50):
        tally.take(NOON, IP, Event(path=f"/{n}", status=404, user=f"u{n}"), QUIET)
    summary = tally.summary(source="journal", since_at=0, until_at=NOON, complete_since_at=0)
    assert summary.paths_count == summary.accounts_count == MOST_DISTINCT + 1
    assert summary.paths[0].value == FOLDED and summary.paths[0].events == 50
    assert (len(summary.minutes), summary.minutes_left_out) == (
        MINUTES_LISTED,
        MOST_DISTINCT + 1 - MINUTES_LISTED,
    )


def test_attacks_are_told_with_their_answers() -> None:
    def attack(at: int, status: int, served: bool = False) -> tuple[int, str, Event, Signs]:
        signs = Signs(pattern="probe.dotenv", served=served)
        return at, IP, Event(path="/.env", status=status), signs

    summary = summed(
        attack(NOON, 404), attack(NOON + 1, 404), attack(NOON + 2, 200, served=True), attack(NOON + 3, 500)
    )
    assert summary.attacks == (AttackSeen("probe.dotenv", 4, 2, 1),)
    assert {n.sign for n in summary.notable} == {
        "first_event", "last_event", "attack", "attack_answered", "secret_served",
    }  # fmt: skip


def test_every_text_that_is_shown_is_masked_once_more() -> None:
    tally = Tally(lambda text: text.replace("s3cret", "[x]"))
    event = Event(
        method="s3cret", path="/s3cret", user="s3cret", user_agent="s3cret", api_key_id="s3cret", status=200
    )
    tally.take(NOON, "s3cret", event, Signs(let_in=True, pattern="probe.dotenv"))
    summary = tally.summary(source="journal", since_at=0, until_at=NOON, complete_since_at=0)
    assert b"s3cret" not in msgspec.json.encode(summary)


def test_evidence_says_what_it_can() -> None:
    evidence = [
        Evidence(NOON, NOON, "status 401 on /login for a", client_ip=IP, path="/login", status=401, user="a"),
        Evidence(NOON + 1, NOON, "login succeeded on /login for a", client_ip=IP, status=302, user="a"),
        Evidence(
            NOON + 2, NOON, "path: '/.env' was served with 99 bytes (probe.dotenv)", status=200, path="/.env"
        ),
        Evidence(NOON + 3, NOON, "status 403 on /users/{id} with id 9", status=403),
    ]
    summary = of_evidence([*evidence, evidence[0]]).summary(
        source="evidence", since_at=0, until_at=NOON, complete_since_at=0
    )
    assert (summary.events, summary.login_failures, summary.login_successes) == (4, 1, 1)
    assert summary.attacks == (AttackSeen("probe.dotenv", 1, 1, 1),)
