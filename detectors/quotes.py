"""What a detector quotes of a record with credentials: no piece of one may stand in it, however it was read.

A detector quotes what it read: cut, decoded, its slashes folded, its ids replaced, its quotes escaped. A credential
that went through this is none any more, by its shape, and most of it may still be there. So both, the credentials and
the quote, are read in every way that a detector reads, and a quote that has a piece in common is not kept.
"""

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote_plus

from detectors.decoding import decode_value, normal_path
from detectors.redact import MANY, Found, forms_of, masked

PIECE = 6
"""Characters that a quote and a credential of its record have in common by no accident."""
MOST_FORMS = 6_000
"""Characters of all credentials of a record, in all their forms, that quotes are compared with: about a millisecond.
Of a record with more nothing is quoted."""
LONGEST_QUOTE = 256
WITHHELD = "[REDACTED]"
_BEGINNING = re.compile(r"[a-z][a-z0-9_ ]{0,60}")
"""The detector's own words: the field, mostly."""
_PATTERN = re.compile(r"\([a-z0-9_]{1,40}\.[a-z0-9_]{1,60}\)\Z")


class QuoteGuard:
    """Knows the pieces of the credentials of one record. Lives only while its batch is at work."""

    def __init__(self, known: Found) -> None:
        self._known = known
        self._pieces: set[str] = set()
        size = sum(len(secret.text) for secret in known.secrets)
        self._is_mute = not known.is_complete or size > MOST_FORMS
        if not self._is_mute:
            forms = {form for secret in known.secrets for form in _readings(secret.text)}
            self._is_mute = sum(map(len, forms)) > MOST_FORMS
        if not self._is_mute:
            self._pieces = {piece for form in forms for piece in _pieces(form)}

    def without_pieces(self, quote: str) -> str:
        """The quote with every piece of a credential as it stands in the record masked; others are left."""
        if self._is_mute:
            return MANY
        quote = masked(quote, self._known.secrets)[:LONGEST_QUOTE]
        for secret in self._known.secrets:
            at = 0
            while at + PIECE <= len(quote):
                end = at + PIECE
                if quote[at:end] not in secret.text:
                    at += 1
                    continue
                while end < len(quote) and quote[at : end + 1] in secret.text:
                    end += 1
                quote = quote[:at] + secret.mask + quote[end:]
                at += len(secret.mask)
        return quote

    def checked(self, quote: str) -> str:
        """The quote where no reading of it has a piece of a credential, else the field and the pattern alone."""
        if not self._has_piece(quote):
            return quote
        beginning, pattern = _BEGINNING.match(quote), _PATTERN.search(quote)
        words = (beginning.group().strip() if beginning else "", WITHHELD, pattern.group() if pattern else "")
        withheld = " ".join(filter(None, words))
        return WITHHELD if self._has_piece(withheld) else withheld

    def _has_piece(self, quote: str) -> bool:
        for secret in self._known.secrets:
            quote = quote.replace(secret.mask, "\n")
        readings = {quote, decode_value(quote), decode_value(quote.replace("+", " "))}
        return any(not self._pieces.isdisjoint(_pieces(reading)) for reading in readings)


def _readings(secret: str) -> Iterator[str]:
    """The ways in which a detector may have read a credential."""
    forms = {*forms_of(secret)}
    if not secret.isalnum():
        plain = secret.replace("+", " ")
        forms |= {decode_value(secret), decode_value(plain), unescape(secret), unescape(plain)}
        forms |= {quote_plus(form) for form in list(forms)} | {normal_path(f"/{form}")[1:] for form in forms}
    for form in forms:
        yield form
        if not form.isalnum():
            # As repr() escapes it, in quotes of either kind.
            yield repr(form)[1:-1]
            yield repr(f'{form}"')[1:-2]


def _pieces(text: str) -> Iterator[str]:
    """Every piece of a text, and of its letters and digits alone, without regard to case."""
    text = text.casefold()
    letters = text if text.isalnum() else "".join(filter(str.isalnum, text))
    for form in {text, letters}:
        for at in range(len(form) - PIECE + 1):
            yield form[at : at + PIECE]
