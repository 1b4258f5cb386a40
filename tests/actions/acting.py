"""What the tests of the actions are made of: a clock, a tally, a finding, a channel."""

from typing import ClassVar

import msgspec

from actions.audit import Actor
from actions.blocks.block import BlockRequest, Origin
from actions.delivery.message import Letter, Message, Rate
from detectors.finding import Action, Evidence, Finding, Mode, Severity, SubjectKind

NOON = 1_795_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
IP = "203.0.113.9"
ALICE = Actor("alice", "responder")


class Clock:
    """Now is what the test says."""

    def __init__(self) -> None:
        self.ms = NOON

    def __call__(self) -> int:
        return self.ms

    def forward(self, ms: int) -> None:
        self.ms += ms


class Tally:
    """Counts, and shows what was counted. Refuses a name or label that actions/counters.py does not promise."""

    promised: ClassVar[dict[str, set[str]]] = {
        "findings": {"rule", "mode"},
        "blocks": {"rule", "outcome"},
        "incidents": {"rule", "result"},
        "action_failures": {"action"},
        "messages": {"channel", "result"},
        "blocks_expired": set(),
        "findings_dead": set(),
        "storage_errors": {"where"},
        "bot_checks": {"result"},
    }

    def __init__(self) -> None:
        self.counted: dict[str, int] = {}

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        assert self.promised[name] == set(labels), name
        key = " ".join([name, *(f"{k}={v}" for k, v in sorted(labels.items()))])
        self.counted[key] = self.counted.get(key, 0) + amount


class Ear:
    """A channel that remembers what it was told, or fails as told."""

    def __init__(self, name: str = "ear", *, groups: bool = False, rate: Rate | None = None) -> None:
        self.name = self.type = name
        self.groups = groups
        self.rate = rate
        self.heard: list[Message] = []
        self.letters: list[Letter] = []
        self.failure: Exception | None = None
        self.ref = ""

    async def send(self, letter: Letter) -> str:
        if self.failure is not None:
            raise self.failure
        self.letters.append(letter)
        self.heard += letter.messages
        return self.ref


def a_finding(number: int = 1, **fields: object) -> Finding:
    """Ten failed logins from 203.0.113.9 within 59 s, unless told otherwise."""
    at = fields.get("at", NOON)
    assert isinstance(at, int)
    base = Finding(
        id=f"0:{NOON}-{number}",
        rule="auth_failures",
        subject=IP,
        subject_kind=SubjectKind.IP,
        first_at=at - 59_000,
        at=at,
        count=10,
        threshold=10,
        window_ms=MINUTE,
        severity=Severity.HIGH,
        actions=(Action.BLOCK_IP,),
        mode=Mode.ENFORCE,
        duration_ms=4 * HOUR,
        max_duration_ms=7 * DAY,
        why=f"{IP} failed to log in 10 times in 59 s (limit: 10 in 1 min); last: status 401",
        phrase="{subject} failed to log in {times}",
        evidence=(
            Evidence(at - 59_000, at - 58_990, "status 401", client_ip=IP, path="/login", user="root"),
            Evidence(at, at + 6, "status 401", client_ip=IP, path="/login", user="admin"),
        ),
    )
    return msgspec.structs.replace(base, **fields)


def a_request(id_: str = "b1", value: str = IP, **fields: object) -> BlockRequest:
    """A rule's wish to block for 4 h, doubling up to 7 days."""
    base = BlockRequest(
        id=id_,
        value=value,
        origin=Origin.RULE,
        reason="10 auth_failures in 59 s",
        duration_ms=4 * HOUR,
        max_duration_ms=7 * DAY,
        rule="auth_failures",
    )
    return msgspec.structs.replace(base, **fields)


def a_manual(id_: str = "m1", value: str = IP, **fields: object) -> BlockRequest:
    """A person's wish to block for exactly an hour."""
    base = BlockRequest(id=id_, value=value, origin=Origin.ADMIN, reason="seen it", duration_ms=HOUR)
    return msgspec.structs.replace(base, **fields)
