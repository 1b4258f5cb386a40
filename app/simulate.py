"""Drives a running service through one incident, from the first event to the report, as people would."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.commands.api import Api, ApiError
from app.commands.output import printable
from app.simulation import RULE_OF, AttackKind, attack
from detectors.timestamps import parse_time, wall_clock_ms

INCIDENTS = "/v1/admin/incidents"
LOOK_S = 0.1
FOUND_WITHIN_S = 15.0
TOLD_WITHIN_S = 10.0
MOST_SHOWN = 200
NOTE = "simulated attack"


@dataclass
class Simulation:
    """One simulated attack against a running service. Everything is said through `say`."""

    api: Api
    kind: AttackKind
    address: str
    chance: random.Random
    say: Callable[[str], None]
    patience_s: float = 30.0
    """How long to wait for the escalation's own clock before escalating by hand."""
    keep_block: bool = False
    now: Callable[[], int] = wall_clock_ms
    pause: Callable[[float], None] = time.sleep
    _begun: float = field(default_factory=time.monotonic)
    _open_before: set[str] = field(default_factory=set)
    """The ids of incidents about this address that are not ours to end."""
    _shown: set[str] = field(default_factory=set)
    """The deliveries that stand on the screen already."""

    def run(self) -> str:
        """From the attack to the report; answers the incident's id. Raises: ApiError naming the step that failed."""
        self._need_rule()
        self._open_before = {found["id"] for found in self._open_incidents()}
        self._begun = time.monotonic()
        self._send()
        incident = self._await_incident()
        self._show_block()
        if incident["told_at"] is None:
            self._stamp("nobody is told: the rule blocks quietly, so no clock runs either")
        else:
            self._show_notifications(incident["id"])
        self._escalate(incident["id"])
        self._move(incident["id"], "acknowledge")
        self._move(incident["id"], "mitigate")
        self._move(incident["id"], "resolve", verdict="benign")
        self._dismiss_others(incident["id"])
        self._show_notifications(incident["id"])
        if not self.keep_block:
            self._lift()
        self.say("")
        self.say(str(self.api.text(f"{INCIDENTS}/{incident['id']}/report", {"format": "md"})))
        return str(incident["id"])

    def _need_rule(self) -> None:
        """Raises: ApiError where the policy does not look for this attack."""
        name = RULE_OF[self.kind]
        rules = self.api.call("GET", "/v1/admin/policy")["rules"]
        rule = next((rule for rule in rules if rule["name"] == name), None)
        if rule is None:
            raise ApiError(
                f"the policy does not name {name}: nothing would be found; name it, or use another --kind"
            )
        if rule["mode"] == "observe":
            raise ApiError(f"{name} is in mode observe: it opens no incident")
        self.say(f"{name}: {rule['threshold']}, {', '.join(rule['actions'])}, {rule['severity']}")

    def _send(self) -> None:
        records = attack(self.kind, self.address, self.now(), self.chance)
        answer = self.api.call("POST", "/v1/events", body=records)
        self._stamp(
            f"sent {len(records)} events of {self.kind} from {self.address}: {answer['accepted']} accepted"
        )

    def _await_incident(self) -> dict[str, Any]:
        wanted = {"rule": RULE_OF[self.kind], "entity": self.address, "open": "true"}
        found = self._until(lambda: self.api.call("GET", INCIDENTS, params=wanted)["items"], FOUND_WITHIN_S)
        if not found:
            raise ApiError(
                f"no incident of {RULE_OF[self.kind]} about {self.address} within {FOUND_WITHIN_S:g} s"
            )
        incident: dict[str, Any] = found[0]
        self._stamp(f"{incident['id']} {incident['priority']} {incident['title']}: {incident['why']}")
        return incident

    def _show_block(self) -> None:
        decision = self.api.call("GET", f"/v1/lookup/{self.address}")
        if decision["blocked"]:
            self._stamp(f"{self.address} is blocked until {decision['decision']['until']}")
        else:
            self._stamp(f"{self.address} is not blocked: the rule does not say block_ip, or it is spared")

    def _show_notifications(self, incident: str) -> None:
        """What has left since the last look, waiting a little for the outbox."""
        wanted = {"incident": incident}
        self.pause(1.0)
        told = self._until(
            lambda: self.api.items("/v1/admin/notifications", wanted, MOST_SHOWN), TOLD_WITHIN_S
        )
        for item in reversed(told):
            if item["id"] not in self._shown:
                self._stamp(f"{item['channel']}: {item['message']['kind']} {item['status']}")
                self._shown.add(item["id"])
        if not told:
            self._stamp("nobody has been told (yet): see the policy's routes, and group_wait")

    def _escalate(self, incident: str) -> None:
        """Waits for the clock if it strikes soon, else escalates by hand."""
        shown = self.api.call("GET", f"{INCIDENTS}/{incident}")
        level, at = shown["escalation_level"], parse_time(shown["escalate_at"] or "")
        wait_s = None if at is None else (at - self.now()) / 1000
        if wait_s is not None and wait_s <= self.patience_s:
            self._stamp(f"nobody acknowledges: the next level is told in {max(0.0, wait_s):.0f} s")
            done = self._until(
                lambda: self.api.call("GET", f"{INCIDENTS}/{incident}")["escalation_level"] > level,
                self.patience_s + 5,
            )
            if done:
                self._stamp("escalated by its clock")
                return
        elif wait_s is not None:
            self._stamp(f"the next level would be told in {wait_s / 60:.0f} min; escalated by hand instead")
        self._move(incident, "escalate")

    def _move(self, incident: str, move: str, **said: str) -> None:
        after = self.api.call("POST", f"{INCIDENTS}/{incident}/{move}", body={"note": NOTE, **said})
        self._stamp(f"{move}: {after['status']}, escalation level {after['escalation_level']}")

    def _open_incidents(self) -> list[dict[str, Any]]:
        return self.api.items(INCIDENTS, {"entity": self.address, "open": "true"}, MOST_SHOWN)

    def _dismiss_others(self, incident: str) -> None:
        """One attack can trip several rules; an incident that nobody ends goes on telling people."""
        for other in self._open_incidents():
            if other["id"] != incident and other["id"] not in self._open_before:
                said = {"note": NOTE, "verdict": "benign"}
                self.api.call("POST", f"{INCIDENTS}/{other['id']}/dismiss", body=said)
                self._stamp(f"dismissed {other['id']} too: the same attack tripped {other['rule']}")

    def _lift(self) -> None:
        if self.api.call("GET", f"/v1/lookup/{self.address}")["blocked"]:
            blocks = self.api.call("GET", "/v1/admin/blocks", params={"contains": self.address})["items"]
            for block in blocks:
                if block["status"] == "active" and block["value"] == self.address:
                    self.api.call("DELETE", f"/v1/admin/blocks/{block['id']}", params={"reason": NOTE})
                    self._stamp(f"lifted the block of {self.address} again")

    def _until(self, look: Callable[[], Any], seconds: float) -> Any:
        """What `look` answers as soon as it is something, or its last answer."""
        end = time.monotonic() + seconds
        while not (found := look()) and time.monotonic() < end:
            self.pause(LOOK_S)
        return found

    def _stamp(self, text: str) -> None:
        self.say(f"{time.monotonic() - self._begun:6.1f} s  {printable(text)}")
