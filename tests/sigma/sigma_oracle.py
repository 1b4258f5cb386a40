"""Sigma's meaning, slow and plain, written down from its specification: what the loader is held against.

It reads a detection as YAML gives it and an event as a mapping of Sigma's own field names; nothing of app/sigma.
"""

import re
from collections.abc import Mapping
from typing import Any

Fields = Mapping[str, Any]


def meets(detection: dict[str, Any], fields: Fields, line: str = "") -> bool:
    """Whether an event meets a detection whose condition uses names, and, or, not, brackets and `x of`."""
    truth = {name: selected(part, fields, line) for name, part in detection.items() if name != "condition"}

    def several(found: re.Match[str]) -> str:
        pattern = found[2].replace("*", ".*")
        chosen = [
            truth[name]
            for name in truth
            if not name.startswith("_") and (found[2] == "them" or re.fullmatch(pattern, name))
        ]
        return str(any(chosen) if found[1] == "1" else all(chosen))

    words = re.sub(r"\b(1|all) of (\S+?)(?=[\s)]|$)", several, detection["condition"])
    words = re.sub(r"\w+", lambda w: str(truth.get(w[0], w[0])), words)
    return bool(eval(words))  # noqa: S307 - the tests' own words


def selected(part: Any, fields: Fields, line: str) -> bool:
    if isinstance(part, list):
        return any(selected(one, fields, line) for one in part)
    if isinstance(part, dict):
        return all(item(key, value, fields, line) for key, value in part.items())
    return like(str(part), line, before=True, behind=True)


def item(key: str, value: Any, fields: Fields, line: str) -> bool:
    name, *modifiers = key.split("|")
    logged = fields.get(name) if name else line
    values = value if isinstance(value, list) else [value]
    if not name and not {"contains", "startswith", "endswith", "re"} & set(modifiers):
        modifiers = [*modifiers, "contains"]
    found = [compares(one, logged, modifiers) for one in values]
    return all(found) if "all" in modifiers else any(found)


def compares(value: Any, logged: Any, modifiers: list[str]) -> bool:
    if "exists" in modifiers:
        return (logged is not None) == value
    if value is None or value == "":
        return logged is None
    if logged is None:
        return False
    if "re" in modifiers:
        return re.search(value, str(logged), re.I if "i" in modifiers else 0) is not None
    for name, holds in (
        ("gte", float.__ge__),
        ("gt", float.__gt__),
        ("lte", float.__le__),
        ("lt", float.__lt__),
    ):
        if name in modifiers:
            return holds(float(logged), float(value))
    before = bool({"contains", "endswith"} & set(modifiers))
    behind = bool({"contains", "startswith"} & set(modifiers))
    return like(str(value), str(logged), before=before, behind=behind)


def like(value: str, text: str, *, before: bool = False, behind: bool = False) -> bool:
    """Whether a text is what a value with wildcards says, by trying every way; `before`: anything may stand there."""
    pieces = ["*"] * before + re.findall(r"\\[\\*?]|.", value, re.S) + ["*"] * behind
    reached = {0}
    for piece in pieces:
        if piece == "*":
            reached = set(range(min(reached), len(text) + 1)) if reached else set()
        elif piece == "?":
            reached = {at + 1 for at in reached if at < len(text)}
        else:
            letter = piece[-1].lower()
            reached = {at + 1 for at in reached if at < len(text) and text[at].lower() == letter}
    return len(text) in reached
