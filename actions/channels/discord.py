"""Discord: a webhook of a channel. One message an incident, edited in place as it goes on.

Source: https://discord.com/developers/docs/resources/webhook, .../resources/message#embed-object-embed-limits,
.../topics/rate-limits
"""

from typing import Any

import httpx
import msgspec

from actions.channels.plain import fitted
from actions.channels.wire import RefusedError, Wire, bounded_ms
from actions.channels.wording import IncidentUrl, Wording, worded
from actions.delivery.message import Letter, MessageKind, Rate
from detectors.errors import DeliveryError
from detectors.finding import Severity
from detectors.timestamps import to_rfc3339

LONGEST_TITLE = 256
LONGEST_DESCRIPTION = 3_000
"""Of 4,096, so that the whole stays below 6,000."""
LONGEST_NAME = 64
LONGEST_VALUE = 200
MOST_FIELDS = 10
UNKNOWN_MESSAGE = 10008
"""Source: .../topics/opcodes-and-status-codes: the message was deleted."""
TOLD_ANEW = frozenset({MessageKind.OPENED, MessageKind.ESCALATED, MessageKind.OVERDUE, MessageKind.REOPENED})
"""An edit rings nobody's phone, so what somebody must hear of is a message of its own."""
COLOURS = {
    Severity.CRITICAL: 0xB00020,
    Severity.HIGH: 0xE65100,
    Severity.MEDIUM: 0xF9A825,
    Severity.LOW: 0x546E7A,
}
_QUIET: dict[str, list[str]] = {"parse": []}
_MARKDOWN = frozenset("\\`*_~|>#[]()<:@-+")


class DiscordChannel:
    """Tells one Discord channel; its references are the ids of messages."""

    type = "discord"
    groups = True
    rate: Rate | None = None

    def __init__(self, name: str, wire: Wire, url: str, incident_url: IncidentUrl) -> None:
        """`url`: the webhook's address, a secret that `wire` knows."""
        self.name = name
        self._wire = wire
        self._url = httpx.URL(url)
        self._incident_url = incident_url

    async def send(self, letter: Letter) -> str:
        """A new message, or the known one edited; answers the message's id. Raises: DeliveryError."""
        said = worded(letter, self._incident_url)
        body = msgspec.json.encode(discord_body(said))
        if _is_id(letter.ref) and said.kind not in TOLD_ANEW:
            edited = await self._edit(letter.ref, body)
            if edited:
                return edited
        return await self._post("POST", self._url.copy_merge_params({"wait": "true"}), body)

    async def _edit(self, message_id: str, body: bytes) -> str:
        """The id again; nothing where somebody has deleted the message."""
        path = f"{self._url.path.rstrip('/')}/messages/{message_id}"
        try:
            return await self._post("PATCH", self._url.copy_with(path=path), body)
        except RefusedError as error:
            if error.status == 404 and _decoded(error.body).get("code") == UNKNOWN_MESSAGE:
                return ""
            raise

    async def _post(self, method: str, url: httpx.URL, body: bytes) -> str:
        try:
            answer = _decoded(await self._wire.post(str(url), body, method=method))
        except RefusedError as error:
            if error.status == 429:
                error.retry_after_ms = _longest_wait(error)
            raise
        message_id = answer.get("id")
        if not isinstance(message_id, str) or not _is_id(message_id):
            raise DeliveryError("answered 2xx, but with no message: not a webhook's address", permanent=True)
        return message_id


def discord_body(said: Wording) -> dict[str, object]:
    """One embed. Markdown of log texts is escaped, and nobody is mentioned."""
    embed: dict[str, object] = {
        "title": fitted(said.headline, LONGEST_TITLE, escaped),
        "color": COLOURS[said.severity],
        "timestamp": to_rfc3339(said.at),
        "footer": {"text": "Bartizan"},
        "fields": [
            {
                "name": fitted(fact.name, LONGEST_NAME),
                "value": fitted(fact.value, LONGEST_VALUE, escaped),
                "inline": True,
            }
            for fact in said.facts[:MOST_FIELDS]
        ],
    }
    if said.text:
        embed["description"] = fitted(said.text, LONGEST_DESCRIPTION, escaped)
    if said.links:
        embed["url"] = said.links[0].href
    return {"embeds": [embed], "allowed_mentions": _QUIET}


def escaped(character: str) -> str:
    """One character so that it is no markdown, link, emoji or mention."""
    return f"\\{character}" if character in _MARKDOWN else character


def _is_id(text: str) -> bool:
    """Whether it is a message's id, which goes into an address."""
    return text.isascii() and text.isdecimal() and len(text) <= 20


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return {}
    return found if isinstance(found, dict) else {}


def _longest_wait(error: RefusedError) -> int | None:
    """What the body says, fractions of a second, or the header, whichever is longer."""
    waits = [error.retry_after_ms] if error.retry_after_ms is not None else []
    seconds = _decoded(error.body).get("retry_after")
    if isinstance(seconds, int | float):
        waits.append(bounded_ms(seconds))
    return max(waits, default=None)
