"""The public status page: what people published, in their words, and nothing else."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from actions.audit import Actor
from actions.incidents.changes import opened_by
from actions.incidents.incident import CheckItem, Entity, FollowUp, Incident, Publication, PublicUpdate
from actions.incidents.keys import incidents_key
from actions.incidents.public_status import PUBLISHED_KEPT, StatusPage, public_view, status_of
from actions.incidents.response_plan import ResponsePlan
from actions.incidents.status import Move, Verdict
from app.main import create_app
from app.policies.policy import default_text
from app.settings import Settings
from app.status import as_atom, as_html, as_json
from app.status_feed import StatusFeed
from app.world import AppWorld
from detectors.errors import StorageError
from detectors.finding import Action, Evidence, Finding, Mode, Severity, SubjectKind

NOW = 1_795_000_000_000
MINUTE = 60_000
DAY = 24 * 60 * MINUTE
ADA = Actor("ada.lovelace (tok_1)", "responder")
PAGE = "status_page: {title: Example API, components: [API, Login]}\n"
FORMS = ("/status", "/status.json", "/status.atom")
A = "{http://www.w3.org/2005/Atom}"


@dataclass
class Public:
    """What a reader of the page has, and what a person behind it does."""

    client: httpx.AsyncClient
    world: AppWorld
    clock: list[int]

    def pass_time(self, ms: int) -> None:
        self.clock[0] += ms

    async def incident(self, number: int = 1, **fields: Any) -> Incident:
        return (await self.world.actions.incidents.open_or_join(a_finding(number, **fields))).incident

    async def say(
        self, incident: Incident, state: str, text: str, title: str = "", component: str = ""
    ) -> None:
        await self.world.actions.work.publish(
            incident.id, ADA, state=state, text=text, title=title, component=component
        )

    async def json(self) -> Any:
        """As it is ten seconds later."""
        self.pass_time(10_000)
        return (await self.client.get("/status.json")).json()


def a_finding(number: int = 1, **fields: Any) -> Finding:
    known: dict[str, Any] = {
        "id": f"0:{number}-0",
        "rule": "auth_failures",
        "subject": f"203.0.113.{number}",
        "subject_kind": SubjectKind.IP,
        "first_at": NOW - 30_000,
        "at": NOW - 1000,
        "count": 10,
        "threshold": 10,
        "window_ms": 60_000,
        "severity": Severity.HIGH,
        "actions": (Action.BLOCK_IP,),
        "mode": Mode.ENFORCE,
        "duration_ms": 60_000,
        "max_duration_ms": 60_000,
        "why": "10 failed logins within 60 s",
    }
    return Finding(**(known | fields))


@pytest.fixture
async def public(redis: Redis, redis_server: str, tmp_path: Path) -> AsyncIterator[Public]:
    (tmp_path / "policy.yaml").write_text(default_text() + PAGE)
    clock = [NOW]
    app = create_app(
        Settings(data_dir=tmp_path / "data", redis_url=redis_server, policy=tmp_path / "policy.yaml"),
        now=lambda: clock[0],
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        yield Public(client, app.state.world, clock)
    await app.state.world.close()


async def test_without_an_incident_everything_works(public: Public) -> None:
    found = (await public.client.get("/status.json")).json()
    assert found == {
        "title": "Example API",
        "state": "operational",
        "updated_at": None,
        "components": [
            {"name": "API", "state": "operational"},
            {"name": "Login", "state": "operational"},
        ],
        "incidents": [],
        "maintenance": [],
    }
    page = await public.client.get("/status")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Everything works." in page.text
    assert "No incidents." in page.text


async def test_an_incident_is_shown_only_once_a_person_published_it(public: Public) -> None:
    incident = await public.incident()
    assert (await public.json())["incidents"] == []
    await public.say(incident, "investigating", "Logins are slow.", "Slow logins", "Login")
    public.pass_time(5 * MINUTE)
    await public.say(incident, "identified", "We know why.")
    found = await public.json()
    assert (found["state"], found["updated_at"]) == ("degraded", "2026-11-18T11:11:50.000Z")
    assert found["components"] == [
        {"name": "API", "state": "operational"},
        {"name": "Login", "state": "degraded"},
    ]
    [shown] = found["incidents"]
    assert re.fullmatch("[0-9a-f]{20}", shown.pop("id"))
    assert shown == {
        "title": "Slow logins",
        "component": "Login",
        "state": "identified",
        "started_at": "2026-11-18T11:06:50.000Z",
        "updated_at": "2026-11-18T11:11:50.000Z",
        "updates": [
            {"at": "2026-11-18T11:11:50.000Z", "state": "identified", "text": "We know why."},
            {"at": "2026-11-18T11:06:50.000Z", "state": "investigating", "text": "Logins are slow."},
        ],
    }


async def test_what_was_taken_off_is_gone_and_can_come_back(public: Public) -> None:
    incident = await public.incident()
    await public.say(incident, "investigating", "Looking.", "Slow logins")
    assert len((await public.json())["incidents"]) == 1
    await public.world.actions.work.unpublish(incident.id, ADA)
    assert (await public.json())["incidents"] == []
    assert await public.world.redis.exists(incidents_key("public")) == 0
    await public.say(incident, "monitoring", "It came back.")
    assert (await public.json())["incidents"][0]["state"] == "monitoring"


async def test_a_resolved_incident_stays_for_fourteen_days(public: Public) -> None:
    incident = await public.incident()
    await public.say(incident, "investigating", "Looking.", "Slow logins", "Login")
    await public.say(incident, "resolved", "It is over.")
    found = await public.json()
    assert (found["state"], found["components"][1]["state"]) == ("operational", "operational")
    assert found["incidents"][0]["state"] == "resolved"
    public.pass_time(14 * DAY - 30_000)
    assert len((await public.json())["incidents"]) == 1
    public.pass_time(20_000)
    assert (await public.json())["incidents"] == []


async def test_what_a_team_does_inside_changes_nothing_outside(public: Public) -> None:
    incident = await public.incident()
    await public.say(incident, "investigating", "Looking.", "Slow logins")
    before = await public.json()
    moves = public.world.actions.moves
    await moves.move(incident.id, Move.ACKNOWLEDGE, ADA)
    await moves.move(incident.id, Move.RESOLVE, ADA, verdict=Verdict.TRUE_POSITIVE)
    await public.world.actions.work.edit(incident.id, ADA, {"title": "Our own words"})
    assert await public.json() == before


async def test_those_that_go_on_come_first_then_the_latest(public: Public) -> None:
    for number, state in enumerate(("resolved", "monitoring", "investigating", "resolved"), 1):
        incident = await public.incident(number)
        await public.say(incident, state, "Words.", f"Number {number}")
        public.pass_time(MINUTE)
    assert [i["title"] for i in (await public.json())["incidents"]] == [
        *("Number 3", "Number 2", "Number 4", "Number 1")
    ]


async def test_a_component_that_the_policy_does_not_name_is_listed_while_it_is_affected(
    public: Public,
) -> None:
    await public.say(await public.incident(1), "investigating", "Words.", "One", "login")
    await public.say(await public.incident(2), "investigating", "Words.", "Two", "Search")
    assert (await public.json())["components"] == [
        {"name": "API", "state": "operational"},
        {"name": "Login", "state": "degraded"},
        {"name": "Search", "state": "degraded"},
    ]


async def test_the_hundred_last_published_are_remembered(public: Public) -> None:
    for number in range(PUBLISHED_KEPT + 1):
        await public.say(await public.incident(number, rule=f"r{number}"), "resolved", "x", f"T{number}")
        public.pass_time(1)
    titles = [i["title"] for i in (await public.json())["incidents"]]
    assert (len(titles), titles[0], titles[-1]) == (PUBLISHED_KEPT, f"T{PUBLISHED_KEPT}", "T1")
    assert await public.world.redis.pttl(incidents_key("public")) > 0


async def test_maintenance_is_shown_without_its_name_unless_the_policy_wants_it(public: Public) -> None:
    maintenance = public.world.actions.maintenance
    start = NOW + DAY
    await maintenance.announce(
        "Move db-7 to 10.0.0.9", ADA, "secret", starts_at=start, ends_at=start + MINUTE
    )
    far = NOW + 30 * DAY
    await maintenance.announce("Later", ADA, "secret", starts_at=far, ends_at=far + MINUTE)
    times = {"starts_at": "2026-11-19T11:06:40.000Z", "ends_at": "2026-11-19T11:07:40.000Z"}
    assert (await public.json())["maintenance"] == [{"title": "Scheduled maintenance", **times}]
    page = (await public.client.get("/status")).text
    assert "2026-11-19 11:06 UTC" in page
    assert "db-7" not in page
    policy = public.world.settings.policy
    policy.write_text(default_text() + "status_page: {maintenance: names}\n")
    public.world.policy.reload_if_changed()
    assert (await public.json())["maintenance"] == [{"title": "Move db-7 to 10.0.0.9", **times}]
    policy.write_text(default_text() + "status_page: {maintenance: none, title: X}\n")
    public.world.policy.reload_if_changed()
    assert (await public.json())["maintenance"] == []


@pytest.mark.parametrize("form", FORMS)
async def test_an_answer_can_be_cached_and_has_an_etag(public: Public, form: str) -> None:
    first = await public.client.get(form)
    assert first.headers["cache-control"] == "public, max-age=30"
    etag = first.headers["etag"]
    for known in (etag, f'"x", W/{etag}', "*"):
        again = await public.client.get(form, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    await public.say(await public.incident(), "investigating", "Words.", "Title")
    public.pass_time(10_000)
    changed = await public.client.get(form, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag
    assert changed.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert changed.headers["x-content-type-options"] == "nosniff"


async def test_redis_is_asked_once_in_ten_seconds_however_many_ask(public: Public) -> None:
    async def calls() -> int:
        stats = await public.world.redis.info("commandstats")
        return int(stats.get("cmdstat_zrange", {"calls": 0})["calls"])

    before = await calls()
    await asyncio.gather(*(public.client.get(form) for form in FORMS * 30))
    public.pass_time(9_999)
    await asyncio.gather(*(public.client.get(form) for form in FORMS * 30))
    assert await calls() == before + 1
    public.pass_time(1)
    await public.client.get("/status")
    assert await calls() == before + 2


class Away:
    """Published incidents on a Redis that can go away."""

    page_id = "p"

    def __init__(self) -> None:
        self.is_away = True
        self.asked = 0

    async def published(self) -> list[Any]:
        self.asked += 1
        if self.is_away:
            raise StorageError("away")
        return []


async def test_with_redis_away_the_page_is_what_was_known_last() -> None:
    store, clock = Away(), [NOW]
    feed = StatusFeed(store, lambda: clock[0], StatusPage)  # type: ignore[arg-type]
    for _ in range(3):  # nothing was ever known; it is asked only once all the same
        with pytest.raises(StorageError, match="away"):
            await feed.status()
    assert store.asked == 1
    store.is_away = False
    clock[0] += 10_000
    known = await feed.status()
    store.is_away = True
    clock[0] += 60_000
    assert await feed.status() == known
    assert await feed.status() is await feed.status()
    assert store.asked == 3


async def test_before_anything_is_known_redis_away_is_a_503(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path / "data", redis_url="redis://127.0.0.1:1", policy=tmp_path / "policy.yaml"
    )
    (tmp_path / "policy.yaml").write_text(default_text())
    app = create_app(settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        answer = await client.get("/status")
    await app.state.world.close()
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")


def parsed(feed: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(feed)  # noqa: S314 - our own answer


async def test_the_feed_is_atom(public: Public) -> None:
    empty = parsed((await public.client.get("/status.atom")).content)
    assert empty.findtext(f"{A}updated") == "1970-01-01T00:00:00.000Z"
    incident = await public.incident()
    await public.say(
        incident, "investigating", "<b>Logins</b> & more\nare slow\x00.", "Slow & <odd>", "Login"
    )
    public.pass_time(MINUTE)
    await public.say(incident, "resolved", "Over.")
    public.pass_time(10_000)
    answer = await public.client.get("/status.atom")
    assert answer.headers["content-type"] == "application/atom+xml"
    root = parsed(answer.content)
    assert root.tag == f"{A}feed"
    assert (root.findtext(f"{A}title"), root.findtext(f"{A}author/{A}name")) == ("Example API", "Example API")
    assert root.findtext(f"{A}id") == empty.findtext(f"{A}id")
    [entry] = root.findall(f"{A}entry")
    names = [child.tag.removeprefix(A) for child in entry]
    assert names == ["id", "title", "published", "updated", "category", "link", "content"]
    assert re.fullmatch(r"tag:bartizan,2026:status/[0-9a-f]{20}", entry.findtext(f"{A}id") or "")
    assert entry.findtext(f"{A}title") == "Slow & <odd> (resolved)"
    assert entry.findtext(f"{A}published") == "2026-11-18T11:06:40.000Z"
    assert entry.findtext(f"{A}updated") == root.findtext(f"{A}updated") == "2026-11-18T11:07:40.000Z"
    assert entry.findtext(f"{A}content") == (
        "2026-11-18 11:07 UTC, resolved: Over.\n\n"
        "2026-11-18 11:06 UTC, investigating: <b>Logins</b> & more\nare slow\ufffd."
    )


async def test_the_page_escapes_what_people_write_and_loads_nothing(public: Public) -> None:
    await public.say(
        await public.incident(), "investigating", "<script>x</script>\nsecond", "<img src=//e>", "<i>"
    )
    page = (await public.client.get("/status")).text
    assert "<script" not in page
    assert "<img" not in page
    assert "<i>" not in page
    assert "<p>&lt;script&gt;x&lt;/script&gt;</p>\n<p>second</p>" in page
    assert re.findall(r'(?:href|src)="([^"]*)"', page) == ["status.atom", "status.atom", "status.json"]


MARK = "Zq7"
"""Begins every text that stands inside."""
words = st.text(max_size=20).map(lambda text: MARK + text)


@given(data=st.data(), address=st.ip_addresses().map(str))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_that_stands_inside_goes_out(data: st.DataObject, address: str) -> None:
    """Whatever addresses, rules, users, evidence and texts an incident holds: none of it is in the three answers."""
    draw = data.draw
    one = Evidence(
        NOW, NOW, draw(words), client_ip=address, path=draw(words), user=draw(words), record=draw(words)
    )
    found = a_finding(
        1, subject=address, rule=draw(words), why=draw(words), evidence=(one,), place=draw(words)
    )
    incident = opened_by(found, draw(words), NOW, plan=ResponsePlan(), immediate=False, entities=None)
    incident = msgspec.structs.replace(
        incident,
        **{name: draw(words) for name in ("title", "lead", "impact", "root_cause", "lessons", "graded_by")},
        acknowledged_by=draw(words),
        merged_into=draw(words),
        references=(draw(words),),
        entities=(*incident.entities, Entity("user", draw(words))),
        checklist=(CheckItem("x", "y", draw(words), NOW, draw(words), draw(words)),),
        follow_ups=(FollowUp("f", draw(words), draw(words), NOW, NOW),),
        public=Publication("Slow logins", "Login", (PublicUpdate(NOW, "investigating", "We look into it."),)),
    )
    shown = public_view(incident, b"key")
    assert shown is not None
    status = status_of(StatusPage("Example", ("API",)), [shown], [], NOW, "feed")
    for write in (as_html, as_json, as_atom):
        text = write(status).decode()
        assert "We look into it." in text
        assert MARK not in text
        assert len(address) < 6 or address not in text
        assert incident.id not in text


async def test_the_number_of_an_incident_is_not_told(public: Public) -> None:
    incident = await public.incident()
    await public.say(incident, "investigating", "Words.", "Title")
    public.pass_time(10_000)
    for form in FORMS:
        text = (await public.client.get(form)).text
        for inside in ("INC-", incident.id, "203.0.113", "auth_failures", "ada", "10 failed logins"):
            assert inside not in text, (form, inside)
    shown = json.loads((await public.client.get("/status.json")).text)["incidents"][0]["id"]
    assert shown in (await public.client.get("/status.atom")).text
