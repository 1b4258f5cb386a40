"""PagerDuty: one alert an incident, and nobody is woken for what is over."""

from typing import Any

import pytest
from letters import KEY, a_group, a_hostile, a_letter, a_message, a_notice, a_receiver, an_incident, url_of
from wires import BASE, a_channel, client_of

from actions.channels.pagerduty import LARGEST_BYTES, PagerDutyChannel, encoded
from actions.channels.settings import DEFAULT_SEVERITIES, PagerDutySeverity
from actions.channels.wire import Wire
from actions.delivery.message import Letter, MessageKind
from actions.incidents.incident import IncidentStatus
from app.mock_receiver.receiver import Receiver
from detectors.finding import PRIORITY_OF, Priority, Severity


async def sent(receiver: Receiver, *letters: Letter) -> list[Any]:
    before = len(receiver.received)
    async with client_of(receiver) as http:
        channel = a_channel("pagerduty", http)
        for letter in letters:
            assert await channel.send(letter) == ""
    assert not receiver.violations
    return [got.body for got in receiver.received[before:]]


async def test_a_trigger_says_what_where_and_how_bad() -> None:
    [event] = await sent(a_receiver(), a_letter())
    assert (event["event_action"], event["dedup_key"]) == ("trigger", "bartizan:INC-2026-0001")
    assert event["client_url"] == url_of("INC-2026-0001")
    assert event["links"] == [{"href": url_of("INC-2026-0001"), "text": "INC-2026-0001"}]
    payload = event["payload"]
    assert payload["summary"] == "[P1 high] auth_failures: 203.0.113.9"
    assert (payload["source"], payload["class"], payload["severity"]) == (
        "203.0.113.9",
        "auth_failures",
        "error",
    )
    assert payload["custom_details"]["Why"].startswith("203.0.113.9 failed to log in")
    assert payload["custom_details"]["Evidence 1"] == "status 401 | /login | root"


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (MessageKind.OPENED, "trigger"),
        (MessageKind.UPDATE, "trigger"),
        (MessageKind.ESCALATED, "trigger"),
        (MessageKind.OVERDUE, "trigger"),
        (MessageKind.REOPENED, "trigger"),
        (MessageKind.ACKNOWLEDGED, "acknowledge"),
        (MessageKind.MITIGATED, "acknowledge"),
        (MessageKind.RESOLVED, "resolve"),
        (MessageKind.DISMISSED, "resolve"),
        (MessageKind.MERGED, "resolve"),
    ],
)
async def test_each_kind_of_message_is_its_action(kind: MessageKind, action: str) -> None:
    [event] = await sent(a_receiver(), a_letter(a_message(kind)))
    assert event["event_action"] == action
    if action != "trigger":
        assert set(event) == {"routing_key", "event_action", "dedup_key"}


@pytest.mark.parametrize(
    "status", [s for s in IncidentStatus if s not in ("triggered", "acknowledged", "mitigated")]
)
@pytest.mark.parametrize("kind", [MessageKind.OPENED, MessageKind.ESCALATED, MessageKind.OVERDUE])
async def test_nobody_is_woken_for_an_incident_that_is_over(
    status: IncidentStatus, kind: MessageKind
) -> None:
    assert await sent(a_receiver(), a_letter(a_message(kind), incident=an_incident(status=status))) == []


async def test_a_reopened_incident_is_another_alert() -> None:
    receiver = a_receiver()
    await sent(
        receiver,
        a_letter(),
        a_letter(a_message(MessageKind.ACKNOWLEDGED)),
        a_letter(a_message(MessageKind.RESOLVED), incident=an_incident(status=IncidentStatus.RESOLVED)),
        a_letter(a_message(MessageKind.REOPENED, episode=1)),
    )
    assert receiver.pagerduty.alerts == {
        "bartizan:INC-2026-0001": "resolve",
        "bartizan:INC-2026-0001:1": "trigger",
    }


@pytest.mark.parametrize("severity", list(Severity))
async def test_the_priority_decides_how_bad_it_is(severity: Severity) -> None:
    incident = an_incident(severity=severity, priority=PRIORITY_OF[severity])
    [event] = await sent(a_receiver(), a_letter(incident=incident))
    assert event["payload"]["severity"] == DEFAULT_SEVERITIES[PRIORITY_OF[severity]].value


async def test_the_policy_may_say_so_otherwise() -> None:
    receiver = a_receiver()
    async with client_of(receiver) as http:
        severities = {**DEFAULT_SEVERITIES, Priority.P1: PagerDutySeverity.CRITICAL}
        wire = Wire(http, lambda: 0)
        await PagerDutyChannel("p", wire, f"{BASE}/", KEY, url_of, severities).send(a_letter())
    assert receiver.received[0].body["payload"]["severity"] == "critical"


async def test_a_notice_wakes_nobody_unless_it_matters_and_a_digest_never_does() -> None:
    digest = a_message(MessageKind.DIGEST, incident_id="")
    receiver = a_receiver()
    assert await sent(receiver, a_letter(a_notice(Severity.LOW), incident=None)) == []
    assert await sent(receiver, a_letter(digest, incident=None)) == []
    [event] = await sent(receiver, a_letter(a_notice(Severity.HIGH, "channel mail is dead"), incident=None))
    assert (event["payload"]["severity"], event["payload"]["source"]) == ("warning", "bartizan")
    [again] = await sent(
        receiver, a_letter(a_notice(Severity.HIGH, "channel mail is dead"), incident=None, id="9")
    )
    assert again["dedup_key"] == event["dedup_key"]


async def test_a_test_leaves_no_open_alert() -> None:
    receiver = a_receiver()
    test = a_message(MessageKind.TEST, incident_id="", rule="", subject="", severity=Severity.LOW)
    events = await sent(receiver, a_letter(test, incident=None))
    assert [event["event_action"] for event in events] == ["trigger", "resolve"]
    assert events[0]["payload"]["severity"] == "info"
    assert list(receiver.pagerduty.alerts.values()) == ["resolve"]


async def test_a_group_pages_once_and_the_same_letter_is_the_same_alert() -> None:
    receiver = a_receiver()
    [first], [again] = await sent(receiver, a_group()), await sent(receiver, a_group())
    assert first["dedup_key"] == again["dedup_key"]
    assert first["payload"]["summary"] == "[P1 high] auth_failures: 37 subjects in 2 min"
    assert len(first["links"]) == 10


async def test_a_group_of_ends_ends_each_alert() -> None:
    letter = a_letter(
        *(a_message(MessageKind.RESOLVED, incident_id=f"INC-2026-000{n}") for n in range(3)), incident=None
    )
    events = await sent(a_receiver(), letter)
    assert [(e["event_action"], e["dedup_key"]) for e in events] == [
        ("resolve", f"bartizan:INC-2026-000{n}") for n in range(3)
    ]


async def test_of_several_messages_of_one_incident_the_last_counts() -> None:
    letter = a_letter(a_message(), a_message(MessageKind.RESOLVED))
    [event] = await sent(a_receiver(), letter)
    assert event["event_action"] == "resolve"


async def test_a_request_is_never_larger_than_pagerduty_takes() -> None:
    [event] = await sent(a_receiver(), a_hostile("\U0001f600" * 100_000))
    assert len(encoded(event)) < LARGEST_BYTES
    details = {str(n): "x" * 10_000 for n in range(100)}
    body = encoded({"payload": {"summary": "s", "custom_details": details}})
    assert len(body) < 1_000
    assert b"too large" in body
