"""What people do with blocks: lift, extend, approve, reject, undo, allowlist. Each is audited in the same step."""

from collections.abc import Callable
from typing import Any

import msgspec
from redis.asyncio.client import Pipeline

from actions.audit import Actor, Audit
from actions.blocks.allowlist import Allowlist
from actions.blocks.block import AllowEntry, Block, BlockStatus, Review
from actions.blocks.blocklist import Blocklist, decode_block, decode_decision
from actions.blocks.keys import (
    CHANGES_MAXLEN,
    KEPT_MS,
    allowlist_version_key,
    block_key,
    blocks_key,
    changes_key,
    index_member,
)
from actions.blocks.networks import holds, network_of
from actions.blocks.subjects import ADDRESSES, is_address_key
from actions.blocks.traces import stage_trace
from actions.errors import ConflictError, RefusedError, UnknownError
from actions.incidents.timeline import Timeline
from actions.storage import DAY_MS, Client, begin, change, pages_of_hash, storage_errors

GRACE_MS = DAY_MS
"""How long a rejected subject is spared by the rule that was wrong about it."""

_encode = msgspec.json.Encoder().encode
Edit = Callable[[Block], dict[str, Any]]
"""From the block as it is to the fields that change. Raises ConflictError where it cannot be done."""


def allowed_actions(block: Block) -> tuple[str, ...]:
    """What a person can do with this block now."""
    if block.status == BlockStatus.PROPOSED:
        return ("approve", "reject", "extend")
    if block.status == BlockStatus.ACTIVE:
        review = ("approve", "reject") if block.review == Review.UNREVIEWED else ()
        return ("unblock", "extend", *review, "undo")
    review = ("approve", "reject") if block.review == Review.UNREVIEWED else ()
    return review if block.status == BlockStatus.EXPIRED else (*review, "undo")


