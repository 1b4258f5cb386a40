"""The rules of Slack's incoming webhooks and Block Kit.

Source: https://api.slack.com/messaging/webhooks, https://api.slack.com/reference/block-kit/blocks,
https://api.slack.com/reference/surfaces/formatting#escaping
"""

import re
from typing import Any

from app.mock_receiver.verdict import Verdict, decoded

MOST_BLOCKS, MOST_FIELDS, MOST_ELEMENTS = 50, 10, 25
LONGEST_HEADER, LONGEST_SECTION, LONGEST_FIELD, LONGEST_BUTTON, LONGEST_TEXT = 150, 3_000, 2_000, 75, 40_000
RATES = ((5, 5_000),)
"""About one a second, with short bursts."""
_BARE = re.compile(r"[<>]|&(?!(?:amp|lt|gt);)")
_TOP = frozenset({"text", "blocks", "attachments", "mrkdwn", "unfurl_links", "unfurl_media", "thread_ts"})


def take(body: bytes, content_type: str) -> Verdict:
    """One message; answered `ok`, or with Slack's own word for what is wrong."""
    verdict = Verdict()
    if not content_type.startswith("application/json"):
        verdict.violations.append("Content-Type: must be application/json")
    message = decoded(body, verdict)
    if verdict.violations:
        verdict.status, verdict.answer = 400, "invalid_payload"
        return verdict
    verdict.known("", message, _TOP)
    verdict.summary = _escaped("text", message.get("text"), LONGEST_TEXT, verdict)
    for number, block in enumerate(verdict.items("blocks", message.get("blocks"), MOST_BLOCKS)):
        _check_block(f"blocks[{number}]", block, verdict)
    if verdict.violations:
        verdict.status, verdict.answer = 400, "invalid_blocks"
    return verdict


def _check_block(name: str, block: dict[str, Any], verdict: Verdict) -> None:
    match block.get("type"):
        case "header":
            _text_object(f"{name}.text", block.get("text"), LONGEST_HEADER, verdict, plain_only=True)
        case "section":
            if not (block.get("text") or block.get("fields")):
                verdict.violations.append(f"{name}: needs text or fields")
            if block.get("text") is not None:
                _text_object(f"{name}.text", block["text"], LONGEST_SECTION, verdict)
            for field in verdict.items(f"{name}.fields", block.get("fields"), MOST_FIELDS):
                _text_object(f"{name}.fields", field, LONGEST_FIELD, verdict)
        case "actions":
            _check_buttons(name, block, verdict)
        case "divider":
            pass
        case "context":
            for element in verdict.items(f"{name}.elements", block.get("elements"), MOST_FIELDS):
                _text_object(f"{name}.elements", element, LONGEST_SECTION, verdict)
        case other:
            verdict.violations.append(f"{name}.type: unknown {other!r}")


def _check_buttons(name: str, block: dict[str, Any], verdict: Verdict) -> None:
    ids = set()
    elements = verdict.items(f"{name}.elements", block.get("elements"), MOST_ELEMENTS)
    for element in elements:
        if element.get("type") != "button":
            verdict.violations.append(f"{name}.elements: only buttons are known here")
        _text_object(f"{name}.elements.text", element.get("text"), LONGEST_BUTTON, verdict, plain_only=True)
        ids.add(verdict.text(f"{name}.elements.action_id", element.get("action_id"), 255))
        if "url" in element:
            verdict.link(f"{name}.elements.url", element["url"])
    if len(ids) < len(elements) or not elements:
        verdict.violations.append(f"{name}.elements: needs buttons, each with an action_id of its own")


def _text_object(name: str, value: Any, longest: int, verdict: Verdict, *, plain_only: bool = False) -> None:
    if not isinstance(value, dict) or value.get("type") not in ("plain_text", "mrkdwn"):
        verdict.violations.append(f"{name}: must be a text object")
        return
    if plain_only and value["type"] != "plain_text":
        verdict.violations.append(f"{name}: must be plain_text")
    if "verbatim" in value and value["type"] == "plain_text":
        verdict.violations.append(f"{name}: plain_text has no verbatim")
    _escaped(name, value.get("text"), longest, verdict)


def _escaped(name: str, value: Any, longest: int, verdict: Verdict) -> str:
    """A text in which nothing of a log may have become a mention or a link, both of which begin with `<`."""
    text = verdict.text(name, value, longest)
    bare = _BARE.search(text)
    if bare:
        around = text[bare.start() : bare.start() + 20]
        verdict.violations.append(f"{name}: not escaped: {around!r}")
    return text
