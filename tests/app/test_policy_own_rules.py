"""Rules of the operator's own in the policy: what loads, what each mistake is called, and their tests."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from app.policies.policy import Policy, load_policy
from app.policies.tests import check_examples, run_examples
from detectors.conditions import All, Any, Not, Op
from detectors.conditions import Test as Comparison
from detectors.errors import ConfigError
from detectors.finding import Action, Mode, Severity, SubjectKind
from detectors.rule import Kind, Rule

ROOT = Path(__file__).resolve().parents[2]

EXPORT = """\
rules:
  mass_export:
    title: Somebody exports the customer base
    where: {path: {starts: /api/export}, status: 200, method: [GET, POST]}
    group_by: user
    threshold: 20/5m
    action: [alert_admin]
    severity: high
    references: [T1190, API2:2023]
    tests:
      match:    [{path: /api/export/1, status: 200, method: GET, user: a}]
      no_match: [{path: /api/export/1, status: 403, method: GET, user: a}]
"""
PROBE = """\
rules:
  credential_probe:
    where:
      any: [{path: {ends: /login}}, {path: {regex: '^/v[0-9]+/token$'}}]
      not: {ip: {cidr: [192.0.2.0/24]}}
      bytes: {gt: 100, lt: 9000}
"""


def load(text: str) -> Policy:
    return load_policy(text, "policy.yaml")


def one(lines: str) -> Rule:
    """The own rule that these lines make."""
    return load("rules:\n  mine:\n" + "".join(f"    {line}\n" for line in lines.splitlines())).rules[0]


def where(text: str) -> object:
    return one(f"where: {text}").where


def test_a_rule_of_ones_own_is_taken_with_all_its_keys() -> None:
    policy = load(EXPORT)
    assert policy.rules == (
        Rule(
            "mass_export", 20, 300_000, (Action.ALERT_ADMIN,), Severity.HIGH, group_by=(SubjectKind.USER,),
            is_own=True, severity_stated=True, title="Somebody exports the customer base",
            references=("T1190", "API2:2023"),
            where=All((
                Comparison("path", Op.STARTS, ("/api/export",)),
                Comparison("status", Op.EQUALS, (200,)),
                Comparison("method", Op.EQUALS, ("GET", "POST")),
            )),
        ),
    )  # fmt: skip
    assert [(e.rule, e.line, e.should_match) for e in policy.examples] == [
        ("mass_export", 11, True),
        ("mass_export", 12, False),
    ]


def test_conditions_are_joined_by_any_all_and_not() -> None:
    assert load(PROBE).rules[0].where == All((
        Any((Comparison("path", Op.ENDS, ("/login",)), Comparison("path", Op.REGEX, ("^/v[0-9]+/token$",)))),
        Not(Comparison("ip", Op.CIDR, ("192.0.2.0/24",))),
        All((Comparison("bytes", Op.GT, (100,)), Comparison("bytes", Op.LT, (9000,)))),
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("{user: 123}", Comparison("user", Op.EQUALS, ("123",))),
        ("{user: no}", Comparison("user", Op.EQUALS, ("no",))),
        ("{user: {in: [a, b]}}", Comparison("user", Op.EQUALS, ("a", "b"))),
        ("{user: {exists: false}}", Comparison("user", Op.EXISTS, (False,))),
        ("{duration_ms: {gte: 1500.5}}", Comparison("duration_ms", Op.GTE, (1500.5,))),
        ("{status: {starts: 5}}", Comparison("status", Op.STARTS, ("5",))),
        ("{user_agent: [' bot ']}", Comparison("user_agent", Op.EQUALS, (" bot ",))),
        ("{ip: '2001:DB8:0::1'}", Comparison("ip", Op.EQUALS, ("2001:db8::1",))),
        ("{ip: {cidr: 192.0.2.7}}", Comparison("ip", Op.CIDR, ("192.0.2.7/32",))),
        ("{outcome: failure}", Comparison("outcome", Op.EQUALS, ("failure",))),
        ("{path: {not: /a}}", Not(Comparison("path", Op.EQUALS, ("/a",)))),
        ("{not: [{status: 401}, {user: a}]}",
         Not(Any((Comparison("status", Op.EQUALS, (401,)), Comparison("user", Op.EQUALS, ("a",)))))),
        ("{all: [{status: 401}, {user: a}]}",
         All((Comparison("status", Op.EQUALS, (401,)), Comparison("user", Op.EQUALS, ("a",))))),
    ],
)  # fmt: skip
def test_every_form_of_a_condition_is_read(text: str, condition: object) -> None:
    assert where(text) == condition


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("where: {status: 401}",
         {"threshold": 1, "window_ms": 60_000, "actions": (Action.ALERT_ADMIN,), "severity": Severity.MEDIUM,
          "group_by": (SubjectKind.IP,), "kind": Kind.COUNT}),
        ("where: {status: 401}\naction: block_ip\nmode: propose\nduration: 1h\nmax_duration: 2h",
         {"mode": Mode.PROPOSE, "duration_ms": 3_600_000, "max_duration_ms": 7_200_000}),
        ("where: {status: 401}\ndistinct: user\nthreshold: 5/1m",
         {"kind": Kind.DISTINCT, "distinct": SubjectKind.USER, "distinct_field": None}),
        ("where: {status: 404}\ndistinct: decoded_path\nthreshold: 5/1m",
         {"kind": Kind.DISTINCT, "distinct": None, "distinct_field": "decoded_path"}),
        ("sequence: [{status: 401}, {status: 200}]\nthreshold: 10/15m",
         {"kind": Kind.SEQUENCE, "where": Comparison("status", Op.EQUALS, (401,)),
          "then": Comparison("status", Op.EQUALS, (200,)), "threshold": 10}),
        ("where: {host: a}\nsequence: [{status: 401}, {status: 200}]",
         {"where": All((Comparison("host", Op.EQUALS, ("a",)), Comparison("status", Op.EQUALS, (401,)))),
          "then": All((Comparison("host", Op.EQUALS, ("a",)), Comparison("status", Op.EQUALS, (200,))))}),
    ],
)  # fmt: skip
def test_every_key_is_taken_and_what_is_not_said_has_a_default(
    lines: str, expected: dict[str, object]
) -> None:
    rule = one(lines)
    assert {name: getattr(rule, name) for name in expected} == expected


RULE_MISTAKES = [
    ("auth_failures: {where: {status: 1}}", 2, "rules.auth_failures: is a rule of Bartizan's own"),
    ("Mine: {where: {status: 401}}", 2, "rules.Mine: a name has 3 to 64 small letters"),
    ("ab: {where: {status: 401}}", 2, "rules.ab: a name has 3 to 64"),
    ("'a:b': {where: {status: 401}}", 2, "rules.a:b: a name has 3 to 64"),
    ("mine: 5", 2, "rules.mine: must be a mapping"),
    ("mine: {threshold: 3}", 2, "rules.mine: needs a where (or a sequence)"),
    ("mine:\n    wher: {status: 401}", 3, "rules.mine.wher: unknown key; did you mean where?"),
    ("mine: {where: {status: 401}}\n  mine: {where: {status: 402}}", 3, "rules.mine: stands here a second time"),
    ("mine:\n    where: {status: 401}\n    threshold: 10%", 4, "rules.mine.threshold: mine counts events"),
    ("mine:\n    where: {status: 401}\n    group_by: user\n    action: block_ip", 5,
     "block_ip blocks addresses, but this rule counts by user"),
    ("mine:\n    where: {status: 401}\n    distinct: usr", 4, "rules.mine.distinct: unknown field; did you mean user?"),
    ("mine:\n    where: {status: 401}\n    distinct: ip", 4, "distinct: ip is what it is grouped by"),
    ("mine:\n    where: {status: 401}\n    min_volume: 3", 4, "min_volume: unknown key"),
    ("mine:\n    sequence: [{status: 401}]", 3, "rules.mine.sequence: must be a list of two conditions"),
    ("mine:\n    sequence: {status: 401}", 3, "rules.mine.sequence: must be a list of two conditions"),
    ("mine:\n    sequence:\n    - status: 401\n    - stat: 200", 5, "rules.mine.sequence[1].stat: unknown field"),
    ("mine:\n    sequence: [{status: 401}, {status: 200}]\n    distinct: user", 4, "mine does not count values"),
    ("mine:\n    sequence: [{status: 401}, {status: 200}]\n    distinct: path", 4, "a sequence does not count values"),
    ("mine:\n    where: {status: 401}\n    references: [T1190, 'a b']", 4, "references[1]: 'a b' is not an id"),
    ("mine:\n    where: {status: 401}\n    references: [" + "T1, " * 21 + "]", 4, "has more than 20 entries"),
    ("mine:\n    where: {status: 401}\n    title: " + "a" * 201, 4, "title: must be one line of at most 200"),
    ("mine:\n    where: {status: 401}\n    tests: [1]", 4, "rules.mine.tests: must be a mapping"),
    ("mine:\n    where: {status: 401}\n    tests: {matches: []}", 4, "tests.matches: unknown key; did you mean"),
    ("mine:\n    where: {status: 401}\n    tests: {match: {status: 401}}", 4, "tests.match: must be a list of events"),
    ("mine:\n    where: {status: 401}\n    tests: {match: [{}]}", 4, "tests.match[0]: needs at least one field"),
    ("mine:\n    where: {status: 401}\n    tests: {match: [{stat: 1}]}", 4, "tests.match[0].stat: unknown key; did"),
    ("mine:\n    where: {status: 401}\n    tests: {match: [{path: [a]}]}", 4, "match[0].path: needs one value"),
    ("mine:\n    where: {status: 401}\n    tests: {match: [" + "{status: 1}, " * 101 + "]}", 4, "more than 100 events"),
]  # fmt: skip

WHERE_MISTAKES = [
    ("", "where: needs at least one condition"),
    ("{}", "where: needs at least one condition"),
    ("[{status: 1}]", "where: must be a mapping"),
    ("{pth: a}", "where.pth: unknown field; did you mean path?"),
    ("{country: DE}", "where.country: unknown field"),
    ("{path: {start: a}}", "where.path.start: unknown comparison; did you mean starts?"),
    ("{path: {}}", "where.path: needs a comparison"),
    ("{path: }", "where.path: needs a value; where the field must be missing, write exists: false"),
    ("{path: []}", "where.path: needs at least one value"),
    ("{path: ''}", "where.path: needs one value"),
    ("{path: [{a: b}]}", "where.path[0]: needs one value"),
    ("{path: a, path: b}", "where.path: stands here a second time"),
    ("{path: {gt: 5}}", "where.path.gt: path is no number; gt compares bytes, duration_ms, repeat, status"),
    ("{user: {cidr: 192.0.2.0/24}}", "where.user.cidr: user is no address; cidr compares client_ip, ip"),
    ("{ip: {cidr: [192.0.2.0/24, nowhere]}}", "where.ip.cidr[1]: 'nowhere' does not appear to be"),
    ("{ip: 192.0.2.0/24}", "where.ip: '192.0.2.0/24' is not an address; for a network write ip: {cidr: ...}"),
    ("{path: {regex: '(a'}}", "where.path.regex: '(a' is not a regular expression of RE2: missing )"),
    ("{path: {regex: '(?!a)'}}", "where.path.regex: '(?!a)' is not a regular expression of RE2"),
    ("{path: {exists: maybe}}", "where.path.exists: must be true or false"),
    ("{path: {exists: [true]}}", "where.path.exists: must be true or false"),
    ("{status: 2000}", "where.status: '2000' is not an HTTP status"),
    ("{status: ok}", "where.status: 'ok' is not a number"),
    ("{status: true}", "where.status: 'true' is not a number"),
    ("{bytes: {gt: 10k}}", "where.bytes.gt: '10k' is not a number"),
    ("{bytes: {gt: 99999999999999999}}", "where.bytes.gt: '99999999999999999' is not a number"),
    ("{outcome: failed}", "where.outcome: unknown 'failed'; choose from success, failure, unknown"),
    ("{any: {status: 401}}", "where.any: must be a list of conditions"),
    ("{any: []}", "where.any: needs at least one condition"),
    ("{any: [{}]}", "where.any[0]: needs at least one condition"),
    ("{not: 5}", "where.not: must be a list of conditions"),
    ("{not: {statu: 5}}", "where.not.statu: unknown field"),
    ("{path: " + "a" * 513 + "}", "where.path: is longer than 512 characters"),
    ("{not: " * 9 + "{status: 401}" + "}" * 9, "where: is nested deeper than 8 levels"),
    ("{path: " + "{not: " * 9 + "a" + "}" * 10, "where: is nested deeper than 8 levels"),
    ("{path: [" + "a, " * 257 + "]}", "where.path: has more than 256 values"),
    ("{any: [" + "{status: 401}, " * 129 + "]}", "where: has more than 128 comparisons"),
    ("{any: [" + f"{{path: [{'a, ' * 200}]}}, " * 11 + "]}", "where: has more than 2,048 values"),
    ("{path: {regex: [" + "a, " * 33 + "]}}", "where: has more than 32 regular expressions"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "line", "words"), RULE_MISTAKES)
def test_every_mistake_in_a_rule_names_its_key_and_line(body: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(f"rules:\n  {body}\n")
    assert str(raised.value).startswith(f"policy.yaml line {line}: rules.")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("text", "words"), WHERE_MISTAKES)
def test_every_mistake_in_a_condition_names_its_key_and_line(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(f"rules:\n  mine:\n    severity: low\n    where: {text}\n")
    assert str(raised.value).startswith("policy.yaml line 4: rules.mine.")
    assert words in str(raised.value)
    with pytest.raises(ConfigError) as raised:
        load(f"security_alerts:\n  auth_failures:\n    where: {text}\n")
    assert str(raised.value).startswith("policy.yaml line 3: security_alerts.auth_failures.")
    assert words in str(raised.value)


def test_rules_are_bounded_and_aliases_cannot_multiply_them() -> None:
    many = "".join(f"  rule_{n}: {{where: {{status: 401}}}}\n" for n in range(201))
    with pytest.raises(ConfigError, match="line 2: rules: has more than 200 rules"):
        load("rules:\n" + many)
    bomb = "rules:\n  aaa: {where: {any: &a [{status: 401}, {status: 403}]}}\n"
    names = "abcdefg"
    for before, now in pairwise(names):
        parts = ", ".join([f"{{any: *{before}}}"] * 9)
        bomb += f"  aa{now}: {{where: {{any: &{now} [{parts}]}}}}\n"
    with pytest.raises(ConfigError, match="has more than 128 comparisons"):
        load(bomb)
    regexes = "".join(f"  rule_{n}: {{where: {{path: {{regex: [{'a, ' * 32}]}}}}}}\n" for n in range(7))
    with pytest.raises(
        ConfigError, match="line 2: rules: has more than 200 regular expressions or 2,000 tests"
    ):
        load("rules:\n" + regexes)
    tests = "".join(
        f"  rule_{n}: {{where: {{status: 1{n:02}}}, tests: {{match: [{'{path: a}, ' * 100}]}}}}\n"
        for n in range(21)
    )
    with pytest.raises(ConfigError, match="or 2,000 tests in all"):
        load("rules:\n" + tests)
    with pytest.raises(ConfigError, match="nested deeper"):
        load("rules:\n  mine:\n    where: &a {any: [*a]}\n")


def test_a_built_in_rule_is_narrowed_and_one_that_counts_everything_says_why_not() -> None:
    rule = load("security_alerts: {auth_failures: {where: {host: api.example.org}}}\n").rules[0]
    assert (rule.where, rule.is_own) == (Comparison("host", Op.EQUALS, ("api.example.org",)), False)
    with pytest.raises(
        ConfigError, match=r"line 2: .*high_error_rate\.where: high_error_rate looks at all events"
    ):
        load("incident_detection:\n  high_error_rate: {where: {host: api.example.org}}\n")


# --- their tests -----------------------------------------------------------------------------------------


def test_examples_that_hold_pass() -> None:
    assert [(result.example, result.passed, result.why) for result in run_examples(load(EXPORT))] == [
        ("match[0]", True, ""),
        ("no_match[0]", True, ""),
    ]


def test_an_example_that_fails_names_its_rule_its_line_and_why() -> None:
    with pytest.raises(ConfigError) as raised:
        check_examples(load(EXPORT.replace("/1, status: 200, method: GET", "/1, status: 204, method: GET")))
    assert str(raised.value) == (
        "policy.yaml line 11: rules.mass_export.tests.match[0]: does not match: status is 204; wanted: status is 200"
    )
    with pytest.raises(ConfigError) as raised:
        check_examples(load(EXPORT.replace("status: 403", "status: 200")))
    assert str(raised.value) == (
        "policy.yaml line 12: rules.mass_export.tests.no_match[0]: matches, and must not: path '/api/export/1' "
        "(starts '/api/export'), status 200, method 'GET'"
    )


def test_an_example_that_the_service_would_not_read_is_told() -> None:
    text = (
        "rules: {mine: {where: {status: 401}, tests: {no_match: [{status: abc}, {client_ip: 192.0.2.1}]}}}\n"
    )
    first, second = run_examples(load(text))
    assert (first.passed, second.passed) == (False, True)
    assert "status: 'abc' is not what an event has there" in first.why


def test_an_example_is_decoded_as_the_service_decodes_it() -> None:
    text = """\
