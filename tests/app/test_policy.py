"""The operator's file: what loads, and what each mistake is called."""

import os
from pathlib import Path

import pytest

from app.durations import format_duration, parse_duration, parse_rate
from app.policies.policy import INCIDENT_RULES, Policy, default_text, load_policy
from app.policies.store import PolicyStore
from detectors.defaults import BUILT_IN, DEFAULTS
from detectors.errors import ConfigError
from detectors.finding import Action, Mode, Severity, SubjectKind
from detectors.rule import Kind, Rule

ROOT = Path(__file__).resolve().parents[2]

HEALTH_CHECK = """\
health_check:
  endpoint: /api/health
  interval: 5m
  timeout: 10s
  retries: 3
  alert_threshold: 3
"""
SECURITY_ALERTS = """\
security_alerts:
  auth_failures:
    threshold: 10/minute
    action: block_ip
  rate_limit_violations:
    threshold: 50/minute
    action: alert_admin
  suspicious_activity:
    threshold: 5/minute
    action: investigate
"""
INCIDENT_DETECTION = """\
incident_detection:
  health_check_failure:
    threshold: 3
    action: create_incident
  high_error_rate:
    threshold: 10%
    action: create_incident
  security_breach:
    threshold: 1
    action: create_incident_immediate
"""


def load(text: str) -> Policy:
    return load_policy(text, "policy.yaml")


def one(lines: str, rule: str = "auth_failures") -> Rule:
    """The rule that these lines under its name make."""
    section = "incident_detection" if rule in INCIDENT_RULES else "security_alerts"
    body = "".join(f"    {line}\n" for line in lines.splitlines())
    found = load(f"{section}:\n  {rule}:\n{body}").rule(rule)
    assert found is not None
    return found


def test_the_operators_blocks_load_as_they_stand_each_alone_and_together() -> None:
    alone = load(SECURITY_ALERTS)
    assert [(r.name, r.threshold, r.window_ms, r.actions) for r in alone.rules] == [
        ("auth_failures", 10, 60_000, (Action.BLOCK_IP,)),
        ("rate_limit_violations", 50, 60_000, (Action.ALERT_ADMIN,)),
        ("suspicious_activity", 5, 60_000, (Action.INVESTIGATE,)),
    ]
    assert [r.name for r in load(HEALTH_CHECK).rules] == ["health_check_failure"]
    assert [(r.kind, r.threshold) for r in load(INCIDENT_DETECTION).rules] == [
        (Kind.STREAK, 3),
        (Kind.RATIO, 10),
        (Kind.COUNT, 1),
    ]
    together = load(HEALTH_CHECK + SECURITY_ALERTS + INCIDENT_DETECTION)
    assert len(together.rules) == 6
    [check] = together.health_checks
    assert not check.is_polled
    assert (check.interval_ms, check.timeout_ms) == (300_000, 10_000)


def test_the_file_of_the_project_is_the_built_in_policy() -> None:
    shipped = load((ROOT / "policy.yaml").read_text())
    assert shipped.rules == load(default_text()).rules == tuple(DEFAULTS[name] for name in BUILT_IN)


def test_the_one_line_form_loads_too() -> None:
    rule = load(
        "security_alerts:\n  auth_failures: {threshold: 10/minute, action: [block_ip, alert_admin]}\n"
    )
    assert rule.rules[0].actions == (Action.BLOCK_IP, Action.ALERT_ADMIN)


