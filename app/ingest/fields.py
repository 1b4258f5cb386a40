"""A record of any convention as an Event: finds the fields by name and brings them to our types."""

from typing import Any

from app.ingest.conventions import SETTLERS, Candidate, plain_gelf
from app.ingest.field_names import NAMES, OPENTELEMETRY, WRAPPERS, Level
from app.ingest.values import ABSENT, READERS, VERBATIM, Reader, read_text
from detectors.event import Event

NESTING_LIMIT = 5
"""The longest dotted name of the table has four parts, and a wrapper may stand around it."""
_WRAPPED_RANK = 100
"""Added inside a wrapper: what stands outside wins."""


def read_fields(record: dict[str, Any]) -> tuple[Event, str | None]:
    """The Event that a decoded JSON object describes, and the program that wrote it where it says so.

    Names we do not know are ignored (they stay in the raw record). A value that cannot be brought to its
    field's type gives way to the next name for that field, and in the end to None.
    """
    found: dict[str, Candidate] = {}
    rivals: dict[str, list[Candidate]] = {}
    _collect(record, found, rivals, NAMES, 0, 0)
    if "gelf" in found:
        return read_fields(plain_gelf(record))
    event = Event()
    marks: list[str] = []
    for field, candidate in found.items():
        read = READERS.get(field)
        if read is None:
            marks.append(field)
            continue
        if field in rivals:
            value = _first_readable([candidate, *rivals[field]], read)
        elif candidate[0] == 0 and type(candidate[2]) is str and candidate[2] in ABSENT:
            value = candidate[2] if read in VERBATIM else None
        else:
            value = read(candidate[2], candidate[0], candidate[1])
        if value is not None:
            setattr(event, field, value)
    for mark in marks:
        if mark in SETTLERS:
            SETTLERS[mark](event, found, rivals)
    if "program" not in found:
        return event, None
    return event, _first_readable([found["program"], *rivals.get("program", ())], read_text)


def _collect(
    record: dict[str, Any],
    found: dict[str, Candidate],
    rivals: dict[str, list[Candidate]],
    level: Level,
    penalty: int,
    depth: int,
) -> None:
    """Fill `found` with the first name that means each field, and `rivals` with all further ones."""
    fields, inside = level.fields, level.inside
    for key, value in record.items():
        if value is None:
            continue
        if type(value) is dict:
            if depth >= NESTING_LIMIT:
                continue
            inner = inside.get(key) or inside.get(key.lower())
            if inner is not None:
                _collect(value, found, rivals, inner, penalty, depth + 1)
            elif level is NAMES and key in WRAPPERS and (penalty or _is_believed(key, record)):
                _collect(value, found, rivals, NAMES, penalty + _WRAPPED_RANK, depth + 1)
            continue
        hit = fields.get(key) or fields.get(key.lower())
        if hit is not None:
            field, rank, name = hit
            candidate = (rank + penalty, name, value)
            if found.setdefault(field, candidate) is not candidate:
                rivals.setdefault(field, []).append(candidate)


def _is_believed(wrapper: str, record: dict[str, Any]) -> bool:
    """Whether what is inside may speak: a product's `attributes` are what a client made up."""
    return wrapper == "message" or not OPENTELEMETRY.isdisjoint(record)


def _rank(candidate: Candidate) -> int:
    return candidate[0]


def _first_readable(candidates: list[Candidate], read: Reader) -> Any:
    """The best-ranked value that fits. Our own names keep `-` and empty text, if no other name says more."""
    verbatim = None
    for rank, name, value in sorted(candidates, key=_rank):
        if rank == 0 and type(value) is str and value in ABSENT:
            verbatim = value if read in VERBATIM else None
            continue
        result = read(value, rank, name)
        if result is not None:
            return result
    return verbatim
