"""`channels` of the policy: what is read, what is refused and where, and that no secret gets into it."""

import re
from pathlib import Path

import httpx
import pytest

from actions.channels.email import EmailChannel
from actions.channels.pagerduty import PagerDutyChannel
from actions.channels.settings import (
    DEFAULT_RATES,
    ChannelType,
    DiscordSettings,
    EmailSettings,
    PagerDutySettings,
    PagerDutySeverity,
    Rate,
    SlackSettings,
    WebhookSettings,
)
from actions.delivery.message import Channel
from app.channels import build_channels, check_channels, incident_url_of, missing_secrets
from app.policies.policy import load_policy
from app.policies.store import PolicyStore
from app.settings import Settings
from detectors.errors import ConfigError
from detectors.finding import Priority

RULES = "security_alerts:\n  auth_failures: {threshold: 10/minute}\n"
ALL = """\
channels:
  team: {type: slack, url_env: SLACK_WEBHOOK_URL}
  chat: {type: discord, url_env: DISCORD_URL, rate: 10/minute}
  oncall:
    type: pagerduty
    routing_key_env: PD_KEY
    severities: {P1: critical}
  hook: {type: webhook, url: https://n8n.example/hook, secret_env: HOOK, old_secret_env: HOOK_OLD}
  any: {type: apprise, url_env: APPRISE_URL}
  log: {type: log, rate: 600/minute}
  mail:
    type: email
    host: smtp.example.org
    from: Bartizan <bartizan@example.org>
    to: [ops@example.org, 'The Boss <boss@example.org>']
    username: bartizan
    password_env: SMTP_PASSWORD
"""
ENVIRON = {
    "SLACK_WEBHOOK_URL": "https://hooks.slack.example/services/T0/B0/slack-secret-1",
    "DISCORD_URL": "https://discord.example/api/webhooks/1/discord-secret-1",
    "PD_KEY": "0123456789abcdef0123456789abcdef",
    "HOOK": "hook-secret-0123456789",
    "HOOK_OLD": "hook-secret-of-before-0123",
    "APPRISE_URL": "json://localhost/apprise-secret-1",
    "SMTP_PASSWORD": "smtp-secret-1",
}
pytestmark = pytest.mark.filterwarnings(
    "ignore:'imghdr' is deprecated:DeprecationWarning"
)  # apprise imports it


def read(text: str) -> tuple[object, ...]:
    return load_policy(RULES + text, "policy.yaml").channels


def refused(line: str) -> str:
    """What the policy says to one channel, named x, on one line."""
    with pytest.raises(ConfigError) as caught:
        read(f"channels:\n  x: {line}\n")
    assert "policy.yaml line 4: channels.x" in str(caught.value)
    return str(caught.value)


def build(text: str, environ: dict[str, str]) -> dict[str, Channel]:
    channels = load_policy(RULES + text, "policy.yaml").channels
    return build_channels(
        channels,
        httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(500))),
        str,
        lambda: 0,
        environ,
    )


def test_every_type_is_read_with_its_defaults() -> None:
    team, chat, oncall, hook, any_, log, mail = read(ALL)
    assert isinstance(team, SlackSettings)
    assert (team.name, team.url.env, team.rate) == ("team", "SLACK_WEBHOOK_URL", Rate(60, 5))
    assert team.url.where == "policy.yaml line 4: channels.team.url_env"
    assert isinstance(chat, DiscordSettings) and chat.rate == Rate(10, 5)
    assert isinstance(oncall, PagerDutySettings)
    assert oncall.base_url == "https://events.pagerduty.com"
    assert [oncall.severities[p] for p in Priority] == ["critical", "critical", "warning", "info"]
    assert oncall.severities[Priority.P1] is PagerDutySeverity.CRITICAL
    assert isinstance(hook, WebhookSettings) and hook.url == "https://n8n.example/hook"
    assert hook.old_secret is not None and hook.old_secret.env == "HOOK_OLD"
    assert [any_.type, log.type] == [ChannelType.APPRISE, ChannelType.LOG]  # type: ignore[attr-defined]
    assert log.rate == Rate(600, 600)  # type: ignore[attr-defined]
    assert isinstance(mail, EmailSettings)
    assert (mail.port, mail.security, mail.to[1]) == (587, "starttls", "The Boss <boss@example.org>")


def test_without_channels_there_is_only_the_log() -> None:
    assert read("") == ()
    assert list(build("", {})) == ["log"]


