"""Hosts with policies of their own on one Redis: what one wants is nobody else's to drop."""

from pathlib import Path

import pytest
from list_stage import NOON, Process
from redis.asyncio import Redis

from actions.blocks.lists import CLAIM_MS, lists_key
from app.blocklists.refresher import CLAIM_EVERY_MS
from app.policies.blocklists import ListSource

PARTNERS, DROP = "203.0.113.9", "198.51.100.7"


class Hosts:
    """Two hosts, the first with two processes; each wants a list of its own."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self.redis, self.ms = redis, NOON
        self.partners = [source(folder, "partners", PARTNERS)]
        self.drop = [source(folder, "drop", DROP)]
        self.first, self.beside, self.second = (
            self.process(name, wanted)
            for name, wanted in (("aa-0", self.partners), ("aa-1", self.partners), ("bb-0", self.drop))
        )

    def process(self, name: str, wanted: list[ListSource]) -> Process:
        return Process(self.redis, lambda: self.ms, wanted, name)

    async def names(self) -> set[str]:
        return set(await self.first.actions.lists.infos())

    async def claims(self) -> set[str]:
        fields = {field.decode() for field in await self.redis.hkeys(lists_key("claims"))}
        return fields - {"renewed", "since"}

    async def look(self, *processes: Process) -> None:
        """Long enough after the last time for claims to be renewed."""
        self.ms += CLAIM_EVERY_MS
        for process in processes or (self.first, self.beside, self.second):
            await process.refresher.look()

    async def pass_time(self, ms: int, *, somebody_renews: bool = True) -> None:
        """As if all had been written so long ago; the clock of Redis cannot be moved."""
        kept = {b"renewed"} if somebody_renews else set()
        for field, value in (await self.redis.hgetall(lists_key("claims"))).items():
            if field not in kept:
                await self.redis.hset(lists_key("claims"), field, str(int(value) - ms))


def source(folder: Path, name: str, value: str) -> ListSource:
    file = folder / f"{name}.txt"
    file.write_text(f"{value}\n")
    return ListSource(name, None, file)


@pytest.fixture
async def hosts(redis: Redis, tmp_path: Path) -> Hosts:
    return Hosts(redis, tmp_path)


async def test_each_keeps_what_it_wants_and_all_enforce_both(hosts: Hosts) -> None:
    for _ in range(3):
        await hosts.look()
    assert await hosts.names() == {"partners", "drop"}
    assert await hosts.claims() == {"aa partners", "bb drop"}
    for process in (hosts.first, hosts.beside, hosts.second):
        await process.follower.step()
        assert (process.origin(PARTNERS), process.origin(DROP)) == ("lists:partners", "lists:drop")


async def test_what_its_only_host_gives_up_is_dropped_at_once(hosts: Hosts) -> None:
    await hosts.look()
    hosts.drop.clear()
    await hosts.second.refresher.look()
    assert await hosts.names() == {"partners"}
    assert await hosts.claims() == {"aa partners"}


async def test_what_another_host_wants_too_stays_until_that_gives_it_up(hosts: Hosts) -> None:
    hosts.partners += hosts.drop
    await hosts.look()
    hosts.drop.clear()
    await hosts.second.refresher.look()
    assert await hosts.names() == {"partners", "drop"}
    hosts.partners.pop()
    await hosts.first.refresher.look()
    assert await hosts.names() == {"partners"}


async def test_a_host_that_starts_again_without_it_gives_it_up(hosts: Hosts) -> None:
    await hosts.look()
    await hosts.process("bb-0", []).refresher.look()
    assert await hosts.names() == {"partners"}


async def test_a_host_that_is_gone_is_missed_after_its_claims_have_ended(hosts: Hosts) -> None:
    await hosts.look()
    await hosts.pass_time(CLAIM_MS - 1000)
    await hosts.look(hosts.first)
    assert await hosts.names() == {"partners", "drop"}
    await hosts.pass_time(2000)
    await hosts.look(hosts.first)
    assert await hosts.names() == {"partners"}
    assert await hosts.claims() == {"aa partners"}


async def test_after_an_outage_every_host_has_its_time_to_come_back(hosts: Hosts) -> None:
    await hosts.look()
    await hosts.pass_time(3 * CLAIM_MS, somebody_renews=False)
    await hosts.look(hosts.first)
    assert await hosts.names() == {"partners", "drop"}
    await hosts.look(hosts.second)
    await hosts.pass_time(CLAIM_MS // 2)
    await hosts.look()
    await hosts.pass_time(CLAIM_MS // 2 + 1000)
    await hosts.look()
    assert await hosts.names() == {"partners", "drop"}


async def test_lists_of_before_there_were_claims_have_that_time_too(hosts: Hosts) -> None:
    await hosts.look()
    await hosts.redis.delete(lists_key("claims"))
    await hosts.look(hosts.first)
    assert await hosts.names() == {"partners", "drop"}
    await hosts.pass_time(CLAIM_MS + 1000)
    await hosts.look(hosts.first)
    assert await hosts.names() == {"partners"}


async def test_a_neighbour_that_reads_the_policy_a_second_later_leaves_nothing_behind(hosts: Hosts) -> None:
    await hosts.look()
    beside = hosts.process("aa-1", late := list(hosts.partners))
    await beside.refresher.look()
    hosts.partners.clear()
    await hosts.first.refresher.look()
    assert await hosts.names() == {"drop"}
    await beside.refresher.look()  # fetches it once more
    assert await hosts.names() == {"partners", "drop"}
    late.clear()
    await beside.refresher.look()
    assert await hosts.names() == {"drop"}


async def test_a_claim_between_two_looks_keeps_a_list(hosts: Hosts) -> None:
    await hosts.look()
    lists = hosts.first.actions.lists
    hosts.drop.clear()
    assert await lists.claim("bb", [], []) == ["drop"]
    await lists.claim("cc", ["drop"])
    assert not await lists.drop("drop")
    assert await hosts.names() == {"partners", "drop"}


async def test_claims_are_not_renewed_at_every_look(hosts: Hosts) -> None:
    await hosts.look()
    before = await hosts.redis.hgetall(lists_key("claims"))
    await hosts.first.refresher.look()
    assert await hosts.redis.hgetall(lists_key("claims")) == before
