"""Who is left alone for a second, what is merged, and what bounds it: no Redis, no clock."""

import msgspec
from acting import NOON, a_finding

from actions.held import EVIDENCE, HELD, HOLD_MS, KNOWN, MERGED, Held, Row, merged_of
from detectors.finding import Action, Evidence, Finding, Mode
from detectors.windows import count_batch_script


def a_row(number: int, **fields: object) -> Row:
    return Row(f"{NOON}-{number}".encode(), a_finding(number, **fields))


def seen_at(*times: int) -> tuple[Evidence, ...]:
    return tuple(Evidence(at, at, f"status {at}") for at in times)


def test_merged_findings_are_the_sum_under_the_id_of_the_first() -> None:
    first = a_finding(1, at=NOON, count=10, evidence=seen_at(*range(8)))
    late = a_finding(2, at=NOON - 5_000, count=3, evidence=seen_at(*range(100, 104)))
    last = a_finding(3, at=NOON + 700, count=4, evidence=seen_at(50))
    merged = merged_of(first, late, last)
    assert merged == msgspec.structs.replace(
        first,
        first_at=NOON - 64_000,
        at=NOON + 700,
        count=17,
        why="203.0.113.9 failed to log in 17 times in 1 min 4 s (limit: 10 in 1 min); last: status 103",
        evidence=seen_at(3, 4, 5, 6, 7, 50, 100, 101, 102, 103),
    )


def test_one_alone_stays_as_it_is() -> None:
    assert merged_of(finding := a_finding(why="as it was")) is finding


def test_a_subject_waits_for_a_second_after_it_was_dealt_with() -> None:
    finding, hold = a_finding(), Held()
    assert not hold.must_wait(finding, NOON)
    hold.note_handled(finding, NOON)
    assert hold.must_wait(finding, NOON + HOLD_MS - 1)
    assert not hold.must_wait(finding, NOON + HOLD_MS)
    assert not hold.must_wait(finding, NOON - 1), "a clock that was set back holds nobody"
    for other in ({"subject": "192.0.2.1"}, {"rule": "suspicious_activity"}):
        assert not hold.must_wait(a_finding(**other), NOON)


def test_what_an_operator_changed_in_the_policy_does_not_wait() -> None:
    hold = Held()
    hold.note_handled(a_finding(mode=Mode.PROPOSE), NOON)
    for change in ({}, {"actions": tuple(Action)}, {"duration_ms": 1}, {"threshold": 3}):
        assert not hold.must_wait(a_finding(**{"mode": Mode.ENFORCE, **change}), NOON)


def test_what_only_observes_is_never_held() -> None:
    hold, finding = Held(), a_finding(mode=Mode.OBSERVE)
    hold.note_handled(finding, NOON)
    assert not hold.must_wait(finding, NOON)


def test_what_waits_is_given_out_together_when_the_second_is_over() -> None:
    hold, rows = Held(), [a_row(n) for n in range(3)]
    hold.note_handled(a_finding(), NOON)
    for row in rows:
        hold.hold(row)
    assert hold.entries() == {row.entry_id for row in rows}
    assert hold.wait_ms(NOON + 400, 5_000) == 600
    assert hold.wait_ms(NOON + 400, 200) == 200
    assert hold.take(NOON + 999, most=8) == []
    assert hold.wait_ms(NOON + 1_000, 5_000) == 0
    assert hold.must_wait(rows[0].finding, NOON + 1_000), "it goes with those that wait already"
    [given] = hold.take(NOON + 1_000, most=8)
    assert merged_of(*(row.finding for row in given)) == merged_of(*(row.finding for row in rows))
    assert [row.entry_id for row in given] == [row.entry_id for row in rows]
    assert hold.take_all() == []
    assert hold.wait_ms(NOON + 1_000, 5_000) == 5_000


def test_only_the_newest_that_waits_carries_evidence() -> None:
    hold = Held()
    for n in range(20):
        hold.hold(a_row(n, evidence=seen_at(n, n + 1)))
    [given] = hold.take_all()
    assert [len(row.finding.evidence) for row in given] == [0] * 19 + [10]


def test_some_are_given_out_at_a_time_the_longest_held_first() -> None:
    hold = Held()
    for n in range(10):
        hold.hold(a_row(n, subject=f"192.0.2.{n}"))
    given = [rows[0].finding.subject for _ in range(4) for rows in hold.take(NOON, most=3)]
    assert given == [f"192.0.2.{n}" for n in range(10)]


def test_a_merger_is_bounded() -> None:
    hold = Held()
    hold.note_handled(a_finding(), NOON)
    for n in range(MERGED):
        assert hold.take(NOON, most=8) == []
        assert hold.wait_ms(NOON, 5_000) > 0 or n == 0
        hold.hold(a_row(n))
    assert hold.wait_ms(NOON, 5_000) == 0
    assert [len(rows) for rows in hold.take(NOON, most=8)] == [MERGED]


def test_what_is_held_is_bounded() -> None:
    hold = Held()
    for n in range(HELD):
        finding = a_finding(n, subject=f"user{n}")
        hold.note_handled(finding, NOON)
        hold.hold(Row(b"%d-0" % n, finding))
    assert not hold.is_full
    assert hold.take(NOON, most=8) == []
    hold.hold(Row(b"x", a_finding(subject="user0")))
    assert hold.is_full
    [given] = hold.take(NOON, most=1)
    assert given[0].finding.subject == "user0"
    assert not hold.is_full
    hold.clear()
    assert hold.entries() == set()
    assert not hold.is_full


def test_subjects_are_forgotten_when_their_second_is_over() -> None:
    hold = Held()
    for n in range(100):
        hold.note_handled(a_finding(subject=f"user{n}"), NOON)
    hold.note_handled(a_finding(), NOON + HOLD_MS)
    assert len(hold._handled_at) == 1


def test_the_subjects_remembered_are_bounded_within_the_second_too() -> None:
    hold = Held()
    waits: Finding = a_finding(subject="user0")
    hold.note_handled(waits, NOON)
    hold.hold(Row(b"1-0", waits))
    for n in range(1, KNOWN + 1):
        hold.note_handled(a_finding(subject=f"user{n}"), NOON)
    assert len(hold._handled_at) == KNOWN
    assert hold.take(NOON, most=8) == [[Row(b"1-0", waits)]], "what waits for a forgotten one is due"


def test_evidence_is_as_much_as_the_windows_keep() -> None:
    script = count_batch_script()
    assert f"local EVIDENCE = {EVIDENCE}\n" in script
