"""systemd-journal-upload: `POST /upload`, of which the URL's path may hold the token (`/k/TOKEN/upload`).

A request lasts as long as there are entries: one entry, a month of them at the first start, or for ever where its input
is a pipe. So it is read piece by piece, and what came is counted once there is enough of it, a second has gone by or
the request ends; nothing is read while that goes on, and no more than one piece is held. The program saves its cursor
only when a request was answered with 2xx; after anything else it ends, is started again and sends all of it again:
journal_positions.py says what was counted before. No answer asks for compressed bodies (Accept-Encoding): the program
aborts on a piece that compression does not make smaller, and would then stand still for ever.
Source: systemd v252, journal-upload.c, perform_upload(), and journal-remote-main.c for the answers.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response

from app.auth import CHALLENGE, Caller
from app.ingest.beginning import SHOWN_BYTES
from app.ingest.decode import Decoded
from app.ingest.gate import Slot
from app.ingest.refused import Refused
from app.ingest.shippers.journal_compression import Stream
from app.ingest.shippers.journal_entries import Entry, EntryReader, read_entry
from app.ingest.shippers.journal_positions import Journal, Position, Positions, place_of
from app.ingest.shippers.shipper import Head, Outcome, Refusal, Shipper
from app.ingest.taking import ANSWER_S, RETRY_HEADERS, Intake, answer, identify
from detectors.errors import DecodeError

ENTRIES_AT_A_TIME = 500
BYTES_AT_A_TIME = 1024 * 1024
"""So much is counted together."""
WAIT_S = 1.0
"""An entry waits no longer for others."""
JOURNALS_AT_A_TIME = 256
"""Of which a request keeps the positions: a machine that collects those of others sends many."""
_STATUSES = {
    Refusal.ANONYMOUS: 401, Refusal.UNKNOWN_CALLER: 401, Refusal.WRONG_ROLE: 403, Refusal.FORBIDDEN: 403,
    Refusal.TOO_LARGE: 413, Refusal.UNDECODABLE: 400, Refusal.TRY_AGAIN: 503,
}  # fmt: skip
_HEADERS = {401: CHALLENGE, 503: RETRY_HEADERS}

router = APIRouter(include_in_schema=False)
log = structlog.get_logger(__name__)


class JournalUpload(Shipper):
    """systemd's journal. What it says on which answer is the same: above 299 it ends, and systemd restarts it."""

    name = "journal_upload"

    def success(self, outcome: Outcome, head: Head) -> Response:
        """As systemd-journal-remote answers."""
        return PlainTextResponse("OK.\n", 202)

    def refuse(self, refusal: Refusal, detail: str, head: Head) -> Response:
        """The program logs the first line of it."""
        status = _STATUSES[refusal]
        return PlainTextResponse(f"{detail}\n", status, _HEADERS.get(status))


JOURNAL_UPLOAD = JournalUpload()


@router.post("/upload")
async def post_upload(request: Request) -> Response:
    """Take entries for as long as they come."""

    async def upload(intake: Intake, head: Head, caller: Caller) -> Response:
        with intake.refusals():
            this = Upload(intake, request, caller, head)
        try:
            with intake.refusals():
                accepted = await this.run()
        except Refused as refused:
            refused.sent = this.latest
            raise
        return JOURNAL_UPLOAD.success(Outcome(accepted, []), head)

    return await answer(request, JOURNAL_UPLOAD, upload)


