"""An address behind which many people are is not blocked; administrators are told instead."""

import pytest
from acting import IP, MINUTE, Clock, Ear, Tally, a_finding
from redis.asyncio import Redis
from test_responder import put

from actions.blocks.spared import ADVICE
from actions.responder import Responder
from actions.world import World
from detectors.errors import StorageError
from detectors.finding import Action, Evidence, Finding, Mode, SubjectKind

NOTE = "not blocked: 12 different users lately got in from here"


async def kinds(world: World) -> list[tuple[str, str]]:
    [incident] = (await world.incidents.page())[0]
    return [(e.kind, e.text) for e in (await world.timeline.page(incident.id))[0]]


@pytest.mark.parametrize(
    "actions",
    [(Action.BLOCK_IP,), (Action.BLOCK_IP, Action.ALERT_ADMIN), (Action.CREATE_INCIDENT, Action.BLOCK_IP)],
)
@pytest.mark.parametrize("mode", [Mode.ENFORCE, Mode.PROPOSE])
async def test_a_shared_address_is_not_blocked_and_people_are_told_once(
    world: World, tally: Tally, ear: Ear, actions: tuple[Action, ...], mode: Mode
) -> None:
    responder, finding = Responder(world), a_finding(shared_users=12, actions=actions, mode=mode)
    for _ in range(2):
        await responder.handle(finding)
    await responder.drain()
    assert (await world.blocklist.counts())["kept"] == 0
    assert (await kinds(world))[1:] == [("action_skipped", NOTE), ("notified", "told through ear: opened")]
    [message] = ear.heard
    assert message.kind == "opened"
    assert tally.counted["blocks outcome=shared rule=auth_failures"] == 1
    if actions == (Action.BLOCK_IP,):
        assert message.text == f"{finding.why}; {NOTE}\nWhat to do first: {ADVICE}"


async def test_of_a_rule_that_only_blocks_people_hear_no_more_than_one_message_in_ten_minutes(
    world: World, clock: Clock, ear: Ear
) -> None:
    responder = Responder(world)
    for number in range(30):
        await responder.handle(a_finding(number, shared_users=12, at=clock()))
        clock.forward(MINUTE // 2)
    await responder.drain()
    assert [m.kind.value for m in ear.heard] == ["opened", "update", "update"]


async def test_an_address_that_is_nobody_elses_is_blocked(world: World, ear: Ear) -> None:
    await Responder(world).handle(a_finding(shared_users=0))
    assert await world.blocklist.find_active(IP) is not None


async def test_a_shared_subject_that_is_no_address_is_nothing_to_block_as_before(
    world: World, ear: Ear
) -> None:
    responder = Responder(world)
    await responder.handle(a_finding(subject="alice", subject_kind=SubjectKind.USER, shared_users=3))
    await responder.drain()
    assert (await kinds(world))[1] == ("action_skipped", "nothing to block: user is no address")
    assert ear.heard == []


async def test_a_rule_that_observes_only_records_a_shared_address(world: World, ear: Ear) -> None:
    responder = Responder(world)
    await responder.handle(a_finding(shared_users=12, mode=Mode.OBSERVE))
    await responder.drain()
    assert (await world.incidents.page())[0] == []
    assert ear.heard == []


async def test_an_error_beside_makes_the_finding_come_again(redis: Redis, clock: Clock) -> None:
    """What is carried through beside the turns raises in the next turn, as if it had been in one."""
    world = World.make(redis, clock)
    agent = Evidence(0, 0, "status 401", client_ip=IP, user_agent="Googlebot/2.1")

    class Failing(Responder):
        async def handle(self, finding: Finding, *others: Finding) -> None:
            raise StorageError("Redis is away")

    responder = Failing(world)
    [intake] = responder._intakes
    await responder._prepare(intake)
    await put(redis)
    [(entry_id, fields)] = await intake.new(0)
    row = await intake.read(entry_id, fields)
    assert row is not None

    async def fail() -> None:
        await responder.handle(a_finding(evidence=(agent,)))

    intake.beside.start(fail())
    with pytest.raises(StorageError):
        await intake.beside.finish()
    intake.beside.check()
    assert [e for e, _ in await intake.begun(b"0")] == [entry_id]
