"""What a loaded rule counts: fields, selections, keywords, categories, and what is kept of its heading."""

from pathlib import Path

import pytest
from sigma_writing import PLAIN, document, load, matches, selection

from app.sigma.library import load_sigma
from detectors.condition_matching import matcher_of
from detectors.event import Event
from detectors.finding import Action, Severity

RULES = Path(__file__).resolve().parent / "rules"
GET = {"method": "GET", "path": "/a/b.php?id=%3Cb%3E&x=1", "status": 200}

MET = {
    "a method": ({"cs-method": "get"}, GET),
    "a stem, without the query": ({"cs-uri-stem": "/a/b.php"}, GET),
    "a stem's end": ({"cs-uri-stem|endswith": ".php"}, GET),
    "a stem by regular expression": ({"c-uri-path|re": r"^/a/.*\.php$"}, GET),
    "a stem, decoded": ({"cs-uri-stem": "/a/b.php"}, {"path": "/%61/b.php"}),
    "a query, which is the whole target": ({"cs-uri-query|contains": "/b.php?id="}, GET),
    "a query as logged": ({"cs-uri-query|contains": "%3Cb%3E"}, GET),
    "a query as the server understands it": ({"c-uri-query|contains": "<b>"}, GET),
    "a query beside the path": ({"cs-uri-query|contains": "b?x=1"}, {"path": "/b", "query": "x=1"}),
    "a query that is there": ({"cs-uri-query|exists": True}, GET),
    "a query that is not": ({"cs-uri-query": None}, {"path": "/b"}),
    "an empty query": ({"cs-uri-query": ""}, {"path": "/b"}),
    "an extension": ({"c-uri-extension": ["exe", "php"]}, GET),
    "an extension with a wildcard": ({"c-uri-extension": "ph?"}, GET),
    "an extension that is there": ({"c-uri-extension": "*"}, GET),
    "a user agent": ({"c-useragent|startswith": "sqlmap/"}, {"path": "/", "user_agent": "SQLMap/1.7"}),
    "no user agent": ({"cs-user-agent": ""}, {"path": "/", "user_agent": "-"}),
    "a referer": ({"cs-referer|contains": "evil"}, {"path": "/", "referer": "http://Evil.example/"}),
    "a host": ({"cs-host|endswith": ".example"}, {"path": "/", "host": "api.example"}),
    "a status as a text": ({"sc-status": "200"}, GET),
    "a status with a wildcard": ({"sc-status": "5*"}, {"status": 503}),
    "a status that begins so": ({"sc-status|startswith": 4}, {"status": 404}),
    "a status above": ({"sc-status|gte": 500}, {"status": 500}),
    "bytes": ({"sc-bytes|gt": 1000}, {"path": "/", "bytes": 1001}),
    "a duration": ({"time-taken|lt": 1.5}, {"path": "/", "duration_ms": 1.0}),
    "an address": ({"c-ip": "2001:DB8::0:1"}, {"path": "/", "client_ip": "2001:db8::1"}),
    "an address in a network": ({"src_ip|cidr": ["203.0.113.0/24"]}, {"path": "/", "client_ip": "203.0.113.9:4711"}),
    "an address with a wildcard": ({"c-ip": "203.0.*"}, {"path": "/", "client_ip": "203.0.113.9"}),
    "a user": ({"cs-username": "anonymous"}, {"path": "/", "user": "Anonymous"}),
    "a name of ECS": ({"url.path": "/a/b.php", "http.response.status_code": 200}, GET),
    "a name of ours": ({"decoded_target|contains": "<b>", "method": "GET"}, GET),
    "all of several": ({"cs-uri-query|contains|all": ["id=", "x=1"]}, GET),
    "one of several": ({"cs-uri-query|contains": ["nothing", "x=1"]}, GET),
    "none of several": ({"cs-method|neq": ["POST", "PUT"]}, GET),
    "a field that is not there": ({"cs-username|exists": False}, GET),
    "a Base64 text": ({"cs-uri-query|base64|contains": "id=0"}, {"path": "/?q=aWQ9MA=="}),
    "a Base64 text anywhere": ({"cs-uri-query|base64offset|contains": "/bin/bash"}, {"path": "/eCAvYmluL2Jhc2g="}),
    "a regular expression with flags": ({"cs-uri|re|i|s": r"B\.PHP.+X="}, GET),
    "a URL of a host": ({"c-uri|contains": ".files.example/a/"}, {"path": "/a/x", "host": "x.files.example"}),
    "a URL with a scheme": ({"c-uri|startswith": "https://files.example/a"}, {"path": "/a/x", "host": "files.example"}),
    "any URL": ({"c-uri|startswith": "http"}, GET),
    "a number as a text": ({"cs-uri-query|contains": 1}, GET),
}  # fmt: skip
NOT_MET = {
    "another method": ({"cs-method": "POST"}, GET),
    "a stem in the query": ({"cs-uri-stem|contains": "x=1"}, GET),
    "a stem with more behind it": ({"cs-uri-stem": "/a"}, GET),
    "one of all": ({"cs-uri-query|contains|all": ["id=", "nothing"]}, GET),
    "an escaped wildcard": ({"cs-uri-query|contains": r"b.\*"}, GET),
    "a query that is not there": ({"cs-uri-query|exists": True}, {"path": "/b"}),
    "an extension in a folder's name": ({"c-uri-extension": "d"}, {"path": "/conf.d/x"}),
    "a status below": ({"sc-status|gt": 500}, {"status": 500}),
    "another network": ({"src_ip|cidr": "203.0.113.0/25"}, {"path": "/", "client_ip": "203.0.113.200"}),
    "a URL of another host": (
        {"c-uri|contains": ".files.example/a/"},
        {"path": "/a/x", "host": "files.test"},
    ),
    "a field that must differ and is not there": ({"cs-host|neq": "a"}, GET),
    "a field that is not there, compared": ({"cs-username|contains": "a"}, GET),
}