class Upload:
    """One request."""

    def __init__(self, intake: Intake, request: Request, caller: Caller, head: Head) -> None:
        """Raises: DecodeError for a compression that is not known."""
        self._stream = Stream(head.headers.get("content-encoding", ""))
        self._intake = intake
        self._request = request
        self._caller = caller
        self._reader = EntryReader()
        self._waiting: list[Entry] = []
        self._size = 0
        """Bytes of what waits."""
        self._due: float | None = None
        """When what waits has waited for long enough."""
        self._slot = Slot(intake.gate)
        self._journals: dict[str, Journal] = {}
        self._positions = Positions(intake.world.redis, caller.token_id)
        self._accepted = 0
        self._piece = b""

    @property
    def latest(self) -> bytes:
        """The beginning of what is no whole entry yet, else of what came last."""
        return self._reader.beginning(SHOWN_BYTES) or self._piece[:SHOWN_BYTES]

    async def run(self) -> int:
        """How many entries it had, once it has ended. Raises: whatever keeps one from being counted."""
        try:
            async with aclosing(self._pieces()) as pieces:
                async for piece in pieces:
                    self._piece = piece or self._piece
                    for part in self._stream.feed(piece):
                        self._take(part)
                        if self._is_enough():
                            await self._count()
                    if self._is_enough():
                        await self._count()
            is_whole = self._reader.held == 0 and self._stream.is_whole
            self._waiting += self._reader.feed(b"\n") if is_whole else []
            await self._count(is_end=is_whole)
            if not is_whole:
                raise DecodeError("the last entry is cut short")
        finally:
            self._slot.release()
        return self._accepted

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes, and an empty piece when what waits is due. Raises: ClientDisconnect."""
        receiving = asyncio.ensure_future(self._request.receive())
        try:
            while True:
                left = None if self._due is None else max(0.0, self._due - time.monotonic())
                if not (await asyncio.wait({receiving}, timeout=left))[0]:
                    yield b""
                    continue
                message = receiving.result()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                is_last = not message.get("more_body", False)
                if not is_last:
                    receiving = asyncio.ensure_future(self._request.receive())
                yield message.get("body", b"")
                if is_last:
                    return
        finally:
            receiving.cancel()

    def _take(self, piece: bytes) -> None:
        self._slot.take(len(piece))
        self._size += len(piece)
        self._waiting += self._reader.feed(piece)
        if self._waiting and self._due is None:
            self._due = time.monotonic() + WAIT_S

    def _is_enough(self) -> bool:
        return (
            len(self._waiting) >= ENTRIES_AT_A_TIME
            or self._size >= BYTES_AT_A_TIME
            or (self._due is not None and self._due <= time.monotonic())
        )

    async def _count(self, *, is_end: bool = False) -> None:
        """Everything that waits, journal by journal. At the end, also what was held back."""
        entries, size = self._waiting, self._size
        self._waiting, self._size, self._due = [], 0, None
        identify(self._request)  # a token may be revoked while its request goes on
        async with asyncio.timeout(ANSWER_S):
            self._slot.queue(size, is_small=True)
            nameless = await self._sort(entries)
            for journal in list(self._journals.values()):
                await self._count_journal(journal, is_end=is_end)
            if is_end or len(self._journals) > JOURNALS_AT_A_TIME:
                await self._settle()
            if nameless:
                text = repr(nameless).encode()
                await self._count_entries(nameless, self._mark(text) if len(nameless) > 1 else None)
        self._slot.release()
        self._slot.take(self._reader.held)

    async def _sort(self, entries: list[Entry]) -> list[Entry]:
        """Gives the entries to their journals. Answers those without a cursor."""
        nameless = []
        for entry in entries:
            place = place_of(entry)
            if place is None:
                nameless.append(entry)
                continue
            source, mark = place
            if source not in self._journals:
                self._journals[source] = Journal(source, await self._positions.read(source))
            self._journals[source].take(mark, entry)
        return nameless

    async def _count_journal(self, journal: Journal, *, is_end: bool) -> None:
        """What is new of one journal, in the pieces in which it must be counted."""
        for up_to, entries, is_again in journal.pieces(is_end=is_end):
            if not is_again:
                await self._move(journal, Position(journal.reached, up_to))
            text = f"{journal.source} {journal.position.written()}".encode()
            await self._count_entries(entries, self._mark(text))
            journal.reached = journal.reached.moved_to(up_to)

    async def _settle(self) -> None:
        """What was counted is under way no more. What broke off earlier and has not come again yet stays so."""
        for journal in [each for each in self._journals.values() if not each.is_holding]:
            if journal.reached != journal.position.counted:
                await self._move(journal, Position(journal.reached))
            if journal.known:
                log.info("journal_entries_known", entries=journal.known)
            del self._journals[journal.source]

    async def _move(self, journal: Journal, position: Position) -> None:
        await self._positions.move(journal.source, journal.position, position)
        journal.position = position

    def _mark(self, text: bytes) -> str:
        return hashlib.sha256(self._caller.token_id.encode() + b" " + text).hexdigest()

    async def _count_entries(self, entries: list[Entry], mark: str | None) -> None:
        received_ms = self._intake.world.now()
        read = [read_entry(entry, received_ms) for entry in entries]
        decoded = Decoded([event for event, _ in read], [record for _, record in read])
        name, world = JOURNAL_UPLOAD.name, self._intake.world
        duplicate = await self._intake.count(self._caller, name, decoded, received_ms, mark)
        world.sources.note(
            self._caller.token_id, name, decoded, received_ms, duplicate=duplicate, format_name=None
        )
        self._accepted += len(entries)
