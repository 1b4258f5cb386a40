"""Many blocks at once, from a person's file; and all of them lifted again.

Each is a block like any other. What must never be blocked is decided by the same functions as for a single one, and
the whole import is one entry of the audit trail.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:import:ID` | list, ids of blocks | 90 days | one per import, an id for each block that it made |
"""

import asyncio
import enum
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from actions.audit import Actor, Audit
from actions.blocks.allowlist import Allowlist
from actions.blocks.block import Block, BlockRequest, BlockStatus, Outcome, Review
from actions.blocks.blocklist import Blocklist, decode_decision
from actions.blocks.import_progress import ImportProgress, import_key
from actions.blocks.keys import (
    CHANGES_MAXLEN,
    HISTORY_LENGTH,
    HISTORY_TTL_MS,
    KEPT_MS,
    allowlist_version_key,
    block_key,
    blocks_key,
    changes_key,
)
from actions.blocks.networks import Network
from actions.blocks.subjects import Scope, key_of, read_subject
from actions.errors import UnknownError
from actions.storage import Client, load_script, storage_errors, text_of

AT_A_TIME = 500
"""Blocks in one call: Redis works on them for 15 ms, and this process prepares the next ones in as long."""
CALLS_AT_ONCE = 2
ATTEMPTS = 8
REMEMBERED_TTL_MS = KEPT_MS

_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode


class Refusal(enum.StrEnum):
    """Why a wish was not carried out, for counting."""

    INVALID = "invalid"
    ALLOWLIST = "allowlist"
    NEVER_BLOCK = "never_block"
    TOO_WIDE = "too_wide"
    OVER = "over"
    """The same import has made its block before, and that is over or lifted since."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A wish that was not carried out: the how-manieth (from 0), and why."""

    index: int
    value: str
    why: Refusal
    error: str


class Imported(msgspec.Struct, frozen=True):
    """What became of an import."""

    id: str
    made: int
    already: int
    """Blocked before, by itself or by an earlier run of this import."""
    repeated: int
    """Further wishes for the same value, which are not looked at: of several the first counts."""
    refused: list[Refused]


def new_import_id() -> str:
    """An id for an import, 12 hex digits."""
    return secrets.token_hex(6)


class _Wish(msgspec.Struct, gc=False):
    """A wish for a value that can be read."""

    index: int
    request: BlockRequest
    scope: Scope
    value: str
    network: Network | None


class _Ready(msgspec.Struct, gc=False):
    """A wish that may be carried out."""

    index: int
    request: BlockRequest
    block: Block


