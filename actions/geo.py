"""Where an address is and whose network it is, where the operator has MaxMind databases (.mmdb).

Nothing is fetched: without a database there is no answer. Reading is in memory and takes microseconds.
"""

from pathlib import Path

import msgspec
from geoip2.database import Reader
from geoip2.errors import AddressNotFoundError
from maxminddb import InvalidDatabaseError

from actions.networks import network_of
from detectors.errors import ConfigError


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the databases say of an address; what they do not say is None."""

    country: str | None = None
    """ISO 3166-1 alpha-2, such as `GB`."""
    city: str | None = None
    asn: int | None = None
    organization: str | None = None


class Geo:
    """Reads the city (or country) database and the ASN database; each may be absent."""

    def __init__(self, city_db: Path | None = None, asn_db: Path | None = None) -> None:
        """Raises: ConfigError naming the file that is missing, no database, or one of another kind."""
        self._city = _open(city_db, "City", "Country", "Enterprise") if city_db else None
        self._asn = _open(asn_db, "ASN") if asn_db else None

    @property
    def is_configured(self) -> bool:
        """Whether there is any database."""
        return self._city is not None or self._asn is not None

    def look_up(self, value: str) -> Place | None:
        """The place of an address, or of a network's first address; None where nothing is known of it."""
        try:
            address = str(network_of(value).network_address)
        except ValueError:
            return None
        country, city = self._place(address)
        asn, organization = self._network(address)
        if country is None and city is None and asn is None:
            return None
        return Place(country, city, asn, organization)

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