def test_all_are_built_and_the_log_is_among_them() -> None:
    pytest.importorskip("apprise")
    built = build(ALL, ENVIRON)
    assert set(built) == {"log", "team", "chat", "oncall", "hook", "any", "mail"}
    assert [channel.name for channel in built.values()] == list(built)
    assert isinstance(built["oncall"], PagerDutyChannel)
    assert isinstance(built["mail"], EmailChannel)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("{type: slack, url: https://hooks.slack.example/secret-1}", "url"),
        ("{type: discord, url: https://discord.example/secret-1}", "url"),
        ("{type: pagerduty, routing_key: secret-1}", "routing_key"),
        ("{type: webhook, url: https://a.example/, secret: secret-1}", "secret"),
        ("{type: webhook, url: https://a.example/, secret_env: A, old_secret: secret-1}", "old_secret"),
        ("{type: apprise, url: json://secret-1}", "url"),
        ("{type: email, host: a, from: a@b.c, to: a@b.c, username: u, password: secret-1}", "password"),
    ],
)
def test_a_secret_in_the_policy_is_refused_and_not_repeated(line: str, key: str) -> None:
    said = refused(line)
    assert f"channels.x.{key}: a secret does not belong in the policy" in said
    assert f"write {key}_env: NAME" in said
    assert "secret-1" not in said


@pytest.mark.parametrize(
    "line", ["https://hooks.slack.example/secret-1", "xoxb-secret-1", "1SECRET-1", "'secret-1 secret-1'"]
)
def test_a_secret_where_the_name_of_a_variable_belongs_is_not_repeated(line: str) -> None:
    said = refused(f"{{type: slack, url_env: {line}}}")
    assert "is not the name of an environment variable" in said
    assert "secret-1" not in said.lower()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{}", "needs a type: email, slack"),
        ("{type: slak}", "did you mean slack?"),
        ("{type: slack}", "needs url_env"),
        ("{type: slack, url_env: A, url_file: /b}", "url_env names it already"),
        ("{type: slack, url_file: secrets/slack}", "must begin with /"),
        ("{type: slack, url_env: BARTIZAN_SLACK}", "must not begin with BARTIZAN_"),
        ("{type: slack, url_env: A, host: b}", "unknown key"),
        ("{type: slack, url_env: A, rate: 5}", "such as 30/minute"),
        ("{type: slack, url_env: A, rate: 1/day}", "such as 30/minute"),
        ("{type: slack, url_env: A, rate: fast}", "is not a threshold"),
        ("{type: log}", "log is the name"),
        ("{type: pagerduty}", "needs routing_key_env"),
        ("{type: pagerduty, routing_key_env: A, base_url: ftp://x}", "must begin with https://"),
        ("{type: pagerduty, routing_key_env: A, severities: {P9: error}}", "unknown key"),
        ("{type: pagerduty, routing_key_env: A, severities: {P1: awful}}", "choose from"),
        ("{type: webhook, secret_env: A}", "needs url"),
        ("{type: webhook, url: https://a.example/}", "needs secret_env"),
        ("{type: webhook, url: https://a.example/, url_env: B, secret_env: A}", "names it already"),
        ("{type: webhook, url: http://public.example/, secret_env: A}", "must begin with https://"),
        ("{type: webhook, url: 'https://u:p@a.example/', secret_env: A}", "write url_env"),
        ("{type: webhook, url: 'https://a.example/?token=1', secret_env: A}", "write url_env"),
        ("{type: webhook, url: 'https://a.example/#x', secret_env: A}", "#fragment"),
        ("{type: email}", "needs host"),
        ("{type: email, host: 'a:25', from: a@b.c, to: a@b.c}", "port is a key of its own"),
        ("{type: email, host: a, to: a@b.c}", "needs from"),
        ("{type: email, host: a, from: a@b.c}", "needs to"),
        ("{type: email, host: a, from: a@b.c, to: []}", "needs 1 to 50"),
        ("{type: email, host: a, from: nobody, to: a@b.c}", "no mail address"),
        ("{type: email, host: a, from: '@b', to: a@b.c}", "no mail address"),
        ('{type: email, host: a, from: a@b.c, to: "a@b.c\\nBcc: x@y.z"}', "no mail address"),
        ("{type: email, host: a, from: a@b.c, to: 'a@b.c, d@e.f'}", "no mail address"),
        ("{type: email, host: a, from: a@b.c, to: a@b.c, username: u}", "needs both"),
        ("{type: email, host: a, from: a@b.c, to: a@b.c, password_env: U}", "needs both"),
        (
            "{type: email, host: a, from: a@b.c, to: a@b.c, username: u, password_env: U, security: none}",
            "in the open",
        ),
        ("{type: email, host: a, from: a@b.c, to: a@b.c, security: none, ca_file: /x}", "of no use"),
        ("{type: email, host: a, from: a@b.c, to: a@b.c, port: 0}", "between 1 and"),
    ],
)
def test_what_is_wrong_is_refused_on_its_line(line: str, what: str) -> None:
    assert what in refused(line)


