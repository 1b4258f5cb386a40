"""Incidents through the admin API: listed, shown, commented and moved on."""

from typing import Any

import pytest
from admin_desk import NOW, Desk, finding

from actions.investigations.dossiers import Dossier, EarlierBlock
from actions.investigations.neighbours import Neighbour
from detectors.finding import Severity
from detectors.geo import Place
from detectors.guides import guide_of

FIELDS = ["rule", "title", "severity", "priority", "status", "subject", "event_count"]
FROM_TRIGGERED = ["acknowledge", "escalate", "dismiss", "merge"]
FROM_ACKNOWLEDGED = ["escalate", "mitigate", "resolve", "dismiss", "merge"]
FIELDS += ["first_seen", "last_seen", "triggered_at", "allowed_actions"]


async def opened(desk: Desk, subject: str = "203.0.113.9", number: int = 1, **fields: Any) -> str:
    made = await desk.actions.incidents.open_or_join(finding(subject, number, **fields), tell=True)
    return made.incident.id


async def move(desk: Desk, incident: str, name: str, **body: Any) -> dict[str, Any]:
    answer = await desk.responder.post(f"/incidents/{incident}/{name}", json=body)
    assert answer.status_code == 200, answer.text
    moved: dict[str, Any] = answer.json()
    return moved


async def test_an_incident_is_shown_with_its_evidence_and_its_dossier(desk: Desk) -> None:
    incident = await opened(desk)
    dossier = Dossier(
        incident_id=incident,
        finding_id="0:1-0",
        made_at=NOW,
        subject="203.0.113.9",
        evidence=(),
        place=Place("GB", None, 64500, "Example"),
        earlier_blocks=(EarlierBlock("b1", "auth_failures", "x", "expired", 1, NOW, None, ""),),
        accounts=("alice",),
        vicinity="203.0.113.0/24",
        found_nearby=(Neighbour("203.0.113.7", "auth_failures", NOW),),
    )
    await desk.actions.dossiers.put(dossier)
    shown = (await desk.viewer.get(f"/incidents/{incident}")).json()
    assert incident == "INC-2025-0001"
    assert [shown[name] for name in FIELDS] == [
        "auth_failures",
        "auth_failures: 203.0.113.9",
        "high",
        "P1",
        "triggered",
        "203.0.113.9",
        10,
        "2025-11-24T15:59:30.000Z",
        "2025-11-24T15:59:59.000Z",
        "2025-11-24T16:00:00.000Z",
        FROM_TRIGGERED,
    ]
    assert {"type": "user", "value": "alice"} in shown["entities"]
    assert [item["record"] for item in shown["evidence"]] == ["GET /login"]
    found = shown["dossier"]
    assert (found["place"]["country"], found["accounts"]) == ("GB", ["alice"])
    assert found["earlier_blocks"][0]["created_at"] == "2025-11-24T16:00:00.000Z"
    assert found["found_nearby"][0]["subject"] == "203.0.113.7"


async def test_an_incident_is_shown_with_its_runbook_and_references(desk: Desk) -> None:
    shown = (await desk.viewer.get(f"/incidents/{await opened(desk)}")).json()
    guide = guide_of("auth_failures")
    assert shown["references"] == ["T1110", "API2:2023"]
    assert shown["runbook"] == {name: getattr(guide, name) for name in ("what", "check", "act", "wrong")}


async def test_an_incident_of_a_rule_that_is_gone_has_a_runbook_all_the_same(desk: Desk) -> None:
    shown = (await desk.viewer.get(f"/incidents/{await opened(desk, rule='exports')}")).json()
    assert "exports" in shown["runbook"]["what"]
    assert all(shown["runbook"].values())


async def test_an_incident_that_nobody_investigated_has_no_dossier(desk: Desk) -> None:
    incident = await opened(desk)
    assert (await desk.viewer.get(f"/incidents/{incident}")).json()["dossier"] is None


async def test_an_incident_goes_its_way_from_triggered_to_resolved_and_back(desk: Desk) -> None:
    incident = await opened(desk)
    moved = await move(desk, incident, "acknowledge", note="on it")
    assert (moved["status"], moved["allowed_actions"]) == ("acknowledged", FROM_ACKNOWLEDGED)
    assert "responder" in moved["acknowledged_by"]
    moved = await move(desk, incident, "resolve", note="blocked", verdict="true_positive")
    assert (moved["status"], moved["verdict"]) == ("resolved", "true_positive")
    assert moved["allowed_actions"] == ["reopen", "close"]
    moved = await move(desk, incident, "reopen", note="it goes on")
    assert (moved["status"], moved["verdict"]) == ("acknowledged", None)
    trail = await desk.trail(f"incident:{incident}")
    assert [(action, reason) for _, _, action, reason in trail] == [
        ("incident.reopen", "it goes on"),
        ("incident.resolve", "blocked"),
        ("incident.acknowledge", "on it"),
    ]
    entries, _ = await desk.actions.audit.page(target=f"incident:{incident}")
    assert (entries[1].before["status"], entries[1].after["status"]) == ("acknowledged", "resolved")


