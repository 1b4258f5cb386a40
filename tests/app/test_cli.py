"""The command line without a service: policy, tokens, doctor, and what everything prints."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from app.cli import app, main
from app.commands.output import printable
from detectors.defaults import BUILT_IN, DEFAULTS

GOOD = "security_alerts:\n  auth_failures: {threshold: 10/minute, action: block_ip, mode: propose}\n"
BAD = "security_alerts:\n  auth_failures: {treshold: 10/minute}\n"
SAYS = "policy.yaml line 2: security_alerts.auth_failures.treshold: unknown key; did you mean threshold?"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_server: str) -> Path:
    """An empty working folder with a Redis beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BARTIZAN_REDIS_URL", redis_server)
    monkeypatch.setenv("BARTIZAN_PORT", "1")
    return tmp_path


def run(*command: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, command)
    return done.exit_code, done.output


def rows(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize(
    "command",
    [
        *(["blocks"], ["blocks", "list"], ["blocks", "add"], ["allow", "add"], ["incidents", "resolve"]),
        *(
            ["policy", "check"],
            ["policy", "explain"],
            ["tokens", "create"],
            ["doctor"],
            ["investigate"],
            ["incidents", "dossier"],
            ["serve"],
            ["replay"],
        ),
    ],
)
def test_every_command_explains_itself(command: list[str]) -> None:
    code, output = run(*command, "--help")
    assert code == 0
    assert "Usage:" in output


@pytest.mark.parametrize(
    "command", [["blocks", "add", "203.0.113.9"], ["nonsense"], ["tokens", "create", "king", "--name", "x"]]
)
def test_wrong_usage_is_exit_code_2(here: Path, command: list[str]) -> None:
    assert run(*command)[0] == 2


def test_policy_check_says_good_or_the_line(here: Path) -> None:
    (here / "policy.yaml").write_text(GOOD)
    assert run("policy", "check") == (0, "policy.yaml: good, 1 rules: auth_failures\n")
    assert rows(run("policy", "check", "--json")[1])[0]["valid"] is True
    (here / "policy.yaml").write_text(BAD)
    code, output = run("policy", "check", "policy.yaml", "--json")
    assert (code, rows(output)) == (1, [{"valid": False, "error": SAYS}])


OWN = """\
rules:
  mass_export:
    title: Somebody exports the customer base
    where: {path: {starts: /api/export}, status: 200}
    group_by: user
    distinct: path
    threshold: 20/5m
    references: [T1530]
    tests:
      match: [{path: /api/export/1, status: 200}]
      no_match: [{path: /api/export/1, status: 403}]
"""


def test_policy_check_runs_the_tests_of_own_rules(here: Path) -> None:
    (here / "policy.yaml").write_text(OWN)
    assert run("policy", "check") == (0, "policy.yaml: good, 1 rules: mass_export; 2 tests passed\n")
    checked = rows(run("policy", "check", "--json")[1])[0]
    assert checked["valid"] is True
    assert [test["passed"] for test in checked["tests"]] == [True, True]


def test_policy_check_names_every_test_that_fails_and_exits_1(here: Path) -> None:
    (here / "policy.yaml").write_text(
        OWN.replace("status: 200}", "status: 201}").replace("status: 403", "status: 201")
    )
    code, output = run("policy", "check")
    assert code == 1
    assert output.splitlines() == [
        "bartizan: policy.yaml line 11: rules.mass_export.tests.no_match[0]: matches, and must not: "
        "path '/api/export/1' (starts '/api/export'), status 201",
    ]
    code, output = run("policy", "check", "--json")
    checked = rows(output)[0]
    assert (code, checked["valid"]) == (1, False)
    assert "line 11: rules.mass_export.tests.no_match[0]" in str(checked["error"])
    assert [(test["example"], test["line"], test["passed"]) for test in checked["tests"]] == [
        ("match[0]", 10, True),
        ("no_match[0]", 11, False),
    ]


def test_policy_explain_says_what_own_rules_look_for(here: Path) -> None:
    (here / "policy.yaml").write_text(OWN)
    output = run("policy", "explain")[1]
    assert "20 different path in 5m, per user" in output
    assert "title: Somebody exports the customer base" in output
    assert "where: path starts with '/api/export' and status is 200" in output
    assert "see: T1530" in output
    row = rows(run("policy", "explain", "--json", "policy.yaml")[1])[0]
    assert (row["where"], row["references"]) == (
        "path starts with '/api/export' and status is 200",
        ["T1530"],
    )


def test_our_errors_are_one_line_on_stderr_and_exit_code_1(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "policy.yaml").write_text(BAD)
    monkeypatch.setattr("sys.argv", ["bartizan", "policy", "check"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"bartizan: {SAYS}\n"


def test_policy_explain_says_what_every_rule_does_and_which_are_off(here: Path) -> None:
    (here / "policy.yaml").write_text(GOOD)
    code, output = run("policy", "explain")
    assert code == 0
    assert "10 in 1m, per ip" in output
    assert "propose only: block_ip for 4h, doubling up to 7d" in output
    assert "Off: rate_limit_violations" in output
    assert rows(run("policy", "explain", "policy.yaml", "--json")[1]) == [
        {
            "rule": "auth_failures",
            "fires_at": "10 in 1m, per ip",
            "then": "propose only: block_ip for 4h, doubling up to 7d",
            "severity": "high",
            "references": ["T1110", "OAT-007", "API2:2023", "CWE-307"],
        },
        {
            "all_rules": {
                "shared_addresses": 0,
                "verified_bots": True,
                "on_dns_failure": "block",
                "trusted_clients": [],
                "own_keys": [],
                "maintenance": [],
                "maintenance_notice": "",
                "dead_man": "",
                "status_page": "",
                "people": PEOPLE,
            }
        },
    ]


PEOPLE = {
    "priorities": [
        "P0 Critical (critical): acknowledged within 15m, escalates at once",
        "P1 High (high): acknowledged within 1h, escalates after 30m",
        "P2 Medium (medium): acknowledged within 4h, escalates after 2h",
        "P3 Low (low): acknowledged within 1d, escalates after 8h",
    ],
    "escalation": [
        "level 1, On-call engineer: 15m, where the routes lead",
        "level 2, Senior engineer: 30m, where the routes lead",
        "level 3, Engineering manager: 1h, where the routes lead",
        "level 4, CTO: 2h, where the routes lead",
    ],
    "campaigns": ["10 subjects of one rule within 5m"],
    "auto_resolve": [],
    "health_check": [],
    "channels": [],
    "routes": ["only the service's own log: the policy names no channels"],
    "delivery": ["waits 30s for others of its rule, the next letter after 5m, told again after 4h"],
    "digests": [],
}


def test_policy_explain_says_who_is_spared_and_which_keys_are_ones_own(here: Path) -> None:
    (here / "policy.yaml").write_text(
        "shared_addresses: {users: 5}\nverified_bots: false\nown_keys: [{prefix: pc.live_, severity: low}]\n"
        "trusted_clients: [{user_agent: 'mon\u202eitor/', networks: [192.0.2.0/24], note: ours}]\n" + GOOD
    )
    output = run("policy", "explain")[1]
    assert "shared_addresses: an address from which 5 users get in is not blocked" in output
    assert "verified_bots: off" in output
    assert "from 192.0.2.0/24 does not count (ours)" in output and "\u202e" not in output
    assert "own_keys: pc.live_... is low: Key of your own that begins with pc.live_" in output


def test_policy_explain_without_a_file_explains_the_built_in_policy(here: Path) -> None:
    output = run("policy", "explain")[1]
    assert "10% of at least 100 in 5m, per host" in output
    assert "3 in a row, per host" in output
    off = output.rpartition("Off:")[2].replace(",", " ").split()
    assert off == [name for name in DEFAULTS if name not in BUILT_IN]


def test_tokens_are_made_listed_and_revoked(here: Path, redis: Redis) -> None:
    made = rows(run("tokens", "create", "lookup", "--name", "edge", "--for", "90d", "--json")[1])[0]
    assert str(made["token"]).startswith("bz_lookup_")
    listed = run("tokens", "list")[1]
    assert "edge" in listed
    assert str(made["token"]) not in listed
    assert run("tokens", "revoke", str(made["id"]))[0] == 0
    ends = [str(row["ends"]) for row in rows(run("tokens", "list", "--json")[1])]
    assert [end.split()[0] for end in ends] == ["revoked"]
    code = CliRunner().invoke(app, ["tokens", "revoke", str(made["id"])])
    assert "no valid token" in str(code.exception)


def test_tokens_without_a_redis_say_what_to_start(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BARTIZAN_REDIS_URL")
    done = CliRunner().invoke(app, ["tokens", "list"])
    assert "is `bartizan serve` running with this data folder?" in str(done.exception)


def test_without_a_token_the_commands_say_where_one_could_be(here: Path) -> None:
    done = CliRunner().invoke(app, ["blocks", "list"])
    assert "set BARTIZAN_ADMIN_TOKEN, or run beside data/tokens.env" in str(done.exception)


def test_a_service_that_is_away_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARTIZAN_ADMIN_TOKEN", "a" * 24)
    done = CliRunner().invoke(app, ["blocks", "list"])
    assert "http://127.0.0.1:1 does not answer" in str(done.exception)


def test_doctor_finds_what_is_wrong_and_what_is_right(
    here: Path, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "policy.yaml").write_text(BAD)
    monkeypatch.setenv("BARTIZAN_INGEST_TOKEN", "short")
    (here / "data").mkdir()
    (here / "data" / "tokens.env").touch(mode=0o644)
    code, output = run("doctor", "--json")
    found = {(row["check"], row["ok"]) for row in rows(output)}
    assert code == 1
    assert found == {
        ("settings", True),
        ("tokens", False),
        ("redis", True),
        ("clock", True),
        ("policy", False),
        ("service", False),
    }
    assert sum(row["check"] == "tokens" for row in rows(output)) == 2


def test_doctor_names_a_wrong_setting(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARTIZAN_PROT", "1")
    code, output = run("doctor")
    assert (code, output) == (
        1,
        "FAIL settings  BARTIZAN_PROT: unknown setting; did you mean BARTIZAN_PORT?\n",
    )


def test_doctor_reads_the_databases(
    here: Path, redis: Redis, corpora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BARTIZAN_GEOIP_ASN_DB", str(corpora / "GeoLite2-ASN-Test.mmdb"))
    (here / "broken.mmdb").write_bytes(b"nothing")
    monkeypatch.setenv("BARTIZAN_GEOIP_CITY_DB", str(here / "broken.mmdb"))
    found = [row for row in rows(run("doctor", "--json")[1]) if row["check"] == "geoip"]
    assert [row["ok"] for row in found] == [False, True]
    assert "GeoLite2-ASN" in str(found[1]["detail"])


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A service that knows one incident."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(INCIDENT).encode()
            self.send_response(200 if self.path == "/v1/admin/incidents/INC-2026-0001" else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        monkeypatch.setenv("BARTIZAN_PORT", str(server.server_port))
        monkeypatch.setenv("BARTIZAN_ADMIN_TOKEN", "t" * 40)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


INCIDENT = {
    "id": "INC-2026-0001",
    "why": "203.0.113.9 failed to log in 10 times",
    "references": ["T1110", "API2:2023"],
    "runbook": {"what": "guessing", "check": "look", "act": "block", "wrong": "a test"},
}


def test_an_incident_is_shown_with_its_runbook_line_by_line(here: Path, service: None) -> None:
    code, said = run("incidents", "show", "INC-2026-0001")
    assert code == 0, said
    lines = {line.partition(":")[0]: line.partition(":")[2].strip() for line in said.splitlines()}
    assert lines["references"] == "T1110, API2:2023"
    assert [lines[f"runbook {name}"] for name in INCIDENT["runbook"]] == [
        "guessing",
        "look",
        "block",
        "a test",
    ]
    assert rows(run("incidents", "show", "INC-2026-0001", "--json")[1]) == [INCIDENT]


def test_what_a_log_wrote_cannot_control_the_terminal() -> None:
    assert (
        printable("a\x1b[2Jb\r\n\x07") == "a\N{REPLACEMENT CHARACTER}[2Jb" + "\N{REPLACEMENT CHARACTER}" * 3
    )
    assert printable(None) == ""
