"""Why a person's change was not made. Each carries what the answer to the person must say."""

from detectors.errors import BartizanError


class RefusedError(BartizanError):
    """A value must not be blocked (or only with force); `entry` names what stopped it."""

    def __init__(self, value: str, entry: str) -> None:
        super().__init__(f"{value} is not blocked: {entry}")
        self.value = value
        self.entry = entry


class UnknownError(BartizanError):
    """There is no such block, incident, allowlist entry or audit entry (any more)."""


class ConflictError(BartizanError):
    """The thing is not in a state in which this can be done; the message says in which it is.

    `allowed` names what can be done instead.
    """

    def __init__(self, message: str, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class StaleError(BartizanError):
    """The thing has changed since the person saw it; the message names both versions."""
