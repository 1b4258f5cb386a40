"""Letters to channels that refuse, fail, hang or want to be left alone; and what has become untrue meanwhile."""

import asyncio

import pytest
from acting import ALICE, HOUR, MINUTE, Clock, Ear, Tally
from delivering import a_message, a_world, deliveries, lines, log_of, opened, write
from redis.asyncio import Redis

from actions.delivery.letters import channel_key, keys_of
from actions.delivery.message import Letter, MessageKind, Rate
from actions.delivery.sending import GIVE_UP_MS, RETIRE_AFTER_MS, backoff_ms
from actions.delivery.told import told_key
from actions.incidents.status import Move, Verdict
from actions.world import World
from detectors.errors import DeliveryError

SECOND = 1_000
NOT_NOW = DeliveryError("503 from the receiver", permanent=False)
NEVER = DeliveryError("404 no such channel", permanent=True)


async def health(world: World, name: str) -> dict[str, object]:
    found = await world.channel_health.all(set(world.sender.channels))
    return {f: getattr(one, f) for one in found if one.channel == name for f in one.__struct_fields__}


@pytest.mark.parametrize(
    ("attempts", "jitter", "expected"),
    [
        (1, 0.0, 1_000),
        (1, 0.5, 1_000),
        (1, 1.0, 1_250),
        (2, 0.5, 2_000),
        (5, 0.0, 12_000),
        (9, 0.5, 256_000),
        (10, 0.5, 300_000),
        (5_000, 1.0, 300_000),
    ],
)
def test_the_wait_doubles_from_a_second_to_five_minutes(attempts: int, jitter: float, expected: int) -> None:
    assert backoff_ms(attempts, jitter) == expected


async def test_what_fails_for_now_is_tried_again_later_each_time_and_arrives(
    world: World, ear: Ear, clock: Clock, tally: Tally
) -> None:
    world.sender._jitter = lambda: 0.5
    [incident] = await opened(world)
    ear.failure = NOT_NOW
    assert await world.deliver() == 1
    for wait in (1, 2, 4, 8):
        clock.forward(wait * SECOND - 1)
        assert await world.deliver() == 0
        clock.forward(1)
        assert await world.deliver() == 1
    assert (await health(world, "ear"))["error"] == "503 from the receiver"
    ear.failure = None
    clock.forward(16 * SECOND)
    assert await world.deliver() == 1
    assert tally.counted["messages channel=ear result=retried"] == 5
    assert await lines(world, incident.id) == [("notified", "told through ear: opened")]
    assert (await health(world, "ear"))["failing_since"] is None


async def test_no_error_for_now_is_final_within_a_day(world: World, ear: Ear, clock: Clock) -> None:
    [incident] = await opened(world)
    ear.failure = NOT_NOW
    begun = clock()
    while not (await world.dead_letters.page())[0]:
        await world.deliver()
        clock.forward(5 * MINUTE)
    assert GIVE_UP_MS <= clock() - begun < GIVE_UP_MS + HOUR
    [dead] = (await world.dead_letters.page())[0]
    assert dead.error == "given up after a day: 503 from the receiver"
    assert dead.attempts > 250
    assert [kind for kind, _ in await lines(world, incident.id)] == ["notify_failed"]


async def test_what_can_never_arrive_is_dead_at_once_and_another_channel_hears_of_it_once_an_hour(
    redis: Redis, clock: Clock, tally: Tally
) -> None:
    chat, hook, own = Ear("slack"), Ear("webhook"), Ear("log")
    world = a_world(redis, clock, chat, hook, own, tally=tally)
    chat.failure = NEVER
    [incident, _] = await opened(world, 2)
    await world.deliver()
    assert [d.error for d in (await world.dead_letters.page())[0]] == ["404 no such channel"] * 2
    assert ("notify_failed", "slack could not be told: 404 no such channel") in await lines(
        world, incident.id
    )
    assert tally.counted["messages channel=slack result=failed"] == 2
    notices = [m for m in hook.heard if m.kind == MessageKind.NOTICE]
    assert [(m.title, m.channels) for m in notices] == [("channel slack does not deliver", ("webhook",))]
    assert [m for m in own.heard if m.kind == MessageKind.NOTICE] == notices
    assert await world.channel_health.unhealthy(set(world.sender.channels)) == ["slack"]
    clock.forward(HOUR)
    await opened(world, 1, first=9)
    await world.deliver()
    assert len([m for m in hook.heard if m.kind == MessageKind.NOTICE]) == 2
    chat.failure = None
    await opened(world, 1, first=10)
    await world.deliver()
    assert await world.channel_health.unhealthy(set(world.sender.channels)) == []


