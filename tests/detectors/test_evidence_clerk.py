"""What is kept of a counted event."""

import msgspec
import pytest

from detectors.addresses import Networks
from detectors.event import Batch, Event
from detectors.evidence import EvidenceClerk
from detectors.finding import Evidence
from detectors.redact import SecretFinder
from detectors.scanner import Scanner, load_patterns

RECEIVED_MS = 1_795_000_000_000
RECORD = b'{"client_ip":"203.0.113.9","path":"/a\\"b","status":404}'


@pytest.fixture(scope="module")
def clerk() -> EvidenceClerk:
    return EvidenceClerk(SecretFinder(Scanner(load_patterns("keys")), b"key"), Networks())


@pytest.mark.parametrize("flag", [None, "no_time"])
@pytest.mark.parametrize("matched", ["", 'no page "/a"', "é\n\u2028", "x" * 300])
def test_each_rule_gets_the_same_event_with_its_own_match(
    clerk: EvidenceClerk, matched: str, flag: str | None
) -> None:
    events = [Event(client_ip="203.0.113.9", path='/a"b', status=404), Event()]
    batch = Batch(events, [RECORD, b""], RECEIVED_MS, "test")

    def written(index: int, at: int, text: str) -> Evidence:
        line = clerk.write(batch, index, at=at, flag=flag, matched=text, may_hold_secret=False)
        return msgspec.json.decode(line, type=Evidence, strict=True)

    flags = (flag,) if flag else ()
    full = Evidence(
        at=5,
        received_at=RECEIVED_MS,
        matched=matched[:256],
        client_ip="203.0.113.9",
        path='/a"b',
        status=404,
        flags=flags,
        record=RECORD.decode(),
    )
    assert written(0, 5, matched) == full
    assert written(0, 7, "again") == msgspec.structs.replace(full, at=7, matched="again")
    assert written(1, 5, matched) == Evidence(5, RECEIVED_MS, matched[:256], flags=flags)


@pytest.mark.parametrize(
    ("quote", "shown"),
    [
        ("status 404 on /t=2/{id}/6985140382768234:76f4f7cbe1452a8031c43bc5008ca69b", "76f4f7cbe1452a80"),
        ("user agent 'x=2/2807578671933169/69851403827", "2807578671933169"),
        ("target '385140382768234:76f4f7cbe1452a803'", "76f4f7cbe1452a80"),
        ("4f7cbe1452a8, 140382768234", "4f7cbe1452a8"),
        ("status 404 on /a", ""),
    ],
)  # fmt: skip
def test_no_piece_of_a_secret_is_quoted_however_a_detector_read_it(
    clerk: EvidenceClerk, quote: str, shown: str
) -> None:
    text = "/asana_access_token=2/2807578671933169/6985140382768234:76f4f7cbe1452a8031c43bc5008ca69b"
    batch = Batch([Event(path=text)], [text.encode()], RECEIVED_MS, "test")
    line = clerk.write(batch, 0, at=5, flag=None, matched=quote, may_hold_secret=True)
    matched = msgspec.json.decode(line, type=Evidence).matched
    assert (not shown and matched == quote) or ("[REDACTED:asana_token:" in matched and shown not in matched)


def test_a_quote_of_a_record_full_of_secrets_is_masked_as_a_whole(clerk: EvidenceClerk) -> None:
    text = "password=" + "aB3$xY9z" * 4_000
    batch = Batch([Event(path=text)], [text.encode()], RECEIVED_MS, "test")
    line = clerk.write(batch, 0, at=5, flag=None, matched="status 404", may_hold_secret=True)
    assert msgspec.json.decode(line, type=Evidence).matched == "[REDACTED: many credentials]"
