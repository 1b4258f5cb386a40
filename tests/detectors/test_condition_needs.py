"""What a condition needs: no event that meets it is passed over, and few others are looked at."""

import random
from types import SimpleNamespace

import msgspec
import pytest
from condition_cases import cases, conditions_near, seen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ingest.decode import decode_lines
from detectors.addresses import Networks
from detectors.condition_matching import matcher_of
from detectors.condition_needs import ANYTHING, MOST_LITERALS, Needs, needs_of
from detectors.conditions import All, Any, Condition, Not, Op
from detectors.conditions import Test as Comparison
from detectors.detector import Detector
from detectors.engine import Engine
from detectors.event import Batch, Event
from detectors.finding import Action, Severity
from detectors.own_rule import MOST_LITERALS as MOST_LITERALS_OF_ALL
from detectors.own_rule import OwnRule, needs_of_rules, tags_for
from detectors.rule import Rule
from detectors.scanner import Scanner

T0 = 1_764_000_000_000


def rule_of(name: str, where: Condition) -> Rule:
    return Rule(name, 1, 60_000, (Action.ALERT_ADMIN,), Severity.LOW, is_own=True, where=where)


def of(field: str, op: Op, *values: str | float | bool) -> Comparison:
    return Comparison(field, op, values)


def wants(detector: Detector, event: Event, hits: list[object]) -> bool:
    """As the engine decides."""
    return (
        detector.everything
        or event.status in detector.statuses
        or (event.outcome is not None and detector.outcomes)
        or (event.api_key_id is not None and detector.keys)
        or not detector.tags.isdisjoint(str(hit) for hit in hits)
    )


def is_looked_at(condition: Condition, event: Event, record: bytes) -> bool:
    rule = rule_of("mine", condition)
    needs = needs_of_rules([rule])
    detector = OwnRule(rule, SimpleNamespace(trusted=Networks()), needs["mine"])  # type: ignore[arg-type]
    hits = Scanner((), tags_for(needs)).scan([record]).get(0, [])
    return wants(detector, event, list(hits))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_every_event_that_meets_a_condition_is_looked_at(case: tuple[Event, bytes, Condition]) -> None:
    event, record, condition = case
    if matcher_of(condition)(event, record):
        assert is_looked_at(condition, event, record), needs_of(condition)


DISGUISES = (
    rb'{"path": "/\u0065xport/x", "status": 200}', rb'{"path": "\/ex\/port\/..\/export", "status": 200}',
    rb'{"path": "/%65xport", "status": 200}', rb'{"path": "/%2565xport", "status": 200}',
    rb'{"path": "/%ef%bd%85xport", "status": 200}', '{"path": "/\uff45xport", "status": 200}'.encode(),
    rb'{"path": "/&#101;xport", "status": 200}', rb'{"path": "/\\u0065xport", "status": 200}',
    rb'{"path": "/\\x65xport", "status": 200}', rb'{"path": "/%c1%a5xport", "status": 200}',
    rb'{"path": "/%e0%81%a5xport", "status": 200}', rb'{"path": "/%u0065xport", "status": 200}',
    rb'{"path": "/%uff45xport", "status": 200}', rb'{"path": "/\x65xport", "status": 200}',
    rb'{"log": "{\"path\": \"\\/\\u0065xport\", \"status\": 200}"}',
    rb'203.0.113.9 - - [23/Nov/2026:10:00:00 +0000] "GET /%45xport HTTP/1.1" 200 5 "-" "-"',
    rb'203.0.113.9 - - [23/Nov/2026:10:00:00 +0000] "GET /\x65xport HTTP/1.1" 200 5 "-" "-"',
)  # fmt: skip


@pytest.mark.parametrize("record", DISGUISES, ids=repr)
def test_a_word_in_any_disguise_of_the_decoded_path_is_looked_at(record: bytes) -> None:
    decoded = decode_lines(record, "auto", T0)
    event, record = decoded.events[0], decoded.records[0]
    condition = of("decoded_path", Op.CONTAINS, "export")
    assert needs_of(condition).literals == {"export"}
    assert matcher_of(condition)(event, record), event.path
    assert is_looked_at(condition, event, record)


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_engine_passes_no_matching_event_over(data: st.DataObject) -> None:
    seens = data.draw(st.lists(seen(), min_size=40, max_size=40))
    conditions = [data.draw(conditions_near(event, record)) for event, record in seens]
    rules = [rule_of(f"rule_{number}", condition) for number, condition in enumerate(conditions)]
    engine = Engine(rules, None, fingerprint_key=b"k" * 16)  # type: ignore[arg-type]
    events, records = [event for event, _ in seens], [record for _, record in seens]
    batch = Batch(events, records, T0, "test")
    selected = engine._select(batch, engine.scanner.scan(records), 0)
    counted = {(found.verdict.rule.name, found.index) for found in selected}
    expected = {
        (rule.name, index)
        for rule, condition in zip(rules, conditions, strict=True)
        for index, (event, record) in enumerate(seens)
        if matcher_of(condition)(event, record)
    }
    assert counted == expected
    assert expected


