"""The operator's own rules: their condition alone says which events count.

Looks at: what the conditions need of a record (condition_needs.py), or every event where one of them needs next to
nothing. All own rules are asked together: the texts of an event are scanned once for all of them (event_texts.py), and
the conditions that may be met are evaluated.
Source: the policy's `rules:`, and Sigma rules.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from detectors.condition_fields import reader_of
from detectors.condition_matching import matcher_of
from detectors.condition_needs import ANYTHING, NOTHING, Needs, needs_of, one_of
from detectors.condition_words import matched_part_of
from detectors.conditions import All, Any, Condition
from detectors.detector import Detector, Look, Surroundings, Verdict
from detectors.event_texts import EventTexts
from detectors.rule import Rule
from detectors.scanner import ENCODED, Tag

MOST_LITERALS = 2_000
"""Of all own rules together: compiling the scan takes a while for each. With more every event is looked at."""
FEWEST_TOGETHER = 5
"""Fewer rules are asked one by one: that costs less than one scan of the event's texts."""
OWN_WORDS = "own_rules"
"""Tag of a record that holds what an own rule needs."""
DISGUISES = "disguises"
"""Tag of a record with anything that decoding may turn into ASCII: more than the likely ones (ENCODED)."""

_DISGUISE = (
    # Overlong UTF-8 and full-width letters, percent-encoded.
    r"%(?:ca|e[023f]|ef|f0|u)"
    # JavaScript escapes, HTML entities, letters outside ASCII as they stand (the last of a row).
    r"|\\[ux]|&(?:#|[a-z]{2,7};)|[\x80-\xff](?:[\x00-\x7f]|\z)"
)


class Wanted(NamedTuple):
    """What an event must have that the own rules look at it."""

    rules: tuple[Rule, ...]
    needs: Needs


class OwnRules(Detector):
    """All own rules of a policy, asked together."""

    def __init__(self, wanted: Wanted, site: Surroundings) -> None:
        super().__init__(wanted.rules[0], site)
        needs = wanted.needs
        self.statuses = needs.statuses
        self.outcomes, self.keys, self.everything = needs.outcome, needs.key, needs.everything
        if needs.literals:
            tags = {OWN_WORDS, ENCODED}
            self.tags = frozenset(tags | {DISGUISES} if needs.is_decoded else tags)
        self._asked = [_OwnRule(rule, site) for rule in wanted.rules]
        self._texts: EventTexts | None = None
        if len(self._asked) >= FEWEST_TOGETHER:
            self._texts = EventTexts([_wanted(rule) for rule in wanted.rules])

    def judge(self, look: Look) -> Iterable[Verdict]:
        """The verdicts of all rules that may be met."""
        if self._texts is None:
            return [verdict for rule in self._asked for verdict in rule.verdicts(look)]
        numbers = self._texts.may_meet(look.event, look.record)
        return [verdict for number in numbers for verdict in self._asked[number].verdicts(look)]


class _OwnRule:
    """One rule's condition, ready to be asked."""

    def __init__(self, rule: Rule, site: Surroundings) -> None:
        self._rule = rule
        where = _where(rule)
        self._counts = matcher_of(where, site.trusted), matched_part_of(where, site.trusted)
        then = rule.then
        self._ends = (
            None if then is None else (matcher_of(then, site.trusted), matched_part_of(then, site.trusted))
        )
        self._parts = [
            (name, matcher_of(part, site.trusted), matched_part_of(part, site.trusted))
            for name, part in rule.parts
        ]
        self._read = reader_of(rule.distinct_field, site.trusted) if rule.distinct_field else None

    def verdicts(self, look: Look) -> Iterable[Verdict]:
        """One verdict where the condition is met; of a sequence also one where its end is, which comes first.

        Of a rule with parts one for each part that is met, whose name is what must differ.
        """
        event, record, _hits = look
        if self._parts:
            return [
                Verdict(self._rule, words(event, record), value=name)
                for name, matches, words in self._parts
                if matches(event, record)
            ]
        found = []
        if self._ends is not None:
            matches, words = self._ends
            if matches(event, record):
                found.append(Verdict(self._rule, words(event, record), good=True))
        matches, words = self._counts
        if matches(event, record):
            value = None
            if self._read is not None:
                read = self._read(event, record)
                value = "" if read is None else str(read)
            found.append(Verdict(self._rule, words(event, record), value=value))
        return found


def wanted_by(rules: Iterable[Rule]) -> Wanted:
    """What the own rules among these need; nothing where there is none."""
    own = tuple(rule for rule in rules if rule.is_own)
    needs = one_of([needs_of(_wanted(rule)) for rule in own]) if own else NOTHING
    if needs.is_dear or len(needs.literals) > MOST_LITERALS:
        needs = ANYTHING
    return Wanted(own, needs)


def tags_for(wanted: Wanted) -> Iterator[Tag]:
    """What the scan must look for on behalf of own rules."""
    needs = wanted.needs
    for literal in sorted(needs.literals):
        yield Tag(OWN_WORDS, (literal,))
    if needs.is_decoded:
        yield Tag(DISGUISES, expression=_DISGUISE)


def _wanted(rule: Rule) -> Condition:
    """What an event meets that this rule says anything of."""
    return _where(rule) if rule.then is None else Any((_where(rule), rule.then))


def _where(rule: Rule) -> Condition:
    return rule.where if rule.where is not None else All(())
