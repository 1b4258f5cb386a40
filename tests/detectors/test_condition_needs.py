"""What a condition needs: no event that meets it is passed over, and few others are looked at."""

from types import SimpleNamespace

import msgspec
import pytest
from condition_cases import cases, conditions_near, seen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ingest.decode import decode_lines
from detectors.addresses import Networks
from detectors.condition_matching import matcher_of
from detectors.condition_needs import ANYTHING, NOTHING, Needs, needs_of
from detectors.conditions import All, Any, Condition, Not, Op
from detectors.conditions import Test as Comparison
from detectors.detector import Detector, Look
from detectors.engine import Engine
from detectors.event import Batch, Event
from detectors.event_texts import MOST_REGEXES, EventTexts
from detectors.finding import Action, Severity
from detectors.own_rules import MOST_LITERALS, OwnRules, tags_for, wanted_by
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
    wanted = wanted_by([rule])
    detector = OwnRules(wanted, SimpleNamespace(trusted=Networks()))  # type: ignore[arg-type]
    hits = Scanner((), tags_for(wanted)).scan([record]).get(0, [])
    return wants(detector, event, list(hits))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_every_event_that_meets_a_condition_is_looked_at(case: tuple[Event, bytes, Condition]) -> None:
    event, record, condition = case
    if matcher_of(condition)(event, record):
        assert is_looked_at(condition, event, record), needs_of(condition)
        assert EventTexts([condition]).may_meet(event, record) == [0]


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
    assert EventTexts([condition]).may_meet(event, record) == [0]


OF_EVERY_SORT = (
    of("path", Op.CONTAINS, "/export"), of("target", Op.STARTS, "/Report"), of("decoded_target", Op.ENDS, "?Q=1"),
    of("decoded_path", Op.EQUALS, "/a/b"), of("user_agent", Op.EXISTS, False), Not(of("user", Op.EXISTS, True)),
    of("user_agent", Op.EQUALS, "\u03a3\u0391\u03a3"), of("user_agent", Op.REGEX, "(?i)kelvin"),
    of("path", Op.REGEX, "^/x[0-9]+$"),
    of("record", Op.REGEX, "zzz+y"), of("record", Op.CONTAINS, "Out Of Cheese"), of("path", Op.REGEX, "[0-9]{7}"),
    of("status", Op.EQUALS, 418), of("outcome", Op.EQUALS, "failure"), of("api_key_id", Op.REGEX, "^k"),
    of("user_agent", Op.CONTAINS, "x" * 1000), of("user_agent", Op.ENDS, "y" * 1000), of("user", Op.CONTAINS, ""),
    of("query", Op.EQUALS, "user=bob&page=2"),
)  # fmt: skip
OF_EACH = (
    Event(path="/my/EXPORT/7"), Event(path="/report", query="x=1"), Event(path="/z?q=1"), Event(path="/A/./%62"),
    Event(user_agent="-"), Event(user="", user_agent="x"), Event(user_agent="\u03c3\u03b1\u03c2"),
    Event(user_agent="0 \u212aelvin"), Event(path="/x123"), Event(message="zzzzy"), Event(message="out of cheese"),
    Event(path="/1234567"), Event(status=418), Event(outcome="failure"), Event(api_key_id="key"),
    Event(user_agent="X" * 1000), Event(user_agent="Y" * 1001), Event(user="anybody"),
    Event(path="/x?user=bob&page=2"),
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(OF_EACH)))
def test_the_texts_of_an_event_name_every_rule_that_it_meets(number: int) -> None:
    event = OF_EACH[number]
    record = (event.message or "").encode()
    met = [n for n, condition in enumerate(OF_EVERY_SORT) if matcher_of(condition)(event, record)]
    assert number in met
    assert set(met) <= set(EventTexts(OF_EVERY_SORT).may_meet(event, record))


def test_the_texts_of_an_ordinary_event_name_no_rule_about_other_things() -> None:
    event = Event(path="/a?b=1&c=%20", method="GET", user_agent="Mozilla/5.0", user="alice", status=200)
    record = b'"GET /a?b=1&c=%20 HTTP/1.1" 200 "Mozilla/5.0"'
    looked_for = [
        of("target", Op.CONTAINS, "='1"), All((of("method", Op.EQUALS, "GET"), of("path", Op.ENDS, "/b"))),
        of("user_agent", Op.EQUALS, "Mozilla/4.0"), of("user_agent", Op.EXISTS, False),
        of("path", Op.REGEX, "e{2}xport"),
    ]  # fmt: skip
    assert EventTexts(looked_for).may_meet(event, record) == []


def test_rules_with_too_many_regexes_are_asked_about_every_event() -> None:
    conditions = [of("path", Op.REGEX, f"word{number}") for number in range(MOST_REGEXES + 2)]
    assert EventTexts(conditions).may_meet(Event(path="/"), b"") == [MOST_REGEXES, MOST_REGEXES + 1]


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
        (Not(of("status", Op.EXISTS, False)), Needs(statuses=frozenset(range(100, 600)))),
        (Not(of("user", Op.EXISTS, True, False)), NOTHING),
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
    ids=lambda part: repr(part) if not isinstance(part, Needs) else "",  # a set has no order of its own
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


def test_rules_with_too_many_literals_or_common_ones_look_at_every_event() -> None:
    words = [f"word{number:05d}" for number in range(MOST_LITERALS + 1)]
    few, many = (
        rule_of("few", of("path", Op.CONTAINS, *words[1:])),
        rule_of("many", of("path", Op.CONTAINS, *words)),
    )
    assert not wanted_by([few]).needs.everything
    assert wanted_by([many]).needs == ANYTHING
    common = rule_of("common", of("user_agent", Op.CONTAINS, "Mozilla", "evilbot"))
    assert wanted_by([common]).needs == ANYTHING
    both = All((of("user_agent", Op.CONTAINS, "Mozilla"), of("path", Op.CONTAINS, "export")))
    assert needs_of(both).literals == {"export"}


def test_a_sequence_needs_what_either_part_needs() -> None:
    rule = rule_of("mine", of("status", Op.EQUALS, 401))
    rule = msgspec.structs.replace(rule, then=of("path", Op.CONTAINS, "export"))
    assert wanted_by([rule]).needs == Needs(frozenset({401}), frozenset({"export"}))


def test_own_rules_are_asked_together_and_each_speaks_for_itself() -> None:
    for number in (3, 30):
        rules = [rule_of(f"rule{n}", of("path", Op.CONTAINS, f"word{n}x")) for n in range(number)]
        together = OwnRules(wanted_by(rules), SimpleNamespace(trusted=Networks()))  # type: ignore[arg-type]
        verdicts = list(together.judge(Look(Event(path="/word1x/word2x"), b"", [])))
        assert [verdict.rule.name for verdict in verdicts] == ["rule1", "rule2"]
