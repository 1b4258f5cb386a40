"""The rules of Discord's webhooks.

Source: https://discord.com/developers/docs/resources/webhook, .../resources/message#embed-object-embed-limits
"""

import re
from typing import Any

from app.mock_receiver.verdict import Verdict, decoded
from detectors.timestamps import parse_time

LONGEST_CONTENT, MOST_EMBEDS, LONGEST_TOTAL = 2_000, 10, 6_000
LONGEST_TITLE, LONGEST_DESCRIPTION, LONGEST_FOOTER, LONGEST_AUTHOR = 256, 4_096, 2_048, 256
MOST_FIELDS, LONGEST_NAME, LONGEST_VALUE = 25, 256, 1_024
RATES = ((5, 2_000), (30, 60_000))
UNKNOWN_MESSAGE, INVALID_FORM = 10008, 50035
_TOP = frozenset({"content", "embeds", "allowed_mentions", "username", "avatar_url", "tts", "flags"})
_EMBED = frozenset(
    {"title", "description", "url", "color", "timestamp", "footer", "fields", "author", "image", "type"}
)
_MENTION = re.compile(r"(?<!\\)(?:<[@#:]|@(?:everyone|here)\b)")
_LIVE = re.compile(r"https?://|(?<!\\)\]\(", re.IGNORECASE)


class Discord:
    """One channel behind a webhook: which messages are in it."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[str, Any]] = {}

    def post(self, body: bytes, wait: str | None) -> Verdict:
        """A new message; answered with its id where the caller waits for it."""
        verdict = self._checked(body)
        if verdict.violations:
            return verdict
        message_id = str(1_300_000_000_000_000_000 + len(self.messages))
        self.messages[message_id] = verdict.body
        if wait == "true":
            verdict.answer = {"id": message_id, **verdict.body}
        else:
            verdict.status, verdict.answer = 204, ""
            verdict.notes.append("without wait=true nobody is told that a message was not kept")
        return verdict

    def patch(self, body: bytes, message_id: str) -> Verdict:
        """A message edited in place."""
        if message_id not in self.messages:
            return Verdict(
                summary=f"edit of {message_id}",
                notes=[f"message {message_id} is not here"],
                status=404,
                answer={"message": "Unknown Message", "code": UNKNOWN_MESSAGE},
            )
        verdict = self._checked(body)
        if not verdict.violations:
            self.messages[message_id] = verdict.body
            verdict.answer = {"id": message_id, **verdict.body}
            verdict.summary = f"edit: {verdict.summary}"
        return verdict

    def _checked(self, body: bytes) -> Verdict:
        verdict = Verdict()
        message = decoded(body, verdict)
        verdict.known("", message, _TOP)
        total = [0]
        embeds = verdict.items("embeds", message.get("embeds"), MOST_EMBEDS)
        for number, embed in enumerate(embeds):
            _check_embed(f"embeds[{number}]", embed, verdict, total)
        if not embeds:
            verdict.summary = _shown("content", message.get("content"), LONGEST_CONTENT, verdict, [0])
        if total[0] > LONGEST_TOTAL:
            verdict.violations.append(f"embeds: {total[0]:,} characters in all, at most {LONGEST_TOTAL:,}")
        if message.get("allowed_mentions") != {"parse": []}:
            verdict.violations.append(
                "allowed_mentions: must be {parse: []}, or a log's author calls everyone"
            )
        if verdict.violations:
            verdict.status = 400
            verdict.answer = {
                "message": "Invalid Form Body",
                "code": INVALID_FORM,
                "errors": verdict.violations,
            }
        return verdict


def _check_embed(name: str, embed: dict[str, Any], verdict: Verdict, total: list[int]) -> None:
    verdict.known(f"{name}.", embed, _EMBED)
    title = _shown(f"{name}.title", embed.get("title"), LONGEST_TITLE, verdict, total)
    verdict.summary = verdict.summary or title
    if embed.get("description"):
        _shown(f"{name}.description", embed["description"], LONGEST_DESCRIPTION, verdict, total)
    for part, key, longest in (("footer", "text", LONGEST_FOOTER), ("author", "name", LONGEST_AUTHOR)):
        if isinstance(embed.get(part), dict):
            _shown(f"{name}.{part}.{key}", embed[part].get(key), longest, verdict, total)
    for field in verdict.items(f"{name}.fields", embed.get("fields"), MOST_FIELDS):
        _shown(f"{name}.fields.name", field.get("name"), LONGEST_NAME, verdict, total)
        _shown(f"{name}.fields.value", field.get("value"), LONGEST_VALUE, verdict, total)
    if "url" in embed:
        verdict.link(f"{name}.url", embed["url"])
    if "timestamp" in embed and parse_time(embed["timestamp"]) is None:
        verdict.violations.append(f"{name}.timestamp: is no ISO 8601 time")
    if not (isinstance(embed.get("color", 0), int) and 0 <= embed.get("color", 0) <= 0xFFFFFF):
        verdict.violations.append(f"{name}.color: must be a number up to 0xFFFFFF")


def _shown(name: str, value: Any, longest: int, verdict: Verdict, total: list[int]) -> str:
    """A text that people see: counted, and without live mentions and links from a log."""
    text = verdict.text(name, value, longest)
    total[0] += len(text.encode("utf-16-le", "surrogatepass")) // 2
    for pattern, what in ((_MENTION, "a mention"), (_LIVE, "a live link")):
        found = pattern.search(text)
        if found:
            verdict.violations.append(f"{name}: {what}: {text[found.start() : found.start() + 20]!r}")
    return text
