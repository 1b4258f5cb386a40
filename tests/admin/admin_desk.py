"""What the tests of the admin API work with: a client for each role, the stores, and the clock."""

from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from actions.audit import Actor
from actions.blocks.block import Block, BlockRequest, Origin
from actions.world import World
from detectors.finding import Action, Evidence, Finding, Mode, Severity, SubjectKind

NOW = 1_764_000_000_000
HOUR_MS = 3_600_000
OWN = "198.51.100.20"
PROXY = "198.51.100.99"


def token(role: str) -> str:
    return f"{role}-token-for-tests-0123456789"


@dataclass
class Desk:
    """What a test works with: a client for each role, the stores, and the clock."""

    app: FastAPI
    actions: World
    world: Any
    clock: list[int]
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    def __getattr__(self, role: str) -> httpx.AsyncClient:
        try:
            return self.clients[role]
        except KeyError:
            raise AttributeError(role) from None

    def pass_time(self, ms: int) -> None:
        self.clock[0] += ms

    async def rule_block(self, value: str = "203.0.113.9", **fields: Any) -> Block:
        """A block as a rule makes it."""
        request = BlockRequest(
            id=fields.pop("id", f"id of {value}"),
            value=value,
            origin=Origin.RULE,
            reason="10 failed logins within 60 s",
            duration_ms=4 * HOUR_MS,
            rule="auth_failures",
            **fields,
        )
        result = await self.actions.blocklist.block(request)
        assert result.block is not None, result
        return result.block

    async def trail(self, target: str = "") -> list[tuple[str, str, str, str]]:
        """The audit trail, newest first: who, in which role, what, why."""
        entries, _ = await self.actions.audit.page(target=target)
        return [(e.actor, e.role, e.action, e.reason) for e in entries]


def finding(subject: str = "203.0.113.9", number: int = 1, **fields: Any) -> Finding:
    evidence = Evidence(
        NOW - 1000, NOW, "status 401", client_ip=subject, path="/login", user="alice", record="GET /login"
    )
    known: dict[str, Any] = {
        "id": f"0:{number}-0",
        "rule": "auth_failures",
        "subject": subject,
        "subject_kind": SubjectKind.IP,
        "first_at": NOW - 30_000,
        "at": NOW - 1000,
        "count": 10,
        "threshold": 10,
        "window_ms": 60_000,
        "severity": Severity.HIGH,
        "actions": (Action.BLOCK_IP,),
        "mode": Mode.ENFORCE,
        "duration_ms": 4 * HOUR_MS,
        "max_duration_ms": 7 * 24 * HOUR_MS,
        "why": "10 failed logins within 60 s",
        "evidence": (evidence,),
        "references": ("T1110", "API2:2023"),
    }
    return Finding(**(known | fields))


ADA = Actor("ada", "admin")