@pytest.mark.parametrize(("fields", "event"), MET.values(), ids=MET.keys())
def test_a_selection_is_met_by(fields, event, tmp_path):
    assert matches(tmp_path, selection(**fields), event)


@pytest.mark.parametrize(("fields", "event"), NOT_MET.values(), ids=NOT_MET.keys())
def test_a_selection_is_not_met_by(fields, event, tmp_path):
    assert not matches(tmp_path, selection(**fields), event)


def test_a_list_of_mappings_is_met_by_one_of_them(tmp_path):
    either = {
        "selection": [{"cs-method": "PUT"}, {"cs-method": "GET", "sc-status": 200}],
        "condition": "selection",
    }
    assert matches(tmp_path, either, GET)
    assert not matches(tmp_path, either, {**GET, "status": 404})


KEYWORDS = {
    "a word of the record": ["nothing", "b.php"],
    "a part of a word": "hp?id",
    "a word with a wildcard": ["a/*.php"],
    "a word that the target hides": ["<b>"],
    "a number": [200],
    "all of several": {"|all": ["GET", "/a/"]},
    "a regular expression": {"|re": r"b\.p[h]p"},
}


@pytest.mark.parametrize("keywords", KEYWORDS.values(), ids=KEYWORDS.keys())
def test_keywords_are_looked_for_in_the_whole_record(keywords, tmp_path):
    assert matches(tmp_path, {"keywords": keywords, "condition": "keywords"}, GET)


def test_all_keywords_must_stand_in_the_record(tmp_path):
    both = {"keywords": {"|all": ["GET", "nothing"]}, "condition": "keywords"}
    assert not matches(tmp_path, both, GET)


def test_a_rule_of_web_logs_leaves_other_logs_alone(tmp_path):
    keywords = {"keywords": ["b.php"], "condition": "not keywords"}
    assert matches(tmp_path, keywords, {"path": "/", "status": 200})
    assert not matches(tmp_path, keywords, {"message": "cron started"})


