"""Search engines' bots are not blocked; whoever only says that he is one, is."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest
from acting import HOUR, IP, MINUTE, NOON, Clock, Ear, Tally, a_finding
from name_servers import BINGBOT, GOOGLEBOT, GOOGLEBOT_V6, IMPOSTORS, Asked, Gated, free_port, silent_server
from redis.asyncio import Redis
from test_responder import put

from actions.blocks.block import BlockStatus
from actions.blocks.crawlers import CRAWLERS, claimed_by, owner_of
from actions.blocks.reverse_dns import Confirmed, ReverseDns
from actions.blocks.verified_bots import (
    AGAIN_AFTER_MS,
    ASKED_AT_ONCE,
    TTL_MS,
    OnDnsFailure,
    again_key,
    bot_key,
)
from actions.chores import Chores
from actions.intake import Intake
from actions.responder import Responder
from actions.storage import DAY_MS
from actions.world import World
from detectors.finding import Action, Evidence, Finding, Mode, SubjectKind
from detectors.rule import Rule
from detectors.windows import findings_key, meta_of

AGENT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
BING = "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"


def claiming(address: str, number: int = 1, agent: str = AGENT, **fields: object) -> Finding:
    """A finding that is to block this address, which says it is a bot."""
    evidence = (Evidence(NOON, NOON, "status 401", client_ip=address, user_agent=agent),)
    return a_finding(number, **{"subject": address, "evidence": evidence, **fields})


async def put_claim(redis: Redis, address: str, agent: str = AGENT) -> None:
    """The same on the stream."""
    rule = Rule("auth_failures", 10, MINUTE, (Action.BLOCK_IP,), a_finding().severity)
    evidence = Evidence(NOON, NOON, "status 401", client_ip=address, user_agent=agent)
    row = {"first_at": NOON - 59_000, "at": NOON, "count": 10}
    packed = msgspec.msgpack.encode([msgspec.json.encode(evidence).decode()])
    await redis.xadd(findings_key(0), {"meta": meta_of(rule, address), **row, "evidence": packed})  # type: ignore[dict-item]


@pytest.fixture
def dns(name_server: str) -> Asked:
    return Asked(name_server)


@pytest.fixture
def bots(redis: Redis, clock: Clock, tally: Tally, ear: Ear, dns: Asked) -> World:
    """A world that asks the real name server."""
    return World.make(redis, clock, counters=tally, channels=[ear], dns=dns)


def away(redis: Redis, clock: Clock, tally: Tally, ear: Ear) -> World:
    """A world whose name server is not there."""
    dns = ReverseDns((f"127.0.0.1:{free_port()}",), budget_s=0.2)
    return World.make(redis, clock, counters=tally, channels=[ear], dns=dns)


async def lines(world: World) -> list[tuple[str, str]]:
    [incident] = (await world.incidents.page())[0]
    return [(e.kind, e.text) for e in (await world.timeline.page(incident.id))[0]]


async def test_a_verified_bot_is_not_blocked_and_people_are_told_instead(
    bots: World, redis: Redis, tally: Tally, ear: Ear
) -> None:
    await put_claim(redis, GOOGLEBOT)
    assert await Responder(bots).drain() == 1
    assert await bots.blocklist.find_active(GOOGLEBOT) is None
    note = "not blocked: verified googlebot (crawl-203-0-113-9.googlebot.com)"
    assert (await lines(bots))[1:] == [("action_skipped", note), ("notified", "told through ear: opened")]
    [message] = ear.heard
    assert message.text.partition("\n")[0].endswith(note)
    assert tally.counted["blocks outcome=verified_bot rule=auth_failures"] == 1
    assert tally.counted["bot_checks result=yes"] == 1
    assert await redis.xlen(findings_key(0)) == 0


async def test_the_message_of_a_rule_that_tells_people_anyway_is_not_written_twice(
    bots: World, ear: Ear
) -> None:
    responder, finding = Responder(bots), claiming(GOOGLEBOT, actions=(Action.ALERT_ADMIN, Action.BLOCK_IP))
    claim = bots.verified_bots.claim_of(finding)
    assert claim is not None
    await bots.verified_bots.ask(claim)
    for _ in range(2):
        await responder.handle(finding)
    await responder.drain()
    assert len(ear.heard) == 1
    assert [kind for kind, _ in await lines(bots)] == ["created", "action_skipped", "notified"]


@pytest.mark.parametrize("sort", IMPOSTORS)
async def test_an_impostor_is_blocked(bots: World, redis: Redis, tally: Tally, sort: str) -> None:
    address = IMPOSTORS[sort]
    await put_claim(redis, address)
    await Responder(bots).drain()
    assert await bots.blocklist.find_active(address) is not None
    answer = "yes" if address == BINGBOT else "no"
    assert tally.counted[f"bot_checks result={answer}"] == 1
    assert await redis.zcard(again_key()) == 0


async def test_one_who_says_nothing_of_a_bot_is_blocked_without_a_question(
    bots: World, redis: Redis, dns: Asked
) -> None:
    await put(redis, GOOGLEBOT)
    await put_claim(redis, "203.0.113.77", agent="curl/8.5")
    await Responder(bots).drain()
    assert (await bots.blocklist.counts())["active"] == 2
    assert dns.about == []


async def test_a_bot_of_another_operator_is_verified_by_its_own_name(bots: World, redis: Redis) -> None:
    await put_claim(redis, BINGBOT, agent=BING)
    await Responder(bots).drain()
    assert (await lines(bots))[1][1] == "not blocked: verified bingbot (msnbot-203-0-113-20.search.msn.com)"


@pytest.mark.parametrize(
    ("second", "is_blocked"), [(GOOGLEBOT_V6[1], False), ("2001:db8:4801:10::bad", True)]
)
async def test_of_an_ipv6_network_every_address_of_the_evidence_must_be_the_bots(
    bots: World, redis: Redis, second: str, is_blocked: bool
) -> None:
    evidence = tuple(
        Evidence(NOON, NOON, "status 401", client_ip=ip, user_agent=AGENT) for ip in (GOOGLEBOT_V6[0], second)
    )
    finding = a_finding(subject="2001:db8:4801:10::/64", evidence=evidence)
    claim = bots.verified_bots.claim_of(finding)
    assert claim is not None
    await bots.verified_bots.ask(claim)
    await Responder(bots).handle(finding)
    assert (await bots.blocklist.find_active("2001:db8:4801:10::/64") is not None) == is_blocked


async def test_an_answer_is_remembered_for_its_time(bots: World, redis: Redis, dns: Asked) -> None:
    impostor = IMPOSTORS["a lookalike domain"]
    for _ in range(3):
        for address in (GOOGLEBOT, impostor):
            await put_claim(redis, address)
        await Responder(bots).drain()
    assert sorted(dns.about) == [impostor, GOOGLEBOT]
    assert TTL_MS[Confirmed.NO] == HOUR
    assert TTL_MS[Confirmed.UNANSWERED] == 5 * MINUTE
    assert HOUR < await redis.pttl(bot_key(GOOGLEBOT)) <= DAY_MS
    assert 5 * MINUTE < await redis.pttl(bot_key(impostor)) <= HOUR


async def test_two_who_ask_at_once_ask_once(bots: World, dns: Asked) -> None:
    claim = bots.verified_bots.claim_of(claiming(GOOGLEBOT))
    assert claim is not None
    await asyncio.gather(*(bots.verified_bots.ask(claim) for _ in range(5)))
    assert dns.about == [GOOGLEBOT]
    assert (await bots.verified_bots.judge(claim)).confirmed == Confirmed.YES


@pytest.mark.parametrize("setting", OnDnsFailure)
async def test_without_dns_the_setting_says_what_happens(
    redis: Redis, clock: Clock, tally: Tally, ear: Ear, setting: OnDnsFailure
) -> None:
    world = away(redis, clock, tally, ear)
    world.verified_bots.on_dns_failure = setting
    await put_claim(redis, GOOGLEBOT)
    await Responder(world).drain()
    is_blocked = await world.blocklist.find_active(GOOGLEBOT) is not None
    assert is_blocked == (setting == OnDnsFailure.BLOCK)
    assert len(ear.heard) == int(not is_blocked)
    kinds = [kind for kind, _ in await lines(world)]
    assert kinds == [
        "created",
        *(["action_taken", "evidence_added"] if is_blocked else ["action_skipped", "notified"]),
    ]
    assert await redis.zcard(again_key()) == int(is_blocked)
    assert 0 < await redis.pttl(bot_key(GOOGLEBOT)) <= 5 * MINUTE
    assert tally.counted["bot_checks result=unanswered"] == 1


async def test_switched_off_nobody_is_asked_and_everybody_is_blocked(
    bots: World, redis: Redis, dns: Asked
) -> None:
    bots.verified_bots.is_on = False
    await put_claim(redis, GOOGLEBOT)
    await Responder(bots).drain()
    assert await bots.blocklist.find_active(GOOGLEBOT) is not None
    assert dns.about == []


async def test_a_block_made_without_dns_is_lifted_when_the_dns_confirms_the_bot(
    redis: Redis, clock: Clock, tally: Tally, ear: Ear, bots: World
) -> None:
    await put_claim(redis, GOOGLEBOT)
    await put_claim(redis, "198.51.100.3")
    await Responder(away(redis, clock, tally, ear)).drain()
    assert (await bots.blocklist.counts())["active"] == 2
    await Chores(bots).judge_bots_again()
    assert (await bots.blocklist.counts())["active"] == 2, "not before its time"
    clock.forward(AGAIN_AFTER_MS[0])
    await redis.delete(bot_key(GOOGLEBOT), bot_key("198.51.100.3"))  # Redis has a clock of its own
    await Chores(bots).judge_bots_again()
    assert await bots.blocklist.find_active(GOOGLEBOT) is None
    assert await bots.blocklist.find_active("198.51.100.3") is not None
    assert await redis.zcard(again_key()) == 0
    [incident] = [i for i in (await bots.incidents.page())[0] if i.subject == GOOGLEBOT]
    last = (await bots.timeline.page(incident.id))[0][-1]
    text = "unblocked: verified googlebot (crawl-203-0-113-9.googlebot.com) after all"
    assert (last.kind, last.text) == ("action_taken", text)
    [block] = await bots.blocklist.history(GOOGLEBOT)
    assert (block.status, block.changed_by) == (BlockStatus.LIFTED, "bartizan")


async def test_without_dns_for_long_it_is_given_up_after_three_times(
    redis: Redis, clock: Clock, tally: Tally, ear: Ear
) -> None:
    world = away(redis, clock, tally, ear)
    await put_claim(redis, GOOGLEBOT)
    await Responder(world).drain()
    for after in AGAIN_AFTER_MS:
        assert await redis.zcard(again_key()) == 1
        clock.forward(after)
        await Chores(world).judge_bots_again()
    assert await redis.zcard(again_key()) == 0
    assert await world.blocklist.find_active(GOOGLEBOT) is not None


async def taken(world: World) -> tuple[Responder, Intake]:
    """A responder that has begun, and its only intake."""
    responder = Responder(world)
    [intake] = responder._intakes
    await responder._prepare(intake)
    return responder, intake


async def test_a_slow_name_server_makes_no_other_finding_wait(
    redis: Redis, clock: Clock, tally: Tally
) -> None:
    dns = Gated()
    world = World.make(redis, clock, counters=tally, dns=dns)
    responder, intake = await taken(world)
    for number in range(40):
        await put_claim(redis, f"198.51.100.{number}")
    await put(redis, IP)
    assert await responder._take(intake, block_ms=0) == 41
    assert await world.blocklist.find_active(IP) is not None
    assert (await world.blocklist.counts())["active"] == 1, "while the others wait for the name server"
    assert len(intake.in_hand) == 40
    dns.gate.set()
    await intake.beside.finish()
    assert (await world.blocklist.counts())["active"] == 41, "and are blocked when it has not answered"
    assert intake.in_hand == set()
    assert await redis.xlen(findings_key(0)) == 0


async def test_a_flood_of_claims_is_blocked_at_once_beyond_those_that_are_asked_about(
    redis: Redis, clock: Clock, tally: Tally
) -> None:
    dns = Gated()
    world = World.make(redis, clock, counters=tally, dns=dns)
    responder, intake = await taken(world)
    for number in range(2 * ASKED_AT_ONCE + 6):
        await put_claim(redis, f"198.51.100.{number}")
    for _ in range(3):
        await responder._take(intake, block_ms=0)
    assert (await world.blocklist.counts())["active"] == ASKED_AT_ONCE + 6, "of the rest nobody is asked"
    assert tally.counted["bot_checks result=not_asked"] == ASKED_AT_ONCE + 6
    dns.gate.set()
    await intake.beside.finish()
    assert (await world.blocklist.counts())["active"] == 2 * ASKED_AT_ONCE + 6


async def test_no_more_than_so_many_are_asked_about_at_once(redis: Redis, clock: Clock, tally: Tally) -> None:
    dns = Gated()
    world = World.make(redis, clock, counters=tally, dns=dns)
    claims = [world.verified_bots.claim_of(claiming(f"198.51.100.{n}")) for n in range(ASKED_AT_ONCE + 20)]
    asking = [asyncio.create_task(world.verified_bots.ask(claim)) for claim in claims if claim]
    async with asyncio.timeout(10):
        for _, passed_over in zip(range(20), asyncio.as_completed(asking), strict=False):
            await passed_over
    assert tally.counted["bot_checks result=not_asked"] == 20
    dns.gate.set()
    await asyncio.gather(*asking)
    assert len(dns.about) == ASKED_AT_ONCE


async def test_a_stop_while_a_name_server_is_slow_leaves_nothing_behind(redis: Redis, clock: Clock) -> None:
    async with silent_server() as (server, silence):
        world = World.make(redis, clock, dns=ReverseDns((server,), budget_s=0.3))
        await put_claim(redis, GOOGLEBOT)
        stop = asyncio.Event()

        async def end() -> None:
            await silence.first.wait()
            stop.set()

        async with asyncio.timeout(10):
            await asyncio.gather(Responder(world).run(stop), end())
    assert await world.blocklist.find_active(GOOGLEBOT) is not None
    assert await redis.xlen(findings_key(0)) == 0


async def test_a_crash_while_a_name_server_is_slow_leaves_it_to_the_next(
    redis: Redis, clock: Clock, bots: World
) -> None:
    async with silent_server() as (server, silence):
        world = World.make(redis, clock, dns=ReverseDns((server,), budget_s=5))
        await put_claim(redis, GOOGLEBOT)
        await put_claim(redis, "198.51.100.3")
        running = asyncio.create_task(Responder(world, consumer="crashed").run(asyncio.Event()))
        await silence.first.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        asking = list(world.verified_bots._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    assert await redis.xlen(findings_key(0)) == 2
    await Responder(bots, consumer="next", claim_idle_ms=0).drain()
    assert await bots.blocklist.find_active(GOOGLEBOT) is None
    assert await bots.blocklist.find_active("198.51.100.3") is not None
    assert await redis.xlen(findings_key(0)) == 0


async def test_what_only_observes_or_blocks_nobody_claims_nothing(bots: World) -> None:
    assert bots.verified_bots.claim_of(claiming(GOOGLEBOT, mode=Mode.OBSERVE)) is None
    assert bots.verified_bots.claim_of(claiming(GOOGLEBOT, actions=(Action.ALERT_ADMIN,))) is None
    user = claiming(GOOGLEBOT, subject="alice", subject_kind=SubjectKind.USER)
    assert bots.verified_bots.claim_of(user) is None


def machines() -> Iterator[tuple[str, str]]:
    for crawler in CRAWLERS:
        for domain in crawler.domains:
            yield crawler.name, domain.replace("*", "192-0-2-1") if "*" in domain else f"crawl-1.{domain}"


@pytest.mark.parametrize(("name", "host"), list(machines()))
def test_a_machine_of_each_operator_is_known_and_its_lookalikes_are_not(name: str, host: str) -> None:
    owner = next(c for c in CRAWLERS if c.name == name)
    assert owner.has(host)
    for lookalike in (
        f"evil{host.partition('.')[2]}",
        f"{host}.evil.example",
        host.partition(".")[2],
        f"x{host}y",
    ):
        assert not owner.has(lookalike), lookalike
        assert owner_of(lookalike) is None or owner_of(lookalike) is not owner


@pytest.mark.parametrize("crawler", CRAWLERS, ids=lambda c: c.name)
def test_each_bot_is_recognised_by_its_user_agent(crawler: object) -> None:
    token = crawler.tokens[0]  # type: ignore[attr-defined]
    assert crawler in claimed_by(f"Mozilla/5.0 (compatible; {token.upper()}/1.0)")
    assert claimed_by("Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0") == ()
    assert claimed_by(None) == ()


async def test_an_error_of_our_own_while_a_bot_is_asked_about_stops_nobody(
    redis: Redis, bots: World, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, stop = 0, asyncio.Event()

    async def ask(claim: object) -> None:
        nonlocal asked
        asked += 1
        raise ZeroDivisionError

    monkeypatch.setattr(bots.verified_bots, "ask", ask)
    await put_claim(redis, GOOGLEBOT)
    responder, intake = await taken(bots)
    await responder._take(intake, block_ms=0)
    await intake.beside.finish()
    assert asked == 1
    assert tally.counted["action_failures action=block_ip"] == 1
    assert intake.in_hand == set(), "it is taken again like what others have left"
    assert await redis.xlen(findings_key(0)) == 1
    stop.set()
    await Responder(bots).run(stop)
