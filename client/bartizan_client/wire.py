"""How a blocklist is written: what Bartizan answers, and the copy on disk, which has the same form.

A wrong entry is left out and counted; it never spoils its neighbours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from sys import intern
from typing import Any, NamedTuple

from bartizan_client.table import FOREVER, Allowed, Block, BlockTable, Clock


class Listing(NamedTuple):
    """The whole list, ready to be looked up in."""

    cursor: str
    table: BlockTable
    etag: str | None
    skipped: int
    """Entries that could not be read and were left out."""


class Changes(NamedTuple):
    """What changed since a cursor."""

    cursor: str
    added: list[Block]
    removed: list[tuple[str, str]]
    """(id, value) of each. A network has one block at most, so that the value says which one."""
    allow_added: list[Allowed]
    allow_removed: list[str]
    skipped: int

    def is_empty(self) -> bool:
        return not (self.added or self.removed or self.allow_added or self.allow_removed)

    def is_ambiguous(self) -> bool:
        """Whether something was added and removed, so that only the whole list tells what holds now."""
        lifted = {id for id, _ in self.removed}
        forgotten = set(self.allow_removed)
        return any(b.id in lifted for b in self.added) or any(a.value in forgotten for a in self.allow_added)


def epoch_s(until: str | None) -> float:
    """RFC 3339 as epoch seconds; FOREVER for None. Raises: ValueError where it is neither."""
    if until is None:
        return FOREVER
    if not isinstance(until, str):
        raise ValueError(f"{until!r} is no time")
    moment = datetime.fromisoformat(until[:-1] + "+00:00" if until.endswith("Z") else until)
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def rfc3339(until_s: float) -> str | None:
    """The other way round, in UTC with milliseconds."""
    if until_s == FOREVER:
        return None
    moment = datetime.fromtimestamp(until_s, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _entry(item: dict[str, Any]) -> Any:
    """Each JSON object as it is read: a Block, an Allowed, or itself.

    As an object hook it has a second use: between two entries of a long list, a thread that reads it lets
    the event loop run, and the list never stands in memory twice.
    """
    if "until" not in item or not isinstance(item.get("value"), str):
        return item
    try:
        until_s = epoch_s(item["until"])
    except (ValueError, OverflowError):
        return item
    if "id" not in item:
        return Allowed(item["value"], until_s)
    rule = item.get("rule")
    reason = intern(str(item.get("reason") or ""))
    return Block(str(item["id"]), item["value"], reason, None if rule is None else intern(str(rule)), until_s)


def succeeds(change: Callable[..., None], *values: Any) -> bool:
    """Change the table; False where the value is no address or network."""
    try:
        change(*values)
    except ValueError:
        return False
    return True


def parse_json(body: bytes) -> Any:
    """A JSON document with its entries read. Raises: ValueError."""
    return json.loads(body, object_hook=_entry)


def read_listing(document: Any, now: Clock, etag: str | None = None) -> Listing:
    """The whole list as a table. Raises: ValueError where it is no list."""
    if not (isinstance(document, dict) and isinstance(document.get("cursor"), str)):
        raise ValueError("no blocklist: an object with a cursor was expected")
    blocks, allowlist = document.get("blocks"), document.get("allowlist", [])
    if not (isinstance(blocks, list) and isinstance(allowlist, list)):
        raise ValueError("no blocklist: blocks and allowlist must be lists")
    table, skipped = BlockTable(now=now), 0
    for entry in (*blocks, *allowlist):
        if isinstance(entry, Block):
            skipped += not succeeds(table.add, entry)
        elif isinstance(entry, Allowed):
            skipped += not succeeds(table.allow, entry)
        else:
            skipped += 1
    return Listing(document["cursor"], table, etag, skipped)


def read_changes(document: Any) -> Changes:
    """What changed. Raises: ValueError where it is no answer to a poll."""
    if not isinstance(document, dict):
        raise ValueError("no changes: an object was expected")
    lists = [document.get(name, []) for name in ("added", "removed", "allow_added", "allow_removed")]
    if not isinstance(document.get("cursor"), str) or not all(isinstance(entries, list) for entries in lists):
        raise ValueError("no changes: a cursor and lists were expected")
    changes = Changes(
        document["cursor"],
        [entry for entry in lists[0] if isinstance(entry, Block)],
        [(str(e["id"]), str(e["value"])) for e in map(_plain, lists[1]) if "id" in e and "value" in e],
        [entry for entry in lists[2] if isinstance(entry, Allowed)],
        [str(e["value"]) for e in map(_plain, lists[3]) if "value" in e],
        0,
    )
    read = len(changes.added) + len(changes.removed) + len(changes.allow_added) + len(changes.allow_removed)
    return changes._replace(skipped=sum(map(len, lists)) - read)


def _plain(entry: Any) -> dict[str, Any]:
    """An entry that only has to be named, whatever else it says about itself."""
    if isinstance(entry, (Block, Allowed)):
        return entry._asdict()
    return entry if isinstance(entry, dict) else {}


def listing_head(**head: Any) -> bytes:
    """The first line of a list that is saved: everything but its entries."""
    return json.dumps(head)[:-1].encode() + b', "blocks": [\n'


def write_entries(blocks: list[Block], allowlist: list[Allowed], now_s: float) -> Iterator[bytes]:
    """What follows the head, a line per entry, without the entries that are over."""
    yield from _lines(blocks, now_s)
    yield b'], "allowlist": [\n'
    yield from _lines(allowlist, now_s)
    yield b"]}\n"


def _lines(entries: Sequence[Block | Allowed], now_s: float) -> Iterator[bytes]:
    before = ""
    for entry in entries:
        if entry.until_s > now_s:
            row = entry._asdict()
            row["until"] = rfc3339(row.pop("until_s"))
            yield (before + json.dumps(row) + "\n").encode()
            before = ","
