"""`channels` of the policy: where people are told, by name.

A secret never stands in a policy, which the API shows and the audit trail keeps: it names a variable or a file instead.
"""

import re
from collections.abc import Callable, Collection, Mapping
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import getaddresses
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

import httpx

from actions.channels.settings import (
    DEFAULT_RATES,
    DEFAULT_SEVERITIES,
    PAGERDUTY_URL,
    AppriseSettings,
    ChannelSettings,
    ChannelType,
    DiscordSettings,
    EmailSettings,
    LogSettings,
    PagerDutySettings,
    PagerDutySeverity,
    SecretSource,
    Security,
    SlackSettings,
    WebhookSettings,
)
from actions.channels.urls import checked_url
from actions.delivery.message import Rate
from app.durations import parse_rate
from app.policies.nodes import Value
from detectors.finding import Priority

MOST_CHANNELS = 20
MOST_ADDRESSES = 50
MOST_PER_MINUTE = 6_000
SETTINGS_PREFIX = "BARTIZAN_"
PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}
"""Source: RFC 8314 section 3.3 (465), RFC 6409 (587), RFC 5321 (25)."""
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_HOST = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_KEYS: Mapping[ChannelType, frozenset[str]] = {
    ChannelType.EMAIL: frozenset(
        {"host", "port", "security", "from", "to", "username", "ca_file", "password"}
    ),
    ChannelType.SLACK: frozenset({"url"}),
    ChannelType.DISCORD: frozenset({"url"}),
    ChannelType.PAGERDUTY: frozenset({"routing_key", "base_url", "severities"}),
    ChannelType.WEBHOOK: frozenset({"url", "secret", "old_secret"}),
    ChannelType.APPRISE: frozenset({"url"}),
    ChannelType.LOG: frozenset(),
}
_SECRETS = frozenset({"url", "routing_key", "secret", "old_secret", "password"})


def read_channels(value: Value) -> tuple[ChannelSettings, ...]:
    """The channels that the policy names, in its order. Nothing is looked up yet: secrets are read by who builds them.

    Raises: ConfigError on the line of the key that is wrong.
    """
    found: list[ChannelSettings] = []
    for name, (key, entry) in value.entries().items():
        if not _NAME.fullmatch(name):
            key.fail("a channel's name has 1 to 32 small letters, digits, - and _, and begins with a letter")
        if len(found) == MOST_CHANNELS:
            key.fail(f"is one more than {MOST_CHANNELS} channels")
        found.append(_read_channel(name, entry))
    return tuple(found)


def check_channel_names(top: Mapping[str, Value], known: Collection[str]) -> None:
    """Whether every channel that the policy names elsewhere is there. Raises: ConfigError on the line of another.

    `routes` are read with the names at hand and check them themselves.
    """
    for key in ("escalation", "digests", "maintenance", "maintenance_notice"):
        if key in top:
            _check_below(top[key], known)


def _check_below(value: Value, known: Collection[str]) -> None:
    if value.is_list:
        for entry in value.listed():
            _check_below(entry, known)
    elif value.is_mapping:
        for name, (_, member) in value.entries().items():
            if name != "channels":
                _check_below(member, known)
                continue
            for entry in member.each():
                entry.must_be_in(known, "channel")


def _read_channel(name: str, value: Value) -> ChannelSettings:
    entries = value.entries()
    if "type" not in entries:
        value.fail(f"needs a type: {', '.join(ChannelType)}")
    kind = entries["type"][1].choice(ChannelType)
    known = {"type", "rate"}
    for key in _KEYS[kind]:
        known |= {key, f"{key}_env", f"{key}_file"} if key in _SECRETS else {key}
    members = value.members(known)
    if (name == "log") != (kind is ChannelType.LOG):
        value.fail("log is the name of the service's own log, which is always there, and of nothing else")
    rate = _rate(members["rate"], DEFAULT_RATES[kind]) if "rate" in members else DEFAULT_RATES[kind]
    return _READERS[kind](_Entry(name, value, members, rate))


class _Entry:
    """One channel as it stands in the policy."""

    def __init__(self, name: str, value: Value, members: dict[str, Value], rate: Rate | None) -> None:
        self.name = name
        self.members = members
        self.rate = rate
        self._value = value

    def fail(self, what: str) -> NoReturn:
        """Raises: ConfigError on the line of the channel."""
        self._value.fail(what)

    def text(self, key: str, hint: str) -> str:
        """A value that must be there. Raises: ConfigError."""
        if key not in self.members:
            self.fail(f"needs {key}: {hint}")
        return self.members[key].text()

    def secret(self, key: str) -> SecretSource | None:
        """Where a secret is, or None. Raises: ConfigError where the secret itself stands there, or two places."""
        if key in self.members:
            self.members[key].fail(
                f"a secret does not belong in the policy, which is shown and audited; write {key}_env: NAME for an "
                f"environment variable, or {key}_file: /path"
            )
        env, file = self.members.get(f"{key}_env"), self.members.get(f"{key}_file")
        if env is not None and file is not None:
            file.fail(f"{key}_env names it already")
        if env is not None:
            return SecretSource(where=env.where, env=_variable(env))
        if file is not None:
            path = file.text()
            if not Path(path).is_absolute():
                file.fail(f"{path!r} is not a whole path: it must begin with /")
            return SecretSource(where=file.where, file=path)
        return None

    def needed_secret(self, key: str) -> SecretSource:
        """The same of one that must be there."""
        found = self.secret(key)
        if found is None:
            self.fail(f"needs {key}_env (the name of an environment variable) or {key}_file (a path)")
        return found


