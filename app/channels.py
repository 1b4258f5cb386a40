"""The channels of a policy, built: secrets are read here, and nowhere else."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from actions.channels.apprise import AppriseChannel, target_of
from actions.channels.discord import DiscordChannel
from actions.channels.email import EmailChannel
from actions.channels.pagerduty import PagerDutyChannel
from actions.channels.settings import (
    AppriseSettings,
    ChannelSettings,
    DiscordSettings,
    EmailSettings,
    LogSettings,
    PagerDutySettings,
    SecretSource,
    SlackSettings,
    WebhookSettings,
    secrets_of,
)
from actions.channels.slack import SlackChannel
from actions.channels.urls import checked_url
from actions.channels.webhook import SHORTEST_SECRET, WebhookChannel
from actions.channels.wire import Wire, secrets_in
from actions.channels.wording import IncidentUrl
from actions.delivery.message import Channel
from actions.delivery.outbox import LogChannel
from app.settings import Settings
from detectors.errors import ConfigError

LOG = "log"
_ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")


def incident_url_of(settings: Settings) -> IncidentUrl:
    """Where the report of an incident is, by its id."""
    return lambda incident_id: f"{settings.own_url}/v1/admin/incidents/{incident_id}/report?format=html"


def build_channels(
    channels: Sequence[ChannelSettings],
    http: httpx.AsyncClient,
    incident_url: IncidentUrl,
    now: Callable[[], int],
    environ: Mapping[str, str] | None = None,
) -> dict[str, Channel]:
    """The channels by name, `log` always among them. Nothing is connected.

    `environ` None: this process's environment. Raises: ConfigError naming line, key and variable or file where a secret
    is missing or of the wrong shape; the secret is never in it.
    """
    builder = _Builder(http, incident_url, now, os.environ if environ is None else environ)
    found: dict[str, Channel] = {LOG: LogChannel()}
    for settings in channels:
        channel = found[settings.name] = builder.build(settings)
        channel.rate = settings.rate
    return found


def check_channels(channels: Sequence[ChannelSettings], data_dir: Path) -> None:
    """Whether these channels could be built here and now. Raises: ConfigError.

    No secret may be a file of the data folder: those are the service's own, and who may change the policy over HTTP
    must not be able to have them sent anywhere.
    """
    for source in [source for settings in channels for source in secrets_of(settings) if source.file]:
        if Path(source.file).resolve().is_relative_to(data_dir.resolve()):
            raise ConfigError(f"{source.where}: the file {source.file} is the service's own")
    if channels:
        build_channels(channels, httpx.AsyncClient(verify=False), str, lambda: 0)  # noqa: S501 - never connects


def missing_secrets(
    channels: Sequence[ChannelSettings], environ: Mapping[str, str] | None = None
) -> list[str]:
    """What could not be read here: a warning where a policy is only checked, an error where it is to be used."""
    found = []
    for source in [source for settings in channels for source in secrets_of(settings)]:
        try:
            source.read(os.environ if environ is None else environ)
        except ConfigError as error:
            found.append(str(error))
    return found


class _Builder:
    """Builds one channel after the other from what they share."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        incident_url: IncidentUrl,
        now: Callable[[], int],
        environ: Mapping[str, str],
    ) -> None:
        self._http = http
        self._incident_url = incident_url
        self._now = now
        self._environ = environ

    def build(self, settings: ChannelSettings) -> Channel:
        """Raises: ConfigError."""
        match settings:
            case SlackSettings(name=name, url=source):
                url = self._url(source)
                return SlackChannel(name, self._wire(*secrets_in(url)), url, self._incident_url)
            case DiscordSettings(name=name, url=source):
                url = self._url(source)
                return DiscordChannel(name, self._wire(*secrets_in(url)), url, self._incident_url)
            case PagerDutySettings():
                return self._pagerduty(settings)
            case WebhookSettings():
                return self._webhook(settings)
            case EmailSettings():
                return self._email(settings)
            case AppriseSettings(name=name, url=source):
                with _naming(source):
                    return AppriseChannel(name, target_of(source.read(self._environ)), self._incident_url)
            case LogSettings():
                return LogChannel()

    def _pagerduty(self, settings: PagerDutySettings) -> Channel:
        key = settings.routing_key.read(self._environ)
        if not _ROUTING_KEY.fullmatch(key):
            raise ConfigError(f"{settings.routing_key.where}: is no routing key: 32 letters and digits")
        return PagerDutyChannel(
            settings.name, self._wire(key), settings.base_url, key, self._incident_url, settings.severities
        )

    def _webhook(self, settings: WebhookSettings) -> Channel:
        url = settings.url if settings.url_secret is None else self._url(settings.url_secret)
        secrets = []
        for source in filter(None, (settings.secret, settings.old_secret)):
            secrets.append(source.read(self._environ))
            if len(secrets[-1]) < SHORTEST_SECRET:
                raise ConfigError(f"{source.where}: shorter than {SHORTEST_SECRET} characters")
        wire = self._wire(*secrets, *secrets_in(url))
        return WebhookChannel(settings.name, wire, url, secrets, self._incident_url, self._now)

    def _email(self, settings: EmailSettings) -> Channel:
        password = settings.password
        return EmailChannel(
            settings.name,
            host=settings.host,
            port=settings.port,
            security=settings.security,
            sender=settings.sender,
            to=settings.to,
            incident_url=self._incident_url,
            now=self._now,
            username=settings.username,
            password=password.read(self._environ) if password else "",
            ca_file=settings.ca_file,
        )

    def _wire(self, *secrets: str) -> Wire:
        return Wire(self._http, self._now, secrets)

    def _url(self, source: SecretSource) -> str:
        with _naming(source):
            return checked_url(source.read(self._environ))


@contextmanager
def _naming(source: SecretSource) -> Iterator[None]:
    """Puts before an error about a secret where the policy names it. Raises: ConfigError."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(f"{source.where}: what it names {error}") from None
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith(source.where) else f"{source.where}: {text}") from None
