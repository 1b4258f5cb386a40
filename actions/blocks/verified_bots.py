"""Is this really the search engine's bot that it says it is? Asked before a block, beside the responder's other work.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:bot:ADDRESS` | string, JSON | 24 hours; refuted 1 hour, unanswered 5 minutes | one per address |
| `bartizan:{act}:bots:again` | sorted set, JSON by time | none | 1,000 blocks made while the DNS did not answer |

The DNS of an attacker's address is the attacker's: it may lie, which forward confirmation finds out, and it may be
slow. So it is asked only about findings that block and whose evidence names a known bot, never while another
finding waits (responder.py), for no longer than reverse_dns.BUDGET_S and about ASKED_AT_ONCE addresses at a time.
"""

import asyncio
import enum
from collections.abc import Callable
from typing import Any

import msgspec

from actions.blocks.crawlers import Crawler, claimed_by, owner_of
from actions.blocks.reverse_dns import Confirmed, DnsAnswer, ReverseDns
from actions.counters import Counters
from actions.storage import DAY_MS, Client, act_key, short, storage_errors
from detectors.addresses import parse_address
from detectors.finding import Action, Finding, Mode, SubjectKind

TTL_MS = {Confirmed.YES: DAY_MS, Confirmed.NO: DAY_MS // 24, Confirmed.UNANSWERED: 5 * 60_000}
ASKED_AT_ONCE = 64
"""Addresses asked about at a time. Of more, nothing is known for now: a flood of slow ones delays nobody."""
AGAIN_AFTER_MS = (6 * 60_000, 30 * 60_000, 2 * 60 * 60_000)
"""When to ask again about somebody blocked unanswered: after the cache has forgotten, and twice more."""
AGAIN_MOST = 1_000
AGAIN_AT_ONCE = 16

_decode_answer = msgspec.json.Decoder(DnsAnswer).decode
_encode = msgspec.json.Encoder().encode


class OnDnsFailure(enum.StrEnum):
    """What to do about somebody who claims to be a bot while the DNS does not answer. Source: docs/decisions.md."""

    BLOCK = "block"
    ALERT = "alert"


class Claim(msgspec.Struct, frozen=True):
    """Who says that he is which bot: every address of the evidence, and the bots that its user agents name."""

    addresses: tuple[str, ...]
    bots: tuple[str, ...]


class Judgement(msgspec.Struct, frozen=True):
    """What became of a claim. `host` is the confirmed name of the first address."""

    confirmed: Confirmed
    bot: str
    host: str = ""


class Again(msgspec.Struct, frozen=True):
    """A block that was made unanswered, to be judged again."""

    block: str
    incident: str
    finding: str
    claim: Claim
    tries: int = 0


class DueAgain(msgspec.Struct, frozen=True):
    """One that is due, with what the DNS says now."""

    again: Again
    judgement: Judgement
    member: bytes


def bot_key(address: str) -> str:
    """What the DNS said of an address."""
    return act_key("bot", short(address))


def again_key() -> str:
    """Blocks to be judged again."""
    return act_key("bots", "again")


class VerifiedBots:
    """Asks, remembers, judges. One per process; the memory is shared."""

    def __init__(self, redis: Client, now: Callable[[], int], dns: ReverseDns, counters: Counters) -> None:
        self._redis = redis
        self._now = now
        self._dns = dns
        self._counters = counters
        self._asking: dict[str, asyncio.Task[None]] = {}
        self.is_on = True
        self.on_dns_failure = OnDnsFailure.BLOCK

    def claim_of(self, finding: Finding) -> Claim | None:
        """What a finding that is to block claims, or None, as nearly always."""
        is_to_block = Action.BLOCK_IP in finding.actions and finding.subject_kind == SubjectKind.IP
        if not self.is_on or not is_to_block or finding.mode == Mode.OBSERVE:
            return None
        bots = dict.fromkeys(c.name for e in finding.evidence for c in claimed_by(e.user_agent))
        if not bots:
            return None
        found = dict.fromkeys(parse_address(e.client_ip) for e in finding.evidence)
        addresses = tuple(address for address in found if address is not None)
        return Claim(addresses, tuple(bots)) if addresses else None

    async def ask(self, claim: Claim) -> None:
        """Asks the DNS about those addresses of whom nothing is known, and remembers. Raises: StorageError."""
        asked = {a: self._asking[a] for a in claim.addresses if a in self._asking}
        tasks = list(asked.values())
        known = await self._known(claim.addresses)
        for address in claim.addresses:
            if address in known or address in asked:  # asked while we read, and perhaps answered since
                continue
            if address not in self._asking:
                if len(self._asking) >= ASKED_AT_ONCE:
                    self._counters.count("bot_checks", result="not_asked")
                    continue
                self._asking[address] = asyncio.create_task(self._ask_one(address))
            tasks.append(self._asking[address])
        await asyncio.gather(*map(asyncio.shield, tasks))

    async def pass_over(self, claim: Claim) -> None:
        """Asks nobody, and counts those of whom nothing is known. Raises: StorageError."""
        known = await self._known(claim.addresses)
        if unknown := len(claim.addresses) - len(known):
            self._counters.count("bot_checks", unknown, result="not_asked")

    async def judge(self, claim: Claim) -> Judgement:
        """What is known of a claim, without asking the DNS: all addresses must be machines of a bot it names.

        Raises: StorageError.
        """
        known, hosts = await self._known(claim.addresses), []
        for address in claim.addresses:
            answer = known.get(address)
            if answer is None or answer.confirmed == Confirmed.UNANSWERED:
                hosts.append("")
            elif (owner := _owner(answer)) is None or owner.name not in claim.bots:
                return Judgement(Confirmed.NO, claim.bots[0])
            else:
                hosts.append(answer.host)
        if not all(hosts):
            return Judgement(Confirmed.UNANSWERED, claim.bots[0])
        owner = owner_of(hosts[0])
        return Judgement(Confirmed.YES, owner.name if owner else claim.bots[0], hosts[0])

    async def judge_later(self, again: Again) -> None:
        """Has a block that was made unanswered judged again; the newest are dropped where there are too many.

        Raises: StorageError.
        """
        if again.tries >= len(AGAIN_AFTER_MS):
            return
        at = self._now() + AGAIN_AFTER_MS[again.tries]
        with storage_errors("noting a bot"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.zadd(again_key(), {_encode(again): at}, nx=True)
                pipe.zremrangebyrank(again_key(), AGAIN_MOST, -1)
                await pipe.execute()

    async def due_again(self) -> list[DueAgain]:
        """Some of the blocks that are due to be judged again, judged. Raises: StorageError."""
        with storage_errors("reading bots"):
            members: Any = await self._redis.zrangebyscore(
                again_key(), "-inf", self._now(), start=0, num=AGAIN_AT_ONCE
            )
        agains = [msgspec.json.decode(member, type=Again) for member in members]
        await asyncio.gather(*(self.ask(again.claim) for again in agains))
        judged = [await self.judge(again.claim) for again in agains]
        return [DueAgain(a, j, m) for a, j, m in zip(agains, judged, members, strict=True)]

    async def settle(self, due: DueAgain) -> None:
        """Is done with one that was due; where the DNS still did not answer, it comes again. Raises: StorageError."""
        if due.judgement.confirmed == Confirmed.UNANSWERED:
            await self.judge_later(msgspec.structs.replace(due.again, tries=due.again.tries + 1))
        with storage_errors("settling a bot"):
            await self._redis.zrem(again_key(), due.member)

    async def _ask_one(self, address: str) -> None:
        """Asks about one address, and remembers the answer before anybody else may ask."""
        try:
            answer = await self._dns.confirm(address, lambda host: owner_of(host) is not None)
            self._counters.count("bot_checks", result=answer.confirmed.value)
            with storage_errors("remembering bots"):
                await self._redis.set(bot_key(address), _encode(answer), px=TTL_MS[answer.confirmed])
        finally:
            self._asking.pop(address, None)

    async def _known(self, addresses: tuple[str, ...]) -> dict[str, DnsAnswer]:
        with storage_errors("reading bots"):
            rows = await self._redis.mget([bot_key(address) for address in addresses])
        return {a: _decode_answer(row) for a, row in zip(addresses, rows, strict=True) if row is not None}


def _owner(answer: DnsAnswer) -> Crawler | None:
    return owner_of(answer.host) if answer.confirmed == Confirmed.YES else None