def test_a_rule_that_is_not_named_is_off_and_one_that_says_nothing_has_its_defaults() -> None:
    policy = load("security_alerts:\n  auth_failures:\n")
    assert policy.rules == (DEFAULTS["auth_failures"],)
    assert policy.rule("suspicious_activity") is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("threshold: 5/30s", {"threshold": 5, "window_ms": 30_000}),
        ("threshold: 5 / 2 hours", {"threshold": 5, "window_ms": 7_200_000}),
        ("threshold: 7", {"threshold": 7, "window_ms": 60_000}),
        ("threshold: 7\nwindow: 1d", {"threshold": 7, "window_ms": 86_400_000}),
        ("group_by: [ip, user]", {"group_by": (SubjectKind.IP, SubjectKind.USER)}),
        ("distinct: user", {"distinct": SubjectKind.USER, "kind": Kind.DISTINCT}),
        (
            "group_by: user\ndistinct: ip\naction: alert_admin",
            {"group_by": (SubjectKind.USER,), "distinct": SubjectKind.IP, "kind": Kind.DISTINCT},
        ),
        ("severity: low\nmode: propose", {"severity": Severity.LOW, "mode": Mode.PROPOSE}),
        ("duration: 1h30m", {"duration_ms": 5_400_000, "max_duration_ms": 604_800_000}),
        ("duration: 30d", {"duration_ms": 2_592_000_000, "max_duration_ms": 2_592_000_000}),
        ("duration: 1h\nmax_duration: 2h", {"duration_ms": 3_600_000, "max_duration_ms": 7_200_000}),
    ],
)
def test_every_key_of_a_rule_is_taken(lines: str, expected: dict[str, object]) -> None:
    rule = one(lines)
    assert {name: getattr(rule, name) for name in expected} == expected


def test_a_percentage_has_a_window_and_a_minimum_volume() -> None:
    rule = one("threshold: 25%\nwindow: 10m\nmin_volume: 20", "high_error_rate")
    assert (rule.threshold, rule.window_ms, rule.min_volume) == (25, 600_000, 20)


MISTAKES = [
    ("auth_failures:\n    treshold: 1", 3, "treshold: unknown key; did you mean threshold?"),
    ("auth_failure:\n    threshold: 1", 2, "auth_failure: unknown key; did you mean auth_failures?"),
    ("auth_failures: 10", 2, "security_alerts.auth_failures: must be a mapping of keys to values"),
    ("auth_failures:\n    action: block_pi", 3, "action: unknown 'block_pi'; did you mean block_ip?"),
    ("auth_failures:\n    action: []", 3, "auth_failures.action: needs at least one value"),
    ("auth_failures:\n    action: [block_ip, block_ip]", 3, "action[1]: 'block_ip' stands here a second"),
    ("auth_failures:\n    threshold: 1\n    threshold: 2", 4, "threshold: stands here a second time"),
    ("auth_failures:\n    threshold: ten", 3, "auth_failures.threshold: 'ten' is not a threshold"),
    ("auth_failures:\n    threshold: 0", 3, "auth_failures.threshold: 0 is not between 1 and 10,000"),
    ("auth_failures:\n    threshold: 10%", 3, "auth_failures.threshold: auth_failures counts events"),
    ("auth_failures:\n    threshold: 1/minutes ago", 3, "threshold: '1minutes ago' is not"),
    ("auth_failures:\n    threshold: 1/m\n    window: 1m", 4, "window: the threshold names a window already"),
    ("auth_failures:\n    threshold:", 3, "auth_failures.threshold: needs one value"),
    ("auth_failures:\n    duration: 3600", 3, "auth_failures.duration: 3600 of what? Write a unit"),
    ("auth_failures:\n    duration: 2h\n    max_duration: 1h", 4, "max_duration: is shorter than"),
    ("auth_failures:\n    severity: urgent", 3, "severity: unknown 'urgent'; choose from critical, high"),
    ("auth_failures:\n    mode: enforced", 3, "mode: unknown 'enforced'; did you mean enforce?"),
    ("auth_failures:\n    distinct: ip", 3, "distinct: ip is what it is grouped by"),
    ("auth_failures:\n    group_by: user", 3, "group_by: block_ip blocks addresses"),
    ("auth_failures:\n    min_volume: 3", 3, "min_volume: only a percentage has a minimum volume"),
    ("api_key_exposure:\n    action: block_ip", 3, "block_ip blocks addresses, but this rule counts by key"),
    ("high_error_rate:\n    threshold: 10%", 2, "security_alerts.high_error_rate: unknown key"),
    ("auth_failures:\n    distinct: user\n    threshold: 501", 4, "501 different values are more than 500"),
    ("suspicious_activity:\n    threshold: 51", 3, "threshold: 51 points are more than 50"),
    ("impossible_travel:\n    threshold: 2", 3, "threshold: impossible_travel has no threshold"),
    ("account_takeover:\n    group_by: ip", 3, "group_by: account_takeover follows ip and user"),
    ("? [a, b]\n  : 1", 2, "security_alerts.(not a name): unknown key"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "line", "words"), MISTAKES)
