"""Credentials in text: found, named by a keyed fingerprint, and masked. Nothing here keeps one."""

import hashlib
import hmac
import math
import re
from base64 import b32encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import quote

import re2

from detectors.decoding import decode_value, views
from detectors.placeholders import is_placeholder
from detectors.scanner import ENCODED, Pattern, Scanner

MOST_SECRETS = 32
"""Told apart in one record; a text with more is masked as a whole. A client may send any number of them."""
MASK = "[REDACTED:"
MASKED = "masked"
"""Tag of a record that holds a mask already: only where a journal is replayed."""
_MASKS = re.compile(rb"\[REDACTED:[^:\]\[]{1,80}+:[a-z2-7]{8}\]")
MANY = "[REDACTED: many credentials]"
MOST_CONFIRMED_BYTES = 1_000_000
"""Read by RE2 for one record: 14 patterns over 64 KB, 200 over 1 KB; what a log really writes asks for five or ten. A
record that asks for more is masked as a whole."""
BYTES_FOR_A_CALL = 4096
"""What starting one search costs, in bytes read."""
LONGEST_MATCH = 4096
"""Bytes of one match in which its secret is looked for."""
MOST_MATCHES = 128
"""Of all patterns in one record that are looked at, placeholders included."""
MOST_REMEMBERED = 4096
"""Records whose credentials are kept for the others who ask; a chunk of a batch rarely has more with a hit."""
SHORTEST_FORM = 4
"""Bytes of a decoded form of a secret that is masked too; anything shorter stands in every text."""
ENTROPY_CHARACTERS = 1024
"""Of a longer secret only these are weighed."""
_GROUP = re.compile(r"\(\?P<secret[0-9]?>")
_LINE_BREAKS = (b"\r", b"\n", rb"\r", rb"\n")


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
    """The text with each of these secrets masked, however escaped; the longest first, one may contain another."""
    for form, mask in masks_of(secrets):
        text = text.replace(form, mask)
    return text


def masks_of(secrets: Iterable[Secret]) -> list[tuple[str, str]]:
    """Every form of these secrets with its mask, in the order in which they are to be replaced."""
    written = {form: secret.mask for secret in secrets for form in forms_of(secret.text)}
    return sorted(written.items(), key=lambda item: len(item[0]), reverse=True)


def forms_of(secret: str) -> Iterator[str]:
    """The ways in which a secret may stand in another field or another view of its record, or in what quotes it."""
    yield secret
    if secret.isalnum() or len(secret) > LONGEST_MATCH:
        return
    yield quote(secret, safe="")
    decoded = [
        view.decode("utf-8", "replace") for view in islice(views(secret.encode("utf-8", "replace")), 1, None)
    ]
    plain = secret.replace("+", " ")
    for form in {secret, *decoded, plain, decode_value(secret), decode_value(plain)}:
        if form == secret or len(form) >= SHORTEST_FORM:
            yield form
            # As repr() writes it: with its backslashes doubled, and what cannot be printed escaped.
            yield repr(form)[1:-1]


class Found(NamedTuple):
    """The credentials of one record."""

    secrets: tuple[Secret, ...] = ()
    is_complete: bool = True
    """False: there are too many of them, or too much that may be one, to tell them apart. All of it is masked."""


NOTHING = Found()