rules:
  mine:
    where: {user: root, outcome: failure}
    tests:
      match: [{message: 'Nov 20 10:00:01 host sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2'}]
  other:
    sequence: [{status: 401}, {ip: 2001:db8::1}]
    tests:
      match: [{status: 401}, {client_ip: '[2001:DB8::1]:443', status: 200}]
      no_match: [{status: 200}]
"""
    assert [result.why for result in run_examples(load(text))] == [""] * 4


def test_the_commented_example_of_the_shipped_policy_is_a_right_one() -> None:
    text = (ROOT / "policy.yaml").read_text()
    start = text.index("# rules:\n")
    block = text[start : text.index("\n\n", start)]
    results = check_examples(load(re.sub(r"(?m)^# ?", "", block) + "\n"))
    assert len(results) == 2


def test_every_rule_of_the_documentation_is_a_right_one() -> None:
    page = (ROOT / "docs" / "policy.md").read_text()
    blocks = [
        block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if block.startswith("rules:")
    ]
    assert blocks
    for block in blocks:
        check_examples(load(block))


def test_a_rule_may_not_be_named_like_the_memory_of_shared_addresses() -> None:
    with pytest.raises(ConfigError, match=r"policy.yaml line 2: rules.shared_address: .*choose another name"):
        load("rules:\n  shared_address:\n    where: {path: /a}\n")