async def test_an_incident_is_dismissed_with_a_verdict(desk: Desk) -> None:
    incident = await opened(desk)
    moved = await move(desk, incident, "dismiss", verdict="false_positive")
    assert (moved["status"], moved["verdict"]) == ("dismissed", "false_positive")


@pytest.mark.parametrize("name", ["resolve", "dismiss"])
async def test_an_end_needs_a_verdict(desk: Desk, name: str) -> None:
    incident = await opened(desk)
    for body in ({"note": "x"}, {"verdict": "maybe"}):
        answer = await desk.responder.post(f"/incidents/{incident}/{name}", json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "body.verdict"


async def test_an_illegal_move_names_the_legal_ones(desk: Desk) -> None:
    incident = await opened(desk)
    answer = await desk.responder.post(f"/incidents/{incident}/reopen")
    assert (answer.status_code, answer.json()["allowed"]) == (409, FROM_TRIGGERED)
    assert answer.json()["detail"].endswith("allowed: acknowledge, escalate, dismiss, merge")
    await move(desk, incident, "acknowledge")
    answer = await desk.responder.post(f"/incidents/{incident}/acknowledge", json={})
    assert (answer.status_code, answer.json()["allowed"]) == (409, FROM_ACKNOWLEDGED)


async def test_a_move_on_an_incident_that_has_moved_meanwhile_is_refused(desk: Desk) -> None:
    incident = await opened(desk)
    seen = (await desk.viewer.get(f"/incidents/{incident}")).json()["version"]
    await move(desk, incident, "acknowledge", version=seen)
    body = {"verdict": "benign", "version": seen}
    answer = await desk.responder.post(f"/incidents/{incident}/resolve", json=body)
    assert (answer.status_code, "version" in answer.json()["detail"]) == (409, True)


async def test_the_timeline_tells_what_happened_and_takes_comments(desk: Desk) -> None:
    incident = await opened(desk)
    await move(desk, incident, "acknowledge", note="on it")
    body = {"text": "  called the customer ", "at": "2025-11-24T15:00:00Z"}
    answer = await desk.responder.post(f"/incidents/{incident}/timeline", json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    page = (await desk.viewer.get(f"/incidents/{incident}/timeline")).json()
    assert [(item["kind"], item["text"]) for item in page["items"]] == [
        ("created", "10 failed logins within 60 s"),
        ("acknowledged", "on it"),
        ("comment", "called the customer"),
    ]
    comment = page["items"][-1]
    assert (comment["at"], comment["recorded_at"]) == ("2025-11-24T15:00:00.000Z", "2025-11-24T16:00:00.000Z")
    assert page["items"][0]["data"]["first_at"] == "2025-11-24T15:59:30.000Z"
    assert ("incident.comment", "called the customer") in [
        (a, r) for _, _, a, r in await desk.trail("incident:")
    ]


async def test_the_timeline_comes_in_pages(desk: Desk) -> None:
    incident = await opened(desk)
    for number in range(4):
        await desk.responder.post(f"/incidents/{incident}/timeline", json={"text": f"line {number}"})
    path, found, cursor = f"/incidents/{incident}/timeline", [], None
    for _ in range(5):
        page = (
            await desk.viewer.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        found += [item["text"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found[1:] == [f"line {number}" for number in range(4)]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/timeline"),
        ("POST", "/timeline"),
        ("POST", "/acknowledge"),
        ("POST", "/resolve"),
        ("POST", "/dismiss"),
        ("POST", "/reopen"),
    ],
)
async def test_an_unknown_incident_is_named(desk: Desk, method: str, path: str) -> None:
    body = {"/timeline": {"text": "x"}, "/resolve": {"verdict": "benign"}, "/dismiss": {"verdict": "benign"}}
    answer = await desk.responder.request(method, f"/incidents/INC-1{path}", json=body.get(path, {}))
    assert (answer.status_code, "INC-1" in answer.json()["detail"]) == (404, True)


async def listed(desk: Desk, **query: Any) -> list[str]:
    answer = await desk.viewer.get("/incidents", params=query)
    assert answer.status_code == 200, answer.text
    return [item["subject"] for item in answer.json()["items"]]


async def test_the_list_is_narrowed_by_each_of_its_filters(desk: Desk) -> None:
    first = await opened(desk, "203.0.113.1", 1)
    desk.pass_time(1000)
    await opened(desk, "203.0.113.2", 2, rule="suspicious_activity", severity=Severity.CRITICAL)
    await move(desk, first, "acknowledge")
    await move(desk, first, "resolve", verdict="benign")
    assert await listed(desk) == ["203.0.113.2", "203.0.113.1"]
    assert await listed(desk, status="resolved") == ["203.0.113.1"]
    assert await listed(desk, open="true") == ["203.0.113.2"]
    assert await listed(desk, severity="critical") == ["203.0.113.2"]
    assert await listed(desk, rule="auth_failures") == ["203.0.113.1"]
    assert await listed(desk, entity="203.0.113.2") == ["203.0.113.2"]
    assert len(await listed(desk, entity="user=alice")) == 2
    assert await listed(desk, since="2025-11-24T16:00:00.500Z") == ["203.0.113.2"]
    assert await listed(desk, q="SUSPICIOUS") == ["203.0.113.2"]
    page = (await desk.viewer.get("/incidents", params={"limit": 1})).json()
    assert await listed(desk, cursor=page["next_cursor"]) == ["203.0.113.1"]
    for query in ({"status": "x"}, {"severity": "x"}, {"cursor": "!"}, {"since": "x"}):
        assert (await desk.viewer.get("/incidents", params=query)).status_code == 422, query


async def test_who_was_told_what_is_listed(desk: Desk) -> None:
    first, second = await opened(desk, "203.0.113.1", 1), await opened(desk, "203.0.113.2", 2)
    assert (await desk.viewer.get("/stats")).json()["messages_waiting"] == 2
    await desk.actions.deliver()
    items = (await desk.viewer.get("/notifications")).json()["items"]
    assert [item["message"]["incident_id"] for item in items] == [second, first]
    assert (items[0]["channel"], items[0]["status"]) == ("log", "delivered")
    assert items[0]["message"]["at"] == "2025-11-24T16:00:00.000Z"
    one = (await desk.viewer.get("/notifications", params={"incident": first})).json()["items"]
    assert [item["message"]["subject"] for item in one] == ["203.0.113.1"]
    assert (await desk.viewer.get("/notifications", params={"cursor": "x"})).status_code == 422


async def test_the_etag_is_the_version_and_a_stale_one_changes_nothing(desk: Desk) -> None:
    incident = await opened(desk)
    shown = await desk.viewer.get(f"/incidents/{incident}")
    etag = shown.headers["etag"]
    assert etag == f'"{shown.json()["version"]}"'
    headers = {"If-Match": etag}
    answer = await desk.responder.post(f"/incidents/{incident}/acknowledge", headers=headers)
    assert (answer.status_code, answer.headers["etag"] != etag) == (200, True)
    for path, method, body in [
        (f"/incidents/{incident}/mitigate", "POST", {}),
        (f"/incidents/{incident}/resolve", "POST", {"verdict": "benign"}),
        (f"/incidents/{incident}/merge", "POST", {"into": "INC-1"}),
        (f"/incidents/{incident}", "PATCH", {"impact": "none"}),
    ]:
        late = await desk.responder.request(method, path, json=body, headers=headers)
        assert late.status_code == 412, path
        assert "is at version 2, not 1" in late.json()["detail"]
    any_version = {"If-Match": "*"}
    answer = await desk.responder.post(f"/incidents/{incident}/mitigate", headers=any_version)
    assert answer.json()["status"] == "mitigated"
    wrong = await desk.responder.post(f"/incidents/{incident}/reopen", headers={"If-Match": "seven"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "If-Match")


async def test_an_incident_is_escalated_mitigated_resolved_and_closed(desk: Desk) -> None:
    incident = await opened(desk)
    shown = (await desk.viewer.get(f"/incidents/{incident}")).json()
    assert (shown["ack_due_at"], shown["escalate_at"]) == (
        "2025-11-24T17:00:00.000Z",
        "2025-11-24T16:30:00.000Z",
    )
    assert (await move(desk, incident, "escalate", note="help"))["escalation_level"] == 1
    moved = await move(desk, incident, "acknowledge")
    assert (moved["ack_due_at"], moved["escalate_at"], moved["lead"]) == (
        None,
        None,
        moved["acknowledged_by"],
    )
    assert (await move(desk, incident, "mitigate"))["mitigated_at"] == "2025-11-24T16:00:00.000Z"
    await move(desk, incident, "resolve", verdict="true_positive")
    closed = await move(desk, incident, "close", note="reviewed")
    assert (closed["status"], closed["allowed_actions"]) == ("closed", [])
    answer = await desk.responder.post(f"/incidents/{incident}/reopen")
    assert (answer.status_code, answer.json()["detail"][-16:]) == (409, "allowed: nothing")


async def test_one_incident_is_merged_into_another(desk: Desk) -> None:
    one, two = await opened(desk), await opened(desk, "203.0.113.10", 2)
    merged = await move(desk, two, "merge", into=one, note="same scanner")
    assert (merged["status"], merged["merged_into"], merged["verdict"]) == ("merged", one, "duplicate")
    answer = await desk.responder.post(f"/incidents/{one}/merge", json={"into": two})
    assert (answer.status_code, "merged" in answer.json()["detail"]) == (409, True)


async def test_a_campaign_lists_its_members(desk: Desk) -> None:
    for number in range(12):
        incident = await opened(desk, f"203.0.113.{number}", number)
    shown = (await desk.viewer.get(f"/incidents/{incident}")).json()
    assert (shown["members"], shown["title"]) == (12, "auth_failures: 12 subjects")
    listed = (await desk.viewer.get(f"/incidents/{incident}/members")).json()["items"]
    assert {item["subject"] for item in listed} == {f"203.0.113.{number}" for number in range(12)}


async def test_people_write_grade_check_and_follow_up(desk: Desk) -> None:
    incident = await opened(desk)
    path = f"/incidents/{incident}"
    body = {"impact": "two accounts", "lead": "bob", "priority": "P0"}
    written = (await desk.responder.patch(path, json=body)).json()
    assert [written[name] for name in ("impact", "lead", "priority", "severity")] == [
        *("two accounts", "bob", "P0", "critical")
    ]
    assert "responder" in written["graded_by"]
    both = await desk.responder.patch(path, json={"priority": "P0", "severity": "low"})
    assert (both.status_code, "priority: P0 is critical" in both.json()["detail"]) == (422, True)
    assert (await desk.responder.patch(path, json={})).status_code == 422
    ticked = await desk.responder.put(f"{path}/checklist/fix-implemented", json={"note": "deployed"})
    [item] = [i for i in ticked.json()["checklist"] if i["id"] == "fix-implemented"]
    assert (item["note"], item["done_at"]) == ("deployed", "2025-11-24T16:00:00.000Z")
    assert (await desk.responder.put(f"{path}/checklist/none", json={})).status_code == 404
    body = {"text": "rotate the key", "owner": "bob", "due": "2025-12-01T00:00:00Z"}
    answer = await desk.responder.post(f"{path}/follow-ups", json=body)
    assert answer.status_code == 201
    [follow_up] = answer.json()["follow_ups"]
    done = await desk.responder.put(f"{path}/follow-ups/{follow_up['id']}", json={})
    assert done.json()["follow_ups"][0]["done_at"] == "2025-11-24T16:00:00.000Z"


async def test_a_person_publishes_an_incident_in_their_own_words(desk: Desk) -> None:
    path = f"/incidents/{await opened(desk)}/publish"
    body = {"state": "investigating", "text": "We look into failing logins."}
    answer = await desk.responder.post(path, json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "title")
    shown = (await desk.responder.post(path, json={**body, "title": "Logins fail"})).json()["public"]
    assert (shown["title"], shown["updates"][0]["state"], shown["until"]) == (
        *("Logins fail", "investigating"),
        None,
    )
    assert (await desk.responder.delete(path)).json()["public"]["until"] == "2025-11-24T16:00:00.000Z"
    assert (await desk.responder.delete(path)).status_code == 409


async def test_a_person_reports_an_incident_once(desk: Desk) -> None:
    body = {
        "title": "Customers see each other's orders",
        "severity": "critical",
        "text": "Three calls since ten.",
        "entities": [{"type": "host", "value": "shop.example"}],
        "at": "2025-11-24T15:00:00Z",
    }
    headers = {"Idempotency-Key": "call-1"}
    answers = [await desk.responder.post("/incidents", json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    first, again = (answer.json() for answer in answers)
    assert first == again
    assert [first[name] for name in ("rule", "priority", "why", "event_count")] == [
        *("reported", "P0", "Three calls since ten.", 1)
    ]
    assert (first["escalation_level"], first["first_seen"]) == (2, "2025-11-24T15:00:00.000Z")
    entries = (await desk.viewer.get(f"/incidents/{first['id']}/timeline")).json()["items"]
    assert ("responder" in entries[0]["actor"], entries[0]["kind"]) == (True, "created")
    assert [row[2] for row in await desk.trail(f"incident:{first['id']}")] == ["incident.report"]
    joined = await desk.responder.post("/incidents", json={**body, "text": "A fourth."})
    assert (joined.status_code, joined.json()["event_count"]) == (200, 2)
    wrong = await desk.responder.post("/incidents", json={**body, "entities": [{"type": "x", "value": "y"}]})
    assert wrong.status_code == 422
