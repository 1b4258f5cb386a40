"""What holds for a client: the decision about its address, its country, its autonomous system or its user."""

from typing import NamedTuple
from urllib.parse import parse_qs

from actions.blocks.decision import Decision
from actions.blocks.subjects import Scope, canonical_subject
from app.lookup.table import Table
from app.world import AppWorld
from detectors.finding import DecisionType

ABLE: frozenset[DecisionType] = frozenset({DecisionType.BAN})
"""What a caller can act on that says nothing of it."""
MOST_PARAMETERS = 16


class Asked(NamedTuple):
    """What a caller says besides an address: what it knows of the client, and what it can act on."""

    able: frozenset[DecisionType] = ABLE
    user: str | None = None
    country: str | None = None
    asn: str | None = None


NOTHING_MORE = Asked()


class QueryError(ValueError):
    """A parameter of a query that cannot be read; `field` names it."""

    def __init__(self, field: str, error: object) -> None:
        super().__init__(f"{field}: {error}")
        self.field = field


def read_types(text: str) -> frozenset[DecisionType]:
    """Types of decisions, separated by commas. Raises: QueryError naming what is none."""
    try:
        return frozenset(DecisionType(name.strip()) for name in text.split(","))
    except ValueError as error:
        raise QueryError("types", error) from error


def read_query(query: bytes) -> Asked:
    """`?types=ban,captcha&user=alice&country=FR&asn=64500`; what else stands there is not looked at.

    Raises: QueryError naming the parameter that is wrong.
    """
    try:
        given = parse_qs(query.decode("latin-1"), max_num_fields=MOST_PARAMETERS)
    except ValueError as error:
        raise QueryError("query", error) from error
    return Asked(
        read_types(given["types"][0]) if "types" in given else ABLE,
        _subject(given, "user", Scope.USER),
        _subject(given, "country", Scope.COUNTRY),
        _subject(given, "asn", Scope.AS),
    )


def _subject(given: dict[str, list[str]], name: str, scope: Scope) -> str | None:
    if name not in given:
        return None
    try:
        return canonical_subject(scope, given[name][0])[1]
    except ValueError as error:
        raise QueryError(name, error) from error


def judge(
    world: AppWorld, address: str, now: int, asked: Asked = NOTHING_MORE
) -> tuple[Decision | None, bool]:
    """The strongest decision in force for a client at `now`, and whether its address is allowlisted.

    Of equally strong ones that about the address answers. The databases (BARTIZAN_GEOIP_...) are asked only while
    there is a decision about a country or an autonomous system. Raises: ValueError where it is no address.
    """
    table = world.feed.table
    decision, is_allowed = table.lookup(address, now)
    if is_allowed or not table.has_named:
        return decision, is_allowed
    for found in _named(world, table, address, now, asked):
        if found is not None and (decision is None or found.type.strength > decision.type.strength):
            decision = found
    return decision, False


def _named(
    world: AppWorld, table: Table, address: str, now: int, asked: Asked
) -> tuple[Decision | None, Decision | None, Decision | None]:
    country, asn, geo = asked.country, asked.asn, world.actions.geo
    if (country is None or asn is None) and geo.is_configured:
        place = geo.look_up(address)
        if place is not None:
            country = country or place.country
            asn = asn or (None if place.asn is None else str(place.asn))
    return (
        None if asked.user is None else table.find(Scope.USER, asked.user, now),
        None if country is None else table.find(Scope.COUNTRY, country, now),
        None if asn is None else table.find(Scope.AS, asn, now),
    )