class Imports:
    """Makes the blocks of a file. One per process; any number of processes may work on the same Redis."""

    def __init__(
        self,
        redis: Client,
        now: Callable[[], int],
        blocklist: Blocklist,
        allowlist: Allowlist,
        audit: Audit,
    ) -> None:
        self._redis, self._now = redis, now
        self._blocklist, self._allowlist, self._audit = blocklist, allowlist, audit
        self._import = load_script(redis, "import_blocks")
        self.progress = ImportProgress(redis)

    async def run(
        self,
        wishes: Sequence[BlockRequest],
        actor: Actor,
        import_id: str,
        reason: str,
        *,
        digest: str = "",
        dry: bool = False,
    ) -> Imported:
        """Makes a block of each wish, or says why not; `dry` only says. Other work goes on meanwhile.

        The ids of the wishes are not used: a wish of one import always makes the same block, so that an import which
        was cut short is completed by the same again. `digest`: of the file, for the audit trail.
        Raises: StorageError.
        """
        refused: list[Refused] = []
        counts: Counter[str] = Counter()
        places, noting, seen, done = asyncio.Semaphore(CALLS_AT_ONCE), asyncio.Lock(), set[str](), 0

        async def some(chosen: list[_Wish], number: int) -> None:
            nonlocal done
            try:
                counts.update(await self._some(chosen, actor, import_id, refused, dry=dry))
                done += number
                async with noting:  # one after the other, else an older word may be the last
                    await self.progress.note(import_id, done, len(wishes))
            finally:
                places.release()

        try:
            async with asyncio.TaskGroup() as group:
                for start in range(0, len(wishes), AT_A_TIME):
                    part = wishes[start : start + AT_A_TIME]
                    chosen, repeats = _read(part, start, seen, refused)
                    counts["repeated"] += repeats
                    await places.acquire()
                    group.create_task(some(chosen, len(part)))
                    await asyncio.sleep(0)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        refused.sort(key=lambda one: one.index)
        made, repeated = counts["created"], counts["repeated"]
        already = sum(counts.values()) - made - repeated
        if not dry:
            after = {
                **{"made": made, "already": already, "repeated": repeated},
                **{"refused": len(refused), "digest": digest},
            }
            await self._audit.record(actor, "block.import", f"import:{import_id}", after=after, reason=reason)
        return Imported(import_id, made, already, repeated, refused)

    async def _some(
        self,
        wishes: list[_Wish],
        actor: Actor,
        import_id: str,
        refused: list[Refused],
        *,
        dry: bool,
    ) -> list[str]:
        for _ in range(ATTEMPTS):
            version, wrong, ready = await self._checked(wishes, actor, import_id)
            outcomes = await self._placed(ready) if dry else await self._call(ready, version, import_id)
            if outcomes != ["stale"]:
                break
            await self._allowlist.refresh()
        else:
            outcomes = ["single"] * len(ready)
        refused += wrong
        for place, outcome in enumerate(outcomes):
            if outcome == "single":
                outcomes[place] = await self._single(ready[place], actor, import_id, refused, dry=dry)
            elif outcome == "over":
                one, outcomes[place] = ready[place], "refused"
                told = f"import {import_id} has blocked it before, and that is over; import it anew"
                refused.append(Refused(one.index, one.block.value, Refusal.OVER, told))
        return [outcome for outcome in outcomes if outcome != "refused"]

    async def _checked(
        self, wishes: list[_Wish], actor: Actor, import_id: str
    ) -> tuple[str, list[Refused], list[_Ready]]:
        """The allowlist's version, what may not be blocked, and what may."""
        now, wrong, ready = self._now(), [], []
        version, _ = await self._allowlist.covering(None)
        for wish in wishes:
            stopped = await self._stopped_by(wish.network, wish.request)
            if stopped is not None:
                wrong.append(Refused(wish.index, wish.value, *stopped))
                continue
            block = _block(wish, actor, import_id, now)
            ready.append(_Ready(wish.index, msgspec.structs.replace(wish.request, id=block.id), block))
        return version, wrong, ready

    async def _stopped_by(self, network: Network | None, request: BlockRequest) -> tuple[Refusal, str] | None:
        if network is None:
            return None
        entry = self._blocklist.forbidden(network, force=request.force)
        if entry is not None:
            is_never = self._blocklist.never_block(network) is not None
            return Refusal.NEVER_BLOCK if is_never else Refusal.TOO_WIDE, _told(entry)
        _, allowed = await self._allowlist.covering(network)
        if allowed is None:
            return None
        return Refusal.ALLOWLIST, _told(f"allowlist {allowed.value} ({allowed.note})")

    async def _call(self, ready: list[_Ready], version: str, import_id: str) -> list[str]:
        keys = [
            *(blocks_key("active"), blocks_key("until"), blocks_key("index"), changes_key()),
            *(allowlist_version_key(), import_key(import_id)),
        ]
        args: list[Any] = [
            *(self._now(), version, KEPT_MS, HISTORY_TTL_MS, HISTORY_LENGTH, CHANGES_MAXLEN),
            REMEMBERED_TTL_MS,
        ]
        packed = []
        for one in ready:
            block, key = one.block, one.block.key
            keys += [block_key(block.id), blocks_key("history", key)]
            item, decision = _encode(block).decode(), _encode(block.decision()).decode()  # Lua knows no bytes
            packed.append((key, block.id, block.type.value, item, decision, block.until or 0))
        if not ready:
            return []
        args.append(_pack(packed))
        with storage_errors("importing blocks"):
            found: list[bytes] = await self._import(keys=keys, args=args)
        return [text_of(outcome) for outcome in found]

    async def _placed(self, ready: list[_Ready]) -> list[str]:
        """What `_call` would answer, but for blocks that this very import had made."""
        if not ready:
            return []
        with storage_errors("reading blocks"):
            rows = await self._redis.hmget(blocks_key("active"), [one.block.key for one in ready])
        now, outcomes = self._now(), []
        for one, row in zip(ready, rows, strict=True):
            other = None if row is None else decode_decision(row)
            is_over = other is None or (other.until is not None and other.until <= now)
            is_weaker = other is not None and other.type.strength < one.block.type.strength
            outcomes.append("created" if is_over or is_weaker else "already_blocked")
        return outcomes

    async def _single(
        self, one: _Ready, actor: Actor, import_id: str, refused: list[Refused], *, dry: bool
    ) -> str:
        if dry:
            return "created"
        result = await self._blocklist.block(one.request, actor)
        if result.outcome is Outcome.REFUSED:
            told = _told(result.entry or "")
            refused.append(Refused(one.index, one.block.value, Refusal.ALLOWLIST, told))
            return "refused"
        if result.outcome is not Outcome.CREATED:
            return "already_blocked"
        with storage_errors("importing blocks"):
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.rpush(import_key(import_id), one.block.id)
                pipe.pexpire(import_key(import_id), REMEMBERED_TTL_MS)
                await pipe.execute()
        return "created"

    async def undo(self, import_id: str, actor: Actor, reason: str) -> int:
        """Lifts the blocks that an import made and that are still in force; says how many.

        Raises: UnknownError where no import of this id is remembered, StorageError.
        """
        with storage_errors("reading an import"):
            number = await self._redis.llen(import_key(import_id))
        if not number:
            raise UnknownError(f"import {import_id!r} is not known, or made no block")
        lifted = 0
        for start in range(0, number, AT_A_TIME):
            with storage_errors("reading an import"):
                ids = await self._redis.lrange(import_key(import_id), start, start + AT_A_TIME - 1)
            lifted += await self._blocklist.end(
                [text_of(i) for i in ids], BlockStatus.LIFTED, actor, f"import {import_id} undone: {reason}"
            )
            await asyncio.sleep(0)
        await self._audit.record(
            actor, "block.import_undo", f"import:{import_id}", after={"lifted": lifted}, reason=reason
        )
        return lifted