def test_a_rule_of_logins_reads_events_with_an_outcome(tmp_path):
    root = {
        **selection(username="root"),
        "filter": {"result": "succeeded"},
        "condition": "selection and not filter",
    }
    source = {"category": "authentication", "product": "linux", "service": "sshd"}
    for event, is_met in (
        ({"user": "root", "outcome": "failure"}, True),
        ({"user": "root", "outcome": "success"}, False),
        ({"user": "root", "path": "/"}, False),
    ):
        assert matches(tmp_path, root, event, logsource=source) == is_met


def test_several_conditions_are_met_by_one_of_them(tmp_path):
    detection = {"a": {"cs-method": "PUT"}, "b": {"sc-status": 200}, "condition": ["a", "b"]}
    assert matches(tmp_path, detection, GET)


def test_the_rules_of_a_folder_load_with_what_they_say_of_themselves():
    found = load_sigma(RULES, PLAIN)
    rules = {rule.name: rule for rule in found.rules}
    assert list(rules) == [
        "sigma_backup_archive_fetched_from_the_web_root",
        "sigma_lookup_expression",
        "sigma_many_failed_logins",
        "sigma_many_accounts_tried",
    ]
    backup = rules["sigma_backup_archive_fetched_from_the_web_root"]
    assert backup.title == (
        "Backup Archive Fetched From The Web Root "
        "(Sigma 0b8e3a52-6f1d-4c55-9a11-2f0c1b7d9e01, by The Bartizan tests)"
    )
    assert backup.references == ("T1595.003", "T1190", "CVE-2021-44228")
    assert (backup.severity, backup.threshold, backup.window_ms, backup.is_own) == (
        Severity.HIGH,
        1,
        300_000,
        True,
    )
    assert backup.actions == (Action.ALERT_ADMIN,)
    lookup = rules["sigma_lookup_expression"]
    assert lookup.title == "Lookup Expression Anywhere In The Line (Sigma, by A. Tester, B. Tester)"
    assert (lookup.severity, lookup.actions) == (Severity.LOW, (Action.INVESTIGATE,))
    assert found.parts_only == 1
    assert [(r.file, r.rule) for r in found.refused] == [("nested/logins.yaml", "Order Of Sessions")]


@pytest.mark.parametrize(
    ("event", "is_met"),
    [
        ({"method": "GET", "path": "/old/backup-1.tar.gz", "status": 200}, True),
        ({"method": "GET", "path": "/dump.sql?x=1", "status": 200, "user_agent": "curl/8"}, True),
        ({"method": "GET", "path": "/backup.zip", "status": 200}, False),
        ({"method": "GET", "path": "/backup.sql", "status": 404}, False),
        ({"method": "GET", "path": "/backup.sql", "status": 200, "user_agent": "Uptime-bot"}, False),
    ],
)
def test_a_rule_as_people_write_them_counts_what_it_is_about(event, is_met):
    rule = load_sigma(RULES, PLAIN).rules[0]
    assert matcher_of(rule.where)(Event(**event), b"") == is_met


def test_rules_of_one_title_get_different_names(tmp_path):
    one = selection(**{"cs-method": "GET"})
    found = load(
        tmp_path,
        document(one, id="aaaaaaaa-1"),
        document(one, id="bbbbbbbb-2"),
        document(one),
        document(one, title="Ünï: ☃ / rm -rf"),
        document(one, title="☃"),
    )
    assert [rule.name for rule in found.rules] == [
        "sigma_a_rule_of_the_tests",
        "sigma_a_rule_of_the_tests_bbbbbbbb",
        "sigma_a_rule_of_the_tests_2",
        "sigma_n_rm_rf",
        "sigma_rule",
    ]


def test_a_date_is_a_text_like_any_other(tmp_path):
    place = tmp_path / "dated"
    place.mkdir()
    (place / "a.yml").write_text(
        "title: x\ndate: 2026-02-30\nlogsource: {category: proxy}\n"
        "detection: {selection: {c-uri|contains: 2026-01-02}, condition: selection}\n"
    )
    (rule,) = load_sigma(place, PLAIN).rules
    assert matcher_of(rule.where)(Event(path="/log/2026-01-02"), b"")
