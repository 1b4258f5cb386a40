"""Correlations: which windows count them, what is refused, and that they fire on a real Redis."""

import json
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sigma_writing import PLAIN, document, load, selection

from app.sigma.library import load_sigma
from detectors.engine import Engine
from detectors.event import Batch, Event
from detectors.finding import Action, Severity, SubjectKind
from detectors.rule import Kind, Rule
from detectors.timestamps import to_rfc3339
from detectors.windows import Windows

RULES = Path(__file__).resolve().parent / "rules"
T0 = 1_764_000_000_000
IP, OTHER = "203.0.113.9", "198.51.100.7"
A = document(selection(**{"cs-uri-stem": "/a"}), title="A", name="seen_a", id="id-a", level="low")
B = document(selection(**{"cs-uri-stem": "/b"}), title="B", name="seen_b", level="high")
C = document(selection(**{"cs-uri-stem": "/c"}), title="C", name="seen_c")


def correlation(
    kind: str, rules: object, condition: object = None, group_by: object = "c-ip", **more: object
):
    section = {
        "type": kind,
        "rules": rules,
        "group-by": group_by,
        "timespan": "5m",
        **more.pop("section", {}),
    }
    if condition is not None:
        section["condition"] = condition
    return {"title": "Together", "correlation": section, **more}


def one(tmp_path: Path, *documents: object) -> Rule:
    found = load(tmp_path, *documents)
    assert not found.refused, found.refused
    (rule,) = found.rules
    return rule


def test_event_count_counts_events(tmp_path):
    rule = one(tmp_path, A, correlation("event_count", ["seen_a"], {"gte": 7}, ["User", "c-ip"]))
    assert (rule.kind, rule.threshold, rule.window_ms) == (Kind.COUNT, 7, 300_000)
    assert rule.group_by == (SubjectKind.IP, SubjectKind.USER)
    assert rule.name == "sigma_together"


def test_more_than_n_is_at_least_one_more(tmp_path):
    assert one(tmp_path, A, correlation("event_count", "id-a", {"gt": 7})).threshold == 8


@pytest.mark.parametrize(
    ("field", "distinct", "distinct_field"),
    [
        ("cs-username", SubjectKind.USER, None),
        ("cs-uri-stem", None, "path"),
        ("cs-uri-query", None, "query"),
        ("sc-status", None, "status"),
        ("c-useragent", None, "user_agent"),
    ],
)
def test_value_count_counts_different_values(field, distinct, distinct_field, tmp_path):
    rule = one(tmp_path, A, correlation("value_count", ["seen_a"], {"gte": 3, "field": field}))
    assert (rule.kind, rule.distinct, rule.distinct_field) == (Kind.DISTINCT, distinct, distinct_field)


def test_temporal_counts_the_different_rules(tmp_path):
    rule = one(tmp_path, correlation("temporal", ["seen_a", "seen_b", "seen_a"]), A, B)
    assert (rule.kind, rule.threshold) == (Kind.DISTINCT, 2)
    assert [name for name, _ in rule.parts] == ["sigma_seen_a", "sigma_seen_b"]


def test_temporal_may_ask_for_fewer_rules_than_it_names(tmp_path):
    rule = one(tmp_path, A, B, C, correlation("temporal", ["seen_a", "seen_b", "seen_c"], {"gte": 2}))
    assert rule.threshold == 2


def test_a_correlation_is_as_bad_as_the_worst_of_its_rules_unless_it_says(tmp_path):
    assert one(tmp_path, A, B, correlation("temporal", ["seen_a", "seen_b"])).severity is Severity.HIGH
    assert one(tmp_path, C, correlation("event_count", ["seen_c"], {"gte": 2})).severity is Severity.MEDIUM
    stated = correlation("event_count", ["seen_c"], {"gte": 2}, level="critical")
    assert one(tmp_path, C, stated).severity is Severity.CRITICAL


def test_what_is_counted_by_user_is_not_blocked_but_told(tmp_path):
    plain = Rule("sigma", 1, 300_000, (Action.BLOCK_IP,), Severity.MEDIUM, is_own=True)
    load(
        tmp_path,
        B,
        correlation("event_count", ["seen_b"], {"gte": 2}, "User"),
        {**B, "name": "x", "title": "X"},
    )
    (place,) = tmp_path.iterdir()
    by_name = {rule.name: rule.actions for rule in load_sigma(place, plain).rules}
    assert by_name == {"sigma_together": (Action.ALERT_ADMIN,), "sigma_x": (Action.BLOCK_IP,)}


