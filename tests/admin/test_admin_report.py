"""The review of an incident in three formats, and how well incidents were answered."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from admin_desk import HOUR_MS, NOW, Desk, finding

from actions.incidents.keys import incident_key
from actions.investigations.dossiers import Dossier
from actions.investigations.investigation import Step
from detectors.finding import Evidence, Severity
from detectors.geo import Place

MINUTE_MS = 60_000
EVIL = "<script>alert(1)</script> [x](http://evil.example) | ``` ![i](http://e/p.png)\n# h \u202e <!channel>"
PLAIN_TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li"}
PLAIN_TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}


class Texts(HTMLParser):
    """The tags of a page and the texts between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


async def worked(desk: Desk) -> str:
    """An incident that went all the way: told, blocked, late, escalated, worked on, lifted, resolved."""
    actions = desk.actions
    incident = (await actions.incidents.open_or_join(finding(), tell=True)).incident.id
    block = await desk.rule_block(incident_id=incident)
    text, data = "blocked 203.0.113.9", {"block_id": block.id}
    await actions.timeline.note_once(incident, "f1", "action_taken", text, data=data)
    while await actions.deliver():
        pass
    desk.pass_time(90 * MINUTE_MS)
    await actions.clocks.strike()
    path = f"/incidents/{incident}"
    await desk.responder.post(f"{path}/acknowledge", json={"note": "on it"})
    body = {"impact": "two accounts", "root_cause": "no limit", "lessons": "add a limit"}
    await desk.responder.patch(path, json=body)
    comment = {"text": "a customer called at three", "at": "2025-11-24T15:00:00Z", "pinned": True}
    await desk.responder.post(f"{path}/timeline", json=comment)
    desk.pass_time(HOUR_MS)
    await desk.responder.post(f"{path}/mitigate", json={})
    await desk.responder.delete(f"/blocks/{block.id}?reason=our%20office")
    follow_up = {"text": "limit logins", "owner": "bob", "due": "2025-12-01T00:00:00Z"}
    await desk.responder.post(f"{path}/follow-ups", json=follow_up)
    await desk.responder.put(f"{path}/checklist/root-cause-identified", json={})
    await desk.responder.post(f"{path}/resolve", json={"verdict": "true_positive", "note": "done"})
    return incident


async def test_a_report_tells_the_whole_story_in_markdown(desk: Desk) -> None:
    incident = await worked(desk)
    answer = await desk.viewer.get(f"/incidents/{incident}/report")
    assert answer.headers["content-type"].startswith("text/markdown")
    assert answer.headers["content-disposition"] == f'inline; filename="{incident}.md"'
    text = answer.text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        *("Facts", "Response times", "Impact", "Timeline", "Evidence", "Actions", "Escalations"),
        *("Who was told", "Root cause", "Lessons", "Follow-ups", "Initial response", "Resolution"),
        "Runbook",
    ]
    for words in (
        f"# {incident}: auth_failures: 203.0.113.9",
        "P1 (high), resolved, true_positive. 10 failed logins within 60 s",
        "| detected | Detect (DE) | 2025-11-24T16:00:00.000Z | 30 s after first event | n/a |",
        "| 90 min after people told | 60 min, missed |",
        "| resolved | Recover (RC) | 2025-11-24T18:30:00.000Z | 2 h 30 min after detected |",
        "two accounts",
        "no limit",
        "add a limit",
        "comment (pinned) | a customer called at three |",
        "| action_reverted | block of 203.0.113.9 lifted by",
        "| lifted |",
        "our office",
        "- [ ] limit logins (bob, until 2025-12-01T00:00:00.000Z, open)",
        "- [x] Root cause identified",
        "What was copied at the opening: unchanged.",
        "What to do: ",
    ):
        assert words in text, words


async def test_the_page_says_the_same_and_lets_nothing_in(desk: Desk) -> None:
    incident = await worked(desk)
    answer = await desk.viewer.get(f"/incidents/{incident}/report?format=html")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = Texts()
    page.feed(answer.text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "link", "iframe", "a", "form"})
    assert all(not {"style", "onclick", "href", "src"} & attrs.keys() for _, attrs in page.tags)
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert "a customer called at three" in page.texts


async def test_the_json_has_all_of_it_and_its_checksums_can_be_checked(desk: Desk) -> None:
    incident = await worked(desk)
    found = (await desk.viewer.get(f"/incidents/{incident}/report?format=json")).json()
    assert (found["incident"]["id"], found["incident"]["verdict"]) == (incident, "true_positive")
    assert found["made_at"] == "2025-11-24T18:30:00.000Z"
    lines = ""
    for exhibit in found["exhibits"]:
        assert hashlib.sha256(exhibit["evidence_json"].encode()).hexdigest() == exhibit["sha256"]
        lines += exhibit["sha256"] + "\n"
    assert hashlib.sha256(lines.encode()).hexdigest() == found["evidence_sha256"]
    assert found["is_untouched"] is True
    assert [block["status"] for block in found["blocks"]] == ["lifted"]
    assert found["milestones"][4]["is_met"] is False
    assert found["incident"]["follow_ups"][0]["due"] == "2025-12-01T00:00:00.000Z"


