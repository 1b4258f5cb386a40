"""Whatever the text: what goes out keeps every rule that the receivers know."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from letters import a_hostile, a_letter, a_message, a_receiver
from mail_servers import a_mail_channel
from wires import a_channel, client_of

from actions.delivery.message import Letter, MessageKind
from app.mock_receiver.receiver import Receiver
from app.mock_receiver.smtp import checked

HOSTILE = st.text(
    alphabet=st.characters(codec="utf-8") | st.sampled_from("<>&@\\`*_|[]():/\r\n\u202e\U0001f600")
)
LONG = st.builds(lambda text, times: text * times, HOSTILE, st.integers(1, 400))
LETTERS = st.one_of(
    st.builds(a_hostile, HOSTILE | LONG),
    st.builds(lambda text: a_hostile(text, incident=None), HOSTILE | LONG),
    st.builds(
        lambda texts: a_letter(
            *(
                a_message(incident_id=f"INC-2026-{n}", subject=t, title=t, text=t)
                for n, t in enumerate(texts)
            ),
            incident=None,
        ),
        st.lists(HOSTILE | LONG, min_size=2, max_size=14),
    ),
    st.builds(
        lambda kind, text: a_letter(
            a_message(kind, incident_id="", title=text, text=text, rule=text), incident=None
        ),
        st.sampled_from([MessageKind.NOTICE, MessageKind.DIGEST, MessageKind.TEST]),
        HOSTILE | LONG,
    ),
)


async def _sent(kind: str, letter: Letter) -> Receiver:
    receiver = a_receiver()
    async with client_of(receiver) as http:
        await a_channel(kind, http).send(letter)
    return receiver


@pytest.mark.parametrize("kind", ["slack", "discord", "pagerduty", "webhook"])
@settings(deadline=None, max_examples=60)
@given(letter=LETTERS)
def test_a_strict_receiver_takes_every_letter(kind: str, letter: Letter) -> None:
    receiver = asyncio.run(_sent(kind, letter))
    assert not receiver.violations
    assert all(got.ok for got in receiver.received)


@settings(deadline=None, max_examples=60)
@given(letter=LETTERS)
def test_a_strict_mailbox_takes_every_letter(letter: Letter) -> None:
    mail = a_mail_channel(25).mail(letter)
    assert not checked(mail.as_bytes()).violations
