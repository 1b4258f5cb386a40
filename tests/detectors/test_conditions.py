"""Conditions: each comparison by itself, all of them against the obvious way, and their words."""

import time

import pytest
from condition_cases import cases, slowly
from hypothesis import given, settings

from detectors import condition_fields
from detectors.addresses import Networks
from detectors.condition_matching import LONGEST_REGEX_TEXT, Matcher, matcher_of
from detectors.condition_words import describe, first_match, why_not
from detectors.conditions import All, Any, Condition, Not, Op
from detectors.conditions import Test as Comparison
from detectors.errors import ConfigError
from detectors.event import Event

RECORD = b'{"status": 403, "note": "Out Of Cheese"}'
EVENT = Event(
    client_ip="203.0.113.9", method="GET", path="/Api/Export/%41?id=7", status=403, user="Alice",
    user_agent="curl/8", bytes=1500, duration_ms=12.5, outcome="failure",
)  # fmt: skip


def of(field: str, op: Op, *values: str | int | float | bool) -> Comparison:
    return Comparison(field, op, values)


HOLD = [
    of("user", Op.EQUALS, "aLICE"),
    of("user", Op.EQUALS, "bob", "alice"),
    of("path", Op.EQUALS, "/api/export/%41"),
    of("query", Op.EQUALS, "id=7"),
    of("target", Op.EQUALS, "/api/export/%41?id=7"),
    of("decoded_path", Op.EQUALS, "/api/export/a"),
    of("decoded_target", Op.ENDS, "a?id=7"),
    of("status", Op.EQUALS, 403),
    of("status", Op.EQUALS, "403"),
    of("duration_ms", Op.EQUALS, 12.5),
    of("path", Op.CONTAINS, "EXPORT"),
    of("path", Op.STARTS, "/api/"),
    of("path", Op.ENDS, "/%41"),
    of("status", Op.STARTS, "4"),
    of("ip", Op.EQUALS, "203.0.113.9"),
    of("ip", Op.CIDR, "198.51.100.0/24", "203.0.113.0/24"),
    of("client_ip", Op.CIDR, "203.0.113.9"),
    of("path", Op.REGEX, "^/Api/[A-Z]"),
    of("path", Op.REGEX, "nothing", "(?i)EXPORT"),
    of("bytes", Op.REGEX, "^15"),
    of("user", Op.EXISTS, True),
    of("host", Op.EXISTS, False),
    of("bytes", Op.GT, 1499),
    of("bytes", Op.GTE, 1500),
    of("bytes", Op.LT, 1501),
    of("bytes", Op.LTE, "1500"),
    of("duration_ms", Op.GT, 12.4),
    of("bytes", Op.GT, 9999, 5),
    of("record", Op.CONTAINS, "out of cheese"),
]
DO_NOT_HOLD = [
    of("user", Op.EQUALS, "ali"),
    of("user", Op.EQUALS),
    of("path", Op.CONTAINS, "import"),
    of("path", Op.STARTS, "export"),
    of("path", Op.ENDS, "id=7"),
    of("status", Op.EQUALS, 404),
    of("status", Op.EQUALS, True),
    of("status", Op.EQUALS, "forbidden"),
    of("ip", Op.CIDR, "2001:db8::/32"),
    of("user", Op.CIDR, "203.0.113.0/24"),
    of("path", Op.REGEX, "^/api/"),
    of("user", Op.EXISTS, False),
    of("host", Op.EXISTS, True),
    of("bytes", Op.GT, 1500),
    of("bytes", Op.GTE, 1501),
    of("bytes", Op.LT, 1500),
    of("bytes", Op.LTE, 1499),
    of("bytes", Op.GT, "many"),
    of("path", Op.GT, 1),
    of("record", Op.CONTAINS, "alice"),
]
# host, query and api_key_id are absent of an empty event, and so is every other field.
ABSENT = [test for test in HOLD if test.op is not Op.EXISTS and test.field != "record"]


@pytest.mark.parametrize("test", HOLD, ids=describe)
def test_a_comparison_that_is_true_holds_and_its_not_does_not(test: Comparison) -> None:
    assert matcher_of(test)(EVENT, RECORD)
    assert not matcher_of(Not(test))(EVENT, RECORD)


@pytest.mark.parametrize("test", DO_NOT_HOLD, ids=describe)
def test_a_comparison_that_is_false_or_of_the_wrong_type_does_not_hold(test: Comparison) -> None:
    assert not matcher_of(test)(EVENT, RECORD)
    assert matcher_of(Not(test))(EVENT, RECORD)


@pytest.mark.parametrize("nothing", [None, "", "-"])
@pytest.mark.parametrize("test", ABSENT, ids=describe)
def test_every_comparison_with_an_absent_field_is_false_and_its_not_true(
    test: Comparison, nothing: str | None
) -> None:
    texts = ("client_ip", "path", "user", "method", "query")
    event = Event(**dict.fromkeys(texts, nothing))
    assert not matcher_of(test)(event, b"{}")
    assert matcher_of(Not(test))(event, b"{}")


