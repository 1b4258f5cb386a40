"""Where an address is, by MaxMind's own test databases."""

from pathlib import Path

import pytest

from detectors.errors import ConfigError
from detectors.geo import Geo, Place


def test_an_address_has_a_city_a_country_and_a_provider(corpora: Path) -> None:
    geo = Geo(corpora / "GeoLite2-City-Test.mmdb", corpora / "GeoLite2-ASN-Test.mmdb")
    assert geo.is_configured
    london = geo.look_up("81.2.69.142")
    assert london is not None
    assert (london.country, london.city) == ("GB", "London")
    sweden = geo.look_up("89.160.20.112")
    assert sweden is not None
    assert (sweden.country, sweden.city, sweden.asn) == ("SE", "Linköping", 29518)
    assert geo.look_up("89.160.20.112/32") == sweden
    assert geo.look_up("::ffff:89.160.20.112") == sweden
    geo.close()


def test_an_ipv6_network_has_a_place_too(corpora: Path) -> None:
    geo = Geo(corpora / "GeoLite2-City-Test.mmdb")
    place = geo.look_up("2001:480:10::/64")
    assert place is not None
    assert (place.country, place.city) == ("US", "San Diego")
    geo.close()


def test_a_country_database_serves_as_well(corpora: Path) -> None:
    geo = Geo(corpora / "GeoLite2-Country-Test.mmdb")
    assert geo.look_up("81.2.69.142") == Place(country="GB")
    geo.close()


@pytest.mark.parametrize("value", ["203.0.113.9", "127.0.0.1", "alice", "", "2001:db8::/64"])
def test_what_the_databases_do_not_know_is_none(corpora: Path, value: str) -> None:
    geo = Geo(corpora / "GeoLite2-City-Test.mmdb", corpora / "GeoLite2-ASN-Test.mmdb")
    assert geo.look_up(value) is None
    geo.close()


def test_without_databases_nothing_is_known() -> None:
    geo = Geo()
    assert not geo.is_configured
    assert geo.look_up("81.2.69.142") is None
    geo.close()


def test_a_wrong_file_stops_the_start_and_is_named(corpora: Path, tmp_path: Path) -> None:
    junk = tmp_path / "junk.mmdb"
    junk.write_bytes(b"no database")
    for city, asn, name in [
        (tmp_path / "absent.mmdb", None, "absent.mmdb"),
        (junk, None, "junk.mmdb"),
        (corpora / "GeoLite2-ASN-Test.mmdb", None, "GeoLite2-ASN-Test.mmdb"),
        (None, corpora / "GeoLite2-City-Test.mmdb", "GeoLite2-City-Test.mmdb"),
    ]:
        with pytest.raises(ConfigError, match=name):
            Geo(city, asn)


def test_an_address_has_a_spot_with_its_radius_and_network(corpora: Path) -> None:
    geo = Geo(corpora / "GeoIP2-City-Test.mmdb", corpora / "GeoLite2-ASN-Test.mmdb")
    spot = geo.locate("89.160.20.112")
    assert spot is not None
    assert (round(spot.latitude), round(spot.longitude), spot.radius_km, spot.asn) == (58, 16, 76, 29518)
    assert geo.locate("81.2.69.142") is not None
    assert geo.locate("203.0.113.9") is None
    geo.close()
    country = Geo(corpora / "GeoLite2-Country-Test.mmdb")
    assert country.locate("81.2.69.142") is None
    country.close()
