"""Who is blocked: makes blocks, ends them on time, and shows them. People's moves on a block: reviews.py.

Keys: blocks/keys.py. All that belongs to one block changes in one atomic step, together with its row in the
changes feed (feed.py), so that no in-memory table can miss or invent one.
"""

import hashlib
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from actions.audit import AUDIT_MAXLEN, SYSTEM, Actor, audit_key
from actions.blocks.allowlist import Allowlist
from actions.blocks.block import (
    Block,
    BlockFilter,
    BlockRequest,
    BlockResult,
    BlockStatus,
    Outcome,
    Review,
)
from actions.blocks.decision import Decision
from actions.blocks.keys import (
    CHANGES_MAXLEN,
    HISTORY_LENGTH,
    HISTORY_TTL_MS,
    KEPT_MS,
    STRIKES_TTL_MS,
    allowlist_version_key,
    block_key,
    blocks_key,
    changes_key,
    index_member,
)
from actions.blocks.networks import (
    Network,
    around,
    is_too_wide,
    network_of,
    vicinity,
)
from actions.blocks.subjects import ADDRESSES, Scope, canonical_subject, key_of
from actions.errors import UnknownError
from actions.storage import Client, cursor_of, load_script, member_of, storage_errors, text_of
from detectors.errors import StorageError

BRAKE_LIMIT = 500
BRAKE_WINDOW_MS = 10 * 60_000
"""More blocks by one rule in this time stop that rule: a broken log format must not block the world. All blocks
within one IPv6 /48 count once, since its one owner has 65,536 subjects to set the brake off with."""
SCAN_LIMIT = 5_000
"""Blocks that one list call looks at."""

_encode = msgspec.json.Encoder().encode
decode_block = msgspec.json.Decoder(Block).decode
decode_decision = msgspec.json.Decoder(Decision).decode


def new_block_id() -> str:
    """An id for a person's new block, 16 hex digits."""
    return secrets.token_hex(8)


def block_id_for(finding_id: str) -> str:
    """The id of the block that a finding makes: always the same one, so that twice is once."""
    return hashlib.sha256(f"{finding_id}block".encode()).hexdigest()[:16]


