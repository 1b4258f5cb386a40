"""What Bartizan answers about its blocklist, read into tables and changes.

A wrong entry is left out and counted; it never spoils its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

from bartizan_client.decision import FOREVER, Allowed, Block, Clock, DecisionType, Scope
from bartizan_client.json_stream import JsonObjectReader
from bartizan_client.table import DEFAULT_FALLBACK, BlockTable

_SCOPES = {scope.value: scope for scope in Scope}
_TYPES = {type.value: type for type in DecisionType}
Fallback = dict[DecisionType, bool]


class Listing(NamedTuple):
    """The whole list, ready to be looked up in."""

    cursor: str
    table: BlockTable
    etag: str | None
    skipped: int
    """Entries that could not be read and were left out."""


class Removed(NamedTuple):
    """A decision that is over. A subject has one at most, so that scope and value say which one."""

    id: str
    value: str
    scope: Scope | None


class Changes(NamedTuple):
    """What changed since a cursor."""

    cursor: str
    added: list[Block]
    removed: list[Removed]
    allow_added: list[Allowed]
    allow_removed: list[str]
    fallback: Fallback | None
    """None where the answer does not say."""
    skipped: int

    def is_empty(self) -> bool:
        return not (self.added or self.removed or self.allow_added or self.allow_removed)

    def is_ambiguous(self) -> bool:
        """Whether something was added and removed, so that only the whole list tells what holds now."""
        lifted = {entry.id for entry in self.removed}
        forgotten = set(self.allow_removed)
        return any(b.id in lifted for b in self.added) or any(a.value in forgotten for a in self.allow_added)


class AnswerReader:
    """Reads a whole list, or the changes since a cursor, while it arrives."""

    def __init__(self, now: Clock) -> None:
        self._table = BlockTable(now=now)
        self._skipped = 0
        self._added: list[Any] = []
        self._removed: list[Any] = []
        self._allow_added: list[Any] = []
        self._allow_removed: list[Any] = []
        self._reader = JsonObjectReader(
            {
                "blocks": self._take_block,
                "allowlist": self._take_allowed,
                "added": self._added.append,
                "removed": self._removed.append,
                "allow_added": self._allow_added.append,
                "allow_removed": self._allow_removed.append,
            },
            _entry,
        )
        self.feed = self._reader.feed
        """Raises: ValueError, RecursionError where it is no JSON object."""

    def close(self) -> None:
        """Nothing more comes. Raises: ValueError where something is missing."""
        self._reader.close()

    @property
    def is_reset(self) -> bool:
        """Whether an answer about changes is the whole list."""
        return bool(self._reader.fields.get("reset"))

    def listing(self, etag: str | None = None) -> Listing:
        """The whole list. Raises: ValueError where it is none."""
        fields = self._reader.fields
        if not isinstance(fields.get("cursor"), str):
            raise ValueError("no blocklist: an object with a cursor was expected")
        if "blocks" not in self._reader.arrays or "allowlist" in fields:
            raise ValueError("no blocklist: blocks and allowlist must be lists")
        self._table.fallback = read_fallback(fields.get("fallback")) or dict(DEFAULT_FALLBACK)
        return Listing(fields["cursor"], self._table, etag, self._skipped)

    def changes(self) -> Changes:
        """What changed. Raises: ValueError where it is no answer to a poll."""
        fields = self._reader.fields
        lists = (self._added, self._removed, self._allow_added, self._allow_removed)
        names = {"added", "removed", "allow_added", "allow_removed"}
        if not isinstance(fields.get("cursor"), str) or names & fields.keys():
            raise ValueError("no changes: a cursor and lists were expected")
        added = [entry for entry in self._added if isinstance(entry, Block)]
        removed = [
            Removed(str(e["id"]), str(e["value"]), _SCOPES.get(str(e.get("scope"))))
            for e in map(_plain, self._removed)
            if "id" in e and "value" in e
        ]
        allow_added = [entry for entry in self._allow_added if isinstance(entry, Allowed)]
        allow_removed = [str(e["value"]) for e in map(_plain, self._allow_removed) if "value" in e]
        read = len(added) + len(removed) + len(allow_added) + len(allow_removed)
        fallback = read_fallback(fields.get("fallback"))
        skipped = sum(map(len, lists)) - read
        return Changes(fields["cursor"], added, removed, allow_added, allow_removed, fallback, skipped)

    def _take_block(self, entry: Any) -> None:
        self._skipped += not (isinstance(entry, Block) and succeeds(self._table.add, entry))

    def _take_allowed(self, entry: Any) -> None:
        self._skipped += not (isinstance(entry, Allowed) and succeeds(self._table.allow, entry))


def read_fallback(document: Any) -> Fallback | None:
    """By type, whether it is as good as a ban for who cannot act on it; None where nothing is said."""
    if not isinstance(document, dict):
        return None
    fallback = dict(DEFAULT_FALLBACK)
    for type in fallback:
        said = document.get(type.value)
        if said in ("ban", "ignore"):
            fallback[type] = said == "ban"
    return fallback


@lru_cache(maxsize=1_024)
def epoch_s(until: str | None) -> float:
    """RFC 3339 as epoch seconds; FOREVER for None. Raises: ValueError where it is none."""
    if until is None:
        return FOREVER
    moment = datetime.fromisoformat(until[:-1] + "+00:00" if until.endswith("Z") else until)
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def rfc3339(epoch_s: float) -> str:
    """The other way round, in UTC with milliseconds."""
    moment = datetime.fromtimestamp(epoch_s, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def succeeds(change: Callable[..., None], *values: Any) -> bool:
    """Change the table; False where the value is no address or network."""
    try:
        change(*values)
    except ValueError:
        return False
    return True


def _entry(item: dict[str, Any]) -> Any:
    """Each JSON object as it is read: a Block, an Allowed, or itself where it is none that we know."""
    if "until" not in item or not isinstance(item.get("value"), str):
        return item
    until = item["until"]
    if not (until is None or isinstance(until, str)):
        return item
    try:
        until_s = epoch_s(until)
    except (ValueError, OverflowError):
        return item
    if "id" not in item:
        return Allowed(item["value"], until_s)
    said, kind = item.get("scope"), item.get("type")
    scope = _SCOPES.get(said) if isinstance(said, str) else None
    type = DecisionType.BAN if kind is None else _TYPES.get(kind) if isinstance(kind, str) else None
    if type is None or (said is not None and scope is None):
        return item
    rule, origin = item.get("rule"), item.get("origin")
    return Block(
        str(item["id"]),
        item["value"],
        intern(str(item.get("reason") or "")),
        None if rule is None else intern(str(rule)),
        until_s,
        scope,
        type,
        intern(str(origin)) if origin else "",
    )


def _plain(entry: Any) -> dict[str, Any]:
    """An entry that only has to be named, whatever else it says about itself."""
    if isinstance(entry, (Block, Allowed)):
        return entry._asdict()
    return entry if isinstance(entry, dict) else {}
