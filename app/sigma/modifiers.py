"""The modifiers behind a field's name: `cs-uri-query|contains|all`. Source: Sigma Modifiers 2.1."""

from dataclasses import dataclass, field

from app.sigma.refusal import Refused, shown
from detectors.conditions import Op

PLACING = ("contains", "startswith", "endswith")
ENCODING = ("base64", "base64offset")
NUMERIC = {"gt": Op.GT, "gte": Op.GTE, "lt": Op.LT, "lte": Op.LTE}
REGEX_FLAGS = ("i", "m", "s")
_KINDS = ("re", "cidr", "exists", *NUMERIC)
_UTF16 = "its value is UTF-16, which no access log holds"
NOT_TAKEN: dict[str, str] = {
    **dict.fromkeys(("utf16", "utf16le", "utf16be", "wide"), _UTF16),
    "windash": "it is about the command lines of Windows",
    "expand": "its placeholder stands for a list that only the operator knows; write the values out",
    "fieldref": "Bartizan compares fields with values, not with other fields",
    **dict.fromkeys(
        ("minute", "hour", "day", "week", "month", "year"), "Bartizan does not compare parts of a date"
    ),
}


@dataclass(frozen=True, slots=True)
class Modifiers:
    """What the modifiers of one item ask for, checked against each other."""

    changes: tuple[str, ...] = ()
    """Of PLACING and ENCODING, in the order written: they change the value."""
    kind: str = ""
    """`re`, `cidr`, `exists`, a numeric comparison, or nothing: a text."""
    flags: str = ""
    is_all: bool = False
    is_cased: bool = False
    is_negated: bool = field(default=False)
    """`neq`: the field is there and is none of the values."""


def read_modifiers(names: list[str]) -> Modifiers:
    """The modifiers by name. Raises: Refused."""
    changes: list[str] = []
    kind, flags = "", ""
    for name in names:
        if name in NOT_TAKEN:
            raise Refused(f"modifier {name}: {NOT_TAKEN[name]}")
        if name in PLACING or name in ENCODING:
            changes.append(name)
        elif name in _KINDS:
            if kind:
                raise Refused(f"modifiers {kind} and {name} do not go together")
            kind = name
        elif name in REGEX_FLAGS and kind == "re":
            flags += name
        elif name not in ("all", "cased", "neq"):
            raise Refused(f"modifier {shown(name)} is not one of Sigma's")
    is_cased = "cased" in names
    if kind and (changes or is_cased):
        raise Refused(f"modifiers {kind} and {changes[0] if changes else 'cased'} do not go together")
    if any(name in ENCODING for name in changes[1:]):
        raise Refused(f"modifier {changes[0]} must stand behind the encoding")
    if len([name for name in changes if name in PLACING]) > 1:
        raise Refused(f"modifiers {' and '.join(changes)} do not go together")
    return Modifiers(tuple(changes), kind, flags, "all" in names, is_cased, "neq" in names)