def test_the_address_is_the_clients_behind_the_trusted_proxies_in_one_spelling() -> None:
    event = Event(client_ip="10.0.0.1", forwarded_for="192.0.2.1, ::ffff:203.0.113.9")
    trusted = Networks(["10.0.0.0/8"])
    assert matcher_of(of("ip", Op.EQUALS, "203.0.113.9"), trusted)(event, b"")
    assert not matcher_of(of("ip", Op.EQUALS, "203.0.113.9"))(event, b"")
    assert matcher_of(of("ip", Op.EQUALS, "2001:DB8:0::1"))(Event(client_ip="[2001:db8::1]:443"), b"")


@settings(max_examples=500, deadline=None)
@given(cases())
def test_the_compiled_matcher_says_what_the_obvious_evaluator_says(
    case: tuple[Event, bytes, Condition],
) -> None:
    event, record, condition = case
    assert matcher_of(condition)(event, record) is slowly(condition, event, record)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_a_match_and_a_miss_are_both_put_in_words(case: tuple[Event, bytes, Condition]) -> None:
    event, record, condition = case
    words = first_match if matcher_of(condition)(event, record) else why_not
    assert words(condition, event, record)
    assert describe(condition)


def test_a_regex_reads_the_beginning_of_a_field_only_and_takes_hostile_text_in_linear_time() -> None:
    late = Event(path="/" + "a" * LONGEST_REGEX_TEXT + "b")
    assert not matcher_of(of("path", Op.REGEX, "b$"))(late, b"")
    assert not matcher_of(of("path", Op.REGEX, "^/(a|aa)+$"))(Event(path="/" + "a" * 4000 + "!"), b"")


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (of("path", Op.REGEX, "(a"), r"'\(a' is not a regular expression of RE2: missing \): \(a"),
        (of("path", Op.REGEX, "(?=a)"), "is not a regular expression of RE2"),
        (of("path", Op.REGEX, "((a{100}){100}){100}"), "is not a regular expression of RE2"),
        (of("pathh", Op.EQUALS, "a"), "unknown field 'pathh'"),
        (of("ip", Op.CIDR, "nowhere"), "'nowhere' is not an address or network"),
    ],
)
def test_a_condition_that_cannot_be_compiled_says_why(test: Comparison, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        matcher_of(test)


def test_conditions_are_described_with_brackets_where_they_would_be_misread() -> None:
    either = Any((of("path", Op.ENDS, "/login"), of("path", Op.REGEX, "^/v[0-9]")))
    whole = All(
        (either, Not(of("ip", Op.CIDR, "192.0.2.0/24")), of("bytes", Op.LT, 9), of("user", Op.EXISTS, True))
    )
    assert describe(whole) == (
        "(path ends with '/login' or path matches '^/v[0-9]') and not (ip lies in '192.0.2.0/24') and bytes is below 9 "
        "and user is present"
    )
    assert describe(of("status", Op.EQUALS, 401, 403, 429)) == "status is 401, 403 or 429"
    assert (
        describe(of("status", Op.EQUALS, *range(400, 410))) == "status is 400, 401, 402, 403, 404 or 5 more"
    )


def test_evidence_names_the_parts_that_matched() -> None:
    part = of("path", Op.CONTAINS, "export")
    assert first_match(part, Event(path="/export"), b"") == "path '/export' (contains 'export')"
    both = All(
        (Not(of("user", Op.EXISTS, True)), Any((of("status", Op.EQUALS, 500), of("status", Op.GT, 400))))
    )
    assert first_match(both, Event(status=403), b"") == "status 403 (gt 400)"
    assert first_match(Not(part), Event(path="/x"), b"") == "not (path contains 'export')"


def test_evidence_never_quotes_a_part_of_a_long_value_since_half_a_secret_could_not_be_masked() -> None:
    long = Event(path="/export?token=" + "s" * 200)
    assert first_match(of("target", Op.CONTAINS, "export"), long, b"") == "target (contains 'export')"


def test_a_miss_names_the_part_that_is_missing() -> None:
    both = All((of("path", Op.STARTS, "/Api"), of("status", Op.EQUALS, 200)))
    assert why_not(both, EVENT, RECORD) == "status is 403; wanted: status is 200"
    assert why_not(of("host", Op.EQUALS, "x"), EVENT, RECORD) == "host is absent; wanted: host is 'x'"
    assert (
        why_not(Not(of("user", Op.EQUALS, "alice")), EVENT, RECORD)
        == "user 'Alice'; wanted: not (user is 'alice')"
    )


@pytest.mark.parametrize(
    "text", ["a" * 65_000, "%41" * 21_000, "\u212a" * 21_000, "\u0130" * 32_000, "&#" * 32_000]
)
def test_a_hostile_field_costs_little(text: str) -> None:
    event, record = Event(path=text, message=text), text.encode()
    fields = ("path", "message", "record", "decoded_target")
    matchers = [matcher_of(of(f, Op.CONTAINS, "wordx")) for f in fields] + [
        matcher_of(of(f, Op.REGEX, "(a|aa)+[b-z]$")) for f in fields
    ]
    least_s = min(_cpu_s(matchers, event, record) for _ in range(5))
    assert least_s < 0.010


def _cpu_s(matchers: list[Matcher], event: Event, record: bytes) -> float:
    condition_fields._decode.cache_clear()
    start = time.process_time()
    assert not any([matches(event, record) for matches in matchers])  # noqa: C419 - each of them must run
    return time.process_time() - start