async def test_evidence_that_was_changed_afterwards_is_found_out(desk: Desk) -> None:
    incident = await worked(desk)
    key = incident_key(incident)
    stored = await desk.actions.incidents.get(incident)
    forged = msgspec.structs.replace(
        stored, evidence=(msgspec.structs.replace(stored.evidence[0], path="/other"),)
    )
    await desk.actions.redis.set(key, msgspec.json.encode(forged))
    text = (await desk.viewer.get(f"/incidents/{incident}/report")).text
    assert "What was copied at the opening: CHANGED SINCE." in text


async def test_nothing_that_a_log_says_is_markup(desk: Desk) -> None:
    evidence = Evidence(NOW, NOW, EVIL, client_ip=EVIL, path=EVIL, user=EVIL, record=EVIL)
    made = await desk.actions.incidents.open_or_join(
        finding(EVIL, evidence=(evidence,), why=EVIL, rule="own_rule"), tell=True
    )
    path = f"/incidents/{made.incident.id}/report"
    text = (await desk.viewer.get(path)).text
    for markup in ("<script", "](", "```", "![", "\n# h", "\u202e", "http://evil", "<!channel"):
        assert markup not in text, markup
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(line.count(" | ") <= 6 for line in rows)
    page = Texts()
    page.feed((await desk.viewer.get(f"{path}?format=html")).text)
    assert {tag for tag, _ in page.tags} <= PLAIN_TAGS


async def test_who_was_told_is_in_the_report(desk: Desk) -> None:
    made = await desk.actions.incidents.open_or_join(finding(severity=Severity.CRITICAL), tell=True)
    while await desk.actions.deliver():
        pass
    found = (await desk.viewer.get(f"/incidents/{made.incident.id}/report?format=json")).json()
    assert [n["status"] for n in found["notifications"]] == ["delivered"]


async def test_an_unknown_incident_has_no_report(desk: Desk) -> None:
    assert (await desk.viewer.get("/incidents/INC-1999-0001/report")).status_code == 404
    assert (await desk.viewer.get("/incidents/INC-1999-0001/report?format=pdf")).status_code == 422


async def test_statistics_tell_how_well_incidents_were_answered(desk: Desk) -> None:
    await worked(desk)
    wrong = await desk.rule_block("198.51.100.7")
    assert (await desk.responder.post(f"/blocks/{wrong.id}/reject", json={})).status_code == 200
    other = await desk.actions.incidents.open_or_join(
        finding("192.0.2.1", 9, severity=Severity.LOW), tell=True
    )
    body = {"verdict": "false_positive"}
    await desk.responder.post(f"/incidents/{other.incident.id}/dismiss", json=body)
    found: dict[str, Any] = (await desk.viewer.get("/incidents/stats?window=7d")).json()
    assert (found["opened"], found["by_priority"]) == (2, {"P1": 1, "P3": 1})
    assert found["to_acknowledge"] == {"count": 1, "median_ms": 90 * MINUTE_MS, "p90_ms": 90 * MINUTE_MS}
    assert found["targets"]["P1"] == {"response_ms": HOUR_MS, "met": 0, "missed": 1, "waiting": 0}
    assert found["judged"] == {"auth_failures": {"judged": 2, "false_positives": 1, "rate": 0.5}}
    assert found["escalated"] == {"3": 1}
    assert found["rejected_blocks"] == {"auth_failures": 1}
    assert found["by_severity"] == {"high": 1, "low": 1}
    assert (await desk.viewer.get("/incidents/stats?window=soon")).status_code == 422


@pytest.mark.parametrize("name", ["md", "html", "json"])
async def test_an_incident_that_has_just_opened_has_a_report_too(desk: Desk, name: str) -> None:
    made = await desk.actions.incidents.open_or_join(finding())
    answer = await desk.viewer.get(f"/incidents/{made.incident.id}/report?format={name}")
    assert answer.status_code == 200


async def test_what_the_investigation_says_to_do_is_in_the_report(desk: Desk) -> None:
    made = await desk.actions.incidents.open_or_join(finding())
    step = Step(id="reset", urgent=True, text="reset the password of alice", runbook="")
    dossier = Dossier(
        incident_id=made.incident.id,
        finding_id="0:1-0",
        made_at=NOW,
        subject="203.0.113.9",
        evidence=(),
        place=Place("GB", None, 64500, "Example"),
        steps=(step,),
    )
    await desk.actions.dossiers.put(dossier)
    text = (await desk.viewer.get(f"/incidents/{made.incident.id}/report")).text
    assert "Made 2025-11-24T16:00:00.000Z about 203.0.113.9 (GB, Example)" in text
    assert "| at once | reset the password of alice |" in text
