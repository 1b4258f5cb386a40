"""What a bouncer asks for: the query of `/v1/decisions` and `/v1/decisions/stream`, read once.

Source: crowdsec, pkg/database/decisionfilter.go. Parameters that are not known are ignored, as there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from actions.blocks.subjects import Scope
from app.lookup.table import parse_network

LONGEST = 2048
"""Characters of one parameter; a list of a hundred scenarios fits."""
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_SCOPES = {"ip": "Ip", "range": "Range", "country": "Country", "as": "AS"}
STREAM_SCOPES = frozenset({Scope.IP.value, Scope.RANGE.value})
"""Of a stream whose bouncer names none."""


class FilterError(ValueError):
    """A parameter that cannot be read; the message is the answer's."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions are asked for; what is None or empty does not narrow them."""

    network: tuple[int, int, int] | None = None
    """Version, number and shift, as `parse_network` answers."""
    contains: bool = True
    """Decisions that hold the whole network; else those that lie in it."""
    scopes: frozenset[str] | None = None
    value: str | None = None
    type: str | None = None
    origins: frozenset[str] | None = None
    containing: tuple[str, ...] = ()
    """Lower case; one of them must be part of the scenario."""
    not_containing: tuple[str, ...] = ()
    limit: int | None = None
    offset: int = 0
    id_gt: int | None = None
    expand: bool | None = None
    """Ours: whether ranges come as single addresses. None: where the bouncer drops ranges."""
    dedup: bool = True

    def takes_scenario(self, scenario: str) -> bool:
        """Whether decisions of this scenario are asked for."""
        if not self.containing and not self.not_containing:
            return True
        text = scenario.lower()
        if self.containing and not any(part in text for part in self.containing):
            return False
        return not any(part in text for part in self.not_containing)


def read_query(query: Mapping[str, str], *, stream: bool = False) -> Wanted:
    """The filter that a query states. Raises: FilterError, with upstream's words where it has any."""
    get = query.get
    return Wanted(
        network=_network(get("ip"), get("range")),
        contains=True if get("contains") is None else parse_bool(get("contains", ""), "contains"),
        scopes=_scopes(get("scopes"), get("scope"), stream=stream),
        value=_cut(get("value")),
        type=_cut(get("type")),
        origins=_names(get("origins")),
        containing=_parts(get("scenarios_containing")),
        not_containing=_parts(get("scenarios_not_containing")),
        limit=_number(get("limit"), "limit"),
        offset=_number(get("offset"), "offset") or 0,
        id_gt=_number(get("id_gt"), "id_gt"),
        expand=None if get("expand") is None else parse_bool(get("expand", ""), "expand"),
        dedup=get("dedup") not in _FALSE,
    )


def parse_bool(text: str, name: str) -> bool:
    """As Go's strconv.ParseBool. Raises: FilterError."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise FilterError(f'invalid {name} value : strconv.ParseBool: parsing "{text[:64]}": invalid syntax')


def _network(ip: str | None, range_: str | None) -> tuple[int, int, int] | None:
    text = ip if ip is not None else range_
    if text is None:
        return None
    try:
        return parse_network(text)
    except ValueError as error:
        shown = text[:64]
        raise FilterError(f"unable to convert '{shown}' to int: invalid address: '{shown}'") from error


def _scopes(many: str | None, one: str | None, *, stream: bool) -> frozenset[str] | None:
    text = many if many is not None else one
    if text is None:
        return STREAM_SCOPES if stream else None
    return frozenset(_SCOPES.get(name.lower(), name) for name in _split(text))


def _names(text: str | None) -> frozenset[str] | None:
    return None if not text else frozenset(_split(text))


def _parts(text: str | None) -> tuple[str, ...]:
    return tuple(part.lower() for part in _split(text or ""))


def _split(text: str) -> Iterable[str]:
    return [part for part in (raw.strip() for raw in text[:LONGEST].split(",")) if part]


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:LONGEST]


def _number(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 16):
        raise FilterError(f'invalid {name} value : strconv.Atoi: parsing "{text[:64]}": invalid syntax')
    return int(text)
