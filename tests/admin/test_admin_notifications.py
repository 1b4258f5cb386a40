"""Who was told what, how the channels are, and dead letters, over HTTP."""

import pytest
from admin_desk import Desk

from actions.delivery.message import Letter, Message, MessageKind
from actions.delivery.routing import Routes, Timing
from detectors.errors import DeliveryError
from detectors.finding import Priority, Severity


class Chat:
    """A channel that refuses for good until it is mended."""

    name, type, rate, groups, is_mended = "chat", "slack", None, False, False

    async def send(self, letter: Letter) -> str:
        if not self.is_mended:
            raise DeliveryError("410 gone", permanent=True)
        return ""


def a_message(number: int) -> Message:
    return Message(
        kind=MessageKind.OPENED,
        incident_id=f"INC-2026-{number:04d}",
        rule="auth_failures",
        subject="203.0.113.9",
        severity=Severity.HIGH,
        priority=Priority.P1,
        title="a title",
        text="a text",
        at=1,
    )


@pytest.fixture
async def chat(desk: Desk) -> Chat:
    """Two messages have been told to the log, and not to the chat."""
    channel = Chat()
    known = {**desk.actions.sender.channels, "chat": channel}
    desk.actions.take_routes(Routes(types={"log": "log", "chat": "slack"}), Timing(), known)
    async with desk.actions.redis.pipeline(transaction=True) as pipe:
        for number in (1, 2):
            desk.actions.outbox.stage(pipe, a_message(number))
        await pipe.execute()
    await desk.actions.deliver()
    return channel


async def test_the_log_is_narrowed_by_channel_and_outcome(desk: Desk, chat: Chat) -> None:
    async def seen(**query: str) -> list[tuple[str, str, str]]:
        answer = await desk.viewer.get("/notifications", params=query)
        return [(i["channel"], i["status"], i["message"]["incident_id"][-1]) for i in answer.json()["items"]]

    assert await seen(channel="chat") == [("chat", "failed", "2"), ("chat", "failed", "1")]
    assert {row[:2] for row in await seen(status="delivered")} == {("log", "delivered")}
    assert await seen(channel="chat", incident="INC-2026-0001") == [("chat", "failed", "1")]
    assert (await desk.viewer.get("/notifications", params={"status": "lost"})).status_code == 422


async def test_the_health_of_channels_is_shown(desk: Desk, chat: Chat) -> None:
    items = {i["channel"]: i for i in (await desk.viewer.get("/notifications/channels")).json()["items"]}
    ill, well = items["chat"], items["log"]
    assert (ill["error"], ill["dead"], ill["depth"], ill["is_known"]) == ("410 gone", 2, 0, True)
    assert ill["unhealthy_since"].endswith("Z")
    assert (well["unhealthy_since"], well["dead"]) == (None, 0)


async def test_dead_letters_are_listed_sent_again_and_dropped(desk: Desk, chat: Chat) -> None:
    items = (await desk.viewer.get("/notifications/dead", params={"channel": "chat"})).json()["items"]
    assert [(i["error"], i["messages"][0]["title"]) for i in items] == [("410 gone", "a title")] * 2
    second, first = (i["id"] for i in items)
    assert (await desk.viewer.post(f"/notifications/dead/{first}/retry")).status_code == 403
    assert (await desk.responder.post(f"/notifications/dead/{first}/retry")).status_code == 200
    dropped = await desk.responder.delete(f"/notifications/dead/{second}", params={"reason": "old"})
    assert dropped.json()["id"] == second
    assert (await desk.responder.delete(f"/notifications/dead/{second}")).status_code == 404
    chat.is_mended = True
    await desk.actions.deliver()
    assert (await desk.viewer.get("/notifications/dead")).json()["items"] == []
    audit = (await desk.viewer.get("/audit")).json()["items"]
    assert [(e["action"], e["reason"]) for e in audit] == [
        ("notification.drop", "old"),
        ("notification.retry", ""),
    ]
    assert (await desk.viewer.get("/notifications/dead", params={"cursor": "x"})).status_code == 422


async def test_all_of_a_channel_are_sent_again(desk: Desk, chat: Chat) -> None:
    answer = await desk.responder.post("/notifications/dead/retry", json={"channel": "chat"})
    assert answer.json() == {"retried": 2}
    gone = await desk.responder.post("/notifications/dead/retry", json={"channel": "gone"})
    assert (gone.status_code, "gone" in gone.json()["detail"]) == (409, True)
