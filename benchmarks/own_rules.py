"""What rules of one's own cost an event: made-up ones of the sorts that Sigma collections hold.

`python -m benchmarks own_rules`, on 20,000 made-up requests. Scanning and selecting only: what counting costs
depends on how much is found, and these rules find nothing.
"""

import time
from datetime import UTC, datetime
from pathlib import Path

from app.ingest.decode import decode_lines
from app.policies.policy import load_policy
from benchmarks.traffic import as_combined, requests
from detectors.conditions import All, Any, Condition, Not, Op, Test
from detectors.engine import EVENTS_AT_A_TIME, Engine
from detectors.event import Batch
from detectors.finding import Action, Severity
from detectors.rule import Rule

EVENTS = 20_000
ROUNDS = 5
COUNTS = (0, 5, 35, 140, 560)
AT = datetime(2026, 11, 23, tzinfo=UTC)
POLICY = Path(__file__).resolve().parent.parent / "policy.yaml"


def _targets(op: Op, *values: str) -> Condition:
    """As Sigma rules are read: the target as it was logged, or as the server understood it."""
    return Any((Test("target", op, values), Test("decoded_target", op, values)))


def condition(number: int) -> Condition:
    """One of seven sorts: a path, a tool, common words, a status, an administration page, punctuation, a regex."""
    get, anything = Test("method", Op.EQUALS, ("GET",)), Test("status", Op.EXISTS, (True,))
    match number % 7:
        case 0:
            return All((_targets(Op.CONTAINS, f"/vendor{number}/run.php?c="), anything))
        case 1:
            return Test("user_agent", Op.CONTAINS, (f"scanner-{number}", f"Grabber {number}"))
        case 2:
            agent = f"Mozilla/5.0 (compatible; Kit {number}.0; Windows NT 6.1)"
            return All((Test("user_agent", Op.EQUALS, (agent, "-")), anything))
        case 3:
            return All((_targets(Op.CONTAINS, f"/export{number}"), Test("status", Op.EQUALS, (200, 302))))
        case 4:
            page = _targets(Op.ENDS, ".jsp", f"/console{number}")
            return All((get, page, Not(Test("host", Op.ENDS, (".example.net",)))))
        case 5:
            keywords = ("={{", "=%7B%7B", f"' or {number}=", f"=cmd{number} ")
            return All((get, Any((Test("record", Op.CONTAINS, keywords), _targets(Op.CONTAINS, *keywords)))))
        case _:
            word = f"tok{number}" if number % 3 else "[0-9]{9}"
            return All((get, _targets(Op.REGEX, f"{word}\\.(zip|exe)\\?d=[0-9]{{1,3}}")))


def rules(count: int) -> list[Rule]:
    actions = (Action.ALERT_ADMIN,)
    return [
        Rule(f"own_{n}", 1, 300_000, actions, Severity.LOW, is_own=True, where=condition(n))
        for n in range(count)
    ]


def microseconds(own: list[Rule], batch: Batch) -> float:
    """CPU of one event of a batch, scan and select, under the shipped policy and these rules; the best of some."""
    policy = load_policy(POLICY.read_text("utf-8"), str(POLICY))
    engine = Engine([*policy.rules, *own], None, fingerprint_key=b"k" * 16)  # type: ignore[arg-type]
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        hits = engine.scanner.scan(batch.records)
        for start in range(0, len(batch.events), EVENTS_AT_A_TIME):
            engine._select(batch, hits, start)
        best = min(best, time.process_time() - begun)
        engine.secrets.forget()
    return best / len(batch.events) * 1e6


def measure() -> dict[str, float]:
    """Microseconds an event by the number of own rules."""
    decoded = decode_lines(as_combined(requests(EVENTS, 1, AT)), "combined", 0)
    batch = Batch(decoded.events, decoded.records, int(AT.timestamp() * 1000), "benchmark")
    return {
        f"own rules: {count}, scan and select (µs an event)": microseconds(rules(count), batch)
        for count in COUNTS
    }
