"""Each attack is found in the disguises of a log, and ordinary requests are left alone."""

import json
import sys

import pytest
from attack_samples import ATTACKS, BENIGN_TARGETS

from app.ingest.formats import combined
from detectors.detector import Look
from detectors.event import Event
from detectors.scanner import Scanner, load_patterns
from detectors.sql_tokens import fingerprint, is_sql_injection
from detectors.suspicious_activity import SuspiciousActivity, attacks_in

PATTERNS = load_patterns("attacks")
SCANNER = Scanner(PATTERNS)
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:11.0) like Gecko; id)"


def found_in(event: Event, record: bytes) -> set[str]:
    """What an event hits, on the way it takes in the engine: an unscanned record is never looked at."""
    hits = SCANNER.scan([record]).get(0, [])
    if SuspiciousActivity.tags.isdisjoint(hit if isinstance(hit, str) else hit.id for hit in hits):
        return set()
    return {pattern.id for pattern, _ in attacks_in(Look(event, record, hits), SCANNER)}


def event_of(pattern_id: str, text: str, status: int = 404) -> Event:
    field = next(p.field for p in PATTERNS if p.id == pattern_id)
    if field == "agent":
        return Event(path="/", method="GET", user_agent=text, status=status)
    if field == "method":
        return Event(path="/", method=text, user_agent=AGENT, status=status)
    if field == "line":
        return Event(user_agent=text, status=status)
    return Event(path=text, method="GET", user_agent=AGENT, status=status)


def as_combined(event: Event) -> bytes:
    agent = event.user_agent or "-"
    line = f"{event.method} {event.path} HTTP/1.1" if event.path else agent
    return f'198.51.100.7 - - [23/Nov/2026:10:00:03 +0000] "{line}" {event.status} 9 "-" "{agent}"'.encode()


def as_json(event: Event) -> bytes:
    return json.dumps({"method": event.method, "path": event.path, "user_agent": event.user_agent}).encode()


def as_php_json(event: Event) -> bytes:
    return as_json(event).replace(b"/", b"\\/")


@pytest.mark.parametrize("written", [as_combined, as_json, as_php_json])
def test_each_attack_is_found_in_each_kind_of_record(written):
    missed = []
    for pattern_id, text in [(i, t) for i, texts in ATTACKS.items() for t in texts]:
        event = event_of(pattern_id, text)
        if pattern_id not in found_in(event, written(event)):
            missed.append((pattern_id, text))
    assert missed == []


def test_every_attack_pattern_has_a_sample():
    assert set(ATTACKS) == {p.id for p in PATTERNS}


def test_ordinary_requests_are_left_alone():
    for target in BENIGN_TARGETS:
        event = Event(path=target, method="GET", status=404, user_agent=AGENT)
        assert found_in(event, as_combined(event)) == set(), target
        # Whatever the first scan says, the decoded request itself is clean too.
        look = Look(event, as_combined(event), list(PATTERNS))
        assert [p.id for p, _ in attacks_in(look, SCANNER)] == [], target


@pytest.mark.parametrize(
    "line",
    [
        '198.51.100.7 - - [23/Nov/2026:10:00:03 +0000] "\\x16\\x03\\x01\\x02\\x00\\x01" 400 157 "-" "-"',
        '198.51.100.7 - - [23/Nov/2026:10:00:03 +0000] "SSH-2.0-libssh2_1.11.0" 400 157 "-" "-"',
        '198.51.100.7 - - [23/Nov/2026:10:00:03 +0000] "\\x03\\x00\\x00/*\\xE0\\x00Cookie: mstshash=A" 400 157',
    ],
)
def test_what_is_no_request_at_all_is_found_in_an_access_log(line):
    event = combined.parse(line, 0)
    assert event is not None
    assert event.path is None
    assert found_in(event, line.encode()) == {"protocol.junk"}


@pytest.mark.parametrize(
    ("record", "event"),
    [
        (
            b'sshd[7]: Bad protocol version "SSH-1.5-x" from 198.51.100.7',
            Event(message="Bad protocol version"),
        ),
        (b'{"message":"\\u0000 SSH-2.0"}', Event(message="x")),
        (b'{"request":"SSH-2.0-x","path":"/","status":400}', Event(path="/", status=400)),
    ],
)
def test_a_banner_outside_a_request_line_is_no_junk(record, event):
    assert found_in(event, record) == set()


