"""The body of an Elasticsearch `_bulk` request: lines in pairs, an action and its document.

Source: Elasticsearch's reference of the bulk API. `delete` has no document. rsyslog puts blank lines between, which are
no documents; winston-elasticsearch writes keys into its actions that nobody knows.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec

from app.ingest.decode import ELEMENT, Decoded, Rejected, decode_records
from app.ingest.framing import lines_of
from detectors.errors import DecodeError

NO_ACTION = "not an action: create, index, update or delete"
NO_DOCUMENT = "the action has no document"


class Target(msgspec.Struct):
    """Where a document is to go."""

    index: str | None = msgspec.field(name="_index", default=None)
    id: str | int | None = msgspec.field(name="_id", default=None)


class _Line(msgspec.Struct):
    create: Target | None = None
    index: Target | None = None
    update: Target | None = None
    delete: Target | None = None


class _Update(msgspec.Struct):
    doc: msgspec.Raw = msgspec.Raw()
    upsert: msgspec.Raw = msgspec.Raw()


_LINE = msgspec.json.Decoder(_Line)
_UPDATE = msgspec.json.Decoder(_Update)


class Action(NamedTuple):
    """One action line."""

    name: str
    """create, index, update or delete"""
    index_name: str | None
    id: str | None

    @property
    def has_document(self) -> bool:
        """Whether the next line belongs to it."""
        return self.name != "delete"


_UNKNOWN = Action("index", None, None)
"""In the place of a line that is no action."""


class Actions(NamedTuple):
    """What the answer needs: every action in order, and why some failed, by their place."""

    actions: Sequence[Action]
    failures: dict[int, str]


Failure = tuple[str, bytes]
"""Why an action failed, and its line."""


def read_bulk(body: bytes, received_ms: int) -> tuple[Decoded, Actions]:
    """The events of the documents, and what became of each action.

    Raises: DecodeError where the first line is no action, BodyTooLarge.
    """
    lines = lines_of(body)
    if not lines:
        return Decoded(), Actions([], {})
    if read_action(lines[0]) is None:
        raise DecodeError("Malformed action/metadata line [1]")
    actions = _in_pairs(lines)
    if actions is not None:
        decoded = decode_records(lines[1::2], received_ms, are_lines=False)
    else:
        actions, documents, places, failures = _walk(lines)
        decoded = decode_records(documents, received_ms, are_lines=False)
        rejected = [msgspec.structs.replace(one, index=places[one.index]) for one in decoded.rejected]
        rejected += [Rejected(place, reason, line, ELEMENT) for place, (reason, line) in failures.items()]
        decoded.rejected = sorted(rejected, key=attrgetter("index"))
    return decoded, Actions(actions, {one.index: one.reason for one in decoded.rejected})


def read_action(line: bytes) -> Action | None:
    """The action of a line, or None where it is none."""
    try:
        found = _LINE.decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    for name in _Line.__struct_fields__:
        target: Target | None = getattr(found, name)
        if target is not None:
            return Action(name, target.index, None if target.id is None else str(target.id))
    return None


def _in_pairs(lines: list[bytes]) -> list[Action] | None:
    """The actions, where every other line is one and has the document that follows it."""
    if len(lines) % 2:
        return None
    written = lines[::2]
    known = {line: read_action(line) for line in set(written)}
    actions = [known[line] for line in written]
    if any(action is None or action.name not in ("create", "index") for action in known.values()):
        return None
    return [action for action in actions if action is not None]


def _walk(lines: list[bytes]) -> tuple[list[Action], list[bytes], list[int], dict[int, Failure]]:
    """The actions, the documents, the place of each document's action, and what is wrong with other lines."""
    actions: list[Action] = []
    documents: list[bytes] = []
    places: list[int] = []
    failures: dict[int, Failure] = {}
    rest = iter(lines)
    for line in rest:
        place, action = len(actions), read_action(line)
        actions.append(action or _UNKNOWN)
        if action is None:
            failures[place] = (NO_ACTION, line)
        elif action.has_document:
            document = next(rest, None)
            if document is None:
                failures[place] = (NO_DOCUMENT, line)
                break
            documents.append(_updated(document) if action.name == "update" else document)
            places.append(place)
    return actions, documents, places, failures


def _updated(line: bytes) -> bytes:
    """The document in an update: the partial one, else the one to insert."""
    try:
        update = _UPDATE.decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return line
    return bytes(update.doc) or bytes(update.upsert) or line
