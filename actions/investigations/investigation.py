"""What an investigation asks about and what the events say of it. Types, and the protocol that app/ implements.

Times are epoch ms. Every text is a log's, redacted already, and cut; how many were left out stands beside each list.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from detectors.finding import IN_EVENTS

LOOK_BACK_MS = 24 * 3_600_000
"""How far back events are read: as long as the journal keeps them unless the operator says otherwise."""
LISTED = 50
"""Entries of most lists in a dossier."""
MINUTES_LISTED = 200
NOTABLE_LISTED = 60


class Subject(msgspec.Struct, frozen=True):
    """Whom an investigation is about, spelled as findings spell it."""

    kind: str
    """`ip`, `user`, `key`, `host`; or `rule`, of which no event speaks."""
    value: str
    """`203.0.113.9`, `2001:db8:1:2::/64`, a user name, a key's id or `github_token:v1:...`, a host or `*`."""

    @property
    def is_in_events(self) -> bool:
        """Whether events can name it."""
        return self.kind in IN_EVENTS


class Tallied(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value among the events: an account, a key, an address, a path, a user agent."""

    value: str
    events: int
    first_at: int
    last_at: int
    failures: int = 0
    """Failed logins; for a key requests that were refused (401, 403)."""
    successes: int = 0
    """Logins that succeeded; for a key requests that were answered 2xx or 3xx."""
    failures_before_success: int = 0
    """Of an account or address: its failed logins just before one that succeeded; the most of any."""
    failures_beside: int = 0
    """Failed logins of the subject as a whole, of whatever account or address, before the same success."""
    success_at: int | None = None
    """When that one was; None where no login succeeded."""
    bytes: int = 0
    answers: str = ""
    """Of a path: `401 x 14, 302 x 1`."""


class MinuteRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened alike within one minute."""

    at: int
    method: str
    path: str
    status: int | None
    count: int
    bytes: int = 0


class Notable(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event that an analyst wants to see by itself."""

    at: int
    sign: str
    """first_event, last_event, login_succeeded, login_after_failures, attack, attack_answered, secret_served."""
    method: str = ""
    path: str = ""
    status: int | None = None
    client_ip: str = ""
    user: str = ""
    api_key: str = ""
    user_agent: str = ""
    bytes: int | None = None
    pattern: str = ""
    """The attack pattern that it met, such as `probe.dotenv`."""


class AttackSeen(msgspec.Struct, frozen=True):
    """How often an attack pattern was met, and how it was answered."""

    pattern: str
    events: int
    answered: int
    """With 2xx, 3xx or 5xx: it may have reached something."""
    served_secret: int
    """With content, where the pattern is a file of secrets."""


class EventSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the events of a time say of one subject, compressed."""

    source: str
    """`journal`, or `evidence` where there is no journal or nothing could be read of it."""
    since_at: int
    """The time asked for, from here to `until_at`."""
    until_at: int
    complete_since_at: int
    """Everything from here on that the journal holds was read; later than `since_at` where reading was cut."""
    cut: str = ""
    """Why reading stopped early, for people; empty where it did not."""
    missing_ms: int = 0
    """Of the time read, how long no process wrote a journal."""
    dropped: int = 0
    """Events that were counted but not journaled in that time, of anybody."""
    damaged: int = 0
    events: int = 0
    first_at: int | None = None
    last_at: int | None = None
    bytes: int = 0
    """Served to it, as far as the log says."""
    statuses: tuple[tuple[str, int], ...] = ()
    login_failures: int = 0
    login_successes: int = 0
    minutes: tuple[MinuteRow, ...] = ()
    """The first and the last rows where there are too many."""
    minutes_left_out: int = 0
    notable: tuple[Notable, ...] = ()
    notable_left_out: int = 0
    accounts: tuple[Tallied, ...] = ()
    accounts_count: int = 0
    accounts_let_in: int = 0
    """Different accounts that logged in successfully."""
    keys: tuple[Tallied, ...] = ()
    keys_count: int = 0
    addresses: tuple[Tallied, ...] = ()
    """Where the events of an account, a key or a host came from."""
    addresses_count: int = 0
    paths: tuple[Tallied, ...] = ()
    paths_count: int = 0
    agents: tuple[Tallied, ...] = ()
    agents_count: int = 0
    attacks: tuple[AttackSeen, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether it is known that nothing of the time asked for is missing."""
        return self.source == "journal" and not (self.cut or self.missing_ms or self.dropped or self.damaged)


class EventHistory(Protocol):
    """Where the events of the last hours can be read."""

    async def about(
        self, subjects: Sequence[Subject], since_ms: int, until_ms: int
    ) -> Sequence[EventSummary]:
        """What happened from `since_ms` to `until_ms`, one summary for each subject, in one pass over what is kept.

        Bounded in time and volume; what was not read is said in each summary. Never blocks the event loop, and
        raises nothing: where nothing can be read, `cut` says why.
        """


class Step(msgspec.Struct, frozen=True):
    """One thing to do next, derived from a fact that it names."""

    id: str
    """reset_account, rotate_secrets, revoke_key, check_answers, keep_unblocked, block, watch_network, read_logs,
    review_block, no_more."""
    urgent: bool
    text: str
    """A log's author may have written part of it: to be escaped."""
    runbook: str = ""
    """Where docs/rules.md says more, such as `rules.md#auth_failures`."""
