"""Every Prometheus metric of the service. docs/metrics.md lists them; a test compares the two.

Names follow Prometheus' own advice: one-word prefix, base units, `_total`. A label is never an address,
a user, an incident or anything else that a log's author can choose.
Source: https://prometheus.io/docs/practices/naming/
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from actions.blocks.lists import ListInfo
from actions.delivery.channel_health import ChannelHealth
from app.ingest.shippers.registry import NAMES as SHIPPERS
from detectors.defaults import DEFAULTS
from detectors.finding import Action, Mode
from detectors.roster import DETECTORS, OWN_RULES

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus-client when it is imported; `serve` sets it for its workers."""
LOOKUP_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
BATCH_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

BATCH_RESULTS = ("applied", "duplicate")
BLOCK_OUTCOMES = (
    *("created", "already_blocked", "too_late", "braked", "spared", "refused"),
    *("shared", "verified_bot", "unverified_bot"),
)
BOT_CHECKS = ("yes", "no", "unanswered", "not_asked")
INCIDENT_RESULTS = ("opened", "joined", "recovered", "reopened")
KINDS = ("events", "raw", *SHIPPERS)
JOURNAL_RESULTS = ("written", "queue_full", "disk", "unreadable")
LOOKUP_RESULTS = ("allow", "deny", "allowlisted")
FORWARD_AUTH_RESULTS = (*LOOKUP_RESULTS, "unknown")
REJECTIONS = ("undecodable", "too_large", "unauthorized", "overloaded", "storage")
KEPT_RESULTS = ("kept", "dropped")
REINGEST_RESULTS = ("accepted", "rejected", "duplicate")
SIGNAL_RESULTS = ("sent", "failed", "held_back")
STORAGE_PLACES = (
    *("ingest", "responder", "follower", "tokens"),
    *("maintenance", "investigating", "dispatching", "sending", "digests", "sources"),
)
SOURCE_STATES = ("ok", "silent", "unreadable")
NOTIFICATION_RESULTS = (
    *("delivered", "failed", "retried", "held", "superseded"),
    *("muted", "digest", "unrouted", "doubled", "unreadable"),
)