def test_every_mistake_in_a_rule_names_its_key_and_line(body: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(f"security_alerts:\n  {body}\n")
    assert str(raised.value).startswith(f"policy.yaml line {line}: ")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "policy.yaml: is empty"),
        ("# nothing\n", "policy.yaml: is empty"),
        ("{}\n", "policy.yaml line 1: names no rule and no setting"),
        ("[1, 2]\n", "policy.yaml line 1: must be a mapping"),
        ("a: [\n", "policy.yaml line 2: not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML: but found another document"),
        ("security_alert: {}\n", "line 1: security_alert: unknown key; did you mean security_alerts?"),
        ("never_block: [10.0.0.0/8, nowhere]\n", "never_block[1]: 'nowhere' does not appear"),
        ("block_private: 1\n", "block_private: must be true or false"),
        ("brake: {blocks: 0}\n", "brake.blocks: '0' is not a whole number between 1"),
        ("login_paths: [login]\n", "login_paths[0]: 'login' is not a path"),
        ("health_check: {interval: 5m}\n", "health_check: needs an endpoint"),
        ("health_check: {endpoint: /h, method: POST}\n", "health_check.method: only what is polled is asked"),
        ("health_check: {endpoint: /h, base_url: api}\n", "health_check.base_url: 'api' is not an http address"),
        ("health_check: {endpoint: 'http://x/', base_url: 'http://x'}\n", "base_url: the endpoint is a whole"),
        ("health_check: {endpoint: 'http://'}\n", "names no host"),
        ("health_check: {endpoint: 'http://x/', expect_status: 20}\n", "'20' is no status; write 200, 2xx"),
        ("health_check: {endpoint: 'http://x/', expect_status: [300-200]}\n", "'300-200' is no status"),
        ("health_check: {endpoint: 'http://x/', method: head}\n", "unknown 'head'; choose from GET"),
        ("health_check: {endpoint: 'http://x/', method: HEAD, expect_body: a}\n", "HEAD has no body"),
        ("health_check: []\n", "health_check: 1 to 50 checks"),
        ("health_check:\n- {endpoint: 'http://x/'}\n- {endpoint: 'http://x/'}\n", "http://x/ is checked already"),
        (
            "health_check:\n- {endpoint: /a, alert_threshold: 1}\n- {endpoint: /b, alert_threshold: 2}\n",
            "policy.yaml line 3: health_check[1]: alert_threshold is the rule",
        ),
        ("incident_detection: {slow_responses: {threshold: 5%}}\n", "'5%' is not how long an answer takes"),
        ("incident_detection: {slow_responses: {threshold: 2h}}\n", "'2h' is not how long an answer takes"),
        ("incident_detection: {slow_responses: {percentile: 100}}\n", "between 1 and 99"),
        ("incident_detection: {high_error_rate: {percentile: 9}}\n", "only slow_responses has a percentile"),
        ("incident_detection: {slow_responses: {where: {status: 200}}}\n", "looks at all events of a host"),
        ("incident_detection: {high_error_rate: {group_by: ip}}\n", "high_error_rate follows host and nobody else"),
        ("incident_detection: {source_silent: {group_by: ip}}\n", "source_silent follows source and nobody else"),
        ("incident_detection: {source_silent: {where: {status: 1}}}\n", "source_silent looks at no events"),
        ("incident_detection: {source_silent: {distinct: user}}\n", "source_silent does not count values"),
        ("incident_detection: {source_unreadable: {action: block_ip}}\n", "is about who sends the logs"),
        ("security_alerts: {auth_failures: {group_by: [ip, source]}}\n", "no event names the source"),
        ("security_alerts: {auth_failures: {distinct: source}}\n", "no event names the source"),
        ("rules: {abc: {where: {status: 200}, threshold: 1/m, distinct: source}}\n", "abc.distinct: unknown field"),
        ("health_check: {endpoint: ftp://x}\n", "health_check.endpoint: 'ftp://x' is neither"),
        ("health_check: {endpoint: /h, interval: 1s, timeout: 2s}\n", "timeout: must not be longer"),
        ("incident_detection: {high_error_rate: {threshold: 10}}\n", "'10' is not a whole percentage"),
        ("incident_detection: {high_error_rate: {threshold: 2.5%}}\n", "'2.5%' is not a whole percentage"),
        ("\x00", "not valid YAML"),
        ("[" * 5000, "not valid YAML: nested too deeply"),
        ("#" * 300_000, "larger than"),
    ],
)  # fmt: skip
def test_every_other_mistake_names_its_place(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(text)
    assert words in str(raised.value)


def test_the_other_settings_are_taken() -> None:
    policy = load(
        "never_block: [192.0.2.1, 2001:db8::/32]\nblock_private: true\nbrake: {blocks: 5, window: 1m}\n"
        "login_paths: [/in]\nlogin_forms: /form.php\nhealth_paths: [/up]\nreview_grace: 1h\n"
        "health_check: {endpoint: 'https://api.example/up'}\n"
    )
    assert policy.never_block == ("192.0.2.1/32", "2001:db8::/32")
    assert policy.block_private
    assert (policy.brake_blocks, policy.brake_window_ms) == (5, 60_000)
    assert (policy.login_paths, policy.login_forms, policy.health_paths) == (
        ("/in",),
        ("/form.php",),
        ("/up",),
    )
    assert policy.review_grace_ms == 3_600_000
    assert [check.is_polled for check in policy.health_checks] == [True]


def test_a_watched_health_path_is_counted_and_its_alert_threshold_turns_the_rule_on() -> None:
    policy = load("health_check: {endpoint: /up, alert_threshold: 5}\n")
    assert policy.health_paths == ("/api/health", "/health", "/up")
    assert [(rule.name, rule.threshold) for rule in policy.rules] == [("health_check_failure", 5)]


def test_a_path_with_a_base_address_is_polled_and_not_watched_as_well() -> None:
    policy = load(HEALTH_CHECK + "  base_url: https://api.example.com/v1/\n")
    [check] = policy.health_checks
    assert check.is_polled
    assert (check.url, check.path) == ("https://api.example.com/v1/api/health", "/v1/api/health")
    assert (check.interval_ms, check.timeout_ms, check.retries, check.alert_threshold) == (
        300_000,
        10_000,
        3,
        3,
    )
    polled = load("health_check: {endpoint: 'https://api.example.com/api/health'}\n")
    assert polled.health_paths == ("/health",)
    stated = load("health_check: {endpoint: 'http://a/api/health'}\nhealth_paths: [/api/health]\n")
    assert stated.health_paths == ("/api/health",)


def test_several_checks_have_one_rule_and_answers_of_their_own() -> None:
    policy = load(
        "health_check:\n"
        "  - {endpoint: 'https://a.example/up', alert_threshold: 2, success_threshold: 4, expect_status: [200, 3xx]}\n"
        "  - {endpoint: /up, base_url: 'https://b.example', expect_status: 200-204, expect_body: fine}\n"
    )
    first, second = policy.health_checks
    assert (first.interval_ms, first.expect_status) == (60_000, ((200, 200), (300, 399)))
    assert (second.expect_status, second.expect_body) == (((200, 204),), "fine")
    rule = policy.rule("health_check_failure")
    assert rule is not None
    assert (rule.threshold, rule.recovers) == (2, 4)


def test_slow_responses_and_the_second_error_rate_are_off_until_named() -> None:
    assert {"slow_responses", "elevated_error_rate"}.isdisjoint(BUILT_IN)
    rule = one(
        "{threshold: 1.5s, percentile: 99, window: 10m, min_volume: 50, action: alert_admin}",
        "slow_responses",
    )
    assert (rule.threshold, rule.percentile, rule.window_ms, rule.min_volume) == (1500, 99, 600_000, 50)
    assert (rule.kind, rule.recovers, rule.actions) == (Kind.PERCENTILE, 80, (Action.ALERT_ADMIN,))
    assert one("threshold: 500ms", "slow_responses").threshold == 500
    plain = one("", "slow_responses")
    assert plain == DEFAULTS["slow_responses"]
    assert (plain.threshold, plain.percentile, plain.min_volume) == (2000, 95, 100)
    assert one("", "elevated_error_rate").threshold == 5


def test_the_rules_about_the_logs_take_a_threshold_and_a_window() -> None:
    policy = load(
        "incident_detection:\n"
        "  source_unreadable: {threshold: 500/5m, severity: critical}\n"
        "  source_silent: {threshold: 2, window: 1h, mode: observe}\n"
    )
    found = {rule.name: rule for rule in policy.rules}
    unreadable, silent = found["source_unreadable"], found["source_silent"]
    assert (unreadable.threshold, unreadable.window_ms, unreadable.severity) == (500, 300_000, "critical")
    assert (silent.threshold, silent.window_ms, silent.mode) == (2, 3_600_000, "observe")
    assert {rule.kind for rule in found.values()} == {Kind.WATCH}


def test_a_threshold_of_the_rule_itself_is_stronger_than_the_checks() -> None:
    policy = load(HEALTH_CHECK.replace("alert_threshold: 3", "alert_threshold: 9") + INCIDENT_DETECTION)
    rule = policy.rule("health_check_failure")
    assert rule is not None
    assert rule.threshold == 3


@pytest.mark.parametrize(
    ("text", "ms"),
    [("30s", 30_000), ("5m", 300_000), ("4h", 14_400_000), ("7d", 604_800_000), ("1h30m", 5_400_000)],
)
def test_durations_are_read_and_written_the_same(text: str, ms: int) -> None:
    assert parse_duration(text) == ms
    assert format_duration(ms) == text


@pytest.mark.parametrize("text", ["", "0s", "5", "5 parsecs", "-1h", "4000d", "h", "1.5h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|between|unit"):
        parse_duration(text or " x")


def test_a_rate_may_name_its_unit_in_full_or_short() -> None:
    assert parse_rate("10/minute") == parse_rate("10/m") == parse_rate("10 / 60s") == (10, 60_000)
    assert parse_rate("3") == (3, None)


# --- the store -------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text(SECURITY_ALERTS)
    return file


def rewrite(path: Path, text: str) -> None:
    before = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000, before + 1_000_000))


