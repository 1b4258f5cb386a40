"""A batch as it may be kept: every credential masked, and what its masks stood for beside it.

Only records in which the scan of the batch saw something are looked at; the others hold no credential of a known
form. What a record shows to be a credential is masked in every field, as in evidence (detectors/evidence.py).
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from app.journal.format import Entry, Masked
from detectors.api_key_exposure import MOST_KEYS
from detectors.decoding import LONGEST_TEXT
from detectors.event import Batch, Event
from detectors.redact import Secret, SecretFinder, masked, may_hold_secret
from detectors.scanner import Hits

NUMBERS = ("status", "bytes", "duration_ms", "outcome", "category", "repeat")
TEXTS = tuple(name for name in Event.__struct_fields__ if name not in NUMBERS)
"""The fields in which a client's text can stand."""
LARGEST = 2**63 - 1
"""What MessagePack takes; JSON takes more, and an attacker may send it."""
KEPT_OF_LONG = LONGEST_TEXT - 16_384
"""Characters that are kept of a doubtful text longer than what is searched; a key may stand across the border."""
_NOTHING = Event()
_encode = msgspec.msgpack.Encoder().encode


class Packed(NamedTuple):
    """A batch on its way to the writer: what may be kept as it is, packed, and what must be looked at first."""

    entry: Entry
    doubtful: list[Masked]
    """Not masked yet: never written as it is."""


def pack(batch: Batch, hits: Hits) -> Packed:
    """The batch packed at once, while it is at hand; much cheaper than keeping its objects alive."""
    events, records, doubtful = batch.events, batch.records, []
    indices = [index for index, found in hits.items() if may_hold_secret(found)]
    if indices:
        events, records = list(events), list(records)
        for index in indices:
            doubtful.append(Masked(index, events[index], records[index]))
            events[index], records[index] = _NOTHING, b""
    kept = None if batch.read_as else events
    try:
        packed = _encode((kept, records))
    except (ValueError, OverflowError):
        packed = _encode(([mended(event) for event in events], records))
    return Packed(Entry(batch.received_ms, batch.source, len(events), batch.read_as, packed), doubtful)


def entry_of(packed: Packed, secrets: SecretFinder) -> Entry:
    """The entry, its doubtful records masked where they hold a credential."""
    masks: dict[str, tuple[str, str, str]] = {}
    found = [_mask(one, secrets, masks) for one in packed.doubtful]
    return msgspec.structs.replace(packed.entry, masked=found, masks=masks)


def _mask(one: Masked, secrets: SecretFinder, masks: dict[str, tuple[str, str, str]]) -> Masked:
    event, record = one.event, one.record.decode("utf-8", "replace")
    texts = {name: text for name in TEXTS if isinstance(text := getattr(event, name), str)}
    is_long = len(record) > LONGEST_TEXT or any(len(text) > LONGEST_TEXT for text in texts.values())
    found = secrets.found_in(record)
    known = list(found.secrets)
    if not known and found.is_complete and not is_long and _is_clean(texts.values(), secrets):
        return one
    record = masked(record[:LONGEST_TEXT], known)
    texts = {name: masked(text[:LONGEST_TEXT], known) for name, text in texts.items()}
    if not _is_clean([record, *texts.values()], secrets):
        record = secrets.redact(record) or ""
        texts = {name: secrets.redact(text) or "" for name, text in texts.items()}
    if is_long:
        record, texts = record[:KEPT_OF_LONG], {name: text[:KEPT_OF_LONG] for name, text in texts.items()}
    for secret in known[:MOST_KEYS]:
        masks[secret.mask] = (secret.kind, secret.fingerprint, secret.severity)
    record = _with_masks(record, known[:MOST_KEYS])
    return Masked(one.index, msgspec.structs.replace(event, **texts), record.encode("utf-8", "replace"))


def _is_clean(texts: Iterable[str], secrets: SecretFinder) -> bool:
    """Whether no text holds a credential, by one search over all; not said of texts too long to be read as one."""
    whole = "\n".join(texts)
    found = secrets.found_in(whole)
    return len(whole) <= LONGEST_TEXT and found.is_complete and not found.secrets


def _with_masks(record: str, known: list[Secret]) -> str:
    """The record with a mask for each credential, also where one stood inside another or the text was given up."""
    absent = [secret.mask for secret in known if secret.mask not in record]
    return " ".join([record, *absent])


def mended(event: Event) -> Event:
    """The event without what MessagePack cannot hold: numbers beyond 64 bits, halves of surrogate pairs.

    Such a number is no time and no size, and such text compares to nothing; no rule sees a difference.
    """
    fields = {name: getattr(event, name) for name in Event.__struct_fields__}
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = value.encode("utf-8", "replace").decode()
        elif isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            fields[name] = 1 if name == "repeat" else None
    return Event(**fields)
