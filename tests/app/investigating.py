"""A real engine with a journal in a folder, its findings handled, and investigated: all but the HTTP server."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from journaling import START, Clock, Desk
from redis.asyncio import Redis

sys.path.append(str(Path(__file__).resolve().parents[1] / "actions"))

from actions.investigations.dossiers import Dossier
from actions.investigations.investigations import DELAY_MS
from actions.investigations.work import Investigator
from actions.responder import Responder
from actions.world import World
from app.event_history import Budget, JournalHistory
from app.ingest.decode import decode_events
from app.journal.masking import pack
from app.policies.policy import load_policy
from app.site import site_of
from detectors.addresses import Networks
from detectors.engine import Engine
from detectors.event import Batch
from detectors.timestamps import to_rfc3339
from detectors.windows import Windows

POLICY = """
security_alerts:
  auth_failures: {threshold: 10/minute, action: [block_ip, investigate]}
  suspicious_activity: {threshold: 5/minute, action: investigate}
  api_key_exposure: {threshold: 1/minute, action: investigate}
incident_detection:
  security_breach: {threshold: 1, action: [create_incident_immediate, investigate]}
"""
PROXY = "198.51.100.99"
LOGIN = {"method": "POST", "path": "/login", "user_agent": "curl/8.1"}


class Lab:
    """Takes events as the service does, and answers with dossiers."""

    def __init__(
        self, folder: Path, redis: Redis, *, budget: Budget | None = None, policy: str = POLICY, **more: Any
    ) -> None:
        self.desk = Desk(folder, size_bytes=2**26)
        self.clock: Clock = self.desk.clock
        self.redis = redis
        read = load_policy(policy, "test")
        self.engine = Engine(
            read.rules,
            Windows(redis),
            fingerprint_key=b"k" * 32,
            site=site_of(read),
            trusted_proxies=Networks([PROXY]),
            on_applied=lambda batch, hits, secrets: self.desk.writer.add(pack(batch, hits), secrets, 1),
        )
        self.site = site_of(read)
        self.history = JournalHistory(self.desk.folder, Networks([PROXY]), budget, **more)
        self.history.take_engine(self.engine, self.site)
        self.world = World.make(redis, self.clock, history=self.history)

    async def take(self, *events: dict[str, Any], every_ms: int = 1_000) -> None:
        """Events one after another; the clock goes with them."""
        bodies = []
        for event in events:
            bodies.append(json.dumps({"timestamp": to_rfc3339(self.clock.now), **event}))
            self.clock.now += every_ms
        decoded = decode_events("\n".join(bodies).encode(), self.clock.now)
        batch = Batch(decoded.events, decoded.records, self.clock.now, "test", None, decoded.read_as)
        await self.engine.process(batch)
        self.desk.writer.flush()

    async def investigated(self, work: Callable[[], Investigator] | None = None) -> list[Dossier]:
        """Handles all findings, lets the delay pass and investigates; the dossiers of all incidents, oldest first."""
        await Responder(self.world).drain()
        self.clock.now += DELAY_MS
        await (work or (lambda: Investigator(self.world)))().step()
        found = []
        for incident in reversed((await self.world.incidents.page())[0]):
            dossier = await self.world.dossiers.find(incident.id)
            assert dossier is not None, incident.id
            found.append(dossier)
        return found


__all__ = ["LOGIN", "POLICY", "PROXY", "START", "Lab"]
