"""Which name of a JSON record gave each field of its event, and which names nobody reads.

Found by asking the field map itself, about the record with one name alone and with one name less: so whatever the map
knows of conventions and wrappers, the answer is its own.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from app.ingest.mapping import map_record
from detectors.event import Event

MOST_NAMES = 100
"""Of one record that are looked at; each costs two readings of the record."""
LONGEST_RECORD_BYTES = 65_536
DEPTH = 8
"""Objects within objects that are taken apart; deeper ones are one value. The field map looks less deep."""
_FIELDS = tuple(name for name in Event.__struct_fields__ if name != "repeat")

Path = tuple[str, ...]


class Provenance(NamedTuple):
    """Names are dotted, as in the tables of docs/ingest.md."""

    names: dict[str, tuple[str, ...]]
    """Of each field that the event has: the names that decided its value, mostly one."""
    unread: tuple[str, ...]
    """The names that gave no field anything."""


def provenance_of(record: dict[str, Any], received_ms: int) -> Provenance:
    """Where the event's fields come from."""
    whole = _fields_of(record, received_ms)
    leaves = list(islice(_leaves(record), MOST_NAMES))
    alone = [_fields_of(_only(path, value), received_ms) for path, value in leaves]
    givers = {
        field: [n for n, fields in enumerate(alone) if field in fields and fields[field] == value]
        for field, value in whole.items()
    }
    if all(len(found) == 1 for found in givers.values()):
        chosen = givers
    else:
        without = [_fields_of(_without(record, path), received_ms) for path, _ in leaves]
        chosen = {
            field: _deciding(found, [n for n, w in enumerate(without) if w.get(field) != whole[field]])
            for field, found in givers.items()
        }
    names = [".".join(path) for path, _ in leaves]
    used = {n for found in chosen.values() for n in found}
    return Provenance(
        {field: tuple(names[n] for n in found) for field, found in chosen.items() if found},
        tuple(name for n, name in enumerate(names) if n not in used),
    )


def value_of(record: dict[str, Any], name: str) -> Any:
    """What stands under a name of `Provenance`; None where several readings of its dots are possible and none fits."""
    return next((value for path, value in _leaves(record) if ".".join(path) == name), None)


def _deciding(givers: list[int], needed: list[int]) -> list[int]:
    """Of several names that say the same those that count; where none says it alone, those it takes together."""
    if len(givers) == 1:
        return givers
    return [n for n in givers if n in needed] or givers or needed


def _fields_of(record: dict[str, Any], received_ms: int) -> dict[str, Any]:
    event = map_record(record, received_ms)
    return {name: value for name in _FIELDS if (value := getattr(event, name)) is not None}


def _leaves(record: dict[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no object, with the names that lead to it."""
    for key, value in record.items():
        if type(value) is dict and value and len(path) < DEPTH:
            yield from _leaves(value, (*path, key))
        elif value is not None:
            yield (*path, key), value


def _only(path: Path, value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    found: dict[str, Any] = value
    return found


def _without(record: dict[str, Any], path: Path) -> dict[str, Any]:
    first, *rest = path
    if not rest:
        return {key: value for key, value in record.items() if key != first}
    return {**record, first: _without(record[first], tuple(rest))}
