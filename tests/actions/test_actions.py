"""What each action does, that twice is once, and what it says when it does nothing."""

from pathlib import Path

import pytest
from acting import ALICE, DAY, HOUR, IP, NOON, Clock, Ear, Tally, a_finding, a_manual, a_request
from redis.asyncio import Redis

from actions import alert_admin, block_ip, create_incident, investigate
from actions.block_ip import blockable
from actions.blocks.block import BlockStatus, Outcome
from actions.delivery.message import MessageKind
from actions.incidents.filters import IncidentFilter
from actions.incidents.incident import Entity, Entry, Incident
from actions.incidents.runbook import BRAKE_RULE, runbook_of
from actions.incidents.timeline import INCIDENT_TTL_MS
from actions.investigations.dossiers import dossier_key
from actions.investigations.neighbours import NEAR_KEPT, NEAR_TTL_MS, near_key, vicinity
from actions.world import World
from detectors.finding import Evidence, Finding, Mode, Priority, Severity, SubjectKind
from detectors.geo import Geo
from detectors.timestamps import to_rfc3339


async def opened(world: World, finding: Finding) -> Incident:
    return (await world.incidents.open_or_join(finding)).incident


async def last(world: World, incident: Incident) -> Entry:
    return (await world.timeline.page(incident.id))[0][-1]


async def test_block_ip_blocks_once_and_says_so_once(world: World, tally: Tally) -> None:
    finding = a_finding()
    incident = await opened(world, finding)
    for _ in range(2):
        await block_ip.run(finding, incident, world)
    block = await world.blocklist.find_active(IP)
    assert block is not None
    assert (block.rule, block.incident_id, block.finding_id) == ("auth_failures", incident.id, finding.id)
    assert (block.reason, block.until) == (finding.why, NOON + 4 * HOUR)
    entries = (await world.timeline.page(incident.id))[0]
    assert [e.kind for e in entries] == ["created", "action_taken"]
    assert entries[1].text == f"blocked {IP} until {to_rfc3339(NOON + 4 * HOUR)} (strike 1)"
    assert entries[1].data["block_id"] == block.id
    assert tally.counted["blocks outcome=created rule=auth_failures"] == 1


async def test_block_ip_doubles_with_each_strike(world: World, clock: Clock) -> None:
    for n, hours in enumerate([4, 8, 16, 32]):
        finding = a_finding(n, at=clock.ms)
        await block_ip.run(finding, await opened(world, finding), world)
        block = await world.blocklist.find_active(IP)
        assert block is not None
        assert block.until == clock.ms + hours * HOUR
        clock.forward(hours * HOUR)


async def test_block_ip_proposes_when_the_rule_proposes(world: World) -> None:
    finding = a_finding(mode=Mode.PROPOSE)
    incident = await opened(world, finding)
    await block_ip.run(finding, incident, world)
    [block] = (await world.blocklist.page())[0]
    assert block.status == BlockStatus.PROPOSED
    assert (await last(world, incident)).text.startswith(f"proposed to block {IP}")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"subject": "alice", "subject_kind": SubjectKind.USER}, "nothing to block: user is no address"),
        ({"subject": "not an ip"}, "nothing to block: ip is no address"),
        ({"subject": "127.0.0.1"}, "127.0.0.1 is not blocked: never blocked: loopback 127.0.0.0/8"),
        ({"at": NOON - 4 * HOUR}, f"{IP} is not blocked: late evidence: the block would be over already"),
    ],
)
async def test_block_ip_says_why_it_does_not_block(
    world: World, fields: dict[str, object], text: str
) -> None:
    finding = a_finding(**fields)
    incident = await opened(world, finding)
    for _ in range(2):
        await block_ip.run(finding, incident, world)
    entries = (await world.timeline.page(incident.id))[0]
    assert [(e.kind, e.text) for e in entries[1:]] == [("action_skipped", text)]
    assert (await world.blocklist.counts())["kept"] == 0


async def test_block_ip_makes_no_second_block_of_a_blocked_address(world: World) -> None:
    await world.blocklist.block(a_manual(), ALICE)
    finding = a_finding()
    incident = await opened(world, finding)
    await block_ip.run(finding, incident, world)
    assert (await last(world, incident)).text == f"{IP} is blocked already by m1"


