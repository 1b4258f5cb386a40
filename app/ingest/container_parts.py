"""The lines that a container runtime has cut into parts, joined within one body before anything is read.

Docker and Kubernetes cut at 16 KiB, and whoever sends a long URL chooses where the next part begins: read by itself it
would be a line that a client has written. Parts of one container and stream belong together until one ends the line;
what has no end in this body, and what is longer than JOINED_BYTES, is marked as partial and then never read as a line.

| written by | how a part is known |
|---|---|
| containerd, CRI-O, as it stands in the file or within a record's text | `TIME stdout P TEXT`, the last `F` |
| the same behind the CRI parser of Fluent Bit or Fluentd | `"logtag":"P"` |
| Docker's json-file, and its drivers behind which no mark is left | a text of 16 KiB exactly, without a line end |
| Docker's fluentd driver | `"partial_message":"true"`, the last `"partial_last":"true"` |
| Vector, with `auto_partial_merge: false` | `"_partial":true` |

Source: see container_log.py; moby daemon/logger/copier.go (defaultBufSize), jsonfilelog/jsonfilelog.go (the line end
stands behind what is no part), fluentd/fluentd.go; vector src/event/mod.rs (PARTIAL).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from app.ingest.container_log import PARTIAL, TAG, split_container_line
from app.ingest.lenient_json import dumps, loads
from detectors.errors import DecodeError
from detectors.event import Event

PART_BYTES = 16 * 1024
"""Where Docker cuts."""
JOINED_BYTES = 1024 * 1024
"""Of one line. What comes on top is marked as partial."""
_TEXTS = ("log", "message", "msg", "MESSAGE", "event", "line", "text")
"""Under which names a shipper keeps the line."""
_SHORTEST = 20
"""No record that is a part has fewer bytes."""
_BEGINNINGS = b"2{ \t"
"""Of a line with a time, and of an object."""
_CONTAINER = (
    "stream", "source", "container_id", "container_name", "container", "docker", "kubernetes", "pod", "pod_name",
    "namespace", "file", "filename", "path", "host", "hostname", "tag", "partial_id", "fields",
)  # fmt: skip
"""What tells the lines of one container from those of another."""


class Part(NamedTuple):
    """A record that is a line's part, or may end one."""

    key: tuple[object, ...]
    text: str
    is_last: bool
    fields: dict[str, Any] | None
    """None: the record is a line of text."""
    name: str
    """The field that holds the text; empty for a line of text."""
    head: str
    """What stands before the text of a CRI line, up to its tag."""


class Joined(NamedTuple):
    """Records without parts."""

    records: list[bytes]
    places: list[int]
    """Where each of them began among the records that came."""


def have_parts(events: Sequence[Event], records: Sequence[bytes]) -> bool:
    """Whether one of the records that were read as these events is a line's part that goes on in another one.

    A part that names a client was never read as a line of a runtime, unless it is as long as Docker's.
    """
    odd = [
        record
        for event, record in zip(events, records, strict=True)
        if (
            event.client_ip is None
            and len(record) > _SHORTEST
            and record[0] in _BEGINNINGS
            and _has_mark(record)
        )
        or len(record) >= PART_BYTES
    ]
    return any(map(goes_on, odd))


def goes_on(record: bytes) -> bool:
    """Whether a record is a line's part that goes on in another one."""
    part = _part_of(record) if _has_mark(record) else None
    return part is not None and not part.is_last


def is_full(record: bytes) -> bool:
    """Whether a record, or a text, can be a part that Docker has cut: as a text by itself it has no other mark."""
    return PART_BYTES <= len(record) <= 3 * PART_BYTES and _is_full(record.decode("utf-8", "replace"))


def join_parts(records: Sequence[bytes], origins: Sequence[object] | None = None) -> Joined:
    """The records with the parts of each line joined, in the place of the first.

    `origins`: what tells the container of each from others, beside what the record says of it itself.
    """
    waiting: dict[tuple[object, ...], _Line] = {}
    joined: list[tuple[int, bytes]] = []
    for place, record in enumerate(records):
        part = _part_of(record) if waiting or _has_mark(record) else None
        if part is not None and origins is not None:
            part = part._replace(key=(origins[place], *part.key))
        line = None if part is None else waiting.get(part.key)
        if part is None or (line is None and part.is_last):
            joined.append((place, record))
            continue
        if line is None:
            line = waiting[part.key] = _Line(place, part)
        elif line.size + len(part.text) > JOINED_BYTES:
            joined.append((line.place, line.record(is_whole=False)))
            line = waiting[part.key] = _Line(place, part, is_rest=True)
        else:
            line.add(part)
        if part.is_last:
            del waiting[part.key]
            joined.append((line.place, line.record(is_whole=not line.is_rest)))
    joined += [(line.place, line.record(is_whole=False)) for line in waiting.values()]
    joined.sort(key=_place)
    return Joined([record for _, record in joined], [place for place, _ in joined])