class Reviews:
    """People's moves on the blocklist."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        blocklist: Blocklist,
        allowlist: Allowlist,
        audit: Audit,
        timeline: Timeline,
        *,
        grace_ms: int = GRACE_MS,
    ) -> None:
        self._redis = redis
        self._now = now
        self._blocklist = blocklist
        self._allowlist = allowlist
        self._audit = audit
        self._timeline = timeline
        self.grace_ms = grace_ms

    async def unblock(self, id_or_value: str, actor: Actor, reason: str = "") -> Block:
        """Lifts a block in force, named by its id or its value. Raises: UnknownError, ConflictError, StorageError."""
        block_id = await self._id_of(id_or_value)

        def edit(block: Block) -> dict[str, Any]:
            _need(block, "unblock", BlockStatus.ACTIVE)
            return {"status": BlockStatus.LIFTED}

        return await self._change(block_id, actor, "block.lift", reason, edit)

    async def extend(
        self, block_id: str, until: int | None, actor: Actor, reason: str = "", *, note: str | None = None
    ) -> Block:
        """Sets another end, earlier or later; None makes it permanent. `note` replaces the block's reason.

        Raises: ValueError where the end is over; UnknownError, ConflictError, StorageError.
        """
        if until is not None and until <= self._now():
            raise ValueError("until: lies in the past; unblock instead")

        def edit(block: Block) -> dict[str, Any]:
            _need(block, "extend", BlockStatus.ACTIVE, BlockStatus.PROPOSED)
            return {"until": until, "reason": note or block.reason}

        return await self._change(block_id, actor, "block.extend", reason, edit)

    async def approve(self, block_id: str, actor: Actor, reason: str = "") -> Block:
        """A person agrees; a proposed block comes into force, until the end it was proposed with.

        A block that is over already can still be reviewed; it stays over.
        Raises: UnknownError, ConflictError (reviewed already, a person's own, or another block of the same
        value is in force), RefusedError (must not be blocked any more), StorageError.
        """

        def edit(block: Block) -> dict[str, Any]:
            _need_review(block, "approve")
            comes = block.status == BlockStatus.PROPOSED
            return {"status": BlockStatus.ACTIVE if comes else block.status, "review": Review.APPROVED}

        return await self._change(block_id, actor, "block.approve", reason, edit)

    async def reject(self, block_id: str, actor: Actor, reason: str = "") -> Block:
        """A person disagrees: the block is lifted, its strike taken back, the rule's false positives count one
        more, and the rule spares the value for the grace time.

        A block that is over already can still be reviewed; it stays over. An approval can be changed into a
        rejection while the block is in force.
        Raises: UnknownError, ConflictError, StorageError.
        """

        def edit(block: Block) -> dict[str, Any]:
            in_force = block.status in (BlockStatus.ACTIVE, BlockStatus.PROPOSED)
            if not (in_force and block.review == Review.APPROVED):
                _need_review(block, "reject")
            return {"status": BlockStatus.REJECTED if in_force else block.status, "review": Review.REJECTED}

        return await self._change(block_id, actor, "block.reject", reason, edit)

    async def undo(self, id_: str, actor: Actor, reason: str = "") -> Block | AllowEntry:
        """Takes a change back. Takes a block's id or an audit entry's id.

        By block: one in force is lifted; a lifted or rejected one is in force again for the time it has left.
        By audit entry: the block (or allowlist entry) is put back to what it was before that change.
        Raises: UnknownError, ConflictError (over, or changed since), RefusedError, StorageError.
        """
        if "-" in id_:
            return await self._undo_entry(id_, actor, reason)

        def edit(block: Block) -> dict[str, Any]:
            _need(block, "undo", BlockStatus.ACTIVE, BlockStatus.LIFTED, BlockStatus.REJECTED)
            if block.status == BlockStatus.ACTIVE:
                return {"status": BlockStatus.LIFTED}
            review = Review.UNREVIEWED if block.review == Review.REJECTED else block.review
            return {"status": BlockStatus.ACTIVE, "review": review}

        return await self._change(id_, actor, "block.undo", reason, edit)

    async def _undo_entry(self, entry_id: str, actor: Actor, reason: str) -> Block | AllowEntry:
        entry = await self._audit.get(entry_id)
        kind, _, name = entry.target.partition(":")
        reason = reason or f"undo of {entry.action} by {entry.actor}"
        if kind == "allowlist":
            if entry.before is None:
                return await self._allowlist.remove(name, actor, reason)
            old = msgspec.convert(entry.before, AllowEntry)
            if old.until is not None and old.until <= self._now():
                raise ConflictError(f"the allowlist entry {old.value} is over")
            return await self._allowlist.put(old.value, old.note, actor, old.until)
        if kind != "block":
            raise ConflictError(f"{entry.action} cannot be undone here")
        after = msgspec.convert(entry.after, Block)
        before = msgspec.convert(entry.before, Block) if entry.before else None

        def edit(block: Block) -> dict[str, Any]:
            if block != after:
                raise ConflictError(f"block {block.id} has changed since", allowed_actions(block))
            if before is None:
                return {"status": BlockStatus.LIFTED}
            return {
                "status": before.status,
                "review": before.review,
                "until": before.until,
                "reason": before.reason,
            }

        return await self._change(name, actor, "block.undo", reason, edit)

    async def allow(
        self, value: str, note: str, actor: Actor, until: int | None = None
    ) -> tuple[AllowEntry, list[Block]]:
        """Allowlists an address or network and lifts the blocks inside it; answers which.

        The entry comes first, so that nothing inside it can be blocked anew meanwhile; doing it again after a
        crash half way lifts the rest. Raises: ValueError (no network, no note, end over), StorageError.
        """
        entry = await self._allowlist.put(value, note, actor, until)
        lifted = []
        for block_id in await self.inside(entry.value):
            try:
                lifted.append(await self.unblock(block_id, actor, f"allowlisted {entry.value}: {entry.note}"))
            except (ConflictError, UnknownError):
                continue
        return entry, lifted

    async def inside(self, value: str) -> list[str]:
        """The ids of the blocks in force inside a network. Raises: ValueError, StorageError."""
        network = network_of(value)
        found: dict[str, None] = {}
        with storage_errors("reading the blocklist"):
            async for page in pages_of_hash(self._redis, blocks_key("active")):
                for blocked, row in page.items():
                    key = blocked.decode()
                    if is_address_key(key) and holds(network, network_of(key)):
                        found[decode_decision(row).id] = None
        return list(found)

    async def _id_of(self, id_or_value: str) -> str:
        try:
            block = await self._blocklist.find_active(id_or_value)
        except ValueError:
            return id_or_value
        if block is None:
            raise UnknownError(f"{id_or_value} is not blocked")
        return block.id

    async def _change(self, block_id: str, actor: Actor, action: str, reason: str, edit: Edit) -> Block:
        key = block_key(block_id)
        await self._blocklist.expire_due()

        async def step(pipe: Pipeline) -> Block:
            item = await pipe.get(key)
            if not item:
                raise UnknownError(f"block {block_id!r} is not known")
            old, now = decode_block(item), self._now()
            fields = {**edit(old), "changed_at": now, "changed_by": actor.name, "note": reason}
            new = msgspec.structs.replace(old, **fields)
            if _is_open(new) and new.until is not None and new.until <= now:
                raise ConflictError(f"block {block_id} is over", allowed_actions(old))
            comes = new.status == BlockStatus.ACTIVE and old.status != BlockStatus.ACTIVE
            weaker = await self._check_room(pipe, new) if comes else None
            taken = await self._strikes(pipe, old, new)
            begin(pipe)
            if weaker is not None:
                self._stage(pipe, weaker, _replaced(weaker, new, actor, now))
            self._stage(pipe, old, new)
            self._stage_verdict(pipe, old, new, taken)
            self._audit.stage(pipe, actor, action, f"block:{block_id}", before=old, after=new, reason=reason)
            stage_trace(pipe, self._timeline, old, new, actor, reason)
            return new

        watched = [key, allowlist_version_key()]
        return await change(self._redis, "changing a block", watched, step)

    async def _check_room(self, pipe: Pipeline, block: Block) -> Block | None:
        """Whether this block may come into force: nothing protects the value and no other block holds it.

        A weaker one that holds it gives way, as for a new block; it is answered.
        """
        network = network_of(block.value) if block.scope in ADDRESSES else None
        entry = None if network is None else self._blocklist.never_block(network)
        await self._allowlist.refresh()
        _, allowed = await self._allowlist.covering(network)
        if allowed is not None:
            entry = f"allowlist {allowed.value} ({allowed.note})"
        if entry is not None:
            raise RefusedError(block.value, entry)
        await pipe.watch(blocks_key("active"))
        row = await pipe.hget(blocks_key("active"), block.key)
        if row is None:
            return None
        other = decode_decision(row)
        if other.type.strength >= block.type.strength:
            raise ConflictError(f"{block.value} is blocked already by {other.id}")
        await pipe.watch(block_key(other.id))
        item = await pipe.get(block_key(other.id))
        return decode_block(item) if item else None

    async def _strikes(self, pipe: Pipeline, old: Block, new: Block) -> int:
        """How the strikes change: a rejected block is none, and a rejection taken back is one again."""
        step = (old.review == Review.REJECTED) - (new.review == Review.REJECTED)
        if step == 0:
            return 0
        key = blocks_key("strikes", old.key)
        await pipe.watch(key)
        known = await pipe.get(key)
        return step if known is not None and int(known) + step >= 0 else 0

    def _stage(self, pipe: Pipeline, old: Block, new: Block) -> None:
        now, is_open = self._now(), _is_open(new)
        member = index_member(new.created_at, new.id)
        if is_open and new.until is None:
            pipe.set(block_key(new.id), _encode(new))
            pipe.zrem(blocks_key("until"), new.id)
        elif is_open and new.until is not None:
            pipe.set(block_key(new.id), _encode(new), px=new.until - now + KEPT_MS)
            pipe.zadd(blocks_key("until"), {new.id: new.until})
        else:
            pipe.set(block_key(new.id), _encode(new), px=KEPT_MS)
            pipe.zrem(blocks_key("until"), new.id)
            pipe.zadd(blocks_key("ended"), {member: now + KEPT_MS})
        if is_open:
            pipe.zrem(blocks_key("ended"), member)
        if old.status == BlockStatus.PROPOSED and new.status != BlockStatus.PROPOSED:
            pipe.hdel(blocks_key("proposed"), new.key)
        if new.status == BlockStatus.PROPOSED and old.status != BlockStatus.PROPOSED:
            pipe.hset(blocks_key("proposed"), new.key, new.id)
        is_news = old.status != BlockStatus.ACTIVE or old.decision() != new.decision()
        if new.status == BlockStatus.ACTIVE and is_news:
            pipe.hset(blocks_key("active"), new.key, _encode(new.decision()))
            _stage_change(pipe, "add", new, "approved" if old.status == BlockStatus.PROPOSED else "changed")
        elif old.status == BlockStatus.ACTIVE and new.status != BlockStatus.ACTIVE:
            pipe.hdel(blocks_key("active"), new.key)
            _stage_change(pipe, "remove", new, new.status.value)

    def _stage_verdict(self, pipe: Pipeline, old: Block, new: Block, strikes: int) -> None:
        if strikes:
            pipe.incrby(blocks_key("strikes", new.key), strikes)
        if new.rule is None:
            return
        spare = blocks_key("spare", new.rule, new.key)
        if new.review == Review.REJECTED and old.review != Review.REJECTED:
            pipe.set(spare, self._now() + self.grace_ms, px=self.grace_ms)
            pipe.hincrby(blocks_key("false_positives"), new.rule, 1)
        elif old.review == Review.REJECTED and new.review != Review.REJECTED:
            pipe.delete(spare)
            pipe.hincrby(blocks_key("false_positives"), new.rule, -1)


def _is_open(block: Block) -> bool:
    return block.status in (BlockStatus.ACTIVE, BlockStatus.PROPOSED)


def _replaced(weaker: Block, by: Block, actor: Actor, now: int) -> Block:
    note = f"a {by.type.value} took its place: {by.id}"
    changes = {"status": BlockStatus.LIFTED, "changed_at": now, "changed_by": actor.name, "note": note}
    return msgspec.structs.replace(weaker, **changes)


def _stage_change(pipe: Pipeline, op: str, block: Block, reason: str) -> None:
    row: dict[Any, Any] = {"op": op, "decision": _encode(block.decision()), "reason": reason}
    pipe.xadd(changes_key(), row, maxlen=CHANGES_MAXLEN, approximate=True)


def _need(block: Block, verb: str, *statuses: BlockStatus) -> None:
    if block.status not in statuses:
        raise ConflictError(f"block {block.id} is {block.status}: cannot {verb}", allowed_actions(block))


def _need_review(block: Block, verb: str) -> None:
    if block.review != Review.UNREVIEWED:
        state = "is a person's own" if block.review == Review.NOT_NEEDED else f"was {block.review} already"
        raise ConflictError(f"block {block.id} {state}: cannot {verb}", allowed_actions(block))