async def test_block_ip_spares_after_a_rejection(world: World) -> None:
    await world.blocklist.block(a_request())
    await world.reviews.reject("b1", ALICE)
    finding = a_finding()
    incident = await opened(world, finding)
    await block_ip.run(finding, incident, world)
    assert "rejected" in (await last(world, incident)).text


async def test_the_brake_raises_one_alert_however_many_it_refuses(
    redis: Redis, clock: Clock, ear: Ear, tally: Tally
) -> None:
    world = World.make(redis, clock, channels=[ear], counters=tally, brake_limit=3)
    for n in range(8):
        finding = a_finding(n, subject=f"192.0.2.{n}")
        incident = await opened(world, finding)
        for _ in range(2):
            await block_ip.run(finding, incident, world)
    assert (await world.blocklist.counts())["active"] == 3
    [alert] = (await world.incidents.page(IncidentFilter(rule=BRAKE_RULE)))[0]
    assert (alert.entities, alert.finding_count) == ((Entity("rule", "auth_failures"),), 1)
    await world.deliver()
    assert [(m.rule, m.kind) for m in ear.heard] == [(BRAKE_RULE, MessageKind.OPENED)]
    assert ear.heard[0].text.endswith(runbook_of(BRAKE_RULE).act)
    assert tally.counted["blocks outcome=braked rule=auth_failures"] == 5
    other = a_finding(99, rule="suspicious_activity", subject="192.0.2.99")
    await block_ip.run(other, await opened(world, other), world)
    assert await world.blocklist.find_active("192.0.2.99") is not None


@pytest.mark.parametrize(
    ("subject", "value"),
    [
        (IP, IP),
        ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        (f"{IP} alice", IP),
        ("", None),
        ("alice", None),
    ],
)
def test_what_can_be_blocked_is_the_address_of_the_subject(subject: str, value: str | None) -> None:
    assert blockable(a_finding(subject=subject)) == value


@pytest.mark.parametrize("run", [alert_admin.run, create_incident.run])
async def test_people_are_told_once_per_finding(world: World, ear: Ear, run: object) -> None:
    assert callable(run)
    finding = a_finding()
    incident = await opened(world, finding)
    for _ in range(2):
        await run(finding, incident, world)
    await world.deliver()
    [message] = ear.heard
    assert (message.incident_id, message.immediate) == (incident.id, False)
    assert message.text.splitlines()[0] == finding.why


async def test_an_immediate_incident_is_critical_and_tells_at_once(world: World, ear: Ear) -> None:
    finding = a_finding(severity=Severity.LOW)
    incident = await opened(world, finding)
    for _ in range(2):
        await create_incident.run_immediate(finding, incident, world)
    raised = await world.incidents.get(incident.id)
    assert (raised.severity, raised.priority, raised.version) == (Severity.CRITICAL, Priority.P0, 2)
    await world.deliver()
    assert [(m.immediate, m.priority) for m in ear.heard] == [(True, Priority.P0)]


async def test_an_investigation_gathers_what_is_known(redis: Redis, clock: Clock, corpora: Path) -> None:
    geo = Geo(corpora / "GeoLite2-City-Test.mmdb", corpora / "GeoLite2-ASN-Test.mmdb")
    world = World.make(redis, clock, geo=geo)
    subject = "89.160.20.112"
    await world.blocklist.block(a_manual("m1", subject), ALICE)
    await world.reviews.unblock("m1", ALICE, "a test")
    await world.blocklist.block(a_manual("m2", "89.160.20.7"), ALICE)
    await world.blocklist.block(a_manual("m3", "89.160.21.7"), ALICE)
    for n, near in enumerate(["89.160.20.113", "89.160.20.7", "203.0.113.1"]):
        await world.neighbours.remember(a_finding(n, subject=near))
    evidence = tuple(Evidence(NOON, NOON, "status 401", user=u) for u in ("root", "admin", "root"))
    finding = a_finding(9, subject=subject, evidence=evidence)
    await world.neighbours.remember(finding)
    incident = await opened(world, finding)
    await investigate.run(finding, incident, world)
    first = await world.dossiers.find(incident.id)
    await investigate.run(finding, incident, world)
    dossier = await world.dossiers.find(incident.id)
    assert dossier == first
    assert dossier is not None
    assert dossier.place is not None
    assert (dossier.place.city, dossier.place.asn) == ("Linköping", 29518)
    assert [(b.id, b.status, b.note) for b in dossier.earlier_blocks] == [("m1", "lifted", "a test")]
    assert dossier.accounts == ("root", "admin")
    assert dossier.vicinity == "89.160.20.0/24"
    assert dossier.blocked_nearby == ("89.160.20.7",)
    assert {n.subject for n in dossier.found_nearby} == {"89.160.20.113", "89.160.20.7"}
    assert dossier.evidence == evidence
    entries = (await world.timeline.page(incident.id))[0]
    assert [e.kind for e in entries] == ["created", "evidence_added"]
    assert "Linköping" in entries[1].text
    assert 0 < await redis.pttl(dossier_key(incident.id)) <= INCIDENT_TTL_MS
    geo.close()


