"""One line of a Sigma selection, `field|modifiers: values`, as a condition."""

import base64
from ipaddress import ip_address, ip_network

from app.sigma.fields import FIELDS, KEYWORDS, OUTCOMES, Meaning, Sort
from app.sigma.logic import all_of, any_of, exists, none_of
from app.sigma.modifiers import NUMERIC, Modifiers, read_modifiers
from app.sigma.patterns import (
    Tokens,
    Wild,
    as_comparison,
    as_extension_regex,
    as_regex,
    longest_text,
    merged,
    parse_value,
    plain,
)
from app.sigma.refusal import Refused, shown
from app.sigma.urls import host_and_target
from detectors.condition_matching import compile_regex
from detectors.conditions import Condition, Op, Test
from detectors.errors import ConfigError

MOST_COMPARISONS = 10_000
"""Of one rule. SigmaHQ's longest web rule has about 300."""
LONGEST_VALUE = 4_096
STATUSES = range(100, 600)


class Budget:
    """Counts the comparisons of one rule, so that a file of references to references stays small."""

    def __init__(self) -> None:
        self._left = MOST_COMPARISONS

    def spend(self, count: int) -> None:
        """Raises: Refused once the rule has too many."""
        self._left -= count
        if self._left < 0:
            raise Refused(f"more than {MOST_COMPARISONS:,} values")


def read_item(key: object, value: object, budget: Budget) -> Condition:
    """The condition of one item; a key without a field is about keywords. Raises: Refused."""
    name, *names = str(key).split("|")
    modifiers = read_modifiers(names)
    meaning = FIELDS.get(name.lower()) if name else KEYWORDS
    if meaning is None:
        raise Refused(f"field {shown(name)}: the events have no such field")
    values = value if isinstance(value, list) else [value]
    if not values:
        raise Refused(f"{shown(str(key))} has no value")
    budget.spend(len(values))
    try:
        found = [_one(meaning, one, modifiers) for one in values]
    except Refused as refused:
        raise Refused(f"{shown(str(key))}: {refused}") from None
    joined = all_of(found) if modifiers.is_all else any_of(found)
    return all_of([_present(meaning), none_of(joined)]) if modifiers.is_negated else joined


def _one(meaning: Meaning, value: object, modifiers: Modifiers) -> Condition:
    if not isinstance(value, str | int | float | bool | None):
        raise Refused(f"{shown(value)} is not a single value")
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        raise Refused(f"a value is longer than {LONGEST_VALUE:,} characters")
    if modifiers.kind == "exists":
        if not isinstance(value, bool):
            raise Refused(f"exists is true or false, not {shown(value)}")
        return _present(meaning) if value else none_of(_present(meaning))
    if value is None:
        if modifiers != Modifiers(is_all=modifiers.is_all, is_negated=modifiers.is_negated):
            raise Refused("null has no text to be modified")
        return none_of(_present(meaning))
    if modifiers.kind == "re":
        return _regex(meaning, str(value), modifiers.flags)
    if modifiers.kind == "cidr":
        return _network(meaning, str(value))
    if modifiers.kind:
        return _number(meaning, value, NUMERIC[modifiers.kind])
    return any_of([_compared(meaning, tokens, modifiers.is_cased) for tokens in _changed(value, modifiers)])


