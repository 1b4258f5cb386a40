"""Credentials in text: found, named by a keyed fingerprint, and masked. Nothing here keeps one."""

import hashlib
import hmac
import math
import re
from base64 import b32encode
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import re2

from detectors.decoding import views
from detectors.placeholders import is_placeholder
from detectors.scanner import ENCODED, Pattern, Scanner

MOST_SECRETS = 32
"""Told apart in one record; a text with more is masked as a whole. A client may send any number of them."""
MASK = "[REDACTED:"
MASKED = "masked"
"""Tag of a record that holds a mask already: only where a journal is replayed."""
_MASKS = re.compile(r"\[REDACTED:[^:\]\[]{1,80}+:[a-z2-7]{8}\]")
_LINE_BREAKS = re.compile(r"[\r\n]|\\[rn]")


class Secret(NamedTuple):
    """One credential in one text. Lives only while its record is handled; `text` is never stored."""

    kind: str
    text: str
    fingerprint: str
    severity: str

    @property
    def mask(self) -> str:
        """What stands in its place: its kind and the beginning of its fingerprint."""
        return f"{MASK}{self.kind}:{self.fingerprint[3:11]}]"


def masked(text: str, secrets: Iterable[Secret]) -> str:
    """The text with each of these secrets masked, the longest first since one may contain another."""
    for secret in sorted(secrets, key=lambda s: -len(s.text)):
        text = text.replace(secret.text, secret.mask)
    return text


def may_hold_secret(hits: Iterable[Pattern | str]) -> bool:
    """Whether what the scan found in a record makes it worth looking for credentials."""
    return any(hit == ENCODED or (isinstance(hit, Pattern) and hit.field == "record") for hit in hits)


class SecretFinder:
    """Finds credentials by the patterns of patterns/keys/."""

    def __init__(
        self, scanner: Scanner, fingerprint_key: bytes, masks: Mapping[str, Secret] | None = None
    ) -> None:
        """`fingerprint_key`: at least 16 random bytes; without it a fingerprint says nothing.

        `masks`: what the masks in the records of a journal stood for, so that they are found like credentials.
        """
        self._scanner = scanner
        self._key = fingerprint_key
        self._masks = {} if masks is None else masks

    def twin(self) -> "SecretFinder":
        """The same finder once more, for another thread."""
        return SecretFinder(self._scanner.twin(), self._key, self._masks)

    def find(self, record: str) -> list[Secret]:
        """Every credential in a record, also percent-encoded or JSON-escaped, each once."""
        found = self._search(record)[0]
        if self._masks:
            known = dict.fromkeys(mask for mask in _MASKS.findall(record) if mask in self._masks)
            found = [self._masks[mask] for mask in known] + found
        return found

    def redact(self, text: str | None) -> str | None:
        """The text with every credential replaced by `[REDACTED:kind:fingerprint]`.

        Where a credential shows only after decoding, the decoded text is what comes back.
        """
        if not text:
            return text
        for _ in range(4):
            secrets, text = self._search(text)
            if not secrets:
                return text
            if len(secrets) >= MOST_SECRETS:
                return "[REDACTED: many credentials]"
            text = masked(text, secrets)
        return "[REDACTED]"

    def _search(self, record: str) -> tuple[list[Secret], str]:
        """The secrets, and the view of the record that shows all of them."""
        found: dict[str, Secret] = {}
        showing = record
        for view in views(record):
            before = len(found)
            for hit in self._scanner.scan_one(view):
                if isinstance(hit, Pattern) and hit.field == "record":
                    self._confirm(hit, view, found)
            if len(found) > before:
                showing = view
        return list(found.values()), showing

    def _confirm(self, pattern: Pattern, text: str, found: dict[str, Secret]) -> None:
        # `[REDACTED:db_password:...]` looks like the password of a database itself.
        refused = {mask[-9:-1] for mask in _MASKS.findall(text)} if MASK in text else set[str]()
        for match in compiled(pattern).finditer(text):
            if len(found) >= MOST_SECRETS:
                return
            secret = next((group for group in match.groups() if group), None) or match.group()
            if secret in found or secret in refused:
                continue
            if "[REDACTED:" in secret or is_placeholder(secret) or entropy(secret) < pattern.min_entropy:
                refused.add(secret)
                continue
            if any(word in match.group() for word in pattern.skip):
                continue
            found[secret] = Secret(pattern.id, secret, self.fingerprint(secret), pattern.severity)

    def fingerprint(self, secret: str) -> str:
        """`v1:` and 26 characters: the same for the same secret, of no use to guess it without the key.

        A secret is the same however it was escaped, and a private key however its lines were broken.
        Source: HMAC (RFC 2104) with SHA-256, cut to 128 bits; a plain hash of a password can be guessed.
        """
        *_, decoded = views(secret)
        meant = _LINE_BREAKS.sub("", decoded)
        digest = hmac.new(self._key, meant.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        return "v1:" + b32encode(digest[:16]).decode().rstrip("=").lower()


@cache
def compiled(pattern: Pattern) -> Any:
    """The pattern's RE2 program."""
    return re2.compile(pattern.regex)


def entropy(text: str) -> float:
    """Shannon entropy in bits per character."""
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values())
