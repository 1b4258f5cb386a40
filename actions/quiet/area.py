"""Which area a rule watches: the security of the service, or the service itself."""

import enum


class Area(enum.StrEnum):
    """What a rule's incidents are about."""

    SECURITY = "security"
    SERVICE = "service"
    """Whether the service is up, right and fast enough."""


SERVICE_RULES = frozenset(
    {
        *("health_check_failure", "high_error_rate", "elevated_error_rate", "slow_responses"),
        *("source_unreadable", "source_silent", "blocklist_stale"),
    }
)

NEVER_MUTED_RULES = frozenset({"security_breach", "account_takeover", "leaked_key_in_use"})
"""Somebody is in already: people are told whatever they have silenced."""


def area_of(rule: str) -> Area:
    """The area of a rule by its name; whatever is not about the service's health is about security."""
    return Area.SERVICE if rule in SERVICE_RULES else Area.SECURITY