def test_rules_of_a_correlation_fire_by_themselves_only_where_it_says_so(tmp_path):
    silent = correlation("event_count", ["seen_a"], {"gte": 2})
    assert [r.name for r in load(tmp_path, A, silent).rules] == ["sigma_together"]
    loud = load(tmp_path, A, {**silent, "generate": True})
    assert [r.name for r in loud.rules] == ["sigma_seen_a", "sigma_together"]
    refused = load(tmp_path, A, B, correlation("event_count", ["seen_a"], {"lte": 2}))
    assert [r.name for r in refused.rules] == ["sigma_seen_b"]


def test_an_alias_may_stand_for_one_field_of_different_names(tmp_path):
    aliases = {"who": {"seen_a": "src_ip", "seen_b": "source.ip"}}
    rule = one(
        tmp_path,
        A,
        B,
        correlation("temporal", ["seen_a", "seen_b"], None, "who", section={"aliases": aliases}),
    )
    assert rule.group_by == (SubjectKind.IP,)


COUNT = {"gte": 2}
REFUSED = {
    "correlation type temporal_ordered: the order of the rules is not watched": correlation(
        "temporal_ordered", ["seen_a"]
    ),
    "correlation type value_sum": correlation("value_sum", ["seen_a"], {"field": "sc-bytes", "gt": 1}),
    "correlation type value_avg": correlation("value_avg", ["seen_a"], {"field": "sc-bytes", "gt": 1}),
    "correlation type value_percentile": correlation("value_percentile", ["seen_a"], {"field": "x", "gt": 1}),
    "correlation type 'magic' is none of": correlation("magic", ["seen_a"], COUNT),
    "condition lt: what stays below a limit is known only once its time is over": correlation(
        "event_count", ["seen_a"], {"lt": 2}
    ),
    "condition lte:": correlation("event_count", ["seen_a"], {"gte": 2, "lte": 5}),
    "condition eq:": correlation("event_count", ["seen_a"], {"eq": 2}),
    "condition neq:": correlation("event_count", ["seen_a"], {"neq": 2}),
    "condition needs gte or gt, one of them": correlation("event_count", ["seen_a"], {"gte": 2, "gt": 5}),
    "condition is not a limit such as gte: 10": correlation("event_count", ["seen_a"], "seen_a and seen_b"),
    "condition gte: 'two' is not a number from 1 to 10,000": correlation(
        "event_count", ["seen_a"], {"gte": "two"}
    ),
    "condition gt: 10000 is not a number": correlation("event_count", ["seen_a"], {"gt": 10_000}),
    "group-by 'ComputerName': Bartizan counts for an ip, user, key or host": correlation(
        "event_count", ["seen_a"], COUNT, ["ComputerName"]
    ),
    "it has no group-by": correlation("event_count", ["seen_a"], COUNT, None),
    "timespan '5 minutes' is not a number with s, m, h or d": correlation(
        "event_count", ["seen_a"], COUNT, section={"timespan": "5 minutes"}
    ),
    "timespan 90d is not between 1s and 30d": correlation(
        "event_count", ["seen_a"], COUNT, section={"timespan": "90d"}
    ),
    "value_count needs one field in its condition": correlation("value_count", ["seen_a"], COUNT),
    "field 'c-ip' is what it is grouped by": correlation(
        "value_count", ["seen_a"], {**COUNT, "field": "c-ip"}
    ),
    "field 'EventID': the events have no such field": correlation(
        "value_count", ["seen_a"], {**COUNT, "field": "EventID"}
    ),
    "it refers to 'nowhere', which is not in the folder": correlation("event_count", ["nowhere"], COUNT),
    "it refers to 'wrong', which was refused": correlation("event_count", ["wrong"], COUNT),
    "it refers to 'chained', which is a correlation": correlation("event_count", ["chained"], COUNT),
    "correlation needs 1 to 100 rules by id or name": correlation("event_count", [], COUNT),
    "it asks for 3 different rules of 2": correlation("temporal", ["seen_a", "seen_b"], {"gte": 3}),
    "alias 'who' means different things in different rules": correlation(
        "temporal",
        ["seen_a", "seen_b"],
        None,
        "who",
        section={"aliases": {"who": {"seen_a": "src_ip", "seen_b": "user"}}},
    ),
    "alias 'who' names no field for each of the rules": correlation(
        "temporal", ["seen_a", "seen_b"], None, "who", section={"aliases": {"who": {"seen_a": "src_ip"}}}
    ),
    "correlation is not a mapping": {"title": "x", "correlation": ["seen_a"]},
}


