"""Slack: what a message looks like, its limits, and the answers that only Slack gives."""

from typing import Any

import msgspec
import pytest
from letters import TRICKS, a_group, a_hostile, a_letter, a_message, a_receiver, url_of
from wires import a_channel, answering, client_of, reply

from actions.channels.plain import width
from actions.channels.slack import slack_body
from actions.channels.wording import worded
from actions.delivery.message import Letter, MessageKind
from detectors.errors import DeliveryError


def body_of(letter: Letter) -> Any:
    return msgspec.json.decode(msgspec.json.encode(slack_body(worded(letter, url_of))))


def texts_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() if key != "url" for text in texts_in(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts_in(item)]
    return [value] if isinstance(value, str) else []


def test_a_message_says_what_why_and_where_to_look() -> None:
    header, why, facts, actions = body_of(a_letter())["blocks"]
    assert header["text"]["text"] == "[P1 high] auth_failures: 203.0.113.9"
    assert why["text"]["text"].startswith("203.0.113.9 failed to log in 10 times\nWhat to do first:")
    shown = {field["text"].partition(": ")[0]: field["text"].partition(": ")[2] for field in facts["fields"]}
    assert shown == {
        "Incident": "INC-2026-0001",
        "Severity": "high (P1)",
        "Status": "triggered",
        "Rule": "auth_failures",
        "Subject": "203.0.113.9",
        "Events": "10",
        "Since": "2026-11-18T11:05:41.000Z",
    }
    [button] = actions["elements"]
    assert (button["text"]["text"], button["url"]) == ("INC-2026-0001", url_of("INC-2026-0001"))


@pytest.mark.parametrize(
    ("message", "end"),
    [
        (a_message(MessageKind.UPDATE), ": goes on"),
        (a_message(MessageKind.ESCALATED, level=2), ": level 2: nobody has acknowledged it"),
        (a_message(MessageKind.OVERDUE), ": response is overdue"),
        (a_message(MessageKind.ACKNOWLEDGED, who="alice"), ": acknowledged"),
        (a_message(MessageKind.RESOLVED, who="alice"), ": resolved"),
        (a_message(MessageKind.MERGED), ": merged into another"),
        (a_message(MessageKind.REOPENED), ": reopened"),
    ],
)
def test_the_headline_says_what_has_changed(message: Any, end: str) -> None:
    header = body_of(a_letter(message))["blocks"][0]
    assert header["text"]["text"] == "[P1 high] auth_failures: 203.0.113.9" + end


def test_a_long_title_leaves_room_for_what_has_changed() -> None:
    header = body_of(a_letter(a_message(MessageKind.RESOLVED, title="x" * 500)))["blocks"][0]["text"]["text"]
    assert header.endswith("…: resolved")
    assert len(header) == 150


def test_a_group_names_ten_and_links_to_them() -> None:
    header, listed, _, actions = body_of(a_group())["blocks"]
    assert header["text"]["text"] == "[P1 high] auth_failures: 37 subjects in 2 min"
    lines = listed["text"]["text"].splitlines()
    assert lines[0] == "192.0.2.0 (INC-2026-0000)"
    assert lines[10] == "and 27 more"
    assert lines[11].startswith("What to do first:")
    assert len(actions["elements"]) == 10


def test_several_messages_of_one_incident_are_told_by_the_last() -> None:
    letter = a_letter(a_message(), a_message(MessageKind.ACKNOWLEDGED, who="alice"))
    assert body_of(letter)["blocks"][0]["text"]["text"].endswith("203.0.113.9: acknowledged")


@pytest.mark.parametrize("text", TRICKS)
def test_no_text_becomes_a_mention_or_a_link(text: str) -> None:
    body = body_of(a_hostile(text))
    for shown in texts_in(body):
        assert "<" not in shown and ">" not in shown
        assert "://" not in shown.replace(url_of(""), "")
    for block in body["blocks"]:
        for part in [block.get("text"), *block.get("fields", [])]:
            assert part is None or part["type"] == "plain_text"
    assert len(body["blocks"]) <= 50
    assert all(width(text) <= 3_000 for text in texts_in(body))
    assert body["mrkdwn"] is False and body["unfurl_links"] is False


def test_an_escape_is_never_cut_in_two() -> None:
    for length in range(2_895, 2_910):
        section = body_of(a_letter(a_message(text="a" * (length // 10) + "&" * 3_000)))["blocks"][1]
        assert section["text"]["text"].endswith(("&amp;…", "&amp;"))


async def test_a_page_that_is_no_webhook_is_no_delivery() -> None:
    async with answering(lambda _: reply(200, "<html>Welcome</html>")) as http:
        with pytest.raises(DeliveryError, match="not as Slack does") as caught:
            await a_channel("slack", http).send(a_letter())
    assert caught.value.permanent


@pytest.mark.parametrize("answer", ["ok", '{"ok":true}', "ok\n"])
async def test_slack_and_its_like_say_ok(answer: str) -> None:
    async with answering(lambda _: reply(200, answer)) as http:
        assert await a_channel("slack", http).send(a_letter()) == ""


@pytest.mark.parametrize(
    ("status", "word"),
    [(400, "invalid_token"), (403, "action_prohibited"), (404, "no_service"), (410, "channel_is_archived")],
)
async def test_slacks_own_word_for_a_refusal_is_told(status: int, word: str) -> None:
    async with answering(lambda _: reply(status, word)) as http:
        with pytest.raises(DeliveryError, match=word) as caught:
            await a_channel("slack", http).send(a_letter())
    assert caught.value.permanent


async def test_a_burst_is_asked_to_wait() -> None:
    receiver = a_receiver(is_limited=True)
    async with client_of(receiver) as http:
        channel = a_channel("slack", http)
        for _ in range(5):
            await channel.send(a_letter())
        with pytest.raises(DeliveryError) as caught:
            await channel.send(a_letter())
    assert (caught.value.permanent, caught.value.retry_after_ms) == (False, 5_000)