def _told(entry: str) -> str:
    return f"must never be blocked: {entry}"


def _read(
    wishes: Sequence[BlockRequest], start: int, seen: set[str], refused: list[Refused]
) -> tuple[list[_Wish], int]:
    """Those whose value can be read and has not been seen before, and how many had been; `seen` learns of them."""
    found: list[_Wish] = []
    repeats = 0
    for index, request in enumerate(wishes, start):
        try:
            scope, value, network = read_subject(request.scope, request.value)
        except ValueError as error:
            refused.append(Refused(index, request.value[:64], Refusal.INVALID, str(error)))
            continue
        key = key_of(scope, value)
        if key in seen:
            repeats += 1
        else:
            seen.add(key)
            found.append(_Wish(index, request, scope, value, network))
    return found, repeats


def _block(wish: _Wish, actor: Actor, import_id: str, now: int) -> Block:
    request, key = wish.request, key_of(wish.scope, wish.value)
    return Block(
        id=hashlib.sha256(f"{import_id} {key}".encode()).hexdigest()[:16],
        value=wish.value,
        scope=wish.scope,
        type=request.type,
        origin=request.origin,
        reason=request.reason,
        status=BlockStatus.ACTIVE,
        review=Review.NOT_NEEDED,
        strikes=0,
        created_at=now,
        until=None if request.duration_ms is None else (request.at or now) + request.duration_ms,
        actor=actor.name,
        changed_at=now,
        note=f"import {import_id}",
    )
