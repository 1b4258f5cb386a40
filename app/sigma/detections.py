"""The `detection` of a Sigma rule as one condition over our events."""

from typing import Any

from app.sigma.expressions import read_expression
from app.sigma.items import Budget, read_item
from app.sigma.logic import all_of, any_of
from app.sigma.refusal import Refused, shown
from detectors.conditions import Condition

KEYWORD = "|contains"
"""A value without a field may stand anywhere in the text."""
MOST_SELECTIONS = 500


def read_detection(detection: Any) -> Condition:
    """The condition of a detection: its selections, joined as its `condition` says. Raises: Refused."""
    if not isinstance(detection, dict):
        raise Refused("detection is not a mapping of selections")
    if "timeframe" in detection:
        raise Refused("timeframe is Sigma's old form of counting; write a correlation with a timespan")
    conditions = detection.get("condition")
    texts = [
        str(text or "").strip() for text in (conditions if isinstance(conditions, list) else [conditions])
    ]
    if not all(texts) or not texts:
        raise Refused("detection has no condition")
    if not 1 < len(detection) <= MOST_SELECTIONS or len(texts) > MOST_SELECTIONS:
        raise Refused(f"detection needs 1 to {MOST_SELECTIONS} selections")
    budget = Budget()
    selections = {
        str(name): _read_selection(selection, str(name), budget)
        for name, selection in detection.items()
        if name != "condition"
    }
    return any_of([read_expression(text, selections) for text in texts])


def _read_selection(selection: Any, name: str, budget: Budget) -> Condition:
    """A mapping is met as a whole, a list where one of its parts is. Raises: Refused."""
    parts = selection if isinstance(selection, list) else [selection]
    if not parts:
        raise Refused(f"selection {shown(name)} is empty")
    return any_of([_read_part(part, name, budget) for part in parts])


def _read_part(part: Any, name: str, budget: Budget) -> Condition:
    if isinstance(part, dict):
        if not part:
            raise Refused(f"selection {shown(name)} is empty")
        return all_of([_read_pair(key, value, budget) for key, value in part.items()])
    if part is None or isinstance(part, list) or part == "":
        raise Refused(f"selection {shown(name)}: {shown(part)} is neither fields nor a keyword")
    return read_item(KEYWORD, part, budget)


def _read_pair(key: Any, value: Any, budget: Budget) -> Condition:
    """A field and its values; a key without a field name is about keywords, which stand anywhere too."""
    text = "" if key is None else str(key)
    name, _, modifiers = text.partition("|")
    placed = {"re", "contains", "startswith", "endswith"}.intersection(modifiers.split("|"))
    return read_item(text if name or placed else f"{text}{KEYWORD}", value, budget)
