"""Dossiers over the admin API: asked for, shown, downloaded."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from admin_desk import NOW, Desk, finding

sys.path.append(str(Path(__file__).resolve().parents[1] / "detectors"))

from key_samples import SAMPLES

from actions import investigate
from actions.investigations.investigations import DELAY_MS
from actions.investigations.work import Investigator
from app.admin.investigations import subject_from
from detectors.redact import SecretFinder
from detectors.scanner import Scanner, load_patterns

HOSTILE = "<b>|](http://evil.example)"


@pytest.fixture(scope="module")
def secrets() -> SecretFinder:
    return SecretFinder(Scanner(load_patterns("keys")), b"k" * 32)


@pytest.fixture(autouse=True)
def engine(desk: Desk, secrets: SecretFinder) -> None:
    desk.world.engine = SimpleNamespace(secrets=secrets)


async def incident_of(desk: Desk) -> str:
    found = finding()
    opened = await desk.actions.incidents.open_or_join(found)
    await investigate.run(found, opened.incident, desk.actions)
    return opened.incident.id


async def test_an_incidents_dossier_is_asked_for_and_downloaded(desk: Desk) -> None:
    incident = await incident_of(desk)
    quick = await desk.viewer.get(f"/incidents/{incident}/dossier")
    assert quick.status_code == 200 and quick.json()["events"] is None
    asked = await desk.responder.post(f"/incidents/{incident}/investigate")
    assert asked.status_code == 202
    assert (asked.json()["subject"], asked.json()["subject_kind"], asked.json()["state"]) == (
        "203.0.113.9",
        "ip",
        "waiting",
    )
    assert await Investigator(desk.actions).step() == 1
    answer = await desk.viewer.get(f"/incidents/{incident}/dossier")
    assert answer.headers["content-disposition"] == f'attachment; filename="dossier-{incident}.json"'
    whole = answer.json()
    assert (whole["subject"], whole["events"]["source"]) == ("203.0.113.9", "evidence")
    assert whole["made_at"].endswith("Z") and whole["events"]["since_at"].endswith("Z")
    assert whole["steps"][-1]["id"] == "no_more"
    page = await desk.viewer.get(f"/incidents/{incident}/dossier", params={"format": "md"})
    assert page.headers["content-type"] == "text/markdown; charset=utf-8"
    assert page.headers["content-disposition"] == f'attachment; filename="dossier-{incident}.md"'
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.text.startswith("# Dossier: 203.0.113.9\n") and "## Runbook" in page.text
    shown = (await desk.viewer.get(f"/incidents/{incident}")).json()
    assert shown["dossier"]["accounts"] == ["alice"]
    assert ("investigation.ask", "") in {(action, reason) for _, _, action, reason in await desk.trail()}


async def test_an_entity_is_investigated_without_an_incident(desk: Desk) -> None:
    asked = await desk.responder.post("/investigations", json={"entity": f"user={HOSTILE}"})
    assert asked.status_code == 202
    name = asked.json()["id"]
    waiting = (await desk.viewer.get(f"/investigations/{name}")).json()
    assert (waiting["state"], waiting["dossier"], waiting["asked_by"]) == (
        "waiting",
        None,
        asked.json()["asked_by"],
    )
    early = await desk.viewer.get(f"/investigations/{name}/dossier")
    assert early.status_code == 404 and "waiting" in early.json()["detail"]
    await Investigator(desk.actions).step()
    done = (await desk.viewer.get(f"/investigations/{name}")).json()
    assert done["state"] == "done" and done["dossier"]["made_at"].endswith("Z")
    page = (await desk.viewer.get(f"/investigations/{name}/dossier", params={"format": "md"})).text
    assert "<b>" not in page and "](http" not in page


async def test_a_credential_becomes_its_name_and_is_kept_nowhere(desk: Desk) -> None:
    secret = SAMPLES["github_token"].secret
    asked = await desk.responder.post("/investigations", json={"entity": f"key={secret}"})
    assert asked.json()["subject"].startswith("github_token:v1:")
    more = await desk.responder.post("/investigations", json={"entity": f"user=x {secret}"})
    assert more.status_code == 422 and secret not in more.text
    for key in await desk.actions.redis.keys("*"):
        assert secret[-12:].encode() not in await desk.actions.redis.dump(key), key


@pytest.mark.parametrize(
    ("entity", "kind", "value"),
    [
        ("203.0.113.9", "ip", "203.0.113.9"),
        ("ip=::ffff:203.0.113.9", "ip", "203.0.113.9"),
        ("2001:db8::1", "ip", "2001:db8::/64"),
        ("ip=2001:db8:1:2::/64", "ip", "2001:db8:1:2::/64"),
        ("user=a=b", "user", "a=b"),
        ("key=k1", "key", "k1"),
        ("host=*", "host", "*"),
    ],
)
def test_an_entity_is_spelled_as_findings_spell_it(entity: str, kind: str, value: str) -> None:
    found = subject_from(entity)
    assert (found.kind, found.value) == (kind, value)


@pytest.mark.parametrize(
    ("entity", "says"),
    [
        ("alice", "'alice' is no address"),
        ("203.0.113.0/24", "is no address"),
        ("rule=auth_failures", "'rule' is not one of ip, user, key, host"),
        ("user=", "which user?"),
        ("ip=nonsense", "is no address"),
    ],
)
async def test_a_wrong_entity_is_refused_in_words(desk: Desk, entity: str, says: str) -> None:
    answer = await desk.responder.post("/investigations", json={"entity": entity})
    assert answer.status_code == 422 and says in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == "entity"


async def test_what_is_not_known_is_404_and_names_it(desk: Desk) -> None:
    for path in ("/incidents/INC-1/dossier", "/investigations/INV-1", "/investigations/INV-1/dossier"):
        assert (await desk.viewer.get(path)).status_code == 404
    opened = await desk.actions.incidents.open_or_join(finding())
    answer = await desk.viewer.get(f"/incidents/{opened.incident.id}/dossier")
    assert answer.status_code == 404 and "nobody has investigated it" in answer.json()["detail"]
    assert (await desk.responder.post("/incidents/INC-1/investigate")).status_code == 404


async def test_an_incident_of_a_rule_is_investigated_from_its_evidence(desk: Desk) -> None:
    desk.pass_time(DELAY_MS)
    incident = await incident_of(desk)
    await Investigator(desk.actions).step()
    assert (await desk.viewer.get(f"/incidents/{incident}/dossier")).json()["made_at"] > str(NOW)[:1]
