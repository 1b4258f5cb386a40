"""Many blocks at once: imported from a file, exported to one, and an import undone."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import StreamingResponse

from actions.blocks.block import BlockRequest, Origin
from actions.blocks.imports import Imported, new_import_id
from actions.errors import UnknownError
from app.admin.access import AdminRoute, Responder, Viewer, World, admin_router, naming
from app.admin.models import Duration, Output, Reason, duration_ms, problems
from app.block_files.entry import Contents, Entry
from app.block_files.reading import Form, read_file
from app.block_files.writing import MEDIA_TYPES, write_file
from app.ingest.body import BodyTooLarge, decompress
from app.problems import ProblemError
from detectors.errors import DecodeError
from detectors.finding import DecisionType

LARGEST_FILE_BYTES = 64 * 1024 * 1024
"""100,000 entries of a JSON export have 25 MB."""
SHOWN = 20
"""Refused and unreadable entries that an answer names."""


class FileRoute(AdminRoute):
    """A route that takes a file."""

    largest_body_bytes = LARGEST_FILE_BYTES


router = admin_router("/blocks", FileRoute)


class NotTaken(Output):
    """An entry that was not taken, and why."""

    line: int
    """Of a plain or CSV file the line, of JSON the how-manieth item, from 1 on."""
    value: str
    error: str


class ImportModel(Output):
    """What became of a file."""

    id: str
    """Names the import, to undo it."""
    format: str
    dry_run: bool
    made: int
    already: int
    """Blocked before."""
    repeated: int
    """Values that the file had named before: each counts once, and the first time counts."""
    refused: int
    """Must never be blocked, or are no value."""
    refused_by: dict[str, int]
    """These by why: `invalid`, `allowlist`, `never_block`, `too_wide`, `over` (blocked by the same import once)."""
    unreadable: int
    errors: list[NotTaken]
    """The first 20 of both."""


class ProgressModel(Output):
    """How far an import has come."""

    id: str
    done: int
    """Entries that are dealt with, whatever became of them."""
    total: int


class UndoneModel(Output):
    """How many blocks were lifted."""

    lifted: int


@router.post("/import", responses=problems(413))
async def import_blocks(
    world: World,
    actor: Responder,
    request: Request,
    reason: Annotated[Reason, Query(description="for entries that name none, and for the audit trail")],
    form: Annotated[Form | None, Query(alias="format", description="by its looks where absent")] = None,
    duration: Annotated[Duration, Query(description="for entries that name none")] = "4h",
    kind: Annotated[DecisionType, Query(alias="type", description="for entries that name none")] = (
        DecisionType.BAN
    ),
    force: Annotated[bool, Query(description="takes very wide networks")] = False,
    dry_run: bool = False,
    import_id: Annotated[
        str | None,
        Query(
            alias="id",
            pattern="^[A-Za-z0-9_-]{1,64}$",
            description="of one that was cut short, or to ask how far it has come",
        ),
    ] = None,
) -> ImportModel:
    """Block what a file holds: plain, CSV, JSON, or CrowdSec's decisions; gzip and zstd are taken as well."""
    now = world.now()
    length_ms, data = duration_ms(duration), await request.body()

    def read() -> tuple[Contents, list[BlockRequest], str]:
        contents = _read(data, request.headers.get("content-encoding", ""), form, now)
        wishes = [_wish(entry, now, kind, length_ms, reason, force=force) for entry in contents.entries]
        return contents, wishes, hashlib.sha256(data).hexdigest()

    contents, wishes, digest = await asyncio.to_thread(read)
    done = await world.actions.imports.run(
        wishes, actor, import_id or new_import_id(), reason, digest=f"sha256:{digest}", dry=dry_run
    )
    return _answer(contents, done, dry_run=dry_run)


def _read(data: bytes, encoding: str, form: Form | None, now: int) -> Contents:
    """Raises: ProblemError."""
    try:
        body = decompress(data, encoding, LARGEST_FILE_BYTES)
    except BodyTooLarge as error:
        raise ProblemError(413, str(error)) from error
    except DecodeError as error:
        raise ProblemError(422, str(error)) from error
    with naming("body"):
        return read_file(body, form, now)


def _wish(
    entry: Entry, now: int, kind: DecisionType, length_ms: int | None, reason: str, *, force: bool
) -> BlockRequest:
    if entry.is_for_good:
        length_ms = None
    elif entry.until is not None:
        length_ms = entry.until - now
    return BlockRequest(
        id="",
        value=entry.value,
        scope=entry.scope,
        type=entry.type or kind,
        origin=Origin.IMPORT,
        reason=entry.reason or reason,
        duration_ms=length_ms,
        at=now,
        force=force,
    )


def _answer(contents: Contents, done: Imported, *, dry_run: bool) -> ImportModel:
    entries = contents.entries
    errors = [NotTaken(line=one.line, value="", error=one.error) for one in contents.wrong[:SHOWN]]
    errors += [
        NotTaken(line=entries[one.index].line, value=one.value, error=one.error)
        for one in islice(done.refused, SHOWN)
    ]
    return ImportModel(
        id=done.id,
        format=contents.form,
        dry_run=dry_run,
        made=done.made,
        already=done.already,
        repeated=done.repeated,
        refused=len(done.refused),
        refused_by=dict(Counter(one.why.value for one in done.refused)),
        unreadable=len(contents.wrong),
        errors=sorted(errors, key=lambda one: one.line)[:SHOWN],
    )


@router.get("/export", response_class=StreamingResponse, responses=problems(503))
async def export_blocks(
    world: World,
    _: Viewer,
    form: Annotated[Form, Query(alias="format")] = Form.JSON,
) -> StreamingResponse:
    """Our own decisions in force, in a form that `import` takes again. External lists are not among them."""
    if not world.feed.is_ready:
        raise ProblemError(503, "The blocklist is not loaded yet; try again.")
    now = world.now()
    media_type = MEDIA_TYPES.get(form, "application/json")
    parts = _unhurried(write_file(world.feed.table.every_own(now), form, now))
    return StreamingResponse(parts, media_type=media_type)


async def _unhurried(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same in the event loop, where nobody changes the table between two looks at one decision."""
    for part in parts:
        yield part
        await asyncio.sleep(0)


@router.get("/imports/{import_id}", responses=problems(404))
async def show_import(world: World, _: Responder, import_id: str) -> ProgressModel:
    """How far an import has come that runs or has just ended: it was begun with this `id`."""
    found = await world.actions.imports.progress.of(import_id)
    if found is None:
        raise UnknownError(f"import {import_id[:64]!r} has not begun lately")
    return ProgressModel(id=import_id, done=found.done, total=found.total)


@router.delete("/imports/{import_id}", responses=problems(404))
async def undo_import(
    world: World,
    actor: Responder,
    import_id: str,
    reason: Annotated[str, Query(max_length=500)] = "",
) -> UndoneModel:
    """Lift every block that an import made and that is still in force."""
    return UndoneModel(lifted=await world.actions.imports.undo(import_id, actor, reason))
