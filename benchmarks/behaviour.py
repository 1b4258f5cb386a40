"""Each rule's attacker among 20,000 ordinary users: whether it is found, after how long, and who else is.

`python -m benchmarks behaviour` prints the table of docs/detection.md; `--users 5000`, `--seed 2` and `--first-day`
(nobody has logged in before) change the day.
"""

import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from app.embedded_redis import EmbeddedRedis
from app.redis import connect
from benchmarks.attackers import Attack, attacks
from benchmarks.machines import machines
from benchmarks.people import START_MS
from benchmarks.population import Population, Step, record_of
from detectors.defaults import DEFAULTS
from detectors.engine import Engine, Site
from detectors.event import Batch
from detectors.evidence import Evidence
from detectors.finding import SubjectKind
from detectors.geo import Geo
from detectors.windows import Crossed, Windows

CORPORA = Path(__file__).resolve().parent.parent.parent / "shared" / "corpora"
BATCH_EVENTS = 1_000
DELIVERY_MS = 1_000
"""Between the last event of a batch and its receipt."""
USERS, SEED = 20_000, 1


@dataclass
class Judged:
    """How one rule did."""

    attack: Attack
    found_at: int | None = None
    """Epoch ms of the attack's first finding by its own rule."""
    false_alarms: Counter[str] = field(default_factory=Counter)
    """Findings about somebody harmless, by who that was."""
    harmless: set[str] = field(default_factory=set)
    """The different subjects of these findings."""

    @property
    def took_ms(self) -> int | None:
        """From the first hostile request to the finding."""
        return None if self.found_at is None else self.found_at - START_MS - self.attack.hostile[0][0]

    @property
    def needed(self) -> int:
        """Hostile requests until then."""
        return sum(START_MS + at <= (self.found_at or 0) for at, _ in self.attack.hostile)


class Day(NamedTuple):
    """What a simulated day brought."""

    events: int
    users: int
    addresses: int
    judged: dict[str, Judged]
    others: Counter[str]
    """Findings of rules that have no attacker here, such as high_error_rate."""


SHARED_FROM = 5
"""As the shipped policy has it."""


def geo() -> Geo:
    """The test databases, where the corpora are here."""
    if not CORPORA.is_dir():
        raise SystemExit(f"{CORPORA} is needed: impossible_travel reads its databases")
    return Geo(CORPORA / "GeoIP2-City-Test.mmdb", CORPORA / "GeoLite2-ASN-Test.mmdb")


async def simulate(redis: Redis, users: int = USERS, seed: int = SEED, *, first_day: bool = False) -> Day:
    """Runs a day through the real engine with every rule at its default, in batches in order of time."""
    world = Population(users, seed)
    ordinary = world.day(machines)
    every = list(attacks(world, seed))
    steps = [*ordinary, *(step for attack in every for step in (*attack.hostile, *attack.ordinary))]
    steps = sorted((step for step in steps if step[0] >= 0 or not first_day), key=lambda step: step[0])
    engine = Engine(
        DEFAULTS.values(),
        Windows(redis, emit=False),
        fingerprint_key=b"nobody sees these fingerprints",
        site=Site(shared_from=SHARED_FROM),
        geo=geo(),
    )
    judged = {attack.rule: Judged(attack) for attack in every}
    others: Counter[str] = Counter()
    for batch in _batches(steps):
        for crossed in (await engine.process(batch)).crossed:
            rule = crossed.group.rule.name
            if rule in judged:
                _judge(judged[rule], crossed, every, world)
            else:
                others[rule] += 1
    addresses = {event.client_ip for _, event in ordinary}
    return Day(len(steps), users, len(addresses), judged, others)


def _batches(steps: Sequence[Step]) -> Iterable[Batch]:
    for start in range(0, len(steps), BATCH_EVENTS):
        part = steps[start : start + BATCH_EVENTS]
        events = [event for _, event in part]
        received_ms = START_MS + part[-1][0] + DELIVERY_MS
        yield Batch(events, [record_of(e) for e in events], received_ms, "simulation", str(start))


def _judge(judged: Judged, crossed: Crossed, every: Iterable[Attack], world: Population) -> None:
    """A finding speaks of this rule's attacker, of another one, or of somebody harmless."""
    subjects = _subjects(crossed)
    if not subjects.isdisjoint(judged.attack.subjects):
        if judged.found_at is None and crossed.at >= START_MS + judged.attack.hostile[0][0]:
            judged.found_at = crossed.at
    elif all(subjects.isdisjoint(attack.subjects) for attack in every):
        subject = min(subjects)
        judged.harmless.add(subject)
        judged.false_alarms[world.kinds.get(subject, subject)] += 1


def _subjects(crossed: Crossed) -> set[str]:
    """Whom a finding is about; where that is a key in a record, who sent it."""
    group = crossed.group
    if group.rule.group_by[0] is not SubjectKind.KEY or ":" not in group.subject:
        return {group.subject}
    written = [msgspec.json.decode(text, type=Evidence) for _, text in group.evidence]
    return {evidence.client_ip for evidence in written if evidence.client_ip}


def table(day: Day) -> str:
    """The day as a table of Markdown."""
    lines = [
        f"{day.events:,} events of {day.users:,} users behind {day.addresses:,} addresses",
        "",
        "| rule | attacker | caught | hostile requests until then | time | false alarms | about how many | who |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for rule, judged in day.judged.items():
        took = judged.took_ms
        found = "**no** | | " if took is None else f"yes | {judged.needed} | {_in_words(took)}"
        alarms = sum(judged.false_alarms.values())
        who = ", ".join(kind for kind, _ in judged.false_alarms.most_common())
        words = judged.attack.words
        lines.append(f"| `{rule}` | {words} | {found} | {alarms} | {len(judged.harmless)} | {who} |")
    return "\n".join(lines)


def _in_words(ms: int) -> str:
    if ms == 0:
        return "at once"
    if ms < 120_000:
        return f"{ms / 1000:.0f} s"
    return f"{ms / 60_000:.0f} min" if ms < 7_200_000 else f"{ms / 3_600_000:.1f} h"


async def _simulate_on(url: str, users: int, seed: int, first_day: bool) -> Day:
    redis = connect(url, timeout_s=60)
    try:
        await redis.config_set("appendonly", "no")
        return await simulate(redis, users, seed, first_day=first_day)
    finally:
        await redis.aclose()


def _option(name: str, default: int) -> int:
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def measure() -> dict[str, float]:
    """Prints the table, and gives its sums."""
    users, seed = _option("--users", USERS), _option("--seed", SEED)
    folder = Path(tempfile.mkdtemp(prefix="bartizan-behaviour-"))
    server = EmbeddedRedis(folder)
    try:
        server.start()
        day = asyncio.run(_simulate_on(server.url, users, seed, "--first-day" in sys.argv))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if "--json" not in sys.argv:
        print(table(day), "", *(f"also: {rule} {n}" for rule, n in day.others.items()), sep="\n", end="\n\n")
    return {
        "behaviour: events of the simulated day": day.events,
        f"behaviour: attackers found of {len(day.judged)}": sum(
            j.found_at is not None for j in day.judged.values()
        ),
        "behaviour: false alarms of all rules together": sum(
            sum(j.false_alarms.values()) for j in day.judged.values()
        ),
    }
