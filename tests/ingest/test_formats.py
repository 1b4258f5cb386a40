"""Each line format, on the lines its programs write and on the lines attackers make them write."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.decode import decode_lines
from app.ingest.formats import combined, nginx_error, nginx_json, sshd
from app.ingest.formats.registry import NAMES, AutoParser, parse_lines, parser_for
from app.ingest.framing import lines_of
from detectors.errors import DecodeError
from detectors.event import Event
from detectors.timestamps import bsd_time_ms, parse_time

NOW = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()) * 1000
CLF = "23/Nov/2026:10:00:03 +0000"


def at(text: str) -> int:
    found = parse_time(text)
    assert found is not None
    return found


COMBINED = [
    (
        f'203.0.113.9 - - [{CLF}] "GET /a?b=c HTTP/1.1" 401 12 "-" "curl/8"',
        Event(CLF, "203.0.113.9", "GET", "/a?b=c", status=401, bytes=12, user_agent="curl/8"),
    ),
    (
        f'203.0.113.9 - anna [{CLF}] "POST /login HTTP/2.0" 200 - "https://e.example/" "x"',
        Event(
            CLF,
            "203.0.113.9",
            "POST",
            "/login",
            status=200,
            user="anna",
            referer="https://e.example/",
            user_agent="x",
        ),
    ),
    (
        f'2001:db8::1 - - [{CLF}] "GET / HTTP/1.1" 404 5',
        Event(CLF, "2001:db8::1", "GET", "/", status=404, bytes=5),
    ),
    (
        f'e.example:443 203.0.113.9 - - [{CLF}] "GET / HTTP/1.1" 404 5 "-" "x"',
        Event(CLF, "203.0.113.9", "GET", "/", status=404, bytes=5, user_agent="x", host="e.example:443"),
    ),
    (
        f'e.example 2001:db8::1 - - [{CLF}] "GET / HTTP/1.1" 404 5',
        Event(CLF, "2001:db8::1", "GET", "/", status=404, bytes=5, host="e.example"),
    ),
    (
        f'10.0.0.1 - - [{CLF}] "GET / HTTP/1.1" 200 5 "-" "x" "203.0.113.9, 10.0.0.7"',
        Event(
            CLF,
            "10.0.0.1",
            "GET",
            "/",
            status=200,
            bytes=5,
            user_agent="x",
            forwarded_for="203.0.113.9, 10.0.0.7",
        ),
    ),
    (
        f'10.0.0.1 - - [{CLF}] "GET / HTTP/1.1" 200 5 "-" "x" "not an address"',
        Event(CLF, "10.0.0.1", "GET", "/", status=200, bytes=5, user_agent="x"),
    ),
    (
        f'203.0.113.9, 10.0.0.7 - - [{CLF}] "GET / HTTP/1.1" 200 5',
        Event(CLF, "203.0.113.9, 10.0.0.7", "GET", "/", status=200, bytes=5),
    ),
    (f'203.0.113.9 - - [{CLF}] "-" 408 -', Event(CLF, "203.0.113.9", status=408)),
    (f'203.0.113.9 - - [{CLF}] "" 400 0 "-" "-"', Event(CLF, "203.0.113.9", status=400, bytes=0)),
    (
        f'203.0.113.9 - - [{CLF}] "\\x16\\x03\\x01\\x00" 400 226 "-" "-"',
        Event(CLF, "203.0.113.9", status=400, bytes=226),
    ),
    (
        f'203.0.113.9 - - [{CLF}] "GET /a b\\" c HTTP/1.1" 400 1 "\\"r" "u \\" a"',
        Event(
            CLF, "203.0.113.9", "GET", '/a b\\" c', status=400, bytes=1, referer='\\"r', user_agent='u \\" a'
        ),
    ),
    (
        f'203.0.113.9 - - [{CLF}] "GET /old" 200 1',
        Event(CLF, "203.0.113.9", "GET", "/old", status=200, bytes=1),
    ),
    (
        f'203.0.113.9 - - [{CLF}] "GET / HTTP/1.1" 200 1 "-" "cut sho',
        Event(CLF, "203.0.113.9", "GET", "/", status=200, bytes=1, user_agent="cut sho"),
    ),
    (
        f'203.0.113.9 - john smith [{CLF}] "GET / HTTP/1.1" 401 1',
        Event(CLF, "203.0.113.9", "GET", "/", status=401, bytes=1, user="john smith"),
    ),
    (
        f'203.0.113.9 - x [01/Jan/2000:00:00:00 +0000] [{CLF}] "GET / HTTP/1.1" 401 1',
        Event(CLF, "203.0.113.9", "GET", "/", status=401, bytes=1, user="x [01/Jan/2000:00:00:00 +0000]"),
    ),
    (
        f'203.0.113.9 - 198.51.100.1 - - [{CLF}] "GET / HTTP/1.1" 401 1',
        Event(CLF, "203.0.113.9", "GET", "/", status=401, bytes=1, user="198.51.100.1 - -"),
    ),
    (
        f'203.0.113.9 - - [{CLF}] "GET / HTTP/1.1" 000 1 "-" "x" 0.003 upstream=-',
        Event(CLF, "203.0.113.9", "GET", "/", bytes=1, user_agent="x"),
    ),
    (
        '203.0.113.9 - - [2026-11-23T10:00:03+00:00] "GET / HTTP/1.1" 200 1',
        Event("2026-11-23T10:00:03+00:00", "203.0.113.9", "GET", "/", status=200, bytes=1),
    ),
    (
        # Traefik's common log. Source: traefik, docs/content/observability/access-logs.md
        f'203.0.113.9 - anna [{CLF}] "GET /a HTTP/2.0" 401 12 "-" "x" 7 "web@docker" "http://10.0.0.2:80" 25ms',
        Event(
            CLF,
            "203.0.113.9",
            "GET",
            "/a",
            status=401,
            bytes=12,
            user="anna",
            user_agent="x",
            duration_ms=25.0,
        ),
    ),
    (
        f'203.0.113.9 - - [{CLF}] "GET /a HTTP/2.0" 401 12 "-" "x" 7 "-" "-" -ms',
        Event(CLF, "203.0.113.9", "GET", "/a", status=401, bytes=12, user_agent="x"),
    ),
]


@pytest.mark.parametrize(("line", "event"), COMBINED)
def test_an_access_log_line_is_read(line: str, event: Event) -> None:
    assert combined.parse(line, NOW) == event


@pytest.mark.parametrize(
    "line", ["", "-", "x", '"', '{"a":1}', "a b c [d] e", f'1.2.3.4 - - [{CLF}] "GET / HTTP/1.1" x 5']
)
def test_what_is_no_access_log_line_is_none(line: str) -> None:
    assert combined.parse(line, NOW) is None


@pytest.mark.parametrize(
    "line",
    [
        "a" * 1_000_000,
        "a " * 500_000,
        "a, " * 300_000,
        "1.1.1.1 - " + "[" * 1_000_000,
        "1.1.1.1 - " + " [01/Jan/2000:00:00:00" * 50_000,
        "1.1.1.1 - " + " [x] " * 200_000,
        f'1.1.1.1 - - [{CLF}] "' + "\\" * 1_000_001,
        f'1.1.1.1 - - [{CLF}] "' + '\\"' * 500_000,
        f'1.1.1.1 - - [{CLF}] "GET / HTTP/1.1" 200 1 "' + '" "' * 300_000,
        "Nov 23 10:00:01 h sshd[1]: Failed password for " + " from 1.1.1.1 port 2" * 50_000 + "x",
        "Nov 23 10:00:01 h sshd[1]: Failed password for " + "invalid user " * 80_000,
        "Nov 23 10:00:01 h sshd[1]: message repeated 2 times: [ " + "] " * 500_000,
        "Nov 23 10:00:01 " + "a" * 1_000_000,
        "<34>1 2026-11-23T10:00:00Z h sshd 1 - " + '[a b="c"]' * 100_000,
        "<34>1 2026-11-23T10:00:00Z h sshd 1 - " + '[a b="' * 150_000,
        "2026/11/23 10:00:00 [error] 1#1: *1 limiting requests, excess: 1 by zone " + '"' * 500_000,
    ],
)
def test_hostile_lines_cost_no_more_than_their_length(line: str) -> None:
    started = time.process_time()
    AutoParser()(line, NOW)
    assert time.process_time() - started < 3


_FIELDS = (
    ("203.0.113.9", "2001:db8::1", "host.example", "Feb", '1.2.3.4"', "10.0.0.1, 10.0.0.2", "", "[x"),
    (" ", "  ", " - ", " [", '"'),
    ("-", "john", "john smith", "[", "jo\\x22hn", 'jo"hn', "é", ""),
    (" [", " [[", "["),
    (CLF, "2026-11-23T10:00:03+00:00", "x" * 26, f"x] [{CLF}", "", "\\" * 26),
    ('] "', "] ", ']  "'),
    ("GET ", "get ", "-", "", "GET  ", "\\x16", "GET /a "),
    ("/", "/a?b=c", "/é", "/\\", '/\\"', '/"', ""),
    (" HTTP/1.1", " HTTP/", " HTTP/1.1 x", "", " http/1.1", " HTTP/\\"),
    ('" ', '"  ', ' "', " "),
    ("200", "404", "099", "600", "-", "2000", "x"),
    (" ", "  ", "\t"),
    ("5", "-", "0" * 18, "9" * 19, "+5", "٣", ""),
    ("", ' "-" "-"', ' "" ""', ' "r" "u a"', ' "r""u"', ' "r" "u', ' "\\"r" "u \\" a"', ' "r"x"u"', ' "r"'),
    (
        "",
        ' "-"',
        ' "203.0.113.9, 10.0.0.7"',
        ' "nobody"',
        ' ""',
        ' "1.1.1.1',
        ' "1.1.1.1" "x"',
        " 0.003",
        "\r",
        '"',
    ),
)
"""What may stand in each place of an access-log line: first what is ordinary, then what is not."""
_NEARLY_ORDINARY = st.tuples(*(st.one_of(st.just(each[0]), st.sampled_from(each)) for each in _FIELDS)).map(
    "".join
)
_OTHER_LINES = (
    "Nov 23 10:00:01 h sshd[1]: Failed password for root from 203.0.113.9 port 2 ssh2",
    f'Feb 12 10:00:00 [{CLF}] "GET / HTTP/1.1" 200 1',
    f'Nov 23 10:00:01 host app: x [{CLF}] "GET / HTTP/1.1" 200 1',
    f'2026-11-23T10:00:00Z - sshd: [{CLF}] "GET / HTTP/1.1" 200 1 "-" "x"',
    '{"remote_addr":"203.0.113.9","status":401}',
    "2026/11/23 10:00:00 [error] 1#1: x",
    "hello \\",
)


@given(st.lists(st.one_of(_NEARLY_ORDINARY, st.sampled_from(_OTHER_LINES), st.text(min_size=1)), max_size=12))
def test_many_lines_at_once_are_read_as_one_by_one(lines: list[str]) -> None:
    records = lines_of("\n".join(lines).encode("utf-8", "surrogatepass"))
    for name in NAMES:
        parse = parser_for(name)
        singly = [parse(str(record, "utf-8", "replace"), NOW) for record in records]
        assert parse_lines(name, records, NOW) == singly


def test_lines_are_taken_apart_in_portions(corpora: Path) -> None:
    records = (corpora / "elastic-apache-10k.log").read_bytes().splitlines()[: 3 * combined.TOGETHER + 1]
    singly = [combined.parse(str(record, "utf-8", "replace"), NOW) for record in records]
    assert parse_lines("combined", records, NOW) == singly


def test_the_whole_apache_corpus_is_read(corpora: Path) -> None:
    decoded = decode_lines((corpora / "elastic-apache-10k.log").read_bytes(), "combined", NOW)
    assert (len(decoded.events), decoded.rejected) == (10_000, [])
    assert all(
        e.client_ip and e.path and e.method and e.status and parse_time(e.timestamp) for e in decoded.events
    )
    assert all(
        e.user_agent or record.endswith(b'"-"')
        for e, record in zip(decoded.events, decoded.records, strict=True)
    )


def test_the_sshd_corpus_gives_what_grep_gives(corpora: Path) -> None:
    body = (corpora / "elastic-auth.log").read_bytes()
    attempts = 0
    for line in body.decode().splitlines():
        if re.search(r"sshd\[\d+\]: .*Failed \S+ for ", line):
            repeated = re.search(r"message repeated (\d+) times", line)
            attempts += int(repeated[1]) if repeated else 1
    for name in ("sshd", "auto"):
        decoded = decode_lines(body, name, NOW)
        failures = [e for e in decoded.events if e.outcome == "failure"]
        assert (len(decoded.events), decoded.rejected) == (7121, [])
        assert len(failures) == 717
        assert sum(e.repeat for e in failures) == attempts == 1042
        assert sum(e.outcome == "success" for e in decoded.events) == body.count(b": Accepted ")
        assert all(e.category == "authentication" and e.client_ip and e.user is not None for e in failures)
        assert decoded.events[0].timestamp == at("2026-03-27T13:06:56Z")


HEADERS = [
    ("Nov 23 10:00:01 web-1 sshd[311]: ", at("2026-11-23T10:00:01Z"), "web-1"),
    ("<38>Nov 23 10:00:01 web-1 sshd[311]: ", at("2026-11-23T10:00:01Z"), "web-1"),
    ("Nov  3 10:00:01 web-1 sshd-session[311]: ", at("2026-11-03T10:00:01Z"), "web-1"),
    ("Nov 23 10:00:01 sshd[311]: ", at("2026-11-23T10:00:01Z"), None),
    ("2026-11-23T10:00:01.123456+00:00 web-1 sshd[311]: ", "2026-11-23T10:00:01.123456+00:00", "web-1"),
    ("<38>2026-11-23T10:00:01Z web-1 sshd: ", "2026-11-23T10:00:01Z", "web-1"),
    ("<38>1 2026-11-23T10:00:01.123Z web-1 sshd 311 - - ", "2026-11-23T10:00:01.123Z", "web-1"),
    (
        '<38>1 2026-11-23T10:00:01.123Z web-1 sshd 311 ID [x@1 a="]\\"" b=""][y] \ufeff',
        "2026-11-23T10:00:01.123Z",
        "web-1",
    ),
    ("<38>1 - - sshd - - - ", None, None),
]


@pytest.mark.parametrize(("header", "timestamp", "host"), HEADERS)
def test_a_failed_attempt_is_read_under_every_syslog_header(
    header: str, timestamp: int | str | None, host: str | None
) -> None:
    text = "Failed password for root from 203.0.113.9 port 56338 ssh2"
    expected = Event(
        timestamp,
        "203.0.113.9",
        user="root",
        host=host,
        message=text,
        outcome="failure",
        category="authentication",
    )
    assert sshd.parse(header + text, NOW) == expected


ATTEMPTS = [
    ("Failed password for root from 203.0.113.9 port 22 ssh2", "root", "203.0.113.9", "failure", 1),
    (
        "Failed password for invalid user bob from 203.0.113.9 port 22 ssh2",
        "bob",
        "203.0.113.9",
        "failure",
        1,
    ),
    ("Failed none for illegal user bob from 2001:db8::1 port 22 ssh2", "bob", "2001:db8::1", "failure", 1),
    ("Failed password for invalid user  from 203.0.113.9 port 22 ssh2", "", "203.0.113.9", "failure", 1),
    (
        "Failed password for invalid user a b  c from 203.0.113.9 port 22 ssh2",
        "a b  c",
        "203.0.113.9",
        "failure",
        1,
    ),
    (
        "Failed keyboard-interactive/pam for root from 203.0.113.9 port 22 ssh2",
        "root",
        "203.0.113.9",
        "failure",
        1,
    ),
    (
        "Failed publickey for root from 203.0.113.9 port 22 ssh2: RSA SHA256:abc/+d",
        "root",
        "203.0.113.9",
        "failure",
        1,
    ),
    (
        "Failed publickey for root from 203.0.113.9 port 22 ssh2: RSA 01:ab:cd",
        "root",
        "203.0.113.9",
        "failure",
        1,
    ),
    ("Accepted password for anna from 203.0.113.9 port 22 ssh2", "anna", "203.0.113.9", "success", 1),
    (
        "Accepted publickey for anna from 203.0.113.9 port 22 ssh2: ED25519 SHA256:x",
        "anna",
        "203.0.113.9",
        "success",
        1,
    ),
    (
        "Failed password for invalid user x from 198.51.100.1 port 22 ssh2 from 203.0.113.9 port 22 ssh2",
        "x from 198.51.100.1 port 22 ssh2",
        "203.0.113.9",
        "failure",
        1,
    ),
    (
        "Failed password for invalid user x from 198.51.100.1 port 22 ssh2: RSA SHA256:y from 203.0.113.9 port 22 ssh2",
        "x from 198.51.100.1 port 22 ssh2: RSA SHA256:y",
        "203.0.113.9",
        "failure",
        1,
    ),
    (
        "message repeated 5 times: [ Failed password for root from 203.0.113.9 port 22 ssh2]",
        "root",
        "203.0.113.9",
        "failure",
        5,
    ),
    (
        "message repeated 99999 times: [ Failed password for root from 203.0.113.9 port 22 ssh2]",
        "root",
        "203.0.113.9",
        "failure",
        1000,
    ),
]


TAIL = "ssh2: ED25519-CERT SHA256:abc ID anna (serial 0) CA ED25519 SHA256:def"
CLIENT = 'ssh2: RSA SHA256:abc, client user "%s", client host "h"'


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (f"Accepted publickey for anna from 203.0.113.9 port 22 {TAIL}", "203.0.113.9"),
        (f"Failed publickey for anna from 203.0.113.9 port 22 {TAIL}", "203.0.113.9"),
        ("Failed hostbased for anna from 203.0.113.9 port 22 " + CLIENT % "anna", "203.0.113.9"),
        (
            "Failed hostbased for anna from 203.0.113.9 port 22 "
            + CLIENT % "x from 198.51.100.1 port 22 ssh2: RSA SHA256:y",
            None,
        ),
        (
            "Failed publickey for anna from 203.0.113.9 port 22 "
            + TAIL.replace("ID anna", "ID x from 198.51.100.1 port 22 ssh2: RSA SHA256:y ID z"),
            None,
        ),
        (f"Failed publickey for x from 198.51.100.1 port 22 ssh2 from 203.0.113.9 port 22 {TAIL}", None),
        ("Failed password for root from UNKNOWN port 65535 ssh2", None),
    ],
)
def test_an_attacker_cannot_name_another_address_behind_his_own(text: str, address: str | None) -> None:
    event = sshd.parse(f"Nov 23 10:00:01 h sshd[1]: {text}", NOW)
    assert event is not None
    assert (event.client_ip, event.category) == (address, "authentication")


@pytest.mark.parametrize(("text", "user", "address", "outcome", "repeat"), ATTEMPTS)
def test_an_attempt_names_its_user_and_its_own_address(
    text: str, user: str, address: str, outcome: str, repeat: int
) -> None:
    event = sshd.parse(f"Nov 23 10:00:01 h sshd[1]: {text}", NOW)
    assert event is not None
    assert (event.user, event.client_ip, event.outcome, event.repeat) == (user, address, outcome, repeat)
    assert event.category == "authentication"


@pytest.mark.parametrize(
    "text",
    [
        "Invalid user bob from 203.0.113.9 port 22",
        "Failed password for root",
        "Failed password for root from nowhere port 22 ssh2",
        "Failed password for root from 203.0.113.9 port 22 ssh2 and more",
        "Connection closed by 203.0.113.9 port 22 [preauth]",
        "message repeated 3 times: [ Invalid user bob from 203.0.113.9 port 22]",
    ],
)
def test_other_lines_of_sshd_are_plain_messages(text: str) -> None:
    event = sshd.parse(f"Nov 23 10:00:01 h sshd[1]: {text}", NOW)
    assert event == Event(at("2026-11-23T10:00:01Z"), host="h", message=text)


def test_another_program_cannot_speak_for_sshd() -> None:
    text = "Failed password for root from 203.0.113.9 port 22 ssh2"
    event = sshd.parse(f"Nov 23 10:00:01 h logger[1]: {text}", NOW)
    assert event == Event(at("2026-11-23T10:00:01Z"), host="h", message=text)
    assert sshd.parse(f"Nov 23 10:00:01 h {text}", NOW) is not None


@pytest.mark.parametrize(
    ("text", "received", "expected"),
    [
        ("Nov 23 10:00:01", "2026-11-23T12:00:00Z", "2026-11-23T10:00:01Z"),
        ("Nov 24 11:59:59", "2026-11-23T12:00:00Z", "2026-11-24T11:59:59Z"),
        ("Nov 24 12:00:01", "2026-11-23T12:00:00Z", "2025-11-24T12:00:01Z"),
        ("Dec 31 23:59:59", "2026-01-01T00:00:05Z", "2025-12-31T23:59:59Z"),
        ("Jan  1 00:00:05", "2025-12-31T23:59:59Z", "2025-01-01T00:00:05Z"),
        ("Feb 29 10:00:00", "2024-03-01T00:00:00Z", "2024-02-29T10:00:00Z"),
        ("Feb 29 10:00:00", "2025-03-01T00:00:00Z", "2024-02-29T10:00:00Z"),
        ("Feb 29 10:00:00", "2026-03-01T00:00:00Z", None),
        ("Feb 30 10:00:00", "2026-03-01T00:00:00Z", None),
        ("ovD  1 10:00:00", "2026-03-01T00:00:00Z", None),
        ("Jan  1 25:00:00", "2026-03-01T00:00:00Z", None),
    ],
)
def test_a_time_without_a_year_gets_that_of_receipt(text: str, received: str, expected: str | None) -> None:
    assert bsd_time_ms(text, at(received)) == (None if expected is None else at(expected))


LIMITED = (
    '2026/11/23 10:00:00 [error] 31#31: *5 limiting requests, excess: 5.123 by zone "one", client: 203.0.113.9, '
    'server: e.example, request: "GET /a, client: 198.51.100.1 HTTP/1.1", host: "e.example"'
)


def test_a_request_that_nginx_limited_is_a_429() -> None:
    event = nginx_error.parse(LIMITED, NOW)
    assert event is not None
    assert (event.status, event.client_ip, event.host, event.method) == (
        429,
        "203.0.113.9",
        "e.example",
        "GET",
    )
    assert parse_time(event.timestamp) == at("2026-11-23T10:00:00Z")


@pytest.mark.parametrize(
    "message",
    [
        'limiting requests, dry run, excess: 5.1 by zone "one", client: 203.0.113.9, server: x',
        'delaying request, excess: 5.1, by zone "one", client: 203.0.113.9, server: x',
        'open() "/x/limiting requests, excess: 1 by zone "a", client: 198.51.100.1" failed, client: 203.0.113.9',
    ],
)
def test_other_lines_of_an_nginx_error_log_are_plain_messages(message: str) -> None:
    event = nginx_error.parse(f"2026/11/23 10:00:00 [error] 31#31: *5 {message}", NOW)
    assert event == Event("2026-11-23T10:00:00", message=message)
    assert nginx_error.parse(message, NOW) is None


def test_nginx_json_goes_through_the_field_map() -> None:
    line = (
        '{"time_local":"23/Nov/2026:10:00:03 +0000","remote_addr":"203.0.113.9",'
        '"request":"GET /a\\x22 HTTP/1.1","status":"401"}'
    )
    assert nginx_json.parse(line, NOW) == Event(CLF, "203.0.113.9", "GET", '/a"', status=401)
    assert nginx_json.parse("[1]", NOW) is None
    assert nginx_json.parse('{"a":', NOW) is None


def test_auto_finds_the_format_line_by_line() -> None:
    lines = [
        COMBINED[0][0],
        "Nov 23 10:00:01 h sshd[1]: Failed password for root from 203.0.113.9 port 22 ssh2",
        '{"remote_addr":"203.0.113.9","status":"401"}',
        LIMITED,
        "something else",
        COMBINED[0][0],
    ]
    decoded = decode_lines("\n".join(lines).encode(), "auto", NOW)
    assert [e.status for e in decoded.events] == [401, None, 401, 429, None, 401]
    assert decoded.events[1].outcome == "failure"
    assert decoded.events[4] == Event(message="something else")
    assert decoded.records == [line.encode() for line in lines]


def test_an_explicit_format_sets_other_lines_aside() -> None:
    body = f"\ufeff{COMBINED[0][0]}\r\n\r\nsomething else\n{COMBINED[1][0]}\n".encode()
    decoded = decode_lines(body, "combined", NOW)
    assert [e.status for e in decoded.events] == [401, 200]
    assert [(one.index, one.reason) for one in decoded.rejected] == [(1, "not a line of the format combined")]


def test_an_unknown_format_is_told_the_known_ones() -> None:
    with pytest.raises(DecodeError, match=", ".join(NAMES)):
        decode_lines(b"x", "apache", NOW)
    assert all(callable(parser_for(name)) for name in NAMES)


def test_a_repeated_message_with_a_long_run_of_blanks_is_read_in_one_pass() -> None:
    assert sshd.parse_message("message repeated 5 times: [ " + " " * 500_000 + "x", NOW) is None
