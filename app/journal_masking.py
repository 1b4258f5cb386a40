"""A batch as it may be kept: every credential masked, and what its masks stood for beside it.

Only records in which the scan of the batch saw something are looked at; the others hold no credential of a known
form. What a record shows to be a credential is masked in every field, as in evidence (detectors/evidence.py).
"""

import msgspec

from app.journal_format import Entry
from detectors.api_key_exposure import MOST_KEYS
from detectors.engine import Hits
from detectors.event import Batch, Event
from detectors.redact import Secret, SecretFinder, masked, may_hold_secret

TEXTS = tuple(
    name
    for name in Event.__struct_fields__
    if name not in ("status", "bytes", "duration_ms", "outcome", "category", "repeat")
)
"""The fields in which a client's text can stand."""
LARGEST = 2**63 - 1
"""What MessagePack takes; JSON takes more, and an attacker may send it."""


def entry_of(batch: Batch, hits: Hits, secrets: SecretFinder) -> Entry:
    """The batch as a journal's entry. The batch itself is not changed."""
    entry = Entry(batch.received_ms, batch.source, batch.events, batch.records, {})
    doubtful = [index for index, found in hits.items() if may_hold_secret(found)]
    if doubtful:
        entry.events, entry.records = list(batch.events), list(batch.records)
        for index in doubtful:
            _mask(entry, index, secrets)
    return entry


def _mask(entry: Entry, index: int, secrets: SecretFinder) -> None:
    event, record = entry.events[index], entry.records[index].decode("utf-8", "replace")
    known = secrets.find(record)
    texts = {name: text for name in TEXTS if isinstance(text := getattr(event, name), str)}
    if not known and not secrets.find("\n".join(texts.values())):
        return

    def safe(text: str) -> str:
        return secrets.redact(masked(text, known)) or ""

    entry.events[index] = msgspec.structs.replace(event, **{name: safe(text) for name, text in texts.items()})
    entry.records[index] = _with_masks(safe(record), known[:MOST_KEYS]).encode("utf-8", "replace")
    for secret in known[:MOST_KEYS]:
        entry.masks[secret.mask] = (secret.kind, secret.fingerprint, secret.severity)


def _with_masks(record: str, known: list[Secret]) -> str:
    """The record with a mask for each credential, also where one stood inside another or the text was given up."""
    absent = [secret.mask for secret in known if secret.mask not in record]
    return " ".join([record, *absent])


def mended(entry: Entry) -> Entry:
    """The same entry without what MessagePack cannot hold: numbers beyond 64 bits, halves of surrogate pairs.

    Such a number is no time and no size, and such text compares to nothing; no rule sees a difference.
    """
    return msgspec.structs.replace(entry, events=[_mended(event) for event in entry.events])


def _mended(event: Event) -> Event:
    fields = {name: getattr(event, name) for name in Event.__struct_fields__}
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = value.encode("utf-8", "replace").decode()
        elif isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            fields[name] = None if name != "repeat" else 1
    return Event(**fields)