async def test_a_channel_that_fails_for_ten_minutes_is_unhealthy_and_others_hear_of_it(
    redis: Redis, clock: Clock
) -> None:
    chat, hook = Ear("slack"), Ear("webhook")
    world = a_world(redis, clock, chat, hook)
    chat.failure = NOT_NOW
    await opened(world)
    for _ in range(9):
        await world.deliver()
        clock.forward(MINUTE)
    assert (await health(world, "slack"))["unhealthy_since"] is None
    for _ in range(6):
        await world.deliver()
        clock.forward(MINUTE)
    assert (await health(world, "slack"))["unhealthy_since"] is not None
    assert [m.kind for m in hook.heard] == [MessageKind.OPENED, MessageKind.NOTICE]


async def test_a_receiver_that_wants_to_be_left_alone_is_and_no_attempt_is_spent(
    redis: Redis, clock: Clock, ear: Ear
) -> None:
    other = Ear("other")
    world = a_world(redis, clock, ear, other)
    ear.failure = DeliveryError("429", permanent=False, retry_after_ms=7 * SECOND)
    await opened(world, 3)
    await world.deliver()
    assert (len(ear.heard), len(other.heard)) == (0, 3)
    assert (await health(world, "ear"))["held_until"] == clock() + 7 * SECOND
    ear.failure = None
    clock.forward(7 * SECOND - 1)
    assert await world.deliver() == 0
    clock.forward(1)
    ear.failure = NOT_NOW
    await world.deliver()
    clock.forward(SECOND)
    ear.failure = None
    await world.deliver()
    assert len(ear.heard) == 3


async def test_a_rate_is_kept_to_over_all_processes(redis: Redis, clock: Clock) -> None:
    ear = Ear("slack", rate=Rate(per_minute=60, burst=3))
    worlds = [a_world(redis, clock, ear, consumer=str(n)) for n in range(3)]
    await opened(worlds[0], 10)
    heard = []
    for _ in range(8):
        for world in worlds:
            await world.deliver()
        heard.append(len(ear.heard))
        clock.forward(SECOND)
    assert heard == [3, 4, 5, 6, 7, 8, 9, 10]


async def test_a_hundred_at_once_send_one_letter_once(redis: Redis, clock: Clock) -> None:
    ear = Ear("slack")
    worlds = [a_world(redis, clock, ear, consumer=str(n)) for n in range(20)]
    await opened(worlds[0])
    await worlds[0].dispatcher.step()
    for _ in range(5):
        await asyncio.gather(*(world.sender.step() for world in worlds))
    assert len(ear.letters) == 1


async def test_a_letter_whose_taker_died_is_sent_by_another_when_the_lease_ends(
    redis: Redis, clock: Clock, ear: Ear, tally: Tally
) -> None:
    first, second = a_world(redis, clock, ear, tally=tally), a_world(redis, clock, ear, consumer="two")
    await opened(first)
    await first.dispatcher.step()
    taken = await first.sender._take("ear")
    clock.forward(first.sender.lease_ms - 1)
    assert await second.sender.step() == 0
    clock.forward(1)
    assert await second.sender.step() == 1
    assert not isinstance(taken, int | None)
    await first.sender._carry(taken)
    assert len(ear.letters) == 2, "sent twice: its first taker was only slow"
    assert [letter.id for letter in ear.letters] == [taken.id] * 2
    assert len(await log_of(first)) == 1
    assert tally.counted["messages channel=ear result=doubled"] == 1


async def test_whatever_a_channel_raises_is_a_failure_for_now_and_its_text_is_kept_to_itself(
    world: World, ear: Ear, clock: Clock
) -> None:
    await opened(world)
    ear.failure = ZeroDivisionError("a secret")
    await world.deliver()
    assert (await health(world, "ear"))["error"] == "failed with ZeroDivisionError"
    ear.failure = None
    clock.forward(2 * SECOND)
    assert await world.deliver() == 1


async def test_a_channel_that_never_answers_is_given_up_and_the_others_are_not_delayed(
    redis: Redis, clock: Clock
) -> None:
    class Stuck(Ear):
        async def send(self, letter: Letter) -> str:
            await asyncio.Event().wait()
            raise AssertionError

    class Fifth(Ear):
        reached = asyncio.Event()

        async def send(self, letter: Letter) -> str:
            answer = await super().send(letter)
            if len(self.heard) == 5:
                self.reached.set()
            return answer

    stuck, ear = Stuck("slack"), Fifth("webhook")
    world = a_world(redis, clock, stuck, ear)
    await opened(world, 5)
    await world.dispatcher.step()
    stop = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(world.sender.run(stop))
        await ear.reached.wait()
        stop.set()
        running.cancel()
    world.sender.timeout_s = 0.01
    clock.forward(world.sender.lease_ms)
    await world.sender.step()
    assert (await health(world, "slack"))["error"] == "no answer within 0.01 s"
    assert (await health(world, "slack"))["depth"] == 5


