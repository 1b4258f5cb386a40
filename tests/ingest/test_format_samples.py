"""Every format on its sample lines, met in every way in which shippers bring them."""

import json
import time

import pytest
from format_samples import FOLDER, VICTIM, Sample, each, samples
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.decode import decode_events, decode_lines
from app.ingest.formats.catalogue import LINES
from app.ingest.formats.registry import FORMATS, AutoParser, parser_for
from app.ingest.mapping import map_record
from detectors.addresses import parse_address
from detectors.auth_failures import failure_of
from detectors.detector import Surroundings
from detectors.event import Event
from detectors.redact import SecretFinder
from detectors.scanner import Scanner, load_patterns
from detectors.timestamps import parse_time, to_rfc3339

NOW = 1_795_435_200_000
"""2026-11-23T12:00:00Z"""
SAMPLES = samples()
ACCESS_LOGS = ("aws_alb", "caddy_console", "envoy", "haproxy", "iis")
REQUESTS = [one for one in SAMPLES if one.format in ACCESS_LOGS and one.kind == "event" and not one.is_forged]
LOGINS = [one for one in SAMPLES if one.kind in ("failure", "success")]
TABLES = [known for known in LINES if known.name not in ("combined", "sshd", "nginx_error")]
SCANNER = Scanner(load_patterns("attacks"))
SITE = Surroundings(secrets=SecretFinder(SCANNER, b"k" * 32), scanner=SCANNER)
FORMAT_OF = {known.name: known for known in FORMATS}

each_sample, each_login, each_request = each(SAMPLES), each(LOGINS), each(REQUESTS)


def says_what_it_must(event: Event | None, sample: Sample) -> None:
    assert event is not None
    expected = {"failure": "failure", "success": "success"}.get(sample.kind)
    assert event.outcome == expected
    assert event.category == ("authentication" if expected else None)
    for name, value in sample.fields.items():
        if name == "at":
            at = parse_time(event.timestamp)
            assert at is not None
            assert to_rfc3339(at).replace(".000Z", "Z") == value
        else:
            assert str(getattr(event, name) or "") == value, name
    if sample.kind == "plain":
        assert (event.client_ip, event.status, event.outcome) == (None, None, None)


def names_no_other(event: Event | None) -> None:
    assert event is None or VICTIM not in (event.client_ip or "")


def as_written(name: str, sample: Sample) -> str:
    """A user name as the program writes it: escaped, where it writes JSON, logfmt or quoted values."""
    escaped = json.dumps(name)[1:-1]
    if sample.format == "keycloak_json":
        return escaped.replace("\\", "\\\\")
    if sample.line.startswith("{") or sample.format == "authelia":
        return escaped
    return name.replace('"', '\\"') if sample.format == "keycloak" else name


@each_sample
def test_a_line_becomes_what_its_sample_says(sample: Sample) -> None:
    event = parser_for(sample.format)(sample.line, NOW)
    if sample.kind == "none":
        assert event is None
    else:
        says_what_it_must(event, sample)
    names_no_other(event)


@each_sample
def test_auto_finds_what_the_named_format_finds(sample: Sample) -> None:
    (event,) = decode_lines(sample.line.encode(), "auto", NOW).events
    names_no_other(event)
    if sample.kind in ("failure", "success", "event"):
        says_what_it_must(event, sample)


@each_sample
def test_auto_finds_a_line_whatever_came_before(sample: Sample) -> None:
    before = (
        "Nov 23 10:00:01 h sshd[1]: Connection closed by 203.0.113.9 port 22 [preauth]",
        '203.0.113.9 - - [23/Nov/2026:10:00:03 +0000] "GET / HTTP/1.1" 200 5 "-" "x"',
        '{"a":1}',
        "2026/11/23 10:00:00 [error] 1#1: x",
        "2026-11-23 10:00:01 h app: x",
        LOGINS[0].line,
    )
    (alone,) = decode_lines(sample.line.encode(), "auto", NOW).events
    for line in before:
        assert decode_lines(f"{line}\n{sample.line}".encode(), "auto", NOW).events[1] == alone


@each_sample
def test_a_line_in_a_record_says_the_same(sample: Sample) -> None:
    for key in ("message", "log"):
        event = map_record({key: f"{sample.line}\n", "stream": "stdout"}, NOW)
        names_no_other(event)
        if sample.kind in ("failure", "success", "event"):
            says_what_it_must(event, sample)


@each_sample
def test_a_line_among_events_says_the_same(sample: Sample) -> None:
    events = decode_events(f"{sample.line}\n{sample.line}\n".encode(), NOW).events
    assert len(events) == 2
    for event in events:
        names_no_other(event)
        if sample.kind in ("failure", "success", "event"):
            says_what_it_must(event, sample)