def test_a_changed_file_is_taken_up_and_told(path: Path) -> None:
    store = PolicyStore(path)
    told: list[Policy] = []
    store.on_change.append(told.append)
    assert not store.reload_if_changed()
    rewrite(path, INCIDENT_DETECTION)
    assert store.reload_if_changed()
    assert [rule.name for rule in store.current.rules] == list(BUILT_IN)[4:7]
    assert told == [store.current]
    assert not store.reload_if_changed()


def test_a_wrong_file_is_refused_and_the_old_policy_stays_until_it_is_right_again(path: Path) -> None:
    store = PolicyStore(path)
    before = store.current
    rewrite(path, "security_alerts:\n  auth_failures: {treshold: 1}\n")
    assert not store.reload_if_changed()
    assert store.current is before
    assert store.error == (
        "policy.yaml line 2: security_alerts.auth_failures.treshold: unknown key; did you mean threshold?"
    )
    rewrite(path, INCIDENT_DETECTION)
    assert store.reload_if_changed()
    assert store.error is None


def test_a_file_that_vanishes_leaves_its_policy_in_force(path: Path) -> None:
    store = PolicyStore(path)
    before = store.current
    path.unlink()
    assert not store.reload_if_changed()
    assert store.current is before
    assert store.error is not None


def test_no_file_is_the_built_in_policy_unless_it_was_asked_for(tmp_path: Path) -> None:
    store = PolicyStore(tmp_path / "policy.yaml")
    assert store.current.rules == tuple(DEFAULTS[name] for name in BUILT_IN)
    with pytest.raises(ConfigError, match=r"policy file .*policy\.yaml: No such file"):
        PolicyStore(tmp_path / "policy.yaml", is_required=True)