@pytest.mark.parametrize("name", ["Team", "0x", "a" * 33, "'a b'", "''", "log"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="line 4"):
        read(f"channels:\n  {name}: {{type: slack, url_env: A}}\n")


def test_there_are_at_most_twenty() -> None:
    lines = "".join(f"  c{n}: {{type: slack, url_env: A}}\n" for n in range(21))
    with pytest.raises(ConfigError, match="one more than 20"):
        read("channels:\n" + lines)


@pytest.mark.parametrize("missing", list(ENVIRON))
def test_a_missing_secret_is_named_with_its_line_and_no_other_secret_is_shown(missing: str) -> None:
    pytest.importorskip("apprise")
    environ = {name: value for name, value in ENVIRON.items() if name != missing}
    with pytest.raises(ConfigError) as caught:
        build(ALL, environ)
    assert re.fullmatch(
        rf"policy.yaml line \d+: channels\.\w+\.\w+_env: the environment variable {missing} is not set or empty",
        str(caught.value),
    )
    assert missing_secrets(read(ALL), environ) == [str(caught.value)]  # type: ignore[arg-type]


def test_only_a_check_warns_of_missing_secrets() -> None:
    assert len(missing_secrets(read(ALL), {})) == len(ENVIRON)  # type: ignore[arg-type]
    assert missing_secrets(read(ALL), ENVIRON) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "value", "what"),
    [
        ("{type: slack, url_env: A}", "not-an-address-1", "must begin with https://"),
        ("{type: slack, url_env: A}", "http://hooks.slack.example/address-1", "must begin with https://"),
        ("{type: slack, url_env: A}", "https://hooks.slack.example/ address-1", "no address"),
        ("{type: pagerduty, routing_key_env: A}", "address-1", "no routing key"),
        ("{type: webhook, url: https://a.example/, secret_env: A}", "address-1", "shorter than 16"),
        ("{type: slack, url_env: A}", "x" * 5_000 + "address-1", "too long"),
        ("{type: slack, url_env: A}", "https://a.example/\naddress-1", "several lines"),
    ],
)
def test_a_secret_of_the_wrong_shape_is_named_and_not_repeated(line: str, value: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        build(f"channels:\n  x: {line}\n", {"A": value})
    assert "policy.yaml line 4: channels.x." in str(caught.value)
    assert "address-1" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9999", "[::1]:9999", "mock-receiver:9999", "10.1.2.3", "localhost"]
)
def test_http_is_taken_for_what_is_near(host: str) -> None:
    assert build("channels:\n  x: {type: slack, url_env: A}\n", {"A": f"http://{host}/slack/x"})


def test_a_secret_is_read_from_a_file_without_its_line_break(tmp_path: Path) -> None:
    file = tmp_path / "slack"
    file.write_text("http://localhost/slack/x\n")
    text = f"channels:\n  x: {{type: slack, url_file: {file}}}\n"
    assert "x" in build(text, {})
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        build(text, {})
    file.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        build(text, {})


def test_a_file_of_the_data_folder_is_nobodys_secret(tmp_path: Path) -> None:
    (tmp_path / "fingerprint.key").write_text("0" * 64)
    channels = load_policy(
        f"{RULES}channels:\n  x: {{type: slack, url_file: {tmp_path}/a/../fingerprint.key}}\n", "policy.yaml"
    ).channels
    with pytest.raises(ConfigError, match="the service's own"):
        check_channels(channels, tmp_path)


def test_a_changed_policy_whose_secrets_are_not_here_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(RULES)
    store = PolicyStore(file, is_required=True)
    store.checks.append(lambda policy: check_channels(policy.channels, tmp_path / "data"))
    wanted = RULES + "channels:\n  x: {type: slack, url_env: NOBODY_HAS_SET_THIS}\n"
    with pytest.raises(ConfigError, match="NOBODY_HAS_SET_THIS"):
        store.replace(wanted)
    assert file.read_text() == RULES
    file.write_text(wanted)
    assert not store.reload_if_changed()
    assert "NOBODY_HAS_SET_THIS" in (store.error or "")
    assert store.current.channels == ()


def test_an_incident_is_found_at_the_services_own_address() -> None:
    url = incident_url_of(Settings(url="https://bartizan.example/"))("INC-2026-0001")
    assert url == "https://bartizan.example/v1/admin/incidents/INC-2026-0001/report?format=html"


def test_every_type_has_a_rate_and_a_heading_in_the_docs() -> None:
    page = (Path(__file__).resolve().parent.parent.parent / "docs" / "channels.md").read_text("utf-8")
    for kind in ChannelType:
        rate = DEFAULT_RATES[kind]
        numbers = ("any", "any") if rate is None else (rate.per_minute, rate.burst)
        assert f"| `{kind}` | {numbers[0]} | {numbers[1]} |" in page
        if kind is not ChannelType.LOG:
            assert f"\n## {kind}\n" in page
