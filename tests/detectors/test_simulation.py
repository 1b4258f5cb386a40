"""Each rule's attacker among ordinary people: caught, and no more of the people flagged than docs/detection.md says."""

import re
from pathlib import Path

import pytest
from redis.asyncio import Redis

from benchmarks.attackers import ATTACKERS, attacks
from benchmarks.behaviour import simulate
from benchmarks.machines import machines
from benchmarks.population import Population
from detectors.defaults import DEFAULTS

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "detection.md"
USERS = 5_000
"""A quarter of the day in the docs: the machines that fail all day are as many, and the whole takes a minute."""
OF_OPERATIONS = {
    *("health_check_failure", "high_error_rate", "elevated_error_rate", "slow_responses"),
    *("source_unreadable", "source_silent", "blocklist_stale", "crowdsec_alert"),
}
"""Rules about the site's own health and that of its logs: nobody attacks. And what somebody else has found."""


def documented() -> dict[str, int]:
    """About how many of the harmless each rule raised an alarm, by the table of the docs."""
    section = DOCS.read_text("utf-8").partition("## Attackers among 20,000 people")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|(?:[^|]*\|){5} (\d+) \|", section, re.M)
    return {rule: int(harmless) for rule, harmless in rows}


def test_every_rule_about_attackers_has_one_and_a_row_in_the_docs():
    rules = set(DEFAULTS) - OF_OPERATIONS
    assert {attack.__name__ for attack in ATTACKERS} == rules
    assert set(documented()) == rules


@pytest.mark.slow
async def test_every_attacker_is_caught_and_no_more_people_are_flagged_than_documented(redis: Redis, corpora):
    day = await simulate(redis, USERS)
    assert [rule for rule, judged in day.judged.items() if judged.found_at is None] == []
    most = documented()
    flagged = {
        rule: judged.harmless for rule, judged in day.judged.items() if len(judged.harmless) > most[rule]
    }
    assert flagged == {}
    assert day.others == {}


def test_the_same_seed_makes_the_same_day_in_order_of_time():
    first, second = (Population(300).day(machines) for _ in range(2))
    assert first == second
    assert [at for at, _ in first] == sorted(at for at, _ in first)


def test_no_attacker_uses_the_address_of_somebody_harmless():
    world = Population(300)
    everybody = {event.client_ip for _, event in world.day(machines)}
    for attack in attacks(world, 1):
        hostile = {event.client_ip for _, event in attack.hostile}
        assert attack.rule == "impossible_travel" or hostile.isdisjoint(everybody)
