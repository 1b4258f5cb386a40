"""The channels through the admin API: listed without secrets, and tried out."""

import pytest
from admin_desk import Desk

from actions.delivery.message import Letter, MessageKind
from app.policies.policy import default_text, load_policy
from detectors.errors import DeliveryError

CHANNELS = """
channels:
  team: {type: slack, url_env: SLACK_WEBHOOK_URL}
  hook: {type: webhook, url: https://hook.example/path, secret_file: /run/secrets/hook, rate: 10/minute}
"""


class Ear:
    """A channel that remembers its letters, or fails as told."""

    name = "team"

    def __init__(self, failure: DeliveryError | None = None) -> None:
        self.heard: list[Letter] = []
        self.failure = failure

    async def send(self, letter: Letter) -> str:
        if self.failure is not None:
            raise self.failure
        self.heard.append(letter)
        return "1234"


async def test_channels_are_listed_with_types_and_rates_and_nothing_else(desk: Desk) -> None:
    desk.world.policy.current = load_policy(default_text() + CHANNELS, "policy.yaml")
    answer = await desk.viewer.get("/channels")
    assert answer.json()["items"] == [
        {"name": "log", "type": "log", "rate": None},
        {"name": "team", "type": "slack", "rate": {"per_minute": 60, "burst": 5}},
        {"name": "hook", "type": "webhook", "rate": {"per_minute": 10, "burst": 10}},
    ]
    assert "SLACK" not in answer.text and "hook.example" not in answer.text


async def test_a_test_goes_out_at_once_and_is_audited(desk: Desk) -> None:
    ear = Ear()
    desk.world.channels["team"] = ear
    answer = await desk.admin.post("/channels/team/test")
    assert answer.json() == {
        "channel": "team",
        "delivered": True,
        "error": "",
        "permanent": False,
        "ref": "1234",
    }
    [letter] = ear.heard
    assert letter.messages[0].kind is MessageKind.TEST
    assert letter.incident is None and letter.id.startswith("test-")
    [(_, role, action, _)] = await desk.trail("channel:team")
    assert (role, action) == ("admin", "channel.test")


@pytest.mark.parametrize("permanent", [True, False])
async def test_a_test_that_fails_says_why(desk: Desk, permanent: bool) -> None:
    desk.world.channels["team"] = Ear(DeliveryError("status 404: no_service", permanent=permanent))
    answer = await desk.admin.post("/channels/team/test")
    assert answer.status_code == 200
    assert (answer.json()["delivered"], answer.json()["error"]) == (False, "status 404: no_service")
    assert answer.json()["permanent"] is permanent


async def test_every_test_is_another_letter(desk: Desk) -> None:
    ear = Ear()
    desk.world.channels["team"] = ear
    for _ in range(2):
        await desk.admin.post("/channels/team/test")
    assert ear.heard[0].id != ear.heard[1].id


async def test_a_channel_that_is_not_there_is_404_and_names_those_that_are(desk: Desk) -> None:
    answer = await desk.admin.post("/channels/teem/test")
    assert (answer.status_code, "there are log" in answer.json()["detail"]) == (404, True)


async def test_the_log_can_be_tried_too(desk: Desk) -> None:
    assert (await desk.admin.post("/channels/log/test")).json()["delivered"] is True
