"""health_check_failure: the service says that it is not well, several times in a row.

4xx is about the client that asked, and anybody can cause it, so it says nothing.
Default: 3 in a row for one host open an incident; 2 good ones in a row end it. The checks that Bartizan makes itself
are followed each by itself, apart from those in the logs: a service may be well for its balancer and out of reach for
others.
Source: the operator's document (health checks, incident detection).
"""

from collections.abc import Iterable

from detectors.detector import LONGEST_QUOTE, Detector, Look, Verdict, path_of
from detectors.event import Event
from detectors.guide import Guide

HEALTH = "health"
"""Tag of records that name a health path."""


class HealthCheckFailure(Detector):
    """Follows the streak of failures of each host."""

    guide = Guide(
        phrase="{subject} failed its health check {times} in a row",
        what=(
            "The service says that it is not well: a GET or HEAD of a health path (`/api/health`, "
            "`/health`) is answered 5xx, or the checks that Bartizan makes itself fail. 2xx and "
            "3xx start over. Two good ones in a row say that it is over; silence does not. An outage may be "
            "an attack's aim or its side effect."
        ),
        needs=(
            "`path` and `status` of the health checks in the log, or a `health_check` with a "
            "whole address in the policy; `host` tells several services apart."
        ),
        check=(
            "Ask the health path yourself (`curl -i https://HOST/api/health`) and compare with "
            "`status` of the evidence. `bartizan incidents list` shows whether high_error_rate or "
            "rate_limit_violations began at the same time: then look for load, else for a "
            "deployment or a database."
        ),
        act=(
            "Roll back the last deployment or restart what the check names as down. Where a flood "
            "of requests came first, block or limit the addresses with the most requests at the "
            "proxy."
        ),
        wrong=(
            "A planned restart: resolve it as benign. A check that times out under normal load: "
            "raise `timeout`, `retries` or the threshold in the policy's `health_check`."
        ),
        references=("T1499", "OAT-015"),
    )

    tags = frozenset({HEALTH})
    outcomes = True

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A good or a bad verdict for each health check, none for anything else."""
        event, place = look.event, ""
        if event.category == "health_check":
            place = self._check_of(event)
            good = event.outcome == "success"
        elif path_of(event) in self._site.health_paths and event.method in ("GET", "HEAD", None):
            if event.status is None or 400 <= event.status < 500:
                return ()
            good = event.status < 400
        else:
            return ()
        path = f" of {event.path[:LONGEST_QUOTE]}" if event.path else ""
        answer = f"health check{path} answered {event.status or 'nothing'}"
        if place and event.message and not good:
            answer = f"health check{path}: {event.message[:LONGEST_QUOTE]}"
        return (Verdict(self._rule, answer, good=good, place=place),)

    def why_not(self, look: Look) -> str:
        """Why an event is no health check."""
        event = look.event
        if path_of(event) not in self._site.health_paths:
            return f"{path_of(event)[:LONGEST_QUOTE]} is no health path"
        if event.method not in ("GET", "HEAD", None):
            return "a health check is a GET or HEAD"
        return "the answer says nothing of the service's health"

    def _check_of(self, event: Event) -> str:
        """Which check it is, where somebody asked the service from outside: its path."""
        path = (event.path or "").partition("?")[0][:LONGEST_QUOTE]
        return f"check of {self._site.secrets.redact(path)}" if path else ""
