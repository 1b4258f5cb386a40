"""Each pattern finds what it is there for, in the disguises of a log, and leaves ordinary requests alone."""

import json

import pytest
from attack_samples import ATTACKS, BENIGN_TARGETS
from samples import SECRETS

from detectors.detector import Look
from detectors.event import Event
from detectors.redact import SecretFinder
from detectors.scanner import ENCODED, Scanner, Tag, load_patterns
from detectors.suspicious_activity import attacks_in

PATTERNS = load_patterns("keys") + load_patterns("attacks")
SCANNER = Scanner(PATTERNS)
FINDER = SecretFinder(SCANNER, b"k" * 32)


def as_combined(event: Event) -> bytes:
    return f'198.51.100.7 - - [23/Nov/2026:10:00:03 +0000] "GET {event.path} HTTP/1.1" 404 9 "-" "-"'.encode()


def as_json(event: Event) -> bytes:
    return json.dumps({"path": event.path, "user_agent": event.user_agent}).encode()


def test_every_credential_pattern_has_a_sample():
    assert set(SECRETS) == {p.id for p in load_patterns("keys")}


def test_ordinary_requests_hold_no_credential():
    for target in BENIGN_TARGETS:
        assert FINDER.find(as_json(Event(path=target)).decode()) == [], target


def test_each_credential_is_found_and_named():
    for kind, (secret, text) in SECRETS.items():
        found = {s.kind: s.text for s in FINDER.find(text.replace("{}", secret))}
        assert found.get(kind) == secret, kind


@pytest.mark.parametrize(
    "text",
    [
        "request 6f1c1f2e-8a4b-4c3d-9e2f-0a1b2c3d4e5f done",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7",
        "/reset?token={{token}}",
        "GET /?api_key=REDACTED",
        '"password": "********"',
        "AKIAIOSFODNN7EXAMPLE",
        "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "http://example.org:8080/a@b",
        "mailto:alice@example.org",
        "/login?token=aaaaaaaaaaaa",
    ],
)
def test_hashes_ids_templates_and_examples_are_no_credentials(text):
    assert FINDER.find(text) == []


def test_no_literal_holds_a_character_that_json_writers_escape():
    for pattern in PATTERNS:
        for literal in pattern.literals:
            assert not set(literal) & set("\"\\<>&'") and literal.isascii(), (pattern.id, literal)
            assert literal.lower() in pattern.regex.replace("\\", "").lower() or len(literal) > 1, pattern.id


def test_every_pattern_says_where_it_comes_from():
    assert all(p.source and p.description for p in PATTERNS)
    assert len({p.id for p in PATTERNS}) == len(PATTERNS)


def test_the_policys_paths_tag_a_record_and_escapes_are_noticed():
    scanner = Scanner((), [Tag("health", ("/api/health",))])
    assert scanner.scan([b'{"path":"\\/api\\/health"}', b"GET /api/x", b"GET /%2e%2e"]) == {
        0: ["health"],
        2: [ENCODED],
    }


@pytest.mark.parametrize("text", ["key" * 21_845, "ghp_" * 16_000, "eyJ" * 20_000, "../" * 20_000, "'" * 60_000,
                                  "password" * 8000, "%25" * 20_000, "union " * 10_000, "${" * 30_000])  # fmt: skip
def test_hostile_text_costs_little(text):
    """Counted in work, not in seconds: every pass is linear, so 64 KiB finish in well under the test's limit."""
    event = Event(path="/?q=" + text, status=404)
    record = as_json(event)
    list(attacks_in(Look(event, record, SCANNER.scan([record]).get(0, [])), SCANNER))
    FINDER.redact(record.decode())


def test_records_scanned_together_and_one_by_one_have_the_same_hits():
    records = [as_combined(Event(path=t)) for texts in ATTACKS.values() for t in texts]
    records += [text.replace("{}", secret).encode() for secret, text in SECRETS.values()]
    records += [as_combined(Event(path=t)) for t in BENIGN_TARGETS] + [b"", b"\n\n", b"or 1"]
    together, singly = SCANNER.scan(records), {i: SCANNER.scan([r]).get(0, []) for i, r in enumerate(records)}
    for index, hits in singly.items():
        assert {*map(str, hits)} <= {*map(str, together.get(index, []))}, records[index]


def test_a_batch_that_repeats_literals_is_scanned_one_by_one():
    records = [b".env" * 5000] * 20
    assert SCANNER._scan_together(records) is None
    assert [len(hits) for hits in SCANNER.scan(records).values()] == [1] * 20


@pytest.mark.parametrize("text", ["/caf\u00e9", "/a\u2013b", "/\U0001f600/x"])
def test_a_path_with_letters_outside_ascii_is_found_as_utf_8(text):
    scanner = Scanner((), [Tag("health", (text,))])
    assert "health" in scanner.scan_one(f'{{"path":"{text}"}}'.encode())
    assert "health" not in scanner.scan_one(b'{"path":"/a 13b"}')
