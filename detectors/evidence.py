"""A counted event as people will read it later: every text redacted and cut, before anything is stored."""

from collections.abc import Iterable
from itertools import takewhile

import msgspec

from detectors.addresses import Networks, client_address
from detectors.event import Batch
from detectors.finding import Evidence
from detectors.quotes import QuoteGuard
from detectors.redact import MANY, NOTHING, Found, Secret, SecretFinder, masks_of

RECORD_CHARACTERS = 512
FIELD_CHARACTERS = 256
BEGINNING = 8
"""So many first characters of a credential are taken for it where a quote was cut in the middle of one."""
MARGIN_CHARACTERS = 1024
"""Read behind what is shown, so that a credential which begins in it is known by its end."""
MOST_MASKING = 500_000
"""Characters times credentials that are worth looking for one by one; past it a text is masked as a whole."""


class EvidenceClerk:
    """Writes evidence. What a record shows to be a secret is masked in every field, not only where it was seen."""

    def __init__(self, secrets: SecretFinder, trusted_proxies: Networks) -> None:
        self._secrets = secrets
        self._trusted = trusted_proxies
        self._batch: Batch | None = None
        self._written: dict[int, tuple[Found, str]] = {}
        self._guards: dict[int, QuoteGuard] = {}
        self._masks_of: tuple[Found, list[tuple[str, str]]] = NOTHING, []

    def write(
        self, batch: Batch, index: int, *, at: int, flag: str | None, matched: str, may_hold_secret: bool
    ) -> str:
        """One event of a batch as JSON of `Evidence`.

        `may_hold_secret`: what the scan said; without it nothing needs redacting, and most events need nothing.
        """
        if batch is not self._batch:
            self._take(batch)
        known, rest = self._written.get(index) or self._write_event(batch, index, may_hold_secret)
        if may_hold_secret:
            matched = self._safe_quote(matched, index, known)
        text = msgspec.json.encode(matched[:FIELD_CHARACTERS]).decode()
        flags = f',"flags":["{flag}"]' if flag else ""
        return f'{{"at":{at},"received_at":{batch.received_ms},"matched":{text}{flags}{rest}'

    def quote(self, batch: Batch, index: int, text: str, most: int = FIELD_CHARACTERS) -> str:
        """A text that quotes a record of this batch, as it may be shown: without credentials, and cut."""
        known = self._known(batch, index)
        return self._safe_quote(text[:most], index, known)

    def mask(self, batch: Batch, index: int, text: str, most: int = FIELD_CHARACTERS) -> str:
        """A whole field of a record of this batch, as it may be shown: its credentials masked, and cut."""
        return self._safe(text, self._known(batch, index), most) or ""

    def _known(self, batch: Batch, index: int) -> Found:
        """The credentials of a record, looked for whatever the scan said."""
        if batch is not self._batch:
            self._take(batch)
        return (self._written.get(index) or self._write_event(batch, index, may_hold_secret=True))[0]

    def _take(self, batch: Batch) -> None:
        self._batch, self._written, self._guards = batch, {}, {}
        self._masks_of = NOTHING, []

    def _safe_quote(self, quote: str, index: int, known: Found) -> str:
        if known.secrets or not known.is_complete:
            guard = self._guards.get(index)
            if guard is None:
                guard = self._guards[index] = QuoteGuard(known)
            quote = guard.without_pieces(quote)
            return guard.checked(self._safe(quote, known, FIELD_CHARACTERS) or "")
        return self._safe(quote, known, FIELD_CHARACTERS) or ""

    def _safe(self, text: str | None, known: Found, most: int) -> str | None:
        """A text of a record in which these credentials are known, masked and cut."""
        if not text:
            return None
        if not known.is_complete or len(text) * len(known.secrets) > MOST_MASKING:
            return MANY
        if known is not self._masks_of[0]:
            self._masks_of = known, masks_of(known.secrets)
        for form, mask in self._masks_of[1]:
            text = text.replace(form, mask)
        is_cut = len(text) > most + MARGIN_CHARACTERS
        redacted = self._secrets.redact(text[: most + MARGIN_CHARACTERS]) or ""
        # Where the end is missing, a credential in the margin may not have been known for one.
        shown = redacted[: min(most, max(0, len(redacted) - MARGIN_CHARACTERS)) if is_cut else most]
        return _without_beginnings(shown, known.secrets)

    def _write_event(self, batch: Batch, index: int, may_hold_secret: bool) -> tuple[Found, str]:
        """The JSON behind `matched`, the same for every rule; kept while its batch is at work."""
        event = batch.events[index]
        known = self._secrets.look(batch.records[index]) if may_hold_secret else NOTHING

        def safe(text: str | None, most: int = FIELD_CHARACTERS) -> str | None:
            return self._safe(text, known, most) if may_hold_secret else text[:most] if text else None

        written = Evidence(
            at=0,
            received_at=batch.received_ms,
            matched="",
            client_ip=client_address(event.client_ip, event.forwarded_for, self._trusted),
            method=safe(event.method),
            path=safe(event.path),
            status=event.status,
            user=safe(event.user),
            user_agent=safe(event.user_agent),
            host=safe(event.host),
            request_id=safe(event.request_id),
            record=safe(batch.records[index].decode("utf-8", "replace"), RECORD_CHARACTERS) or "",
        )
        before = f'{{"at":0,"received_at":{batch.received_ms},"matched":""'
        rest = msgspec.json.encode(written).decode().removeprefix(before)
        self._written[index] = known, rest
        return known, rest


def _without_beginnings(text: str, secrets: Iterable[Secret]) -> str:
    """The text without the beginnings of these secrets: what a detector quotes is cut, and may be cut within one."""
    for secret in secrets:
        at = text.find(secret.text[:BEGINNING])
        while at >= 0:
            alike = takewhile(lambda pair: pair[0] == pair[1], zip(text[at:], secret.text, strict=False))
            end = at + sum(1 for _ in alike)
            text = text[:at] + secret.mask + text[end:]
            at = text.find(secret.text[:BEGINNING], at + len(secret.mask))
    return text
