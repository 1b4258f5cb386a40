"""`sigma:` in the policy: what it may say, and that a changed rule is taken up."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.commands.policy import policy as cli
from app.policies.policy import load_policy
from app.policies.store import PolicyStore
from detectors.errors import ConfigError
from detectors.finding import Action, Mode, SubjectKind

RULE = """\
title: {title}
id: {title}-id
author: Somebody
logsource: {{category: webserver}}
detection: {{selection: {{cs-uri-stem: /{title}}}, condition: selection}}
level: {level}
"""
REFUSED = "title: Cookies\nlogsource: {category: proxy}\ndetection: {s: {cs-cookie: a}, condition: s}\n"
CORE = "security_alerts: {auth_failures: }\n"


def write(folder: Path, title: str = "one", level: str = "high") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{title}.yml"
    path.write_text(RULE.format(title=title, level=level))
    return path


@pytest.fixture
def home(tmp_path) -> Path:
    write(tmp_path / "sigma")
    (tmp_path / "policy.yaml").write_text(f"{CORE}sigma: {{folder: ./sigma}}\n")
    return tmp_path


def changed(path: Path) -> None:
    """Its time moves on, as it does when a person saves a file."""
    found = path.stat()
    os.utime(path, ns=(found.st_mtime_ns + 10**9, found.st_mtime_ns + 10**9))


def test_a_folder_is_found_beside_the_policy_and_its_rules_have_defaults(home):
    policy = load_policy("sigma: {folder: sigma}", "policy.yaml", home)
    rule = policy.rule("sigma_one")
    assert (rule.threshold, rule.window_ms, rule.actions) == (1, 300_000, (Action.ALERT_ADMIN,))
    assert (rule.group_by, rule.mode) == ((SubjectKind.IP,), Mode.ENFORCE)
    assert policy.sigma.folder == home / "sigma"


def test_the_policy_says_what_follows(home):
    text = "sigma: {folder: sigma, action: [block_ip, alert_admin], mode: observe, threshold: 3/1m, duration: 1h}"
    rule = load_policy(text, "policy.yaml", home).rule("sigma_one")
    assert (rule.threshold, rule.window_ms, rule.duration_ms) == (3, 60_000, 3_600_000)
    assert (rule.actions, rule.mode) == ((Action.BLOCK_IP, Action.ALERT_ADMIN), Mode.OBSERVE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sigma: {action: block_ip}", "line 1: sigma: needs a folder"),
        ("sigma:\n  folder: nowhere", "line 2: sigma.folder: .*nowhere is not a folder"),
        ("sigma:\n  folder: sigma\n  severity: high", "line 3: sigma.severity: unknown key"),
        ("sigma: {folder: sigma, action: block_ip, group_by: user}", "block_ip blocks addresses"),
        ("sigma: {folder: sigma, threshold: 10%}", "sigma counts events"),
    ],
)
def test_a_wrong_section_names_key_and_line(text, words, home):
    with pytest.raises(ConfigError, match=words):
        load_policy(text, "policy.yaml", home)


def test_a_name_that_the_operator_gave_a_rule_of_his_own_stays_his(home):
    text = "rules: {sigma_one: {where: {path: /x}}}\nsigma: {folder: sigma}"
    names = [rule.name for rule in load_policy(text, "policy.yaml", home).rules]
    assert names == ["sigma_one", "sigma_one_oneid"]


def test_a_changed_added_or_removed_rule_is_taken_up_without_a_restart(home):
    store = PolicyStore(home / "policy.yaml")
    before = store.current.digest
    assert not store.reload_if_changed()
    added = write(home / "sigma", "two")
    assert store.reload_if_changed()
    assert [rule.name for rule in store.current.rules[1:]] == ["sigma_one", "sigma_two"]
    assert store.current.digest != before
    changed(write(home / "sigma", "two", "critical"))
    assert store.reload_if_changed()
    assert store.current.rule("sigma_two").severity.value == "critical"
    added.unlink()
    assert store.reload_if_changed()
    assert store.current.digest == before


def test_a_folder_that_goes_away_changes_nothing_until_it_is_back(home):
    store = PolicyStore(home / "policy.yaml")
    (home / "sigma").rename(home / "elsewhere")
    assert not store.reload_if_changed()
    assert "is not a folder" in store.error
    assert store.current.rule("sigma_one")
    write(home / "elsewhere", "two")
    (home / "elsewhere").rename(home / "sigma")
    assert store.reload_if_changed()
    assert store.error is None


def test_a_check_for_a_viewer_reads_no_other_folder(home, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for folder in (str(elsewhere), "sigma/../..", "/"):
        with pytest.raises(ConfigError, match="lies outside the policy's own folder"):
            load_policy(f"sigma: {{folder: {folder}}}", "policy.yaml", home, within=[home])
    assert load_policy("sigma: {folder: sigma}", "policy.yaml", home, within=[home]).sigma
    assert load_policy(f"sigma: {{folder: {elsewhere}}}", "policy.yaml", home, within=[home, elsewhere]).sigma


def test_policy_check_names_what_was_refused_and_is_content_unless_strict(home):
    (home / "sigma" / "cookies.yml").write_text(REFUSED)
    file = str(home / "policy.yaml")
    done = CliRunner().invoke(cli, ["check", file])
    assert done.exit_code == 0
    assert "good, 1 rules: auth_failures" in done.output
    assert f"Sigma rules of {home}/sigma: 1 loaded, 1 refused" in done.output
    assert "  cookies.yml: Cookies: field 'cs-cookie': the events have no such field" in done.output
    assert CliRunner().invoke(cli, ["check", file, "--strict"]).exit_code == 1
    answer = json.loads(CliRunner().invoke(cli, ["check", file, "--json"]).output)
    assert answer["sigma"]["refused"] == [
        {
            "file": "cookies.yml",
            "rule": "Cookies",
            "reason": "field 'cs-cookie': the events have no such field",
        }
    ]
    assert answer["rules"] == ["auth_failures", "sigma_one"]


def test_policy_explain_shows_who_wrote_a_rule(home):
    done = CliRunner().invoke(cli, ["explain", str(home / "policy.yaml")])
    assert "title: one (Sigma one-id, by Somebody)" in done.output


def test_policy_explain_says_what_a_temporal_correlation_counts(home):
    write(home / "sigma", "two")
    section = "correlation: {type: temporal, rules: [one-id, two-id], group-by: c-ip, timespan: 5m}"
    (home / "sigma" / "z.yml").write_text(f"title: Both\n{section}\n")
    done = CliRunner().invoke(cli, ["explain", str(home / "policy.yaml"), "--json"])
    (row,) = [row for row in map(json.loads, done.output.splitlines()) if row.get("rule") == "sigma_both"]
    assert row["fires_at"] == "2 different rules in 5m, per ip"


def test_what_is_no_plain_file_is_refused_and_not_waited_for(home):
    os.mkfifo(home / "sigma" / "a.yml")
    (home / "sigma" / "b.yml").symlink_to(home / "sigma" / "a.yml")
    policy = load_policy("sigma: {folder: sigma}", "policy.yaml", home)
    assert [(refusal.file, refusal.reason) for refusal in policy.sigma.refused] == [
        ("a.yml", "is not a plain file"),
        ("b.yml", "is not a plain file"),
    ]
    assert policy.rule("sigma_one").is_own