def _variable(value: Value) -> str:
    name = value.text()
    if not _VARIABLE.fullmatch(name):
        # Not repeated: a secret stands there as often as not.
        value.fail(
            "is not the name of an environment variable; the secret itself does not belong in the policy"
        )
    if name.upper().startswith(SETTINGS_PREFIX):
        value.fail(f"must not begin with {SETTINGS_PREFIX}: an unknown setting of that name refuses to start")
    return name


def _rate(value: Value, default: Rate | None) -> Rate:
    """`60/minute`, `2/s`: letters a minute; as many at once as by default, where the rate is that high."""
    count, window_ms = value.parse(parse_rate)
    per_minute = count if window_ms is None else count * 60_000 // window_ms
    if window_ms is None or not 1 <= per_minute <= MOST_PER_MINUTE:
        value.fail(f"must be 1/minute to {MOST_PER_MINUTE}/minute, such as 30/minute")
    return Rate(per_minute, min(per_minute, default.burst if default else per_minute))


def _slack(entry: _Entry) -> ChannelSettings:
    return SlackSettings(name=entry.name, url=entry.needed_secret("url"), rate=entry.rate)


def _discord(entry: _Entry) -> ChannelSettings:
    return DiscordSettings(name=entry.name, url=entry.needed_secret("url"), rate=entry.rate)


def _apprise(entry: _Entry) -> ChannelSettings:
    return AppriseSettings(name=entry.name, url=entry.needed_secret("url"), rate=entry.rate)


def _log(entry: _Entry) -> ChannelSettings:
    return LogSettings(rate=entry.rate)


def _pagerduty(entry: _Entry) -> ChannelSettings:
    base = entry.members.get("base_url")
    severities = dict(DEFAULT_SEVERITIES)
    if "severities" in entry.members:
        for key, value in entry.members["severities"].members(set(Priority)).items():
            severities[Priority(key)] = value.choice(PagerDutySeverity)
    return PagerDutySettings(
        name=entry.name,
        routing_key=entry.needed_secret("routing_key"),
        base_url=_public_url(base) if base else PAGERDUTY_URL,
        severities=severities,
        rate=entry.rate,
    )


def _webhook(entry: _Entry) -> ChannelSettings:
    url = entry.members.pop("url", None)
    hidden = entry.secret("url")
    if url is None and hidden is None:
        entry.fail("needs url, or url_env or url_file where the address is a secret")
    if url is not None and hidden is not None:
        url.fail("url_env or url_file names it already")
    return WebhookSettings(
        name=entry.name,
        secret=entry.needed_secret("secret"),
        old_secret=entry.secret("old_secret"),
        url=_public_url(url) if url else "",
        url_secret=hidden,
        rate=entry.rate,
    )


def _public_url(value: Value) -> str:
    """An address that may stand in the policy: one with a password or a query is likely a secret."""
    text = value.text()
    try:
        url = httpx.URL(checked_url(text))
    except ValueError as error:
        value.fail(str(error))
    if url.userinfo or url.query:
        value.fail("has a password or a query, which may be secret; write url_env: NAME or url_file: /path")
    return text


def _email(entry: _Entry) -> ChannelSettings:
    host = entry.text("host", "the mail server")
    security = (
        entry.members["security"].choice(Security) if "security" in entry.members else Security.STARTTLS
    )
    if not _is_host(host):
        entry.members["host"].fail(f"{host!r} is no host; its port is a key of its own")
    entry.text("from", "the sender's address")
    if "to" not in entry.members:
        entry.fail("needs to: one address, or a list of them")
    to = tuple(value.parse(_address) for value in entry.members["to"].each())
    if not 1 <= len(to) <= MOST_ADDRESSES:
        entry.members["to"].fail(f"needs 1 to {MOST_ADDRESSES} addresses")
    username, password = entry.members.get("username"), entry.secret("password")
    if (username is None) != (password is None):
        entry.fail("needs both of username and password_env (or password_file), or neither")
    if security is Security.NONE and password is not None:
        entry.members["security"].fail("none would send the password in the open; use starttls or tls")
    if "ca_file" in entry.members and security is Security.NONE:
        entry.members["ca_file"].fail("is of no use with security: none")
    return EmailSettings(
        name=entry.name,
        host=host,
        port=entry.members["port"].integer(1, 65_535) if "port" in entry.members else PORTS[security],
        security=security,
        sender=entry.members["from"].parse(_address),
        to=to,
        username=username.text() if username else "",
        password=password,
        ca_file=entry.members["ca_file"].text() if "ca_file" in entry.members else "",
        rate=entry.rate,
    )


def _is_host(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return _HOST.fullmatch(text) is not None
    return True


def _address(text: str) -> str:
    """`ops@example.org`, or with a name before it. Raises: ValueError made for people."""
    found = getaddresses([text])
    name, address = found[0] if len(found) == 1 else ("", "")
    if not text.isprintable() or not address.isascii() or "@" not in address or len(text) > 320:
        raise ValueError(f"{text!r} is no mail address")
    try:
        return str(Address(display_name=name, addr_spec=address))
    except (ValueError, IndexError, AttributeError, MessageError):
        raise ValueError(f"{text!r} is no mail address") from None


_READERS: Mapping[ChannelType, Callable[[_Entry], ChannelSettings]] = {
    ChannelType.EMAIL: _email,
    ChannelType.SLACK: _slack,
    ChannelType.DISCORD: _discord,
    ChannelType.PAGERDUTY: _pagerduty,
    ChannelType.WEBHOOK: _webhook,
    ChannelType.APPRISE: _apprise,
    ChannelType.LOG: _log,
}
