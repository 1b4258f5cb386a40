"""Channels of each kind that talk to a receiver in this process, or to answers that a test makes up."""

from collections.abc import Callable
from typing import Any

import httpx
from acting import NOON
from letters import HOOK_SECRET, KEY, url_of

from actions.channels.discord import DiscordChannel
from actions.channels.pagerduty import PagerDutyChannel
from actions.channels.settings import DEFAULT_SEVERITIES
from actions.channels.slack import SlackChannel
from actions.channels.webhook import WebhookChannel
from actions.channels.wire import Wire, secrets_in
from actions.delivery.message import Channel
from app.mock_receiver.receiver import Receiver

BASE = "http://receiver"
SLACK_URL = f"{BASE}/slack/services/T000/B000/slack-token-0123"
DISCORD_URL = f"{BASE}/discord/api/webhooks/17/discord-token-0123"
WEBHOOK_URL = f"{BASE}/webhook"
KINDS = ("slack", "discord", "pagerduty", "webhook")


def client_of(receiver: Receiver) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(receiver.app()))


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


def reply(status: int, text: str = "", headers: dict[str, str] | None = None) -> httpx.Response:
    """An answer whose body has still to come, as from a network."""
    return httpx.Response(status, stream=httpx.ByteStream(text.encode()), headers=headers)


def a_channel(kind: str, http: httpx.AsyncClient, **fields: Any) -> Channel:
    """A channel of this kind over this client."""
    deadline = {"deadline_s": fields.pop("deadline_s")} if "deadline_s" in fields else {}

    def wire(*secrets: str) -> Wire:
        return Wire(http, lambda: NOON, secrets, **deadline)

    match kind:
        case "slack":
            return SlackChannel("team", wire(*secrets_in(SLACK_URL)), SLACK_URL, url_of)
        case "discord":
            return DiscordChannel("team", wire(*secrets_in(DISCORD_URL)), DISCORD_URL, url_of)
        case "pagerduty":
            return PagerDutyChannel("team", wire(KEY), BASE, KEY, url_of, DEFAULT_SEVERITIES)
        case _:
            secrets = fields.get("secrets", [HOOK_SECRET])
            return WebhookChannel(
                "team",
                wire(*secrets, *secrets_in(WEBHOOK_URL)),
                WEBHOOK_URL,
                secrets,
                url_of,
                lambda: NOON,
            )