class _Effort:
    """What is left of the work that one record is worth; an attacker writes records too."""

    def __init__(self) -> None:
        self.confirmed_bytes = MOST_CONFIRMED_BYTES
        self.matches = MOST_MATCHES
        self.found: dict[str, Secret] = {}

    @property
    def is_spent(self) -> bool:
        return self.confirmed_bytes < 0 or self.matches < 0 or len(self.found) >= MOST_SECRETS


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
        self._remembered: dict[bytes, Found] = {}
        self.key_ids = scanner.key_ids

    def twin(self) -> "SecretFinder":
        """The same finder once more, for another thread."""
        return SecretFinder(self._scanner.twin(), self._key, self._masks)

    def look(self, record: bytes, hits: Iterable[Pattern | str] | None = None) -> Found:
        """Every credential in a record, also percent-encoded or JSON-escaped, each once.

        `hits`: what the scan of the record said, where it is known. The answer is kept until `forget`, since several
        detectors and the evidence ask about the same record.
        """
        found = self._remembered.get(record)
        if found is None:
            if len(self._remembered) >= MOST_REMEMBERED:
                self.forget()
            found = self._with_masks(record, self._search(record, hits)[0])
            self._remembered[record] = found
        return found

    def _with_masks(self, record: bytes, found: Found) -> Found:
        """With what the masks of a journal's record stand for."""
        if not self._masks:
            return found
        known = dict.fromkeys(mask.decode() for mask in _MASKS.findall(record))
        meant = tuple(self._masks[mask] for mask in known if mask in self._masks)
        return found._replace(secrets=meant + found.secrets) if meant else found

    def forget(self) -> None:
        """Let go of the credentials of all records seen so far."""
        self._remembered.clear()

    def found_in(self, text: str) -> Found:
        """What `look` finds in a text, without keeping it."""
        raw = text.encode("utf-8", "replace")
        return self._with_masks(raw, self._search(raw, None)[0])

    def find(self, text: str) -> list[Secret]:
        """The credentials in a text; of one with too many, the first."""
        return list(self.found_in(text).secrets)

    def redact(self, text: str | None) -> str | None:
        """The text with every credential replaced by `[REDACTED:kind:fingerprint]`.

        Where a credential shows only after decoding, the decoded text is what comes back.
        """
        if not text:
            return text
        for _ in range(4):
            found, showing = self._search(text.encode("utf-8", "replace"), None)
            if not found.is_complete:
                return MANY
            if not found.secrets:
                return text
            text = masked(showing.decode("utf-8", "replace"), found.secrets)
        return "[REDACTED]"

    def _search(self, record: bytes, hits: Iterable[Pattern | str] | None) -> tuple[Found, bytes]:
        """The secrets, and the view of the record that shows all of them."""
        showing, effort = record, _Effort()
        for number, view in enumerate(views(record)):
            before = len(effort.found)
            if number or hits is None:
                hits = self._scanner.scan_one(view)
            for hit in hits:
                if isinstance(hit, Pattern) and hit.field == "record":
                    self._confirm(hit, view, effort)
                    if effort.is_spent:
                        return Found(tuple(effort.found.values()), is_complete=False), view
            if len(effort.found) > before:
                showing = view
        return Found(tuple(effort.found.values())) if effort.found else NOTHING, showing

    def _confirm(self, pattern: Pattern, view: bytes, effort: _Effort) -> None:
        effort.confirmed_bytes -= len(view) + BYTES_FOR_A_CALL
        # `[REDACTED:db_password:...]` looks like the password of a database itself.
        refused = (
            {mask[-9:-1].decode() for mask in _MASKS.findall(view)} if MASK.encode() in view else set[str]()
        )
        found = effort.found
        for whole_match, inner in _matches(pattern, view):
            effort.matches -= 1
            if effort.is_spent:
                return
            secret = inner.decode("utf-8", "replace")
            if secret in found or secret in refused:
                continue
            is_example = not pattern.examples_count and is_placeholder(secret)
            if MASK in secret or is_example or entropy(secret) < pattern.min_entropy:
                refused.add(secret)
                continue
            if pattern.skip:
                whole = whole_match.decode("utf-8", "replace")
                if any(word in whole for word in pattern.skip):
                    continue
            found[secret] = Secret(pattern.id, secret, self.fingerprint(secret), pattern.severity)

    def fingerprint(self, secret: str) -> str:
        """`v1:` and 26 characters: the same for the same secret, of no use to guess it without the key.

        A secret is the same however it was escaped, and a private key however its lines were broken.
        Source: HMAC (RFC 2104) with SHA-256, cut to 128 bits; a plain hash of a password can be guessed.
        """
        *_, decoded = views(secret.encode("utf-8", "surrogatepass"))
        for line_break in _LINE_BREAKS:
            decoded = decoded.replace(line_break, b"")
        digest = hmac.new(self._key, decoded, hashlib.sha256).digest()
        return "v1:" + b32encode(digest[:16]).decode().rstrip("=").lower()

    def stand_in(self, text: str) -> str:
        """16 hex digits in place of a value that must not stand in Redis; without the key of no use to guess it."""
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8, key=self._key[:64]).hexdigest()


def _matches(pattern: Pattern, view: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each match in a view, whole, and the secret in it.

    Of a long view RE2's automaton finds only where a match is, and the secret is looked for within its beginning: what
    tells groups apart is thirty times as slow, and an attacker can make one match of the whole view.
    """
    if len(view) <= LONGEST_MATCH:
        for match in program(pattern).finditer(view):
            yield match.group(), next(filter(None, match.groups()), None) or match.group()
        return
    for match in program(pattern, is_group_told=False).finditer(view):
        whole = match.group()
        beginning = whole[:LONGEST_MATCH]
        told = program(pattern).search(view, match.start(), match.start() + len(beginning))
        group = told and next((n for n in range(1, len(told.groups()) + 1) if told.group(n)), 0)
        if not told or not group:
            yield whole, whole
            continue
        start, end = (place - match.start() for place in told.span(group))
        # A secret that reaches the end of the beginning goes on to the end of the match.
        yield beginning, whole[start:] if LONGEST_MATCH <= end < len(whole) else whole[start:end]


@cache
def program(pattern: Pattern, *, is_group_told: bool = True) -> Any:
    """A key pattern's RE2 program over bytes, which takes a third of the time of one over text."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    regex = pattern.regex if is_group_told else _GROUP.sub("(?:", pattern.regex)
    return re2.compile(regex.encode(), options)


@cache
def compiled(pattern: Pattern) -> Any:
    """The pattern's RE2 program."""
    return re2.compile(pattern.regex)


def entropy(text: str) -> float:
    """Shannon entropy in bits per character, of the first thousand."""
    text = text[:ENTROPY_CHARACTERS]
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values())
