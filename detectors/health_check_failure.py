"""health_check_failure: the service says that it is not well, several times in a row.

Looks at: requests to the health path (`/api/health`, `/health`) in the logs, and the checks Bartizan makes itself
where the policy names an address. GET or HEAD answered 5xx is a failure; 2xx and 3xx start over; 4xx is about the
client that asked, and anybody can cause it, so it says nothing.
Default: 3 in a row for one host open an incident.
Source: the operator's document (health checks, incident detection).
"""

from collections.abc import Iterable

from detectors.detector import Detector, Look, Verdict, path_of

HEALTH = "health"
"""Tag of records that name a health path."""


class HealthCheckFailure(Detector):
    """Follows the streak of failures of each host."""

    tags = frozenset({HEALTH})
    outcomes = True

    def judge(self, look: Look) -> Iterable[Verdict]:
        """A good or a bad verdict for each health check, none for anything else."""
        event = look.event
        if event.category == "health_check":
            good = event.outcome == "success"
        elif path_of(event) in self._site.health_paths and event.method in ("GET", "HEAD", None):
            if event.status is None or 400 <= event.status < 500:
                return ()
            good = event.status < 400
        else:
            return ()
        return (Verdict(self._rule, f"health check answered {event.status or 'nothing'}", good=good),)
