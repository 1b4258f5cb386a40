"""Which events are somebody's: a search in the packed bytes of a batch first, then a look at each of its events."""

from collections.abc import Sequence
from ipaddress import ip_network

import hyperscan

from actions.investigations.investigation import Subject
from app.journal.format import Entry
from detectors.addresses import Networks, client_address, subject_of
from detectors.event import Event
from detectors.finding import SubjectKind
from detectors.redact import MASK

NO_HOST = "*"
"""How findings name the host of events without one."""


class EventSearch:
    """Looks for all subjects at once. Not for use from several threads."""

    def __init__(self, subjects: Sequence[Subject], trusted: Networks) -> None:
        self._trusted = trusted
        self._named: dict[str, dict[str, int]] = {kind: {} for kind in SubjectKind}
        self._masked_keys: list[tuple[bytes, int]] = []
        literals: dict[bytes, None] = {}
        self._is_always = False
        for number, subject in enumerate(subjects):
            mask = mask_of(subject)
            if mask:
                if subject.kind == SubjectKind.KEY:
                    self._masked_keys.append((mask.encode(), number))
            else:
                found = needles(subject)
                literals |= dict.fromkeys(found)
                self._is_always = self._is_always or not found
            self._named[subject.kind][mask or subject.value] = number
        self._database = None if self._is_always or not literals else _database(list(literals))

    def may_be_in(self, entry: Entry) -> bool:
        """Whether the packed events of an entry may be any subject's. Of its masked records it says nothing."""
        if self._is_always:
            return True
        hits: list[int] = []
        if self._database is not None:
            self._database.scan(entry.packed, match_event_handler=lambda number, *_: hits.append(number))
        return bool(hits)

    def whose(self, event: Event, record: bytes) -> tuple[str, list[int]]:
        """The client's address where it was looked for, and the numbers of the subjects whose event this is."""
        named, found, address = self._named, list[int](), ""
        if named[SubjectKind.IP]:
            address = client_address(event.client_ip, event.forwarded_for, self._trusted) or ""
            if address and (number := named[SubjectKind.IP].get(subject_of(address))) is not None:
                found.append(number)
        if event.user and (number := named[SubjectKind.USER].get(event.user)) is not None:
            found.append(number)
        if (number := named[SubjectKind.HOST].get(event.host or NO_HOST)) is not None:
            found.append(number)
        if event.api_key_id and (number := named[SubjectKind.KEY].get(event.api_key_id)) is not None:
            found.append(number)
        for mask, number in self._masked_keys:
            if mask in record and number not in found:
                found.append(number)
        return address, found


def is_credential(subject: Subject) -> bool:
    """Whether a subject is named by the fingerprint of a credential, `github_token:v1:...`."""
    return subject.value.partition(":")[2].startswith("v1:")


def mask_of(subject: Subject) -> str:
    """What stands in the journal in place of the credential that a subject is; empty where it is none."""
    kind, _, fingerprint = subject.value.partition(":")
    return f"{MASK}{kind}:{fingerprint[3:11]}]" if is_credential(subject) else ""


def needles(subject: Subject) -> tuple[bytes, ...]:
    """Small letters, one of which stands in every record that names this subject, however it is written; none: unknown.

    Of an address of IPv6 one part of its network is looked for, of one of IPv4 also the beginning of its mapped form
    in hexadecimal digits; of other names what JSON never writes otherwise.
    """
    if subject.kind == SubjectKind.IP:
        if ":" not in subject.value:
            high = int(ip_network(subject.value, strict=False).network_address) >> 16
            return subject.value.encode(), f"ffff:{high:x}:".encode(), f"ffff:{high:04x}:".encode()
        parts = str(ip_network(subject.value, strict=False).network_address).split(":")
        longest = max(parts, key=lambda part: (len(part), part))
        return (longest.encode(),) if longest else ()
    if subject.kind not in (SubjectKind.USER, SubjectKind.KEY, SubjectKind.HOST) or subject.value == "*":
        return ()
    runs = "".join(c if _is_plain(c) else " " for c in subject.value).split()
    longest = max(runs, key=len, default="")
    return (longest.lower().encode(),) if len(longest) > 1 else ()


def _is_plain(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character in "-_.@:")


def _database(literals: Sequence[bytes]) -> hyperscan.Database:
    """Finds any of these, in any case. Compiled anew each time: nobody asks for the same again."""
    flag = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH
    expressions = [b"".join(b"\\x%02x" % byte for byte in literal) for literal in literals]
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=expressions, ids=list(range(len(expressions))), flags=[flag] * len(expressions)
    )
    return database