class Blocklist:
    """The stored blocks. One per process; any number of processes may work on the same Redis."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        never_block: Callable[[Network], str | None],
        allowlist: Allowlist,
        *,
        brake_limit: int = BRAKE_LIMIT,
        brake_window_ms: int = BRAKE_WINDOW_MS,
    ) -> None:
        """`never_block` names what stops a network (networks.NeverBlock), or answers None."""
        self._redis = redis
        self._now = now
        self._allowlist = allowlist
        self.never_block = never_block
        self.brake_limit = brake_limit
        self.brake_window_ms = brake_window_ms
        self._make = load_script(redis, "block")
        self._end = load_script(redis, "end_blocks")

    async def block(self, request: BlockRequest, actor: Actor | None = None) -> BlockResult:
        """Makes one block, or says why not. Atomic; the same request id twice has one effect.

        Without an actor it is a rule's block: unreviewed, under the brake, and stopped by any block around it.
        With one it is a person's: audited, exempt from the brake, stopped only by a block of the same value.
        A stronger block takes the place of a weaker one of the same value.
        Raises: ValueError where the value is none of its scope; StorageError.
        """
        scope, value = canonical_subject(request.scope, request.value)
        network = network_of(value) if scope in ADDRESSES else None
        entry = None if network is None else self.forbidden(network, force=request.force)
        if entry is not None:
            return BlockResult(Outcome.REFUSED, entry=entry)
        for _ in range(8):
            version, allowed = await self._allowlist.covering(network)
            if allowed is not None:
                return BlockResult(Outcome.REFUSED, entry=f"allowlist {allowed.value} ({allowed.note})")
            outcome, detail = await self._call_make(request, scope, value, version, actor)
            if outcome == "stale":
                await self._allowlist.refresh()
            elif outcome == "overdue":
                await self.expire_due()
            else:
                return await self._result(outcome, detail)
        raise StorageError("blocking failed: the lists keep changing")

    def forbidden(self, network: Network, *, force: bool = False) -> str | None:
        """What keeps this network from ever being blocked, the allowlist aside; None where nothing does."""
        entry = self.never_block(network)
        if entry is None and is_too_wide(network) and not force:
            entry = f"a /{network.prefixlen} needs force"
        return entry

    async def _call_make(
        self, request: BlockRequest, scope: Scope, value: str, version: str, actor: Actor | None
    ) -> tuple[str, bytes]:
        now, key, rule = self._now(), key_of(scope, value), request.rule or ""
        is_alone = actor is not None or scope not in ADDRESSES
        block = Block(
            id=request.id,
            value=value,
            scope=scope,
            type=request.type,
            origin=request.origin,
            rule=request.rule,
            reason=request.reason,
            status=BlockStatus.PROPOSED if request.propose else BlockStatus.ACTIVE,
            review=Review.NOT_NEEDED if actor else Review.UNREVIEWED,
            strikes=0,
            incident_id=request.incident_id,
            created_at=now,
            actor=(actor or SYSTEM).name,
            finding_id=request.finding_id,
            changed_at=now,
            seen=" ".join(request.seen),
        )
        keys = [
            block_key(request.id),
            blocks_key("active"),
            blocks_key("until"),
            blocks_key("index"),
            blocks_key("history", key),
            blocks_key("strikes", key),
            blocks_key("brake", rule),
            blocks_key("braked", rule),
            blocks_key("spare", rule, key),
            changes_key(),
            allowlist_version_key(),
            audit_key(),
            blocks_key("proposed"),
            blocks_key("ended"),
        ]
        args: list[Any] = [
            now,
            _encode(block),
            now if request.at is None else request.at,
            request.duration_ms or 0,
            request.max_duration_ms or 0,
            0 if actor else self.brake_limit,
            self.brake_window_ms,
            version,
            STRIKES_TTL_MS,
            KEPT_MS,
            HISTORY_TTL_MS,
            HISTORY_LENGTH,
            CHANGES_MAXLEN,
            index_member(now, request.id),
            actor.role if actor else "",
            AUDIT_MAXLEN,
            vicinity(value) if scope in ADDRESSES and ":" in value else key,
            *([key] if is_alone else around(network_of(value))),
        ]
        with storage_errors("blocking"):
            outcome, detail = await self._make(keys=keys, args=args)
        return text_of(outcome), detail

    async def _result(self, outcome: str, detail: bytes) -> BlockResult:
        if outcome in {"created", "exists"}:
            return BlockResult(Outcome(outcome), decode_block(detail))
        if outcome == "already_blocked":
            other = await self.find(decode_decision(detail).id)
            return BlockResult(Outcome.ALREADY_BLOCKED, other)
        if outcome == "already_proposed":
            return BlockResult(Outcome.ALREADY_BLOCKED, await self.find(text_of(detail)))
        return BlockResult(Outcome(outcome), first=detail == b"first")

    async def find(self, block_id: str) -> Block | None:
        """One block, or None where it is not (or no longer) kept. Raises: StorageError."""
        with storage_errors("reading a block"):
            item = await self._redis.get(block_key(block_id))
        return decode_block(item) if item else None

    async def get(self, block_id: str) -> Block:
        """One block. Raises: UnknownError, StorageError."""
        found = await self.find(block_id)
        if found is None:
            raise UnknownError(f"block {block_id!r} is not known")
        return found

    async def find_active(self, value: str) -> Block | None:
        """The block in force of exactly this value (`Country:FR` of other scopes), or None.

        Raises: ValueError, StorageError.
        """
        key = key_of(*canonical_subject(None, value))
        with storage_errors("reading a block"):
            row = await self._redis.hget(blocks_key("active"), key)
        if row is None:
            return None
        decision = decode_decision(row)
        over = decision.until is not None and decision.until <= self._now()
        return None if over else await self.find(decision.id)

    async def covering(self, value: str) -> list[Decision]:
        """The decisions in force that hold this address or network, the narrowest first.

        Says nothing of the allowlist. Raises: ValueError, StorageError.
        """
        return await self.decisions_of(around(network_of(value)))

    async def decisions_of(self, values: list[str]) -> list[Decision]:
        """The decisions in force of exactly these canonical values. Raises: StorageError."""
        if not values:
            return []
        with storage_errors("reading blocks"):
            rows = await self._redis.hmget(blocks_key("active"), values)
        found = [decode_decision(row) for row in rows if row is not None]
        return [d for d in found if d.until is None or d.until > self._now()]

    async def history(self, value: str, limit: int = HISTORY_LENGTH) -> list[Block]:
        """Earlier and present blocks of exactly this value, newest first. Raises: ValueError, StorageError."""
        with storage_errors("reading blocks"):
            key = key_of(*canonical_subject(None, value))
            ids = await self._redis.lrange(blocks_key("history", key), 0, limit - 1)
        return await self.blocks_of([text_of(i) for i in ids])

    async def blocks_of(self, ids: list[str]) -> list[Block]:
        """The blocks with these ids that are still kept, in the order given. Raises: StorageError."""
        if not ids:
            return []
        with storage_errors("reading blocks"):
            rows = await self._redis.mget([block_key(i) for i in ids])
        return [decode_block(row) for row in rows if row is not None]

    async def page(
        self, wanted: BlockFilter | None = None, *, cursor: str | None = None, limit: int = 50
    ) -> tuple[list[Block], str | None]:
        """Blocks newest first, and the cursor of the next page or None.

        One call looks at no more than 5,000 blocks: a page may be short although its cursor says there is more.
        Raises: ValueError where the cursor or `contains` cannot be read; StorageError.
        """
        wanted = wanted or BlockFilter()
        contained = network_of(wanted.contains) if wanted.contains else None
        floor = f"[{wanted.since:013d}" if wanted.since else "-"
        last = member_of(cursor) if cursor else None
        found: list[Block] = []
        for _ in range(SCAN_LIMIT // 500):
            with storage_errors("reading blocks"):
                members = await self._redis.zrevrangebylex(
                    blocks_key("index"), f"({last}" if last else "+", floor, start=0, num=500
                )
            for block in await self.blocks_of([text_of(m).partition(":")[2] for m in members]):
                if wanted.fits(block, contained):
                    found.append(block)
                    if len(found) == limit:
                        return found, cursor_of(index_member(block.created_at, block.id))
            if len(members) < 500:
                return found, None
            last = text_of(members[-1])
        return found, cursor_of(last or "")

    async def expire_due(self, limit: int = 500) -> int:
        """Ends the blocks and proposals whose time is over, and forgets those kept long enough; says how many ended.

        Run every second by the responder; several at once do no harm. Raises: StorageError.
        """
        now, ended = self._now(), 0
        with storage_errors("expiring blocks"):
            while ids := await self._redis.zrangebyscore(
                blocks_key("until"), "-inf", now, start=0, num=limit
            ):
                names = [text_of(i) for i in ids]
                ended += await self.end(names, BlockStatus.EXPIRED)
            await self._forget(now)
        return ended

    async def end(
        self, ids: list[str], status: BlockStatus, actor: Actor | None = None, note: str = ""
    ) -> int:
        """Ends these blocks, in one step, without asking anybody; says how many were open. EXPIRED: only what is due.

        Raises: StorageError.
        """
        now = self._now()
        with storage_errors("ending blocks"):
            items = await self._redis.mget([block_key(i) for i in ids])
            args: list[Any] = [now, KEPT_MS, CHANGES_MAXLEN, status.value, actor.name if actor else "", note]
            for name, item in zip(ids, items, strict=True):
                args += [name, index_member(decode_block(item).created_at if item else 0, name)]
            keys = [blocks_key("active"), blocks_key("until"), blocks_key("proposed"), changes_key()]
            keys += [blocks_key("ended"), *(block_key(name) for name in ids)]
            ended: int = await self._end(keys=keys, args=args)
        return ended

    async def _forget(self, now: int) -> None:
        members = await self._redis.zrangebyscore(blocks_key("ended"), "-inf", now, start=0, num=500)
        if members:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.zrem(blocks_key("index"), *members)
                pipe.zrem(blocks_key("ended"), *members)
                pipe.delete(*(block_key(text_of(m).partition(":")[2]) for m in members))
                await pipe.execute()

    async def counts(self) -> dict[str, Any]:
        """How many: `{"active": n, "proposed": n, "kept": n, "false_positives": {rule: n}}`. Raises: StorageError."""
        with storage_errors("counting blocks"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hlen(blocks_key("active"))
                pipe.hlen(blocks_key("proposed"))
                pipe.zcard(blocks_key("index"))
                pipe.hgetall(blocks_key("false_positives"))
                active, proposed, kept, wrong = await pipe.execute()
        false_positives = {text_of(rule): int(n) for rule, n in wrong.items()}
        return {"active": active, "proposed": proposed, "kept": kept, "false_positives": false_positives}
