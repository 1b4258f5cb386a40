"""Where an address is and whose network it is, where the operator has MaxMind databases (.mmdb).

Nothing is fetched: without a database there is no answer. Reading is in memory and takes microseconds.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec
from geoip2.database import Reader
from geoip2.errors import AddressNotFoundError
from maxminddb import InvalidDatabaseError

from detectors.addresses import parse_address
from detectors.errors import ConfigError


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the databases say of an address; what they do not say is None."""

    country: str | None = None
    """ISO 3166-1 alpha-2, such as `GB`."""
    city: str | None = None
    asn: int | None = None
    organization: str | None = None


class Spot(NamedTuple):
    """Where on earth an address is, and how far the database may err."""

    latitude: float
    longitude: float
    radius_km: int
    """Of the circle that holds the address, as the database says; 100 where it does not say."""
    asn: int
    """0: not known."""


UNKNOWN_RADIUS_KM = 100
"""Where a database gives no accuracy radius. Source: MaxMind gives 5 to 1,000 km, for most networks 100 or less."""
SPOTS_KEPT = 16_384


class Geo:
    """Reads the city (or country) database and the ASN database; each may be absent."""

    def __init__(self, city_db: Path | None = None, asn_db: Path | None = None) -> None:
        """Raises: ConfigError naming the file that is missing, no database, or one of another kind."""
        self._city = _open(city_db, "City", "Country", "Enterprise") if city_db else None
        self._asn = _open(asn_db, "ASN") if asn_db else None
        self._spots: dict[str, Spot | None] = {}

    @property
    def is_configured(self) -> bool:
        """Whether there is any database."""
        return self._city is not None or self._asn is not None

    def look_up(self, value: str) -> Place | None:
        """The place of an address, or of a network's first address; None where nothing is known of it."""
        address = parse_address(value.partition("/")[0])
        if address is None:
            return None
        country, city = self._place(address)
        asn, organization = self._network(address)
        if country is None and city is None and asn is None:
            return None
        return Place(country, city, asn, organization)

    def locate(self, address: str) -> Spot | None:
        """The spot of a canonical address; None where there is no database of cities or it does not know."""
        if self._city is None or "Country" in self._city.metadata().database_type:
            return None
        if address not in self._spots:
            if len(self._spots) >= SPOTS_KEPT:
                self._spots.clear()
            self._spots[address] = self._spot(address)
        return self._spots[address]

    def _spot(self, address: str) -> Spot | None:
        assert self._city is not None  # noqa: S101 - the caller has just looked
        try:
            found = self._city.city(address).location
        except (AddressNotFoundError, InvalidDatabaseError):
            return None
        if found.latitude is None or found.longitude is None:
            return None
        radius = found.accuracy_radius or UNKNOWN_RADIUS_KM
        return Spot(found.latitude, found.longitude, radius, self._network(address)[0] or 0)

    def close(self) -> None:
        """Closes the files."""
        for reader in (self._city, self._asn):
            if reader is not None:
                reader.close()

    def _place(self, address: str) -> tuple[str | None, str | None]:
        if self._city is None:
            return None, None
        try:
            if "Country" in self._city.metadata().database_type:
                return self._city.country(address).country.iso_code, None
            found = self._city.city(address)
        except (AddressNotFoundError, InvalidDatabaseError):
            return None, None
        return found.country.iso_code, found.city.name

    def _network(self, address: str) -> tuple[int | None, str | None]:
        if self._asn is None:
            return None, None
        try:
            found = self._asn.asn(address)
        except (AddressNotFoundError, InvalidDatabaseError):
            return None, None
        return found.autonomous_system_number, found.autonomous_system_organization


def _open(path: Path, *kinds: str) -> Reader:
    try:
        reader = Reader(str(path))
    except (OSError, InvalidDatabaseError) as error:
        raise ConfigError(f"{path}: cannot be read as a MaxMind database: {error}") from error
    kind = reader.metadata().database_type
    if not any(k in kind for k in kinds):
        reader.close()
        raise ConfigError(f"{path}: is a {kind} database; one of {', '.join(kinds)} is needed")
    return reader
