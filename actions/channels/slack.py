"""Slack: an incoming webhook, or what speaks like one (Mattermost).

Source: https://api.slack.com/messaging/webhooks, https://api.slack.com/reference/block-kit/blocks
"""

import msgspec

from actions.channels.plain import fitted
from actions.channels.wire import Wire
from actions.channels.wording import IncidentUrl, Wording, worded
from actions.delivery.message import Letter, Rate
from detectors.errors import DeliveryError

LONGEST_TEXT = 3_000
LONGEST_SECTION = 2_900
"""A section may have 3,000 characters; whether they count before or after escaping is not said."""
LONGEST_FIELD = 600
"""Of 2,000; longer ones are no longer read in two columns."""
MOST_FIELDS = 10
LONGEST_BUTTON = 75
MOST_BUTTONS = 10
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class SlackChannel:
    """Tells one Slack channel. A webhook's messages can be neither edited nor answered, so it has no references."""

    type = "slack"
    groups = True
    rate: Rate | None = None

    def __init__(self, name: str, wire: Wire, url: str, incident_url: IncidentUrl) -> None:
        """`url`: the webhook's address, a secret that `wire` knows."""
        self.name = name
        self._wire = wire
        self._url = url
        self._incident_url = incident_url

    async def send(self, letter: Letter) -> str:
        """One message. Raises: DeliveryError."""
        body = msgspec.json.encode(slack_body(worded(letter, self._incident_url)))
        answer = (await self._wire.post(self._url, body)).strip()
        if not answer.startswith((b"ok", b'{"ok":true')):
            raise DeliveryError(
                "answered 2xx, but not as Slack does: not a webhook's address", permanent=True
            )
        return ""


def slack_body(said: Wording) -> dict[str, object]:
    """The message in Block Kit.

    Every text from a log stands in a `plain_text` object, escaped: in these Slack makes neither links nor mentions.
    """
    blocks: list[dict[str, object]] = [{"type": "header", "text": _plain(said.headline, 150)}]
    if said.text:
        blocks.append({"type": "section", "text": _plain(said.text, LONGEST_SECTION)})
    if said.facts:
        fields = [_plain(f"{fact.name}: {fact.value}", LONGEST_FIELD) for fact in said.facts[:MOST_FIELDS]]
        blocks.append({"type": "section", "fields": fields})
    if said.links:
        buttons = [
            {
                "type": "button",
                "text": _plain(link.text, LONGEST_BUTTON),
                "url": link.href,
                "action_id": link.text,
            }
            for link in said.links[:MOST_BUTTONS]
        ]
        blocks.append({"type": "actions", "elements": buttons})
    return {
        "text": fitted(f"{said.headline}\n{said.text}", LONGEST_TEXT, escaped),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": blocks,
    }


def escaped(character: str) -> str:
    """One character as Slack wants it. Source: https://api.slack.com/reference/surfaces/formatting#escaping"""
    return _ESCAPES.get(character, character)


def _plain(text: str, limit: int) -> dict[str, object]:
    return {"type": "plain_text", "text": fitted(text, limit, escaped), "emoji": False}
