"""Why a finding was made: one sentence for people, whatever an attacker wrote into its parts."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.defaults import DEFAULTS
from detectors.finding import Action, Evidence, Finding, Mode, Severity, SubjectKind
from detectors.rule import Kind, Rule
from detectors.sentence import LONGEST, duration, phrase_of, why

T0 = 1_764_000_000_000
IP = "203.0.113.9"


def finding_of(rule: Rule, *, span_ms: int = 3_200, matched: str = "", **fields) -> Finding:
    found = Finding(
        id="0:1-0",
        rule=rule.name,
        subject=IP,
        subject_kind=rule.group_by[0],
        first_at=T0 - span_ms,
        at=T0,
        count=rule.threshold,
        threshold=rule.threshold,
        window_ms=rule.window_ms,
        severity=Severity.HIGH,
        actions=(),
        mode=Mode.ENFORCE,
        duration_ms=0,
        max_duration_ms=0,
        why="",
        phrase=phrase_of(rule),
        evidence=(Evidence(T0, T0, matched),) if matched else (),
    )
    return msgspec.structs.replace(found, **fields)


SENTENCES = {
    "auth_failures": (
        {"matched": "status 401 on /login"},
        f"{IP} failed to log in 10 times in 3.2 s (limit: 10 in 1 min); last: status 401 on /login",
    ),
    "rate_limit_violations": (
        {},
        f"{IP} was told to slow down 50 times in 3.2 s (limit: 50 in 1 min)",
    ),
    "api_key_exposure": (
        {"subject": "github_token:v1:abc", "span_ms": 0, "matched": "github_token in the URL"},
        "The credential github_token:v1:abc was written to a log once; last: github_token in the URL",
    ),
    "health_check_failure": (
        {"subject": "*", "span_ms": 600_000},
        "the service failed its health check 3 times in a row in 10 min (limit: 3 in 1 d)",
    ),
    "high_error_rate": (
        {"subject": "api.example.org", "span_ms": 290_000, "count": 168, "total": 1_200},
        "api.example.org answered 14 % of 1,200 requests with errors in 4 min 50 s (limit: 10 % in 5 min)",
    ),
    "credential_stuffing": (
        {"span_ms": 240_000},
        f"{IP} failed to log in as 10 different users in 4 min (limit: 10 in 5 min)",
    ),
    "distributed_brute_force": (
        {"subject": "alice", "count": 24, "span_ms": 5_000_000},
        "Logins to the account alice failed from 8 different addresses, 3 times over, in 1 h 23 min"
        " (limit: 8 in 30 min)",
    ),
    "token_cracking": ({}, f"{IP} tried 10 different keys that were refused in 3.2 s (limit: 10 in 5 min)"),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_a_sentence_says_who_did_what_how_often(name):
    fields, sentence = SENTENCES[name]
    assert why(finding_of(DEFAULTS[name], **fields)) == sentence


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_rule_has_a_sentence_without_an_empty_place(name):
    said = why(finding_of(DEFAULTS[name], total=100, matched="status 401"))
    assert "{" not in said and "  " not in said
    assert "met the rule" not in said


def test_what_the_policy_counts_instead_is_what_the_sentence_says():
    by_user = msgspec.structs.replace(
        DEFAULTS["auth_failures"],
        kind=Kind.DISTINCT,
        group_by=(SubjectKind.USER,),
        distinct=SubjectKind.IP,
    )
    said = why(finding_of(by_user, subject="alice"))
    assert said.startswith("alice failed to log in from 10 different addresses in 3.2 s")


def test_a_rule_of_ones_own_says_its_title_and_braces_in_it_are_no_places():
    own = Rule(
        "exports", 20, 60_000, (Action.ALERT_ADMIN,), Severity.LOW, is_own=True, title="downloads {count}"
    )
    assert why(finding_of(own)) == f"{IP}: downloads (count), 20 times in 3.2 s (limit: 20 in 1 min)"
    nameless = msgspec.structs.replace(own, title="")
    assert why(finding_of(nameless)).startswith(f"{IP} met the rule exports 20 times")


def test_a_finding_stored_before_there_were_phrases_has_a_sentence():
    said = why(finding_of(DEFAULTS["high_error_rate"], phrase=""))
    assert said.startswith(f"{IP} met the rule high_error_rate 10 times")


@given(st.text(max_size=400), st.text(max_size=400))
def test_whatever_stands_in_the_log_it_is_one_short_line(subject, matched):
    rule = DEFAULTS["distributed_brute_force"]
    said = why(finding_of(rule, subject=subject, matched=matched))
    assert len(said) <= LONGEST
    assert said.isprintable()


def test_places_in_an_attackers_text_stay_as_they_are():
    rule = DEFAULTS["distributed_brute_force"]
    said = why(finding_of(rule, subject="{count}{0.__class__}%s", matched="{subject}"))
    assert said.startswith("Logins to the account {count}{0.__class__}%s failed")
    assert said.endswith("; last: {subject}")


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "under 0.1 s"),
        (100, "0.1 s"),
        (59_940, "59.9 s"),
        (60_000, "1 min"),
        (64_700, "1 min 4 s"),
        (3_600_000, "1 h"),
        (3_601_000, "1 h"),
        (90_000_000, "1 d 1 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(ms, text):
    assert duration(ms) == text
