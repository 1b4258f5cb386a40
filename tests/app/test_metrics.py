"""The metrics and their page say the same."""

import re
from pathlib import Path

import pytest

from actions.delivery.channel_health import ChannelHealth
from app.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]


def exposed(metrics: Metrics) -> dict[str, str]:
    lines = metrics.render().decode().splitlines()
    found = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE ")}
    return {name: kind for name, kind in found.items() if not name.endswith("_created")}


def test_every_metric_is_in_the_docs_with_its_type_and_the_other_way_round() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(bartizan_\w+)` \| (\w+) \|", page, re.MULTILINE)
    assert dict(rows) == exposed(Metrics())


def test_every_closed_label_set_starts_at_zero() -> None:
    text = Metrics().render().decode()
    assert 'bartizan_rule_matches_total{mode="enforce",rule="auth_failures"} 0.0' in text
    assert 'bartizan_block_requests_total{outcome="braked",rule="auth_failures"} 0.0' in text
    assert 'bartizan_lookups_total{result="deny"} 0.0' in text


@pytest.mark.parametrize(
    ("name", "labels", "sample"),
    [
        ("findings", {"rule": "auth_failures", "mode": "enforce"}, "bartizan_rule_matches_total"),
        ("blocks", {"rule": "auth_failures", "outcome": "created"}, "bartizan_block_requests_total"),
        ("incidents", {"rule": "auth_failures", "result": "opened"}, "bartizan_incidents_total"),
        ("action_failures", {"action": "block_ip"}, "bartizan_action_errors_total"),
        ("messages", {"channel": "log", "result": "delivered"}, "bartizan_notifications_total"),
        ("blocks_expired", {}, "bartizan_blocks_expired_total"),
        ("findings_dead", {}, "bartizan_findings_dead_total"),
    ],
)
def test_what_the_actions_count_is_exposed(name: str, labels: dict[str, str], sample: str) -> None:
    metrics = Metrics()
    metrics.count(name, 2, **labels)
    assert metrics.registry.get_sample_value(sample, labels) == 2


def test_each_channel_has_its_gauges() -> None:
    metrics = Metrics()
    health = ChannelHealth(
        channel="chat",
        is_known=True,
        depth=3,
        oldest_at=40_000,
        held_until=None,
        failing_since=1,
        unhealthy_since=2,
        delivered_at=None,
        failed_at=3,
        error="503",
    )
    metrics.show_channels([health], {"chat": 2}, 100_000)
    names = ("outbox_depth", "outbox_oldest_seconds", "channel_unhealthy", "dead_letters")
    labels = {"channel": "chat"}
    assert [metrics.registry.get_sample_value(f"bartizan_{n}", labels) for n in names] == [3, 60, 1, 2]


def test_the_actions_storage_errors_are_counted_by_place() -> None:
    metrics = Metrics()
    metrics.count("storage_errors", where="responder")
    assert metrics.registry.get_sample_value("bartizan_storage_errors_total", {"place": "responder"}) == 1
