"""How much the attack patterns find in data they were not written for, and what they say of real traffic."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from benchmarks.detection import access_log_hits, halves, is_found, scanner

MOST_MISSED = 0.03
MOST_WRONG = 0.002
PAGES_PROBED = {"/wp-login.php", "/admin.php", "/administrator/", "/administrator/index.php"}
"""By hand: what the requests in the access log that are probes ask for; see docs/detection.md."""


@pytest.mark.parametrize("half", [0, 1])
def test_attacks_are_found_and_ordinary_values_left_alone(corpora: Path, half: int):
    """Only the first half was looked at while the patterns were written."""
    scan = scanner()
    wrong, total = Counter[bool](), Counter[bool]()
    for row in halves()[half]:
        is_attack = row["label"] != "norm"
        total[is_attack] += 1
        wrong[is_attack] += is_found(row["payload"], scan) != is_attack
    assert total[True] > 3_000
    assert total[False] > 6_000
    assert wrong[True] <= MOST_MISSED * total[True]
    assert wrong[False] <= MOST_WRONG * total[False]


def test_every_hit_in_a_real_access_log_is_right(corpora: Path):
    hits = list(access_log_hits(scanner()))
    assert len(hits) == 30
    editor = [hit for hit in hits if hit[4] == "probe.upload_editor"]
    assert {hit[0] for hit in editor} == {"91.236.75.25"}
    assert {target.partition("?")[0] for _, _, _, target, _ in set(hits) - set(editor)} == PAGES_PROBED
    assert {status for _, _, status, _, _ in hits} == {404}


def test_one_address_of_a_real_access_log_reaches_five_hits_and_it_is_a_scanner(corpora: Path):
    hits = defaultdict(list)
    for address, time, _, _, _ in access_log_hits(scanner()):
        hits[address].append(time)
    assert {address for address, times in hits.items() if len(times) >= 5} == {"91.236.75.25"}
