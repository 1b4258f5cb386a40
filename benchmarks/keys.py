"""How many credentials are found in each place of a log, and how many ordinary lines wrongly: docs/detection.md.

`python -m benchmarks keys`; with `--reading`, what was missed and what was wrong. Every format of
tests/detectors/key_samples.txt, as many made-up credentials of each as there are seeds, in every context that can hold
it (tests/detectors/key_contexts.py).
"""

import importlib
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.benign import benign_lines
from detectors.redact import SecretFinder
from detectors.scanner import Scanner, load_patterns

SAMPLES = Path(__file__).resolve().parent.parent / "tests" / "detectors"
SEEDS = 3
BENIGN_LINES = 200_000
BENIGN_SEED = 20_261_123


class Finder:
    """The whole way of a record: the scan, which must not miss it, and the confirmation."""

    def __init__(self) -> None:
        self.scanner = Scanner(load_patterns("keys") + load_patterns("attacks"))
        self.secrets = SecretFinder(self.scanner, b"k" * 32)

    def found(self, record: bytes) -> list[tuple[str, str]]:
        """(kind, text) of what is found."""
        hits = self.scanner.scan_one(record)
        found = self.secrets.look(record, hits).secrets if hits else ()
        self.secrets.forget()
        return [(secret.kind, secret.text) for secret in found]


def recall(finder: Finder, seeds: Iterable[int]) -> tuple[Counter[str], list[tuple[str, str]]]:
    """How often each context was tried, and (context, kind) of what was missed."""
    samples, contexts = _module("key_samples"), _module("key_contexts")
    tried: Counter[str] = Counter()
    missed = []
    for seed in seeds:
        for kind, recipe in samples.RECIPES.items():
            sample = samples.cook(kind, recipe, seed)
            for context, record in contexts.contexts(sample):
                tried[context] += 1
                forms = (sample.secret, contexts.encoded(sample.secret))
                texts = [text for _, text in finder.found(record.encode())]
                if not any(form in text for form in forms for text in texts):
                    missed.append((context, kind))
    return tried, missed


def false_alarms(finder: Finder, count: int, seed: int) -> list[tuple[str, str, str]]:
    """(kind, text, line) of what is found in ordinary lines."""
    return [
        (kind, text, line) for line in benign_lines(count, seed) for kind, text in finder.found(line.encode())
    ]


def _module(name: str) -> Any:
    if str(SAMPLES) not in sys.path:
        sys.path.append(str(SAMPLES))
    return importlib.import_module(name)


def measure() -> dict[str, float]:
    """The figures of this file."""
    finder = Finder()
    tried, missed = recall(finder, range(SEEDS))
    wrong = false_alarms(finder, BENIGN_LINES, BENIGN_SEED)
    if "--reading" in sys.argv:
        print(*Counter(missed).most_common(), *wrong, sep="\n")
    lost = Counter(context for context, _ in missed)
    figures = {
        f"{context}: per cent found of {count} (bar 95)": 100 * (1 - lost[context] / count)
        for context, count in tried.items()
    }
    figures[f"false alarms in {BENIGN_LINES} ordinary lines (bar 2)"] = len(wrong)
    return figures
