"""One incident from its first event to its review: the whole report is held against tests/admin/full_report.md."""

import re
from pathlib import Path

from admin_desk import HOUR_MS, Desk, finding
from markdown_it import MarkdownIt

from actions import block_ip

GOLDEN = Path(__file__).with_name("full_report.md")
MINUTE_MS = 60_000


async def driven(desk: Desk) -> str:
    """Blocked, told, late, escalated by the clock and by hand, acknowledged, mitigated, its block lifted, resolved."""
    actions = desk.actions
    made = await actions.incidents.open_or_join(finding(), tell=True)
    incident = made.incident.id
    await block_ip.run(finding(), made.incident, actions)
    path = f"/incidents/{incident}"
    for minutes in (30, 35):  # level 1, then the response time
        desk.pass_time(minutes * MINUTE_MS)
        await actions.clocks.strike()
    await desk.responder.post(f"{path}/escalate", json={"note": "the office cannot log in"})
    await desk.responder.post(f"{path}/acknowledge", json={"note": "on it"})
    said = {"impact": "40 people of one office could not log in.", "lead": "ada"}
    await desk.responder.patch(path, json=said)
    comment = {"text": "a customer | called: [click](http://evil.example)", "at": "2025-11-24T15:00:00Z"}
    await desk.responder.post(f"{path}/timeline", json={**comment, "pinned": True})
    [block] = (await desk.viewer.get("/blocks")).json()["items"]
    desk.pass_time(10 * MINUTE_MS)
    await desk.responder.delete(f"/blocks/{block['id']}?reason=our%20office")
    await desk.responder.post(f"{path}/mitigate", json={"note": "they can log in"})
    desk.pass_time(HOUR_MS)
    written = {
        "root_cause": "Its passwords had expired.\nAll of them at once.",
        "lessons": "Badly: nobody was awake.",
    }
    await desk.responder.patch(path, json=written)
    await desk.responder.put(f"{path}/checklist/root-cause-identified", json={"note": "expired passwords"})
    for owner, due in (("bob", "2025-12-01T00:00:00Z"), ("eve", "2025-11-24T00:00:00Z")):
        follow_up = {"text": f"limit what {owner} sees", "owner": owner, "due": due}
        await desk.responder.post(f"{path}/follow-ups", json=follow_up)
    await desk.responder.post(f"{path}/resolve", json={"verdict": "benign", "note": "our own office"})
    while await actions.deliver():
        pass
    return incident


def steady(text: str) -> str:
    """Without what differs from run to run (ids of tokens, checksums, the policy's digest) and the rule's own texts."""
    text = text.partition("\n## Runbook\n")[0]
    text = re.sub(r"tok_[0-9a-f]{12}", "tok_X", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "SHA256", text)
    return re.sub(r"(\| policy \| )[0-9a-f]{12}", r"\1DIGEST", text)


async def test_the_whole_report_is_as_it_should_be(desk: Desk) -> None:
    text = steady((await desk.viewer.get(f"/incidents/{await driven(desk)}/report")).text)
    assert text == GOLDEN.read_text("utf-8")


async def test_a_reader_of_markdown_sees_tables_and_text_and_nothing_else(desk: Desk) -> None:
    text = (await desk.viewer.get(f"/incidents/{await driven(desk)}/report")).text
    kinds = set()
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        kinds |= {token.type, *(child.type for child in token.children or [])}
    allowed = {
        "heading",
        "paragraph",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "bullet_list",
        "list_item",
    }
    assert kinds <= {f"{name}_{end}" for name in allowed for end in ("open", "close")} | {
        *("inline", "text", "text_special", "softbreak")
    }
