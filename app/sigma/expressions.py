"""The condition of a Sigma rule: `selection and not 1 of filter_*`.

Source: Sigma Rules Specification 2.1, "Condition": `or` binds least, then `and`, then `not`, then `x of`.
"""

import re
from collections.abc import Mapping

from app.sigma.logic import all_of, any_of, none_of
from app.sigma.refusal import Refused, shown
from detectors.conditions import Condition

LONGEST_CONDITION = 4_096
DEEPEST_NESTING = 50
_TOKEN = re.compile(r"\s*(?:([()])|([^\s()|]+)|(\|))")
_WORDS = frozenset({"and", "or", "not", "of"})
_QUANTIFIERS = {"1": any_of, "any": any_of, "all": all_of}
_OLD_PIPE = "what follows | (count, near) is Sigma's old form; write a correlation"


def read_expression(text: str, selections: Mapping[str, Condition]) -> Condition:
    """The condition over the selections. Raises: Refused."""
    if len(text) > LONGEST_CONDITION:
        raise Refused(f"the condition is longer than {LONGEST_CONDITION:,} characters")
    reader = _Reader(_tokens(text), selections)
    found = reader.either(0)
    if reader.next is not None:
        raise Refused(f"condition: {shown(reader.next)} stands where and, or or the end should")
    return found


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or token[3]:
            raise Refused(_OLD_PIPE)
        found.append(token[1] or token[2])
        position = token.end()
    return found


class _Reader:
    """Reads the tokens from left to right, one method for each rank of binding."""

    def __init__(self, tokens: list[str], selections: Mapping[str, Condition]) -> None:
        self._tokens = tokens
        self._selections = selections
        self._position = 0

    @property
    def next(self) -> str | None:
        """The token that is read next; None at the end."""
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _take(self, word: str) -> bool:
        if self.next is None or self.next.lower() != word:
            return False
        self._position += 1
        return True

    def either(self, depth: int) -> Condition:
        parts = [self._both(depth)]
        while self._take("or"):
            parts.append(self._both(depth))
        return any_of(parts)

    def _both(self, depth: int) -> Condition:
        parts = [self._negated(depth)]
        while self._take("and"):
            parts.append(self._negated(depth))
        return all_of(parts)

    def _negated(self, depth: int) -> Condition:
        if depth > DEEPEST_NESTING:
            raise Refused(f"condition: nested deeper than {DEEPEST_NESTING}")
        if self._take("not"):
            return none_of(self._negated(depth + 1))
        if self._take("("):
            found = self.either(depth + 1)
            if not self._take(")"):
                raise Refused("condition: a bracket is not closed")
            return found
        return self._selection()

    def _selection(self) -> Condition:
        word = self.next
        if word is None or word == ")" or word.lower() in _WORDS:
            raise Refused(f"condition: {shown(word or 'the end')} stands where a selection should")
        self._position += 1
        if self.next is not None and self.next.lower() == "of":
            self._position += 1
            return self._several(word)
        if word not in self._selections:
            raise Refused(f"condition: there is no selection {shown(word)}")
        return self._selections[word]

    def _several(self, quantifier: str) -> Condition:
        join = _QUANTIFIERS.get(quantifier.lower())
        if join is None:
            raise Refused(f"condition: {shown(quantifier)} of; Sigma knows 1 of and all of")
        pattern = self.next
        if pattern is None or pattern in "()":
            raise Refused(f"condition: nothing stands behind {quantifier} of")
        self._position += 1
        chosen = [self._selections[name] for name in self._names(pattern)]
        if not chosen:
            raise Refused(f"condition: no selection is called {shown(pattern)}")
        return join(chosen)

    def _names(self, pattern: str) -> list[str]:
        """The selections that `them` or a pattern means. One that begins with `_` is no part of them unasked."""
        if pattern.lower() == "them":
            return [name for name in self._selections if not name.startswith("_")]
        is_meant = re.compile(".*".join(map(re.escape, re.split(r"\*+", pattern)))).fullmatch
        hidden = not pattern.startswith("_")
        return [name for name in self._selections if is_meant(name) and not (hidden and name.startswith("_"))]