def _changed(value: str | int | float | bool, modifiers: Modifiers) -> list[Tokens]:
    """The values that a value becomes through `contains`, `base64` and the like."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    found = [parse_value(text)]
    for change in modifiers.changes:
        match change:
            case "base64":
                found = [(base64.b64encode(_to_encode(t)).decode(),) for t in found]
            case "base64offset":
                found = [(part,) for t in found for part in base64_offsets(_to_encode(t))]
            case "contains":
                found = [merged([Wild.ANY, *t, Wild.ANY]) for t in found]
            case "startswith":
                found = [merged([*t, Wild.ANY]) for t in found]
            case "endswith":
                found = [merged([Wild.ANY, *t]) for t in found]
    return found


def _to_encode(tokens: Tokens) -> bytes:
    text = plain(tokens)
    if not text:
        raise Refused("a value with wildcards, or an empty one, cannot be encoded")
    return text.encode()


def base64_offsets(value: bytes) -> list[str]:
    """The parts of a Base64 text that stand fast wherever in it the value begins; one for each of three positions."""
    found = []
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + value).decode().rstrip("=")
        # A character holds six bits: those with a bit of what stands before or behind are left out.
        first = (offset * 8 + 5) // 6
        last = (offset + len(value)) * 8 // 6
        if last > first:
            found.append(encoded[first:last])
    return found


def _compared(meaning: Meaning, tokens: Tokens, is_cased: bool) -> Condition:
    """A text with or without wildcards, against every field that it may stand in."""
    if tokens == (Wild.ANY,):
        return _present(meaning)
    match meaning.sort:
        case Sort.STATUS | Sort.OUTCOME:
            return _listed(meaning, tokens)
        case Sort.NUMBER:
            return _number(meaning, plain(tokens), Op.EQUALS)
        case Sort.ADDRESS:
            tokens = _address(tokens)
    if not tokens:
        return none_of(
            _present(meaning)
        )  # an empty value is logged for want of one, and is none in our events
    found = [_in_field(meaning, field, tokens, is_cased) for field in meaning.fields]
    apart = host_and_target(tokens) if meaning.has_scheme else None
    if apart is not None:
        sides = zip((Meaning(("host",)), Meaning(meaning.fields)), apart, strict=True)
        found.append(all_of([_compared(side, part, is_cased) for side, part in sides if part]))
    return any_of(found)


def _in_field(meaning: Meaning, field: str, tokens: Tokens, is_cased: bool) -> Condition:
    write = as_regex
    if meaning.sort is Sort.EXTENSION:
        if plain(tokens) is None:
            write = as_extension_regex
        else:
            tokens = merged([Wild.ANY, ".", *tokens])
    cheap = as_comparison(tokens) if write is as_regex and not is_cased else None
    if cheap is not None:
        return Test(field, cheap[0], (cheap[1],))
    regex = Test(field, Op.REGEX, (_checked(write(tokens, is_cased=is_cased)),))
    # The text on its own is cheap to look for, and where it is not, the expression need not be tried.
    text = longest_text(tokens)
    return all_of([Test(field, Op.CONTAINS, (text,)), regex]) if text else regex


def _listed(meaning: Meaning, tokens: Tokens) -> Condition:
    """Fields with few possible values: those that the value means, one by one."""
    is_meant = compile_regex(as_regex(tokens)).search
    values: tuple[str | int, ...]
    if meaning.sort is Sort.STATUS:
        values = tuple(status for status in STATUSES if is_meant(str(status).encode()))
    else:
        values = tuple(dict.fromkeys(ours for word, ours in OUTCOMES.items() if is_meant(word.encode())))
    if not values:
        kind = "a status" if meaning.sort is Sort.STATUS else "an outcome (success, failure, unknown)"
        raise Refused(f"the value is not {kind}")
    return any_of([Test(field, Op.EQUALS, values) for field in meaning.fields])


def _address(tokens: Tokens) -> Tokens:
    text = plain(tokens)
    try:
        return (str(ip_address(text)),) if text else tokens
    except ValueError:
        raise Refused(f"{shown(text)} is not an address") from None


def _number(meaning: Meaning, value: object, op: Op) -> Condition:
    if meaning.sort not in (Sort.NUMBER, Sort.STATUS):
        raise Refused("the field is not a number")
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if isinstance(value, bool) or not abs(number) < 2**63:
        raise Refused(f"{shown(value)} is not a number")
    exact = int(number) if number.is_integer() else number
    return any_of([Test(field, op, (exact,)) for field in meaning.fields])


def _network(meaning: Meaning, value: str) -> Condition:
    if meaning.sort is not Sort.ADDRESS:
        raise Refused("the field is not an address")
    try:
        network = str(ip_network(value, strict=False))
    except ValueError:
        raise Refused(f"{shown(value)} is not a network") from None
    return any_of([Test(field, Op.CIDR, (network,)) for field in meaning.fields])


def _regex(meaning: Meaning, value: str, flags: str) -> Condition:
    if meaning.sort not in (Sort.TEXT, Sort.ADDRESS):
        raise Refused("the field is not a text")
    on = "".join(sorted(set(flags)))
    expression = _checked(f"(?{on}:{value})" if "i" in on else f"(?{on}-i:{value})")
    return any_of([Test(f, Op.REGEX, (expression,)) for f in meaning.fields])


def _checked(expression: str) -> str:
    """Raises: Refused where RE2 does not take it (look-around, backreferences, too large)."""
    try:
        compile_regex(expression)
    except ConfigError as error:
        raise Refused(f"{str(error)[-120:]} (it knows neither look-around nor backreferences)") from None
    return expression


def _present(meaning: Meaning) -> Condition:
    """True where the event has the field."""
    if meaning.sort is Sort.EXTENSION:
        return _in_field(meaning, meaning.fields[0], (Wild.ONE, Wild.ANY), is_cased=False)
    return exists(meaning.needed or meaning.fields[0])