def test_a_replacement_is_checked_written_and_in_force(path: Path) -> None:
    path.chmod(0o640)
    store = PolicyStore(path)
    told: list[Policy] = []
    store.on_change.append(told.append)
    with pytest.raises(ConfigError, match="line 1"):
        store.replace("nonsense: 1\n")
    assert path.read_text() == SECURITY_ALERTS
    store.replace(INCIDENT_DETECTION)
    assert path.read_text() == INCIDENT_DETECTION
    assert path.stat().st_mode & 0o777 == 0o640
    assert len(told) == 1
    assert not store.reload_if_changed()
    assert [file.name for file in path.parent.iterdir()] == ["policy.yaml"]


def test_a_replacement_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    store = PolicyStore(tmp_path / "missing" / "policy.yaml")
    with pytest.raises(ConfigError, match="cannot be written"):
        store.replace(INCIDENT_DETECTION)
    assert store.current.rules == tuple(DEFAULTS[name] for name in BUILT_IN)


class TestOwnKeys:
    def test_prefixes_are_plain_texts_or_say_more(self):
        policy = load_policy(
            "own_keys:\n  - pc_live_\n  - {prefix: pc_test_, severity: low, description: a test key}\n",
            "p.yaml",
        )
        assert [(p.id, p.severity.value, p.description) for p in policy.own_keys] == [
            ("own_key_pc_live", "critical", "Key of your own that begins with pc_live_"),
            ("own_key_pc_test", "low", "a test key"),
        ]

    @pytest.mark.parametrize(
        ("entry", "line"),
        [
            ("pc", 2), ("the", 2), ("{prefix: pc_live_, colour: red}", 2), ("{severity: low}", 2),
            ("{prefix: pc_live_, severity: loud}", 2), ("pc_live_\n  - PC-LIVE-", 3), ("[a, b]", 2), ("''", 2),
        ],
    )  # fmt: skip
    def test_a_wrong_prefix_is_refused_with_its_line(self, entry, line):
        with pytest.raises(ConfigError, match=rf"p\.yaml line {line}: own_keys"):
            load_policy(f"own_keys:\n  - {entry}\n", "p.yaml")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('security_alerts:\n  auth_failures:\nlogin_paths:\n  - "/abc\\ud800"\n', 4),
        ('security_alerts:\n  "auth\\udfff":\n', 2),
        ("security_alerts:\n  auth_failures:\n# \ud800\n", 3),
        ('rules:\n  mine:\n    where: {path: a}\n    tests: {match: [{path: "/abc\\ud800"}]}\n', 4),
    ],
)
def test_half_a_character_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=f"^policy.yaml line {line}: .*half a character"):
        load_policy(text, "policy.yaml")
