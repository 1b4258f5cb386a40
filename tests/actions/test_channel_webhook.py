"""The signed webhook: what a receiver can check, while secrets change, and with the code of the documentation."""

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any

import pytest
from acting import NOON
from letters import HOOK_SECRET, TRICKS, a_hostile, a_letter, a_receiver, url_of
from wires import a_channel, answering, client_of, reply

from actions.channels.webhook import DELIVERY, LONGEST_AGE_S, SIGNATURE, TIMESTAMP, webhook_body
from detectors.errors import DeliveryError

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "channels.md"


async def request_of(secrets: list[str]) -> Any:
    seen: list[Any] = []

    def answer(request: Any) -> Any:
        seen.append(request)
        return reply(204)

    async with answering(answer) as http:
        await a_channel("webhook", http, secrets=secrets).send(a_letter())
    return seen[0]


def documented_check() -> Any:
    """The code that docs/channels.md gives to receivers."""
    names: dict[str, Any] = {}
    code = re.search(r"```python\n(.*?def is_genuine.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert code is not None
    exec(compile(code[1], "channels.md", "exec"), names)  # noqa: S102 - our own page
    return names["is_genuine"]


async def test_a_delivery_is_signed_over_its_time_and_body() -> None:
    request = await request_of([HOOK_SECRET])
    timestamp = request.headers[TIMESTAMP]
    assert timestamp == str(NOON // 1000)
    signed = hmac.new(HOOK_SECRET.encode(), f"{timestamp}.".encode() + request.content, hashlib.sha256)
    assert request.headers[SIGNATURE] == f"v1={signed.hexdigest()}"
    assert request.headers[DELIVERY] == "17-0"
    assert request.headers["Content-Type"] == "application/json"


async def test_the_documented_code_accepts_what_is_genuine_and_nothing_else() -> None:
    is_genuine = documented_check()
    request = await request_of([HOOK_SECRET])
    headers, body, now = request.headers, request.content, NOON / 1000
    assert is_genuine(headers, body, HOOK_SECRET, now)
    assert is_genuine(headers, body, HOOK_SECRET, now + LONGEST_AGE_S)
    assert not is_genuine(headers, body, HOOK_SECRET, now + LONGEST_AGE_S + 1)
    assert not is_genuine(headers, body, HOOK_SECRET, now - LONGEST_AGE_S - 1)
    assert not is_genuine(headers, body + b" ", HOOK_SECRET, now)
    assert not is_genuine(headers, body, "another-secret-of-somebody", now)
    assert not is_genuine({}, body, HOOK_SECRET, now)
    assert not is_genuine({**headers, TIMESTAMP: "1"}, body, HOOK_SECRET, now)


async def test_while_secrets_change_both_are_good() -> None:
    is_genuine, request = documented_check(), await request_of(["the-new-secret-0123456789", HOOK_SECRET])
    assert len(request.headers[SIGNATURE].split(",")) == 2
    for secret in ("the-new-secret-0123456789", HOOK_SECRET):
        assert is_genuine(request.headers, request.content, secret, NOON / 1000)


@pytest.mark.parametrize(
    "secrets", [["a-secret-nobody-knows"], ["one-0123456789abcdef", "two-0123456789abcdef"]]
)
async def test_a_receiver_refuses_a_signature_of_another_secret(secrets: list[str]) -> None:
    receiver = a_receiver()
    async with client_of(receiver) as http:
        with pytest.raises(DeliveryError, match="401") as caught:
            await a_channel("webhook", http, secrets=secrets).send(a_letter())
    assert caught.value.permanent
    assert receiver.violations


async def test_a_receiver_refuses_what_is_too_old() -> None:
    receiver = a_receiver(now=lambda: NOON + (LONGEST_AGE_S + 1) * 1000)
    async with client_of(receiver) as http:
        with pytest.raises(DeliveryError, match="401"):
            await a_channel("webhook", http).send(a_letter())


async def test_a_repeated_delivery_is_noticed_by_its_id() -> None:
    receiver = a_receiver()
    async with client_of(receiver) as http:
        channel = a_channel("webhook", http)
        await channel.send(a_letter())
        await channel.send(a_letter())
    assert [got.notes for got in receiver.received] == [(), ("delivery 17-0 has been here before",)]


def test_the_body_has_the_messages_the_incident_and_where_to_look() -> None:
    body = webhook_body(a_letter(), url_of)
    assert (body["id"], body["headline"]) == ("17-0", "[P1 high] auth_failures: 203.0.113.9")
    [message] = body["messages"]
    assert message["url"] == url_of("INC-2026-0001")
    assert (message["kind"], message["subject"]) == ("opened", "203.0.113.9")
    assert body["incident"]["status"] == "triggered"
    assert "evidence" not in body["incident"]
    assert webhook_body(a_letter(incident=None), url_of)["incident"] is None


@pytest.mark.parametrize("text", TRICKS)
def test_texts_are_handed_on_as_they_were_logged_but_bounded(text: str) -> None:
    body = webhook_body(a_hostile(text), url_of)
    assert (
        body["messages"][0]["text"] == f"{text}\nWhat to do first: look"
        or len(body["messages"][0]["text"]) <= 10_000
    )