class _Line:
    """What has come of one line."""

    def __init__(self, place: int, first: Part, *, is_rest: bool = False) -> None:
        self.place = place
        self.is_rest = is_rest
        """What was before it was too long to be kept with it."""
        self.size = len(first.text)
        self._first = first
        self._texts = [first.text]

    def add(self, part: Part) -> None:
        """One more part."""
        self._texts.append(part.text)
        self.size += len(part.text)

    def record(self, *, is_whole: bool) -> bytes:
        """The first part's record with all of the text."""
        first, text = self._first, "".join(self._texts)
        if first.head:
            text = f"{first.head}{'F' if is_whole else PARTIAL} {text}"
        if first.fields is None:
            return text.encode("utf-8", "surrogateescape")
        fields = {name: value for name, value in first.fields.items() if name not in _MARKED}
        fields[first.name] = text
        if not is_whole and not first.head:
            fields[TAG] = PARTIAL
        return dumps(fields)


_MARKED = (TAG, "_partial", "partial_message", "partial_last", "partial_ordinal")


def _place(found: tuple[int, bytes]) -> int:
    return found[0]


def _has_mark(record: bytes) -> bool:
    find = record.find  # half as long as `in`
    return find(b" P") >= 0 or find(b'"P"') >= 0 or find(b"partial") >= 0 or len(record) >= PART_BYTES


def _part_of(record: bytes) -> Part | None:
    """A record as a part, or as what may end a line; None where it has nothing to do with any."""
    if record[:1] == b"2":
        line = split_container_line(record.decode("utf-8", "surrogateescape"))
        if line is None:
            return None
        head = f"{line.timestamp} {line.stream} "
        return Part((line.stream,), line.text, not line.is_partial, None, "", head)
    if record.lstrip()[:1] != b"{":
        return None
    try:
        fields = loads(record)
    except DecodeError:
        return None
    for name in _TEXTS:
        text = fields.get(name)
        if type(text) is str:
            return _part_of_fields(fields, name, text)
    return None


def _part_of_fields(fields: dict[str, Any], name: str, text: str) -> Part | None:
    origin: list[tuple[str, object]] = [
        (key, _named(fields[key])) for key in _CONTAINER if key in fields and key != name
    ]
    if type(fields.get("log")) is dict:  # Filebeat's, of the file
        origin.append(("log.file", _named(fields["log"].get("file"))))
    line = split_container_line(text) if text[:1] == "2" else None
    if line is not None:
        key = (name, line.stream, *origin)
        head = f"{line.timestamp} {line.stream} "
        return Part(key, line.text, not line.is_partial, fields, name, head)
    if TAG in fields:
        kind, goes_on = TAG, fields[TAG] == PARTIAL
    elif "partial_message" in fields:
        kind, goes_on = "partial_message", fields.get("partial_last") not in ("true", True)
    elif _has_stream(fields):
        kind, goes_on = "stream", fields.get("_partial") is True or _is_full(text)
    else:
        return None
    return Part((name, kind, *origin), text, not goes_on, fields, name, "")


def _named(value: Any) -> object:
    """A value by which to tell things apart."""
    return value if isinstance(value, str | int | None) else dumps({"": value})


def _is_full(text: str) -> bool:
    """Whether a text is as long as Docker's parts are. Each byte that was no UTF-8 became three."""
    if len(text) > PART_BYTES or 3 * len(text) < PART_BYTES or text.endswith("\n"):
        return False
    size = len(text.encode("utf-8", "replace"))
    return size - 2 * text.count("\ufffd") <= PART_BYTES <= size


def _has_stream(fields: dict[str, Any]) -> bool:
    found = (fields.get("stream"), fields.get("source"))
    return "stdout" in found or "stderr" in found