@pytest.mark.parametrize("status", [200, 204, 302])
def test_a_method_or_page_that_the_site_serves_is_no_probe(status):
    for pattern_id, text in (("probe.phpmyadmin", "/phpmyadmin/"), ("protocol.verb", "PROPFIND")):
        event = event_of(pattern_id, text, status)
        assert found_in(event, as_combined(event)) == set()


@pytest.mark.parametrize("field", ["user_agent", "referer"])
@pytest.mark.parametrize(
    ("pattern_id", "text"),
    [
        ("shellshock", "() { :;}; /bin/bash -c id"),
        ("log4shell", "${jndi:ldap://198.51.100.9/a}"),
        ("log4shell", "${${lower:j}${upper:n}di:dns://x}"),
        ("xss", "<script>alert(1)</script>"),
        ("sqli.union", "x' union all select null,null-- -"),
    ],
)
def test_headers_carry_attacks_too(field, pattern_id, text):
    event = Event(path="/", method="GET", status=200, **{field: text})
    record = f'"GET / HTTP/1.1" 200 9 "{text}" "{text}"'.encode()
    assert pattern_id in found_in(event, record)


def test_a_verdict_quotes_the_value_that_is_the_injection():
    event = Event(path="/i?page=2&id=1%27%20or%20sleep%285%29%3E0&x=y", method="GET", status=200)
    record = as_combined(event)
    found = attacks_in(Look(event, record, SCANNER.scan([record])[0]), SCANNER)
    assert ("sqli.tokens", 'target: "1\' or sleep(5)>0"') in [(p.id, matched) for p, matched in found]


@pytest.mark.parametrize(
    ("value", "letters"),
    [
        ("'1' or 2=2-- x", "sLvCvc"),
        ("1 union/**/all select null, @@version", "vUSv,v"),
        ("-1);drop table users", "v);DTw"),
        ("'it's mine", "sww"),
        ("'never closed", "q"),
        ("1/*!50000and*/sleep(5)#", "vLf(v)c"),
    ],
)
def test_a_fingerprint_has_one_letter_for_each_token(value, letters):
    assert fingerprint(value) == letters


@pytest.mark.parametrize(
    "text",
    [
        "O'Reilly", "5 > 3", "a -- b", "it's #1", "tom's (best) -- 5", "'90s--'00s music", "don't and won't = can't",
        "(cats or dogs) and (birds)", '"exact" or "other"', "x='1' and y='2'", "20 in set (0.1 s)", "1; print it",
        "if (a==1) { return b; }", 'a:"b" AND c:"d" OR e:[1 TO 5]', "Smith & Sons; use 2 tbsp", "user (select one)",
        "'quoted' # 5", "select one; drop another", "", "'", "''", "1", "-", "--", "#", "/*", "\\", "'\\",
    ],
)  # fmt: skip
def test_text_that_only_has_the_words_is_no_sql(text):
    assert not is_sql_injection(text)


HOSTILE = [
    "a", "A", ".", "/", "%", "%25", "%41a", "%c0%ae", "..%2f", "'", '"', "' or ", "1 and ", "1=1 ", "(", "/*", "#", "<",
    "<a ", "&", "&a='", "&#x27;", "\\x41", "\\u0041", "%u0027", "+or+", "union ", "${", "{{", "{%", "`", ";id", "onx=",
    "javascript", "sleep(", "0x", "\uff07", "\x00", "%00", "../", "eval(", "=http://x", "[$", "*)", "::", "é",
    "&a='((((((((((((((((((((((((((((((((", "&a=1' or not x and y like z;" * 3, "&a=\"'1'\" or 2",
    "&a=" + "1 and not " * 40, "&a=" + "x or ('y z " * 12,
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_requests_cost_no_more_than_their_length(unit):
    """In work, not in seconds: function calls, of which 60,000 take well under 5 ms without a profiler.

    What calls nothing is linear: RE2, Hyperscan, and patterns of `re` that are possessive or of bounded length.
    """
    path = ("/?q=" + unit * 65_536)[:65_536]
    event, record = Event(path=path, status=404), path.encode("utf-8", "replace")
    calls = 0

    def count(_frame, what, _argument):
        nonlocal calls
        calls += what in ("call", "c_call")

    hits = SCANNER.scan([record]).get(0, [])
    sys.setprofile(count)
    try:
        list(attacks_in(Look(event, record, hits), SCANNER))
    finally:
        sys.setprofile(None)
    assert calls < 60_000
