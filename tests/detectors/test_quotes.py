"""What a detector quotes of a record never shows a piece of the record's credentials."""

import string
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.addresses import Networks
from detectors.condition_words import matched_part_of
from detectors.conditions import All, Op
from detectors.conditions import Test as Comparison
from detectors.defaults import DEFAULTS
from detectors.detector import Look, Surroundings
from detectors.event import Batch, Event
from detectors.evidence import EvidenceClerk
from detectors.finding import Evidence
from detectors.not_found_churn import NotFoundChurn
from detectors.object_enumeration import ObjectEnumeration
from detectors.quotes import PIECE
from detectors.redact import SecretFinder, may_hold_secret
from detectors.scanner import Scanner, load_patterns
from detectors.suspicious_activity import SuspiciousActivity

RECEIVED_MS = 1_795_000_000_000
SCANNER = Scanner(load_patterns("keys") + load_patterns("attacks"))
FINDER = SecretFinder(SCANNER, b"key")
SITE = Surroundings(secrets=FINDER, scanner=SCANNER)
CLERK = EvidenceClerk(FINDER, Networks())
DETECTORS = [
    kind(DEFAULTS[name], SITE)
    for name, kind in (
        ("suspicious_activity", SuspiciousActivity),
        ("object_enumeration", ObjectEnumeration),
        ("not_found_churn", NotFoundChurn),
    )
]
FIELDS = ("path", "target", "query", "decoded_target", "decoded_path", "record")
OWN = [matched_part_of(All((Comparison(field, Op.CONTAINS, ("a",)),))) for field in FIELDS]


def evidence_of(event: Event, record: bytes, *, with_own: bool = True) -> list[Evidence]:
    """What every quoting detector, and an own rule on each field of text, has kept of one event."""
    look = Look(event, record, SCANNER.scan_one(record))
    matched = [verdict.matched for detector in DETECTORS for verdict in detector.judge(look)]
    matched += [words(event, record) for words in OWN if with_own]
    batch = Batch([event], [record], RECEIVED_MS, "test")
    holds = may_hold_secret(look.hits)
    return [
        msgspec.json.decode(
            CLERK.write(batch, 0, at=5, flag=None, matched=words, may_hold_secret=holds), type=Evidence
        )
        for words in matched
    ]


def pieces_in(secret: str, evidence: Evidence, around: str) -> list[str]:
    """The pieces of a secret in what was kept, but for those that stand `around` it, such as the word `status`."""
    said = f"{evidence.matched}\n{evidence.path}\n{evidence.record}\n{evidence.user}"
    return [
        p
        for at in range(len(secret) - PIECE + 1)
        if (p := secret[at : at + PIECE]) in said and p not in around
    ]


LETTERS = string.ascii_letters + string.digits
PLAIN = f"{LETTERS}-_.~+"
"""What a client sends as it is, and what a password in a URL goes on with."""
ENCODINGS = {
    "percent": lambda text: quote(text, safe=""),
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
    "plus": quote_plus,
    "plain": lambda text: "".join(c for c in text if c in PLAIN),
}
PATHS = (
    "/a?password={}",
    "/a?token={}%27%20or%20%271%27%3D%271",
    "/signin?user=bob&password={}",
    "/a/password={}/x",
    "/../../etc/passwd?access_token={}&x=<script>alert(1)</script>",
)
CHARACTERS = st.one_of(
    st.sampled_from(LETTERS),
    st.sampled_from(string.punctuation + " "),
    st.sampled_from("\u200b\u00e9\uff41\u2028\u00a0\t\u202e"),
)


@settings(max_examples=200, deadline=None)
@given(
    st.text(CHARACTERS, min_size=1, max_size=14),
    st.lists(st.sampled_from(LETTERS), min_size=12, max_size=16, unique=True).map("".join),
    st.sampled_from(sorted(ENCODINGS)),
    st.sampled_from(PATHS),
    st.sampled_from((200, 404, 403)),
    st.booleans(),
)
def test_no_piece_of_a_secret_is_kept_whatever_is_in_it_and_whoever_quotes_it(
    odd: str, plain: str, encoding: str, path: str, status: int, is_json: bool
) -> None:
    secret = plain[:5] + odd + plain[5:]
    if encoding == "plain":
        secret = ENCODINGS["plain"](secret)
    target = path.format(ENCODINGS[encoding](secret))
    event = Event(client_ip="203.0.113.9", method="GET", path=target, status=status)
    record = (
        msgspec.json.encode(event) if is_json else f'203.0.113.9 "GET {target} HTTP/1.1" {status}'.encode()
    )
    around = f"{msgspec.json.encode(event)!r} {path}".replace(ENCODINGS[encoding](secret), "")
    known = FINDER.look(record)
    FINDER.forget()
    found = [s.text for s in known.secrets]
    for evidence in evidence_of(event, record):
        for text in {*found, secret if found else ""}:
            assert not pieces_in(text, evidence, around), (evidence.matched, found)


@pytest.mark.parametrize(
    "path",
    [
        "/signin?user=bob&password=my+dog+Rex77q",
        "/a?password=Tr0ub%5CdorXq7Zw9%27%20or%20%271%27=%271",
        "/a?password=Tr0u%22bdorXq7Zw9%27%20or%20%271%27=%271",
        "/a?password=Tr0u%E2%80%8BbdorXq7Zw9%27%20or%20%271%27=%271",
        "/a?password=r5Jd82+hXz0LmPq%27+or+%271%27%3D%271",
    ],
)
def test_a_quote_with_a_piece_of_a_secret_says_field_and_pattern_alone(path: str) -> None:
    event = Event(client_ip="203.0.113.9", path=path, status=200)
    kept = [e.matched for e in evidence_of(event, path.encode())]
    said = "\n".join(kept)
    for piece in ("dog Rex", "Rex77q", "dorXq7", "Xq7Zw9", "82 hXz0", "hXz0Lm"):
        assert piece not in said
    assert any("[REDACTED" in text for text in kept)


def test_a_withheld_quote_names_its_field_and_pattern() -> None:
    path = "/a?password=Tr0ub%2Dd0rXq7Zw9&x=1"
    batch = Batch([Event(path=path)], [path.encode()], RECEIVED_MS, "test")

    def kept(quoted: str) -> str:
        line = CLERK.write(batch, 0, at=5, flag=None, matched=quoted, may_hold_secret=True)
        return msgspec.json.decode(line, type=Evidence).matched

    assert kept("target: 'a b/d.0.r.X.q.7' (sqli.tokens)") == "target [REDACTED] (sqli.tokens)"
    assert kept("/d-0r.Xq7 Z") == "[REDACTED]"
    assert kept("status 404 on /b") == "status 404 on /b"
