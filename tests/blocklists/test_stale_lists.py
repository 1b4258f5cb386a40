"""A list that could not be had for too long: told once, in one incident, which its recovery resolves."""

import pytest
from list_stage import DAY, HOUR, NO_RULE, Stage

from actions.delivery.message import MessageKind
from actions.incidents.incident import Incident
from actions.incidents.status import IncidentStatus
from actions.responder import Responder
from app.policies.policy import load_policy
from detectors.errors import StorageError
from detectors.finding import Severity

RULE = "blocklist_stale"
OPEN, RESOLVED = IncidentStatus.TRIGGERED, IncidentStatus.RESOLVED


async def incidents(stage: Stage) -> list[Incident]:
    """Has the findings handled, and reads the incidents, newest first."""
    world = stage.first.actions
    await Responder(world).drain()
    found, _ = await world.incidents.page()
    return list(found)


async def go_stale(stage: Stage) -> None:
    await stage.look()
    stage.publisher.status = 503
    for _ in range(4):
        await stage.look(DAY)


async def test_it_opens_one_incident_that_says_what_is_wrong(stage: Stage) -> None:
    await go_stale(stage)
    for _ in range(3):
        await stage.look(HOUR)
    (incident,) = await incidents(stage)
    assert (incident.rule, incident.subject, incident.status) == (RULE, "lists:drop", OPEN)
    assert (incident.severity, incident.finding_count) == (Severity.MEDIUM, 1)
    assert stage.hits("203.0.113.9") == [None, None]
    assert incident.why == (
        "lists:drop could not be had in 4 d; last: answered 503 Service Unavailable; "
        "3 entries are no longer in force"
    )


async def test_people_are_told_that_it_began_and_that_it_is_over(stage: Stage) -> None:
    await go_stale(stage)
    await incidents(stage)
    stage.publisher.status = 200
    await stage.look(2 * HOUR)
    (incident,) = await incidents(stage)
    assert incident.status == RESOLVED
    assert stage.hits("203.0.113.9") == ["lists:drop"] * 2
    world = stage.first.actions
    await world.deliver()
    told, _ = await world.outbox.notifications()
    assert [(one.message.kind, one.message.text) for one in reversed(told)][-1] == (
        MessageKind.RESOLVED,
        "lists:drop is well again, after 4 d 2 h",
    )


async def test_the_next_time_is_told_again(stage: Stage) -> None:
    await go_stale(stage)
    await incidents(stage)
    stage.publisher.status = 200
    await stage.look(2 * HOUR)
    await incidents(stage)
    await go_stale(stage)
    assert [incident.status for incident in await incidents(stage)] == [OPEN, RESOLVED]


async def test_a_list_that_was_never_had_is_told_of_as_soon(stage: Stage) -> None:
    stage.publisher.status = 404
    for _ in range(4):
        await stage.look(DAY)
    assert await incidents(stage) == []
    await stage.look(HOUR)
    (incident,) = await incidents(stage)
    assert incident.subject == "lists:drop"
    stage.publisher.status = 200
    await stage.look(2 * HOUR)
    assert [one.status for one in await incidents(stage)] == [RESOLVED]


async def test_a_list_that_no_policy_names_any_more_is_over(stage: Stage) -> None:
    await go_stale(stage)
    await incidents(stage)
    stage.sources.clear()
    await stage.look()
    (incident,) = await incidents(stage)
    assert incident.status == RESOLVED
    entries, _ = await stage.first.actions.timeline.page(incident.id)
    assert "lists:drop: no policy names it any more, after 4 d" in repr(entries)


async def test_one_that_failed_for_less_is_nobodys_incident(stage: Stage) -> None:
    await stage.look()
    stage.publisher.status = 503
    await stage.look(DAY)
    await stage.look(DAY)
    stage.publisher.status = 200
    await stage.look(DAY)
    await stage.look(DAY)
    assert await incidents(stage) == []


async def test_a_rule_that_only_observes_opens_nothing(stage: Stage) -> None:
    stage.policy = load_policy(f"{NO_RULE}incident_detection: {{{RULE}: {{mode: observe}}}}", "test")
    await go_stale(stage)
    assert await incidents(stage) == []
    assert [one.rule for one in (await stage.first.actions.observed.page())[0]] == [RULE]


async def test_whatever_the_policy_has_follow_it_works(stage: Stage) -> None:
    actions = "[alert_admin, create_incident, investigate]"
    stage.policy = load_policy(
        f"{NO_RULE}incident_detection: {{{RULE}: {{action: {actions}, severity: high}}}}", "test"
    )
    await go_stale(stage)
    (incident,) = await incidents(stage)
    assert incident.severity == Severity.HIGH
    assert "action_failed" not in repr(await stage.first.actions.timeline.page(incident.id))


async def test_a_crash_before_it_is_written_down_tells_again_and_joins(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.look()
    stage.publisher.status = 503

    async def crash(*_: object) -> None:
        raise StorageError("the connection broke")

    with monkeypatch.context() as patched:
        patched.setattr(stage.first.actions.lists, "put", crash)
        stage.ms += 4 * DAY
        await stage.first.refresher.look()
    await stage.look(HOUR)
    (incident,) = await incidents(stage)
    assert incident.finding_count == 2