@pytest.mark.parametrize(("reason", "content"), REFUSED.items(), ids=REFUSED.keys())
def test_a_correlation_is_refused_because(reason, content, tmp_path):
    wrong = document(selection(**{"cs-cookie": "a"}), title="Wrong", name="wrong")
    chained = correlation("event_count", ["seen_c"], COUNT, name="chained", title="Chained")
    found = load(tmp_path, A, B, C, wrong, chained, content)
    assert any(reason in refused.reason for refused in found.refused), found.refused
    assert "sigma_together" not in [rule.name for rule in found.rules]


async def findings(redis: Redis, rules: tuple[Rule, ...], events: list[Event]) -> list[tuple[str, str, int]]:
    """Rule, subject and minute of each finding of these events, one a minute, in one batch on a real engine."""
    for number, event in enumerate(events):
        event.timestamp = to_rfc3339(T0 + number * 60_000)
    records = [json.dumps({f: getattr(e, f) for f in e.__struct_fields__}).encode() for e in events]
    engine = Engine(rules, Windows(redis), fingerprint_key=b"k" * 32)
    done = await engine.process(Batch(events, records, T0 + 3_600_000, "test", None))
    return [(c.group.rule.name, c.group.subject, (c.at - T0) // 60_000) for c in done.crossed]


def web(path: str, ip: str = IP, **more: object) -> Event:
    return Event(client_ip=ip, method="GET", path=path, status=200, **more)


async def test_a_rule_fires_at_its_first_event(redis):
    rules = load_sigma(RULES, PLAIN).rules
    events = [web("/"), web("/backup.sql"), web("/x?q=%24%7btests%3A1"), web("/backup/")]
    assert await findings(redis, rules, events) == [
        ("sigma_backup_archive_fetched_from_the_web_root", IP, 1),
        ("sigma_lookup_expression", IP, 2),
    ]


async def test_failed_logins_fire_when_they_are_more_than_four_and_when_three_accounts_were_tried(redis):
    rules = load_sigma(RULES, PLAIN).rules
    events = [
        Event(client_ip=IP, user=name, outcome="failure")
        for name in ("ann", "ann", "bob", "ann", "cy", "ann")
    ]
    events.insert(1, Event(client_ip=OTHER, user="dan", outcome="failure"))
    events.insert(2, Event(client_ip=IP, user="eve", outcome="success"))
    assert await findings(redis, rules, events) == [
        ("sigma_many_failed_logins", IP, 6),
        ("sigma_many_accounts_tried", IP, 6),
    ]


async def test_temporal_fires_when_all_rules_were_met_within_its_time(redis, tmp_path):
    rules = load(tmp_path, A, B, C, correlation("temporal", ["seen_a", "seen_b", "seen_c"])).rules
    paths = ["/a", "/b", "/a", "/b", "/x", "/x", "/c", "/a"]
    assert await findings(redis, rules, [web(path) for path in paths]) == [("sigma_together", IP, 6)]


async def test_temporal_does_not_fire_when_one_rule_was_met_too_early_or_by_another(redis, tmp_path):
    rules = load(tmp_path, A, B, correlation("temporal", ["seen_a", "seen_b"])).rules
    events = [web("/a"), *[web("/x")] * 4, web("/b"), web("/b", OTHER)]
    assert await findings(redis, rules, events) == []


async def test_one_event_may_meet_several_rules_of_a_correlation(redis, tmp_path):
    both = document(selection(**{"cs-method": "GET"}), title="D", name="seen_d")
    rules = load(tmp_path, A, both, correlation("temporal", ["seen_a", "seen_d"])).rules
    assert await findings(redis, rules, [web("/x"), web("/y"), web("/a", OTHER)]) == [
        ("sigma_together", OTHER, 2)
    ]
