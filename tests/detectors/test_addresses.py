"""Every spelling of an address that logs and headers carry, and the ones that must not pass."""

import pytest

from detectors.addresses import Networks, client_address, parse_address, subject_of
from detectors.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        (" 198.51.100.7 ", "198.51.100.7"),
        ("198.51.100.7:443", "198.51.100.7"),
        ('"198.51.100.7"', "198.51.100.7"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("::FFFF:C633:6407", "198.51.100.7"),
        ("[::ffff:198.51.100.7]:80", "198.51.100.7"),
    ],
)
def test_every_spelling_of_an_address_has_one_canonical_form(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "-", "unknown", "localhost", "198.51.100", "198.51.100.256", "0198.51.100.7", "3325256711",
     "0xc6336407", "198.51.100.7/32", "1" * 1000, "2001:db8::1::2", None, 7, "198.51.100.7\x00", "[]", ":", "%"],
)  # fmt: skip
def test_what_is_no_address_or_is_read_differently_by_others_is_none(text):
    assert parse_address(text) is None


def test_an_ipv6_subject_is_its_64():
    assert subject_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"
    assert subject_of("198.51.100.7") == "198.51.100.7"


@pytest.mark.parametrize(
    ("client_ip", "forwarded_for", "address"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # not a proxy: its header is a claim
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "192.0.2.66, 203.0.113.9", "203.0.113.9"),  # the left end is the attacker's
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, garbage", None),  # never the neighbour of what cannot be read
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("::ffff:10.0.0.1", "203.0.113.9:5000", "203.0.113.9"),
        ("203.0.113.9, 10.0.0.2", None, "203.0.113.9"),
        ("192.0.2.66, 203.0.113.9", None, "203.0.113.9"),
        ("10.0.0.1", "", None),
        (None, "203.0.113.9", None),
        ("-", "203.0.113.9", None),
    ],
)
def test_the_client_is_found_right_to_left_through_trusted_proxies(client_ip, forwarded_for, address):
    assert client_address(client_ip, forwarded_for, Networks(["10.0.0.0/8"])) == address


def test_a_chain_of_a_thousand_addresses_costs_no_more_than_its_end():
    chain = ", ".join(["203.0.113.9"] * 1000 + ["198.51.100.1"])
    assert client_address("10.0.0.1", chain, Networks(["10.0.0.0/8"])) == "198.51.100.1"


def test_networks_name_the_one_that_covers():
    networks = Networks(["10.0.0.0/8", "2001:db8::/32", "198.51.100.7"])
    assert networks.covering("10.1.2.3") == "10.0.0.0/8"
    assert networks.covering("2001:db8:ffff::1") == "2001:db8::/32"
    assert networks.covering("198.51.100.7") == "198.51.100.7/32"
    assert networks.covering("198.51.100.8") is None
    with pytest.raises(ConfigError, match="'nonsense' is not an address or network"):
        Networks(["nonsense"])