@each_sample
def test_a_refused_login_counts_and_nothing_else_does(sample: Sample) -> None:
    event = parser_for(sample.format)(sample.line, NOW)
    refused = sample.kind == "failure" or (sample.fields.get("status") == "401")
    assert (event is not None and failure_of(event, SITE) is not None) == refused
    if sample.fields.get("client_ip"):
        assert event is not None
        assert parse_address(event.client_ip) is not None


@pytest.mark.parametrize("name", [each.name for each in TABLES])
def test_every_format_has_samples_of_what_it_is_for_and_of_forgery(name: str) -> None:
    own = [one for one in SAMPLES if one.format == name]
    assert any(one.kind == "failure" or one.fields.get("status") == "401" for one in own)
    assert any(one.kind == "plain" or (name in ACCESS_LOGS and one.kind == "none") for one in own)
    assert any(one.is_forged for one in own), "no sample in which an attacker names another address"


def test_every_sample_file_is_that_of_a_format() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} <= FORMAT_OF.keys()


@pytest.mark.parametrize("known", TABLES, ids=lambda known: known.name)
def test_a_line_that_a_format_finds_holds_one_of_its_marks(known) -> None:
    for one in SAMPLES:
        if known.find is None or one.format != known.name or one.line.startswith("{"):
            continue
        if known.find(one.line, NOW) is not None:
            assert not known.marks or any(mark in one.line for mark in known.marks)


@each_login
def test_a_user_name_cannot_speak_for_another_address(sample: Sample) -> None:
    """The rest of any line of the format, about another address, as the user name."""
    user = sample.fields.get("user")
    if not user or sample.line.count(user) != 1:
        return
    begin, end = sample.line.split(user)
    for other in LOGINS:
        address = other.fields.get("client_ip")
        if other.format != sample.format or not address:
            continue
        forged = other.line.replace(address, f"{VICTIM}1")
        for start in range(0, len(forged), 5):
            for name in (forged[start:], f"x{end.replace(address, VICTIM + '1')}{forged[start:]}"):
                line = f"{begin}{as_written(name, sample)}{end}"
                names_no_other(parser_for(sample.format)(line, NOW))
                names_no_other(AutoParser()(line, NOW))


@given(
    st.sampled_from(SAMPLES),
    st.sampled_from(SAMPLES),
    st.integers(0, 400),
    st.integers(0, 400),
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(("\\", '"', "'", "[", "(", ": ", ", ", "99999999999999999999", "\x00")),
    ),
)
def test_no_line_makes_a_format_fail(one: Sample, other: Sample, begin: int, end: int, text: str) -> None:
    line = f"{one.line[:begin]}{text}{other.line[end:]}"
    for name in {one.format, other.format, "syslog", "auto"}:
        parser_for(name)(line, NOW)
    map_record({"message": line}, NOW)


ESCAPES = {
    "iis": lambda text: text.replace(" ", "+"),
    "caddy_console": lambda text: json.dumps(text)[1:-1],
    "haproxy": lambda text: text.replace('"', "#22").replace("{", "#7B").replace("}", "#7D"),
}
"""What the programs do with the words of a client; the others write them as they are."""


@each_request
def test_a_request_cannot_speak_for_another_address(sample: Sample) -> None:
    """The rest of any line of the format, about another address, as path, user agent, host or X-Forwarded-For."""
    escape = ESCAPES.get(sample.format, str)
    words = [sample.fields.get(name, "") for name in ("path", "user_agent", "host", "request_id")]
    for word in (word for word in words if len(word) > 3 and sample.line.count(word) == 1):
        begin, end = sample.line.split(word)
        for other in REQUESTS:
            address = other.fields.get("client_ip", "").strip("[]")
            if other.format != sample.format or not address:
                continue
            forged = f"{end}{other.line}".replace(address, f"{VICTIM}1")
            for start in range(0, len(forged), 5):
                line = f"{begin}{word}{escape(forged[start:])}{end}"
                names_no_other(parser_for(sample.format)(line, NOW))
                names_no_other(AutoParser()(line, NOW))


@each(LOGINS + REQUESTS)
def test_a_line_blown_up_costs_no_more_than_its_length(sample: Sample) -> None:
    parse = parser_for(sample.format)
    started = time.process_time()
    middle = len(sample.line) // 2
    for part in (sample.line[middle:], sample.line[:middle], sample.line, " ", '"', "\\", "[", "(", "a"):
        blown = part * (40_000 // len(part))
        for line in (f"{sample.line[:middle]}{blown}{sample.line[middle:]}", f"{sample.line[:-1]}{blown}"):
            parse(line, NOW)
            AutoParser()(line, NOW)
    assert time.process_time() - started < 2