async def test_letters_of_one_incident_leave_in_order_and_others_do_not_wait(
    redis: Redis, clock: Clock
) -> None:
    pager = Ear("pagerduty")
    world = a_world(redis, clock, pager)
    first, _ = await opened(world, 2)
    pager.failure = NOT_NOW
    await world.deliver()
    await write(world, a_message(1, kind=MessageKind.ACKNOWLEDGED), a_message(1, kind=MessageKind.RESOLVED))
    pager.failure = None
    await opened(world, 1, first=7)
    await world.deliver()
    assert [m.incident_id for m in pager.heard] == ["INC-2026-0003"]
    clock.forward(SECOND)
    await world.deliver()
    of_first = [m.kind for m in pager.heard if m.incident_id == first.id]
    assert of_first == [MessageKind.OPENED, MessageKind.ACKNOWLEDGED, MessageKind.RESOLVED]


async def test_a_trigger_never_leaves_after_its_resolve(redis: Redis, clock: Clock) -> None:
    pager = Ear("pagerduty")
    world = a_world(redis, clock, pager)
    [incident] = await opened(world)
    pager.failure = NOT_NOW
    await world.deliver()
    await world.moves.move(incident.id, Move.DISMISS, ALICE, verdict=Verdict.FALSE_POSITIVE)
    pager.failure = None
    clock.forward(HOUR)
    await world.deliver()
    assert pager.heard == []
    assert await deliveries(world) == [("pagerduty", "superseded", incident.id)] * 2


async def test_what_the_channel_answered_first_comes_back_with_every_later_letter(
    redis: Redis, clock: Clock
) -> None:
    chat = Ear("slack")
    world = a_world(redis, clock, chat)
    [incident] = await opened(world)
    for ref in ("first", "second"):
        chat.ref = ref
        await write(world, a_message(kind=MessageKind.UPDATE))
        await world.deliver()
    await write(world, a_message(kind=MessageKind.REOPENED, episode=1))
    await world.deliver()
    assert [letter.ref for letter in chat.letters] == ["", "first", "first", ""]
    told = await redis.hgetall(told_key("slack", incident.id))
    assert (told[b"kind"], told[b"episode"], told[b"ref"]) == (b"reopened", b"1", b"second")
    assert await redis.pttl(told_key("slack", incident.id)) > 0


async def test_letters_for_a_channel_that_the_policy_lost_are_dead_letters(
    redis: Redis, clock: Clock, ear: Ear
) -> None:
    world = a_world(redis, clock, Ear("gone"), ear)
    await opened(world)
    await world.dispatcher.step()
    world.take_routes(world.sender.routes, world.sender.timing, {"ear": ear})
    await world.sender.retire()
    assert (await world.dead_letters.page())[0] == []
    clock.forward(RETIRE_AFTER_MS)
    await world.sender.retire()
    await world.deliver()
    [dead] = (await world.dead_letters.page())[0]
    assert (dead.channel, dead.error) == ("gone", "the policy has no channel gone any more")
    assert [one.channel for one in await world.channel_health.all({"ear"})] == ["ear"]


async def test_a_process_with_yesterdays_policy_leaves_letters_for_a_new_channel_alone(
    redis: Redis, clock: Clock, ear: Ear
) -> None:
    new = Ear("new")
    world, behind = a_world(redis, clock, new, ear), a_world(redis, clock, ear, consumer="two")
    await opened(world)
    await world.dispatcher.step()
    await behind.sender.retire()
    await world.deliver()
    assert len(new.heard) == 1
    clock.forward(RETIRE_AFTER_MS)
    behind.take_routes(world.sender.routes, world.sender.timing, {"new": new, "ear": ear})
    await behind.sender.retire()
    assert (await world.dead_letters.page())[0] == []


async def test_the_health_of_a_channel_says_what_waits_since_when(
    redis: Redis, clock: Clock, ear: Ear
) -> None:
    world = a_world(redis, clock, ear)
    await opened(world, 2)
    await world.dispatcher.step()
    seen = await health(world, "ear")
    [first, *_] = sorted(await redis.hkeys(keys_of("ear")[0]))
    assert (seen["depth"], seen["oldest_at"]) == (2, int(first.split(b"-")[0]))
    await world.deliver()
    seen = await health(world, "ear")
    assert (seen["depth"], seen["oldest_at"], seen["delivered_at"]) == (0, None, clock())
    assert await redis.hexists(channel_key("ear"), "tokens") == 0
