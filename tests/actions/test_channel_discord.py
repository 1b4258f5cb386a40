"""Discord: embeds within their limits, edits in place, and nobody mentioned."""

from typing import Any

import msgspec
import pytest
from letters import TRICKS, a_group, a_hostile, a_letter, a_message, a_receiver, url_of
from wires import a_channel, answering, client_of, reply

from actions.channels.discord import discord_body
from actions.channels.plain import width
from actions.channels.wording import worded
from actions.delivery.message import Letter, MessageKind
from app.mock_receiver.receiver import Receiver
from detectors.errors import DeliveryError


def embed_of(letter: Letter) -> Any:
    [embed] = msgspec.json.decode(msgspec.json.encode(discord_body(worded(letter, url_of))))["embeds"]
    return embed


async def sent(receiver: Receiver, *letters: Letter) -> list[str]:
    async with client_of(receiver) as http:
        channel = a_channel("discord", http)
        return [await channel.send(letter) for letter in letters]


def test_an_embed_says_what_and_where_to_look() -> None:
    embed = embed_of(a_letter())
    assert embed["title"] == r"\[P1 high\] auth\_failures\: 203.0.113.9"
    assert embed["url"] == url_of("INC-2026-0001")
    assert embed["timestamp"] == "2026-11-18T11:06:40.000Z"
    assert {field["name"] for field in embed["fields"]} >= {"Incident", "Severity", "Status", "Subject"}


@pytest.mark.parametrize("text", TRICKS)
@pytest.mark.parametrize("incident", [True, False])
def test_whatever_the_text_the_limits_hold(text: str, incident: bool) -> None:
    embed = embed_of(a_hostile(text) if incident else a_hostile(text, incident=None))
    assert width(embed["title"]) <= 256 and width(embed.get("description", "")) <= 4_096
    assert len(embed["fields"]) <= 25
    assert all(width(f["name"]) <= 256 and width(f["value"]) <= 1_024 for f in embed["fields"])
    total = width(embed["title"]) + width(embed.get("description", "")) + width(embed["footer"]["text"])
    assert total + sum(width(f["name"]) + width(f["value"]) for f in embed["fields"]) <= 6_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@everyone", r"\@everyone"),
        ("<@123>", r"\<\@123\>"),
        ("**a** `b` ||c||", r"\*\*a\*\* \`b\` \|\|c\|\|"),
        ("[x](y)", r"\[x\]\(y\)"),
        ("https://evil.example", r"https\[\:\]//evil.example"),
        ("\\", "\\\\"),
    ],
)
def test_markdown_mentions_and_links_of_a_log_are_shown_as_they_are(text: str, shown: str) -> None:
    assert embed_of(a_letter(a_message(text=text)))["description"] == shown


async def test_a_message_is_posted_and_then_edited_in_place() -> None:
    receiver = a_receiver()
    [ref] = await sent(receiver, a_letter())
    again = await sent(
        receiver,
        a_letter(a_message(MessageKind.UPDATE), ref=ref),
        a_letter(a_message(MessageKind.RESOLVED), ref=ref),
    )
    assert again == [ref, ref]
    [channel] = receiver.discord.values()
    [message] = channel.messages.values()
    assert message["embeds"][0]["title"].endswith("resolved")
    assert not receiver.violations


@pytest.mark.parametrize("kind", [MessageKind.ESCALATED, MessageKind.OVERDUE, MessageKind.REOPENED])
async def test_what_somebody_must_hear_of_is_a_message_of_its_own(kind: MessageKind) -> None:
    receiver = a_receiver()
    [ref] = await sent(receiver, a_letter())
    assert await sent(receiver, a_letter(a_message(kind), ref=ref)) != [ref]


async def test_a_message_that_somebody_deleted_is_posted_again() -> None:
    receiver = a_receiver()
    [new] = await sent(receiver, a_letter(a_message(MessageKind.UPDATE), ref="42"))
    assert new != "42"
    assert [got.status for got in receiver.received] == [404, 200]


async def test_a_webhook_that_is_gone_is_not_posted_to_again() -> None:
    seen = []

    def gone(request: Any) -> Any:
        seen.append(request.method)
        return reply(404, '{"message": "Unknown Webhook", "code": 10015}')

    async with answering(gone) as http:
        with pytest.raises(DeliveryError, match="Unknown Webhook") as caught:
            await a_channel("discord", http).send(a_letter(a_message(MessageKind.UPDATE), ref="42"))
    assert caught.value.permanent
    assert seen == ["PATCH"]


@pytest.mark.parametrize("ref", ["../../x", "1/../2", "abc", "١٢"])
async def test_a_reference_that_is_no_id_is_not_put_into_the_address(ref: str) -> None:
    receiver = a_receiver()
    await sent(receiver, a_letter(a_message(MessageKind.UPDATE), ref=ref))
    assert [got.status for got in receiver.received] == [200]


@pytest.mark.parametrize("answer", ["", "<html>", "[]", '{"id": 5}', '{"id": "a/b"}'])
async def test_an_answer_without_a_message_is_no_delivery(answer: str) -> None:
    async with answering(lambda _: reply(200, answer)) as http:
        with pytest.raises(DeliveryError, match="no message"):
            await a_channel("discord", http).send(a_letter())


async def test_a_thread_in_the_address_is_kept() -> None:
    seen = []

    def answer(request: Any) -> Any:
        seen.append(str(request.url))
        return reply(200, '{"id": "5"}')

    from wires import DISCORD_URL

    from actions.channels.discord import DiscordChannel
    from actions.channels.wire import Wire

    async with answering(answer) as http:
        channel = DiscordChannel("team", Wire(http, lambda: 0), DISCORD_URL + "?thread_id=7", url_of)
        await channel.send(a_letter())
        await channel.send(a_letter(a_message(MessageKind.UPDATE), ref="5"))
    assert seen == [f"{DISCORD_URL}?thread_id=7&wait=true", f"{DISCORD_URL}/messages/5?thread_id=7"]


async def test_a_burst_is_asked_to_wait_a_fraction() -> None:
    receiver = a_receiver(is_limited=True)
    with pytest.raises(DeliveryError) as caught:
        await sent(receiver, *[a_letter()] * 6)
    assert (caught.value.permanent, caught.value.retry_after_ms) == (False, 2_000)


async def test_a_group_is_posted_whatever_its_reference() -> None:
    receiver = a_receiver()
    assert await sent(receiver, a_group())
    assert not receiver.violations
