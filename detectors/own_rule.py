"""The operator's own rules: their condition alone says which events count.

Looks at: what the condition needs (condition_needs.py); most events need no look at all.
Source: the policy's `rules:`, and Sigma rules.
"""

from collections.abc import Iterable, Iterator, Mapping

from detectors.condition_fields import reader_of
from detectors.condition_matching import matcher_of
from detectors.condition_needs import ANYTHING, Needs, needs_of
from detectors.condition_words import matched_part_of
from detectors.conditions import All, Any, Condition
from detectors.detector import Detector, Look, Surroundings, Verdict
from detectors.rule import Rule
from detectors.scanner import ENCODED, Tag

MOST_LITERALS = 2_000
"""Of all own rules together: compiling the scan takes a few milliseconds for each. Rules past that look at every
event."""
HEX_ESCAPES = "hex_escapes"
"""Tag of a record with `\\xNN` for a character of ASCII, which is undone when the record is decoded."""
DISGUISES = "disguises"
"""Tag of a record with what decoding turns into ASCII, besides plain escapes (ENCODED)."""

_HEX_ESCAPE = r"\\x[2-7][0-9a-f]"
_DISGUISE = (
    # Overlong UTF-8 and full-width letters, percent-encoded.
    r"%(?:ca|e[023f]|ef|f0|u)"
    # JavaScript escapes, HTML entities, letters outside ASCII as they stand (the last of a row).
    r"|\\[ux]|&(?:#|[a-z]{2,7};)|[\x80-\xff](?:[\x00-\x7f]|\z)"
)


class OwnRule(Detector):
    """Asks the condition."""

    def __init__(self, rule: Rule, site: Surroundings, needs: Needs) -> None:
        super().__init__(rule, site)
        self.statuses = needs.statuses
        self.outcomes, self.keys, self.everything = needs.outcome, needs.key, needs.everything
        if needs.literals:
            tags = {tag_of(rule.name), ENCODED, HEX_ESCAPES}
            self.tags = frozenset(tags | {DISGUISES} if needs.is_decoded else tags)
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


def tag_of(name: str) -> str:
    """The tag of records that hold a literal of this rule."""
    return f"rule:{name}"


def needs_of_rules(rules: Iterable[Rule]) -> dict[str, Needs]:
    """What each own rule needs to see, by its name; bounded over all of them."""
    found: dict[str, Needs] = {}
    literals = 0
    for rule in rules:
        if rule.is_own:
            where = _where(rule)
            needs = needs_of(where if rule.then is None else Any((where, rule.then)))
            literals += len(needs.literals)
            found[rule.name] = needs if literals <= MOST_LITERALS else ANYTHING
    return found


def tags_for(needs: Mapping[str, Needs]) -> Iterator[Tag]:
    """What the scan must look for on behalf of own rules."""
    for name, need in needs.items():
        for literal in sorted(need.literals):
            yield Tag(tag_of(name), (literal,))
    if any(need.literals for need in needs.values()):
        yield Tag(HEX_ESCAPES, expression=_HEX_ESCAPE)
    if any(need.is_decoded for need in needs.values()):
        yield Tag(DISGUISES, expression=_DISGUISE)


def _where(rule: Rule) -> Condition:
    return rule.where if rule.where is not None else All(())