@pytest.mark.parametrize(
    ("condition", "needs"),
    [
        (of("status", Op.EQUALS, 401, 403), Needs(statuses=frozenset({401, 403}))),
        (of("status", Op.GTE, 500), Needs(statuses=frozenset(range(500, 600)))),
        (of("status", Op.STARTS, "40"), Needs(statuses=frozenset(range(400, 410)))),
        (of("status", Op.EXISTS, False), ANYTHING),
        (of("path", Op.STARTS, "/api/export/"), Needs(literals=frozenset({"export"}))),
        (of("decoded_path", Op.ENDS, "/Admin.PHP"), Needs(literals=frozenset({"admin.php"}), is_decoded=True)),
        (of("user_agent", Op.CONTAINS, "evil bot", "sqlmap"), Needs(literals=frozenset({"evil", "sqlmap"}))),
        (of("user_agent", Op.CONTAINS, "sqlmap", "a b"), ANYTHING),
        (of("user", Op.EQUALS, "10000.0"), ANYTHING),
        (of("client_ip", Op.EQUALS, "203.0.113.9"), Needs(literals=frozenset({"203.0.113.9"}))),
        (of("ip", Op.EQUALS, "203.0.113.9"), ANYTHING),
        (of("ip", Op.CIDR, "203.0.113.0/24"), ANYTHING),
        (of("method", Op.EQUALS, "GET"), ANYTHING),
        (of("outcome", Op.EQUALS, "failure"), Needs(outcome=True)),
        (of("api_key_id", Op.EXISTS, True), Needs(key=True)),
        (of("api_key_id", Op.EQUALS, "key_12345"), Needs(literals=frozenset({"key_12345"}))),
        (of("api_key_id", Op.REGEX, "^a"), Needs(key=True)),
        (of("path", Op.CONTAINS, "\u212aelvin"), Needs(literals=frozenset({"elvin"}))),
        (Not(of("status", Op.EQUALS, 401)), ANYTHING),
        (Not(Not(of("status", Op.EQUALS, 401))), Needs(statuses=frozenset({401}))),
        (All(()), ANYTHING),
        (Any(()), Needs()),
    ],
    ids=repr,
)  # fmt: skip
def test_needs_are_as_narrow_as_they_can_be(condition: Condition, needs: Needs) -> None:
    assert needs_of(condition) == needs


def test_of_several_needs_the_cheapest_is_chosen_and_statuses_narrow_each_other() -> None:
    ok, export, anything = (
        of("status", Op.EQUALS, 200),
        of("path", Op.CONTAINS, "export"),
        of("bytes", Op.GT, 1),
    )
    assert needs_of(All((anything, ok, export))) == needs_of(export)
    assert needs_of(All((of("status", Op.EQUALS, 401), export))) == Needs(statuses=frozenset({401}))
    middle = All((of("status", Op.GTE, 400), of("status", Op.LT, 402)))
    assert needs_of(middle).statuses == {400, 401}
    assert needs_of(Any((ok, export))) == Needs(frozenset({200}), frozenset({"export"}))
    assert needs_of(Any((ok, anything))) == ANYTHING


def test_literals_are_bounded_for_a_rule_and_for_all_rules_together() -> None:
    words = [f"word{number:05d}" for number in range(MOST_LITERALS + 1)]
    assert needs_of(of("path", Op.CONTAINS, *words)) == ANYTHING
    rules = [
        rule_of(f"rule_{n}", of("path", Op.CONTAINS, *random.Random(n).sample(words, 250))) for n in range(10)
    ]
    needs = needs_of_rules(rules)
    assert sum(len(need.literals) for need in needs.values()) <= MOST_LITERALS_OF_ALL
    assert [need.everything for need in needs.values()] == [False] * 8 + [True] * 2


def test_a_sequence_needs_what_either_part_needs() -> None:
    rule = rule_of("mine", of("status", Op.EQUALS, 401))
    rule = msgspec.structs.replace(rule, then=of("path", Op.CONTAINS, "export"))
    assert needs_of_rules([rule])["mine"] == Needs(frozenset({401}), frozenset({"export"}))
