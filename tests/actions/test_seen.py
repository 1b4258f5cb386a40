"""The addresses that attacked from inside a blocked IPv6 network are kept with the block."""

import msgspec
from acting import NOON, Clock, a_finding
from redis.asyncio import Redis

from actions.blocks.seen import MOST_SEEN, addresses_seen
from actions.world import World
from detectors.finding import Evidence, Finding

NETWORK = "2001:db8:1:2::/64"


def attack(number: int, *addresses: str) -> Finding:
    evidence = tuple(Evidence(NOON + n, NOON + n, "status 401", client_ip=a) for n, a in enumerate(addresses))
    return msgspec.structs.replace(a_finding(number, subject=NETWORK), evidence=evidence)


def test_only_addresses_inside_an_ipv6_network_are_seen():
    found = addresses_seen(
        attack(1, "2001:db8:1:2::a", "2001:db8:9::1", "nonsense", "2001:DB8:1:2::b"), NETWORK
    )
    assert found == ("2001:db8:1:2::b", "2001:db8:1:2::a")
    assert addresses_seen(a_finding(), "203.0.113.9") == ()
    assert addresses_seen(attack(1, "2001:db8:1:2::a"), "2001:db8:1:2::a") == ()


async def responded(world: World, finding: Finding) -> None:
    from actions.responder import Responder

    await Responder(world).handle(finding)


async def test_a_block_of_a_network_knows_who_attacked_and_learns_who_goes_on(
    world: World, clock: Clock, redis: Redis
):
    await responded(world, attack(1, "2001:db8:1:2::a"))
    block = await world.blocklist.find_active(NETWORK)
    assert block is not None and block.seen == "2001:db8:1:2::a"
    assert [d.seen for d in (await world.feed.snapshot()).decisions] == ["2001:db8:1:2::a"]
    cursor = await world.feed.cursor()
    await responded(world, attack(2, "2001:db8:1:2::b", "2001:db8:1:2::a"))
    [change] = (await world.feed.changes(cursor)).entries
    assert change.op == "add" and change.decision is not None
    assert change.decision.seen == "2001:db8:1:2::b 2001:db8:1:2::a"
    assert (await world.blocklist.get(block.id)).seen == change.decision.seen
    assert await redis.pttl(f"bartizan:{{act}}:block:{block.id}") > 0
    await responded(world, attack(3, "2001:db8:1:2::b"))
    assert (await world.feed.changes(change.cursor)).entries == []
    clock.forward(5 * 3600_000)
    await world.blocklist.expire_due()
    assert (await world.blocklist.get(block.id)).seen == change.decision.seen


async def test_no_more_than_so_many_are_kept(world: World):
    for number in range(8):
        await responded(world, attack(number + 1, *(f"2001:db8:1:2::{number:x}{n:x}" for n in range(10))))
    block = await world.blocklist.find_active(NETWORK)
    assert block is not None
    seen = block.seen.split()
    assert len(seen) == MOST_SEEN == len(set(seen))
    assert seen[0] == "2001:db8:1:2::79"
