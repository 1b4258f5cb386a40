"""The operator's own rules: their condition alone says which events count.

Looks at: what the conditions need of a record (condition_needs.py), or every event where one of them needs next to
nothing. All own rules are asked together: the texts of an event are scanned once for all of them (event_texts.py), and
the conditions that may be met are evaluated.
Source: the policy's `rules:`, and Sigma rules.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from detectors.condition_fields import reader_of
from detectors.condition_matching import matcher_of
from detectors.condition_needs import ANYTHING, NOTHING, needs_of, one_of
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


class OwnRules:
    """All own rules of an engine, asked as one: the first detector looks at events on behalf of all of them."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.needs = {rule.name: needs_of(_wanted(rule)) for rule in rules}
        self.wanted = one_of(self.needs.values())
        """What an event has that is looked at."""
        if self.wanted.is_dear or len(self.wanted.literals) > MOST_LITERALS:
            self.wanted = ANYTHING
        self._conditions = [_wanted(rule) for rule in rules]
        self._detectors: list[OwnRule] = []
        self._texts: EventTexts | None = None

    def join(self, detector: "OwnRule") -> bool:
        """Takes in the detector of the next rule; whether it is the first. They come in the order of the rules."""
        self._detectors.append(detector)
        if len(self._detectors) == len(self._conditions) >= FEWEST_TOGETHER:
            self._texts = EventTexts(self._conditions)
        return len(self._detectors) == 1

    def judge(self, look: Look) -> Iterable[Verdict]:
        """The verdicts of all rules."""
        if self._texts is None:
            asked = self._detectors
        else:
            asked = [self._detectors[number] for number in self._texts.may_meet(look.event, look.record)]
        return [verdict for detector in asked for verdict in detector.verdicts(look)] if asked else ()


class OwnRule(Detector):
    """Asks the condition; the first one of an engine those of all of them."""

    def __init__(self, rule: Rule, site: Surroundings, together: OwnRules) -> None:
        super().__init__(rule, site)
        self._together = together
        if together.join(self):
            wanted = together.wanted
            self.statuses = wanted.statuses
            self.outcomes, self.keys, self.everything = wanted.outcome, wanted.key, wanted.everything
            if wanted.literals:
                tags = {OWN_WORDS, ENCODED}
                self.tags = frozenset(tags | {DISGUISES} if wanted.is_decoded else tags)
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

    def judge(self, look: Look) -> Iterable[Verdict]:
        """The verdicts of all own rules."""
        return self._together.judge(look)

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


def needs_of_rules(rules: Iterable[Rule]) -> dict[str, OwnRules]:
    """The own rules among these, by their names; each is given to its detector."""
    own = [rule for rule in rules if rule.is_own]
    return dict.fromkeys((rule.name for rule in own), OwnRules(own)) if own else {}


def tags_for(own: Mapping[str, OwnRules]) -> Iterator[Tag]:
    """What the scan must look for on behalf of own rules."""
    wanted = next((together.wanted for together in own.values()), NOTHING)
    for literal in sorted(wanted.literals):
        yield Tag(OWN_WORDS, (literal,))
    if wanted.is_decoded:
        yield Tag(DISGUISES, expression=_DISGUISE)


def _wanted(rule: Rule) -> Condition:
    """What an event meets that this rule says anything of."""
    return _where(rule) if rule.then is None else Any((_where(rule), rule.then))


def _where(rule: Rule) -> Condition:
    return rule.where if rule.where is not None else All(())