class Metrics:
    """The metrics of one process, in a registry of its own so that two apps in one test never collide.

    It is also the `Counters` of the actions (actions/counters.py): `count` takes their names.
    """

    def __init__(self, version: str = "unknown") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody reads
        self.registry = CollectorRegistry()
        rules = list(DEFAULTS)
        self._init_ingest()
        self._init_sources()
        self._init_lookup()
        self.findings = self._counter(
            "bartizan_rule_matches_total", "Findings handled", {"rule": rules, "mode": list(Mode)}
        )
        self.block_requests = self._counter(
            "bartizan_block_requests_total",
            "Blocks that rules asked for, by what became of them",
            {"rule": rules, "outcome": BLOCK_OUTCOMES},
        )
        self.blocks_expired = self._counter(
            "bartizan_blocks_expired_total", "Blocks that came to their end", {}
        )
        self.incidents = self._counter(
            "bartizan_incidents_total",
            "Findings that opened or joined an incident",
            {"rule": rules, "result": INCIDENT_RESULTS},
        )
        self.action_errors = self._counter(
            "bartizan_action_errors_total",
            "Findings on which an action failed",
            {"action": list(Action)},
        )
        self.detector_errors = self._counter(
            "bartizan_detector_errors_total",
            "Events on which a detector failed",
            {"detector": [*DETECTORS, OWN_RULES, "windows"]},
        )
        self.findings_dead = self._counter(
            "bartizan_findings_dead_total", "Findings given up after several deliveries", {}
        )
        self.bot_checks = self._counter(
            "bartizan_bot_checks_total",
            "Addresses that claimed to be a known bot, by what the DNS said",
            {"result": BOT_CHECKS},
        )
        self._init_channels()
        self._named = {
            "findings": self.findings,
            "blocks": self.block_requests,
            "blocks_expired": self.blocks_expired,
            "incidents": self.incidents,
            "action_failures": self.action_errors,
            "findings_dead": self.findings_dead,
            "messages": self.notifications,
            "bot_checks": self.bot_checks,
        }
        self.dead_man_signals = self._counter(
            "bartizan_dead_man_signals_total",
            "Signals that this service works, by what became of them",
            {"result": SIGNAL_RESULTS},
        )
        build = Gauge(
            "bartizan_build_info",
            "1, by version",
            ["version"],
            registry=self.registry,
            multiprocess_mode="max",
        )
        build.labels(version).set(1)

    def _init_channels(self) -> None:
        self.notifications = self._counter(
            "bartizan_notifications_total",
            "What became of messages at each channel",
            {"channel": ["log"], "result": NOTIFICATION_RESULTS},
        )
        self.messages_waiting = self._gauge(
            "bartizan_messages_waiting", "Messages that no channel has a letter of yet", "mostrecent"
        )
        names = {
            "depth": ("bartizan_outbox_depth", "Letters waiting, by channel"),
            "oldest": ("bartizan_outbox_oldest_seconds", "Age of the oldest letter waiting, by channel"),
            "unhealthy": ("bartizan_channel_unhealthy", "1 while a channel does not deliver"),
            "dead": ("bartizan_dead_letters", "Letters given up that nobody has looked after"),
        }
        self._channels = {
            key: Gauge(name, says, ["channel"], registry=self.registry, multiprocess_mode="mostrecent")
            for key, (name, says) in names.items()
        }
        for gauge in self._channels.values():
            gauge.labels("log").set(0)

    def show_channels(self, health: Iterable[ChannelHealth], dead: Mapping[str, int], now: int) -> None:
        """Bring the gauges of all channels up to now (epoch ms). Their names are the operator's."""
        for one in health:
            name, oldest = one.channel, one.oldest_at
            self._channels["depth"].labels(name).set(one.depth)
            self._channels["oldest"].labels(name).set(0 if oldest is None else max(0, now - oldest) / 1000)
            self._channels["unhealthy"].labels(name).set(one.unhealthy_since is not None)
            self._channels["dead"].labels(name).set(dead.get(name, 0))

    def _init_ingest(self) -> None:
        self.events_ingested = self._counter(
            "bartizan_events_ingested_total", "Events counted, by route", {"kind": KINDS}
        )
        self.events_rejected = self._counter(
            "bartizan_events_rejected_total", "Records or bodies not counted", {"reason": REJECTIONS}
        )
        self.batches = self._counter(
            "bartizan_batches_total", "Bodies; duplicate is a sender's retry", {"result": BATCH_RESULTS}
        )
        self.journal_events = self._counter(
            "bartizan_journal_events_total",
            "Events for the journal, by what became of them",
            {"result": JOURNAL_RESULTS},
        )
        self.storage_errors = self._counter(
            "bartizan_storage_errors_total", "Times Redis failed somebody", {"place": STORAGE_PLACES}
        )
        self.ingest_lag = self._gauge(
            "bartizan_ingest_lag_seconds", "Receipt minus time of the newest body's last event", "mostrecent"
        )
        self.ingest_duration = Histogram(
            "bartizan_ingest_duration_seconds",
            "From request to counted",
            registry=self.registry,
            buckets=BATCH_BUCKETS_S,
        )

    def _init_sources(self) -> None:
        self.events_missing = self._counter(
            "bartizan_events_missing_total",
            "Events counted that have no client address, or neither a status nor an outcome",
            {"field": ("client_ip", "status")},
        )
        self.records_kept = self._counter(
            "bartizan_rejected_records_total",
            "Rejected records, by whether there was room to keep them for a day",
            {"result": KEPT_RESULTS},
        )
        self.records_reingested = self._counter(
            "bartizan_reingested_records_total",
            "Rejected records that were decoded once more, by what became of them",
            {"result": REINGEST_RESULTS},
        )
        self._sources = Gauge(
            "bartizan_sources",
            "Sources of logs of the last 30 days, by state",
            ["state"],
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self.show_sources({})

    def show_sources(self, number: Mapping[str, int]) -> None:
        """Bring the gauge of the sources up to now; the number of each state."""
        for state in SOURCE_STATES:
            self._sources.labels(state).set(number.get(state, 0))

    def _init_lookup(self) -> None:
        self.lookups = self._counter(
            "bartizan_lookups_total", "Addresses looked up, by answer", {"result": LOOKUP_RESULTS}
        )
        self.lookup_results = {result: self.lookups.labels(result) for result in LOOKUP_RESULTS}
        forward_auths = self._counter(
            "bartizan_forward_auth_total",
            "Requests that proxies asked about",
            {"result": FORWARD_AUTH_RESULTS},
        )
        self.forward_auths = {result: forward_auths.labels(result) for result in FORWARD_AUTH_RESULTS}
        self.lookup_duration = Histogram(
            "bartizan_lookup_duration_seconds",
            "One lookup request",
            registry=self.registry,
            buckets=LOOKUP_BUCKETS_S,
        )
        self.blocks_active = self._gauge("bartizan_blocks_active", "Blocks in force", "mostrecent")
        self.bouncers = self._gauge(
            "bartizan_bouncers", "CrowdSec bouncers that asked within the last five minutes", "mostrecent"
        )
        self._list_entries, self._list_failures = (
            Gauge(name, says, ["list"], registry=self.registry, multiprocess_mode="mostrecent")
            for name, says in (
                ("bartizan_external_list_entries", "Addresses and networks of an external list in force"),
                ("bartizan_external_list_failures", "Times a list was not to be had since it last was"),
            )
        )
        self._listed: set[str] = set()
        self.list_age = self._gauge(
            "bartizan_blocklist_age_seconds",
            "Since this process last heard of the blocklist from Redis",
            "max",
        )

    def show_lists(self, infos: Mapping[str, ListInfo]) -> None:
        """Bring the gauges of the external lists up to now. Their names are the operator's."""
        self._listed.update(infos)
        for name in self._listed:
            info = infos.get(name)
            self._list_entries.labels(name).set(0 if info is None else info.entries)
            self._list_failures.labels(name).set(0 if info is None else info.failures)

    def _counter(self, name: str, says: str, labels: Mapping[str, Sequence[str]]) -> Counter:
        """A counter. Each member of a closed label set starts at zero, so that rate() sees the first one."""
        counter = Counter(name, says, list(labels), registry=self.registry)
        rows: list[tuple[str, ...]] = [()]
        for values in labels.values():
            rows = [(*row, str(value)) for row in rows for value in values]
        for row in rows:
            if row:
                counter.labels(*row)
        return counter

    def _gauge(self, name: str, says: str, mode: Literal["mostrecent", "max"]) -> Gauge:
        return Gauge(name, says, registry=self.registry, multiprocess_mode=mode)

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Add to the counter that the actions call `name`. Raises: KeyError for a name that is none."""
        if name == "storage_errors":
            self.storage_errors.labels(labels["where"]).inc(amount)
            return
        counter = self._named[name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def render(self) -> bytes:
        """The text exposition of this process, or of all workers where there are several."""
        if MULTIPROCESS_VARIABLE not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def prepare_multiprocess(data_dir: Path) -> None:
    """Make the workers of this process share their metrics; call before they start, in the parent.

    What earlier workers left is removed: a counter that starts again is what Prometheus expects.
    """
    folder = data_dir / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.db"):
        old.unlink()
    os.environ[MULTIPROCESS_VARIABLE] = str(folder)
