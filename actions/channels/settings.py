"""What the policy says of each channel: where it leads, how fast, and where its secrets are. Never a secret itself."""

import enum
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from actions.delivery.message import Rate
from detectors.errors import ConfigError
from detectors.finding import Priority

LONGEST_SECRET = 4_096
"""Characters; a file of another kind was named."""
PAGERDUTY_URL = "https://events.pagerduty.com"
"""Accounts of the European region have https://events.eu.pagerduty.com."""


class ChannelType(enum.StrEnum):
    """Every kind of channel, as the policy names it."""

    EMAIL = "email"
    SLACK = "slack"
    DISCORD = "discord"
    PAGERDUTY = "pagerduty"
    WEBHOOK = "webhook"
    APPRISE = "apprise"
    LOG = "log"


class Security(enum.StrEnum):
    """How a connection to a mail server is protected."""

    STARTTLS = "starttls"
    """Begins in the open and must become encrypted; a server that cannot is refused."""
    TLS = "tls"
    """Encrypted from the first byte."""
    NONE = "none"


class PagerDutySeverity(enum.StrEnum):
    """Source: PagerDuty Events API v2, payload.severity."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


DEFAULT_RATES: Mapping[ChannelType, Rate | None] = {
    ChannelType.EMAIL: Rate(60, 10),
    ChannelType.SLACK: Rate(60, 5),
    ChannelType.DISCORD: Rate(30, 5),
    ChannelType.PAGERDUTY: Rate(120, 20),
    ChannelType.WEBHOOK: Rate(300, 50),
    ChannelType.APPRISE: Rate(30, 5),
    ChannelType.LOG: None,
}
"""Source: about one message a second for a webhook of Slack, with short bursts (api.slack.com/docs/rate-limits);
30 a minute for one of Discord, 5 within 2 s; 120 events a minute for an integration key of PagerDuty. The others are
what a mailbox or an automation bears."""

DEFAULT_SEVERITIES: Mapping[Priority, PagerDutySeverity] = MappingProxyType(
    {
        Priority.P0: PagerDutySeverity.CRITICAL,
        Priority.P1: PagerDutySeverity.ERROR,
        Priority.P2: PagerDutySeverity.WARNING,
        Priority.P3: PagerDutySeverity.INFO,
    }
)


class SecretSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where a secret is: an environment variable or a file, one of the two."""

    where: str
    """`policy.yaml line 4: channels.team.url_env`, for errors."""
    env: str = ""
    file: str = ""

    def read(self, environ: Mapping[str, str]) -> str:
        """The secret, without the blanks around it. Raises: ConfigError that says where it should be, never what."""
        if self.env:
            found, place = environ.get(self.env, ""), f"the environment variable {self.env}"
        else:
            place = f"the file {self.file}"
            try:
                found = Path(self.file).read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
                raise ConfigError(f"{self.where}: {place}: {reason}") from None
        secret = found.strip()
        if not secret:
            raise ConfigError(f"{self.where}: {place} is {'empty' if found else 'not set or empty'}")
        if len(secret) > LONGEST_SECRET or not secret.isprintable():
            raise ConfigError(f"{self.where}: {place} holds no secret: it is too long, or has several lines")
        return secret


class EmailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Mail through one server."""

    name: str
    host: str
    port: int
    sender: str
    """`Bartizan <bartizan@example.org>` or the address alone."""
    to: tuple[str, ...]
    security: Security = Security.STARTTLS
    username: str = ""
    password: SecretSource | None = None
    ca_file: str = ""
    """Certificates that are believed instead of the system's."""
    rate: Rate | None = DEFAULT_RATES[ChannelType.EMAIL]
    type: ChannelType = ChannelType.EMAIL


class SlackSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An incoming webhook of Slack, or of what speaks like it."""

    name: str
    url: SecretSource
    rate: Rate | None = DEFAULT_RATES[ChannelType.SLACK]
    type: ChannelType = ChannelType.SLACK


class DiscordSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook of a Discord channel."""

    name: str
    url: SecretSource
    rate: Rate | None = DEFAULT_RATES[ChannelType.DISCORD]
    type: ChannelType = ChannelType.DISCORD


class PagerDutySettings(msgspec.Struct, frozen=True, kw_only=True):
    """An Events API v2 integration of PagerDuty."""

    name: str
    routing_key: SecretSource
    base_url: str = PAGERDUTY_URL
    severities: Mapping[Priority, PagerDutySeverity] = DEFAULT_SEVERITIES
    rate: Rate | None = DEFAULT_RATES[ChannelType.PAGERDUTY]
    type: ChannelType = ChannelType.PAGERDUTY


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint of the operator's own, which checks our signature."""

    name: str
    secret: SecretSource
    old_secret: SecretSource | None = None
    """While the receiver changes from one to the other, every delivery is signed with both."""
    url: str = ""
    url_secret: SecretSource | None = None
    """Where the address is itself a secret; one of the two."""
    rate: Rate | None = DEFAULT_RATES[ChannelType.WEBHOOK]
    type: ChannelType = ChannelType.WEBHOOK


class AppriseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Any service that apprise knows, by its apprise URL."""

    name: str
    url: SecretSource
    rate: Rate | None = DEFAULT_RATES[ChannelType.APPRISE]
    type: ChannelType = ChannelType.APPRISE


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The service's own log, which is always there."""

    name: str = "log"
    rate: Rate | None = DEFAULT_RATES[ChannelType.LOG]
    type: ChannelType = ChannelType.LOG


ChannelSettings: TypeAlias = (
    EmailSettings
    | SlackSettings
    | DiscordSettings
    | PagerDutySettings
    | WebhookSettings
    | AppriseSettings
    | LogSettings
)


def secrets_of(settings: ChannelSettings) -> tuple[SecretSource, ...]:
    """All the places where this channel's secrets are."""
    values = (getattr(settings, name) for name in settings.__struct_fields__)
    return tuple(value for value in values if isinstance(value, SecretSource))
