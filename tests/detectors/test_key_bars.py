"""The bars of key exposure: recall in every context, silence on ordinary lines, bounded work on hostile ones."""

import re
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from key_samples import SAMPLES

from benchmarks import hostile
from benchmarks.benign import benign_lines
from benchmarks.keys import Finder, false_alarms, recall
from detectors import redact
from detectors.decoding import LONGEST_TEXT
from detectors.redact import MANY, MOST_CONFIRMED_BYTES

DOCS = (Path(__file__).resolve().parent.parent.parent / "docs" / "detection.md").read_text("utf-8")
FINDER = Finder()
MOST_PASSES = 20
"""Of a plain Python loop over the same bytes. Such a loop takes 1 to 1.5 ms where the bar of 5 ms was measured, so
this is four times the bar: what grows faster than its record is past it by far, and a noisy machine is not."""


def test_recall_in_every_context_is_at_least_95_per_cent_and_in_the_docs():
    tried, missed = recall(FINDER, [41])
    lost = Counter(context for context, _ in missed)
    assert {context for context, count in tried.items() if lost[context] > 0.05 * count} == set()
    assert all(count >= 30 for count in tried.values())
    for context in tried:
        assert re.search(rf"^\| {re.escape(context)} \| [\d,]+ \| (?:9[5-9]|100)\.\d %", DOCS, re.M), context


def test_ordinary_lines_that_resemble_keys_raise_no_alarm():
    assert false_alarms(FINDER, 20_000, seed=77) == []


def test_the_ordinary_lines_are_worth_looking_at():
    lines = list(benign_lines(2000, seed=5))
    assert len({*lines}) == len(lines)
    assert sum(bool(FINDER.scanner.scan_one(line.encode())) for line in lines) > 1000


def test_there_are_enough_hostile_shapes_and_one_for_each_format():
    names = [name for name, _ in hostile.shapes()]
    assert len(names) >= 300
    assert {f"the words of {kind}" for kind in SAMPLES} <= {*names}


def _pass_over(record: bytes) -> float:
    begun = time.process_time()
    for _byte in record:
        pass
    return time.process_time() - begun


@pytest.mark.parametrize("form", hostile.FORMS)
def test_a_hostile_record_costs_a_few_passes_over_its_bytes(form):
    chosen = [*islice(hostile.shapes(), 0, None, 7), *islice(hostile.shapes(), 0, len(hostile.UNITS), 3)]
    slow = []
    for name, unit in chosen:
        event, record = hostile.record_of(unit, form)
        hostile.work(event, record)
        for _ in range(5):
            passed = min(_pass_over(record) for _ in range(3))
            cost = hostile.cost_ms(event, record, 3) / 1e3
            if cost <= MOST_PASSES * passed:
                break
        else:
            slow.append((name, cost / passed))
    assert slow == []


@pytest.mark.parametrize(
    "name",
    [
        "the words of all patterns", "the words of all patterns, glued", "the words of all patterns as names",
        "hex under names", "different passwords", "different keys", "'&password=aaaaaaaa' over and over",
    ],
)  # fmt: skip
def test_the_work_for_one_record_is_bounded_and_what_is_left_is_masked_whole(name, monkeypatch):
    read = 0
    real = redact.program

    class Counting:
        def __init__(self, pattern):
            self.finditer = lambda view: self._count(pattern, view)

        def _count(self, pattern, view):
            nonlocal read
            read += len(view)
            return real(pattern).finditer(view)

    monkeypatch.setattr(redact, "program", lambda pattern, **_: Counting(pattern))
    monkeypatch.setattr(redact, "LONGEST_MATCH", LONGEST_TEXT)
    text = hostile.record_of(dict(hostile.shapes())[name], "message")[1].decode()
    assert FINDER.secrets.redact(text) == MANY
    assert read <= MOST_CONFIRMED_BYTES + LONGEST_TEXT