async def test_an_investigation_finds_the_same_provider_far_away(
    redis: Redis, clock: Clock, corpora: Path
) -> None:
    geo = Geo(asn_db=corpora / "GeoLite2-ASN-Test.mmdb")
    world = World.make(redis, clock, geo=geo)
    far = "89.160.99.1"
    await world.neighbours.remember(a_finding(1, subject=far))
    await world.blocklist.block(a_manual("m1", far), ALICE)
    finding = a_finding(2, subject="89.160.20.112")
    incident = await opened(world, finding)
    await investigate.run(finding, incident, world)
    dossier = await world.dossiers.find(incident.id)
    assert dossier is not None
    assert dossier.blocked_nearby == (far,)
    assert [n.subject for n in dossier.found_nearby] == [far]
    geo.close()


async def test_an_investigation_of_a_user_names_the_accounts_and_no_network(world: World) -> None:
    finding = a_finding(subject="alice", subject_kind=SubjectKind.USER)
    incident = await opened(world, finding)
    await investigate.run(finding, incident, world)
    dossier = await world.dossiers.find(incident.id)
    assert dossier is not None
    assert dossier.accounts == ("alice", "root", "admin")
    assert (dossier.vicinity, dossier.place, dossier.earlier_blocks) == (None, None, ())


async def test_an_investigation_of_an_ipv6_network_looks_at_its_48(world: World) -> None:
    near = "2001:db8:1:9::/64"
    await world.neighbours.remember(a_finding(1, subject=near))
    await world.blocklist.block(a_manual("m1", near), ALICE)
    finding = a_finding(2, subject="2001:db8:1:2::/64")
    incident = await opened(world, finding)
    await investigate.run(finding, incident, world)
    dossier = await world.dossiers.find(incident.id)
    assert dossier is not None
    assert (dossier.vicinity, dossier.blocked_nearby) == ("2001:db8:1::/48", (near,))


async def test_neighbours_are_bounded_and_pass_away(world: World, redis: Redis) -> None:
    for n in range(NEAR_KEPT + 5):
        rule = "auth_failures" if n % 2 else "suspicious_activity"
        await world.neighbours.remember(a_finding(n, rule=rule, at=NOON + n, subject=f"203.0.113.{n // 2}"))
    found = await world.neighbours.of("203.0.113.0/24")
    assert len(found) == NEAR_KEPT
    assert found[0].at == NOON + NEAR_KEPT + 4
    ttl = await redis.pttl(near_key("203.0.113.0/24"))
    assert NEAR_TTL_MS - 60_000 < ttl <= NEAR_TTL_MS


@pytest.mark.parametrize(
    ("value", "network"),
    [
        (IP, "203.0.113.0/24"),
        ("203.0.0.0/16", "203.0.0.0/16"),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_the_vicinity_is_the_24_or_the_48(value: str, network: str) -> None:
    assert vicinity(value) == network


async def test_strikes_stay_when_an_old_block_is_forgotten(world: World, clock: Clock) -> None:
    first = await world.blocklist.block(a_request("b1"))
    clock.forward(95 * DAY)
    await world.blocklist.expire_due()
    second = await world.blocklist.block(a_request("b2"))
    assert (first.outcome, second.outcome) == (Outcome.CREATED, Outcome.CREATED)
