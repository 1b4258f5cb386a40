"""What may be blocked at all."""

import pytest

from actions.blocks.networks import NeverBlock, around, canonical, holds, is_too_wide, network_of


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9/32 ", "203.0.113.9"),
        ("203.0.113.77/24", "203.0.113.0/24"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("::FFFF:cb00:7109", "203.0.113.9"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3::/64", "2001:db8:1:2::/64"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_a_value_has_one_spelling(text: str, spelling: str) -> None:
    assert canonical(text) == spelling
    assert canonical(spelling) == spelling


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "203.0.113.256",
        "203.0.113.09",
        "1.2.3",
        "fe80::1%eth0",
        "1/1/1",
        "[::1]",
        "1" * 200,
        "٣.3.3.3",
    ],
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        canonical(text)


@pytest.mark.parametrize(
    ("value", "stopped_by"),
    [
        ("127.0.0.1", "loopback 127.0.0.0/8"),
        ("::1", "loopback ::1"),
        ("::ffff:127.0.0.1", "loopback 127.0.0.0/8"),
        ("10.9.8.7", "private network 10.0.0.0/8"),
        ("172.31.255.255", "private network 172.16.0.0/12"),
        ("192.168.1.1", "private network 192.168.0.0/16"),
        ("fd00::1", "private network fc00::/7"),
        ("169.254.169.254", "link-local 169.254.0.0/16"),
        ("fe80::1", "link-local fe80::/10"),
        ("0.0.0.0", "unspecified 0.0.0.0/8"),
        ("::", "unspecified ::"),
        ("239.1.1.1", "multicast 224.0.0.0/4"),
        ("ff02::1", "multicast ff00::/8"),
        ("100.64.0.1", "carrier-grade NAT 100.64.0.0/10"),
        ("255.255.255.255", "broadcast 255.255.255.255"),
        ("64:ff9b::/64", "NAT64 64:ff9b::/96"),
        ("0.0.0.0/0", "unspecified 0.0.0.0/8"),
        ("::/0", "unspecified ::"),
        ("126.0.0.0/7", "loopback 127.0.0.0/8"),
        ("192.0.2.1", None),
        ("198.51.100.1", None),
        ("203.0.113.9", None),
        ("2001:db8::/64", None),
        ("172.32.0.1", None),
        ("100.128.0.1", None),
    ],
)
def test_special_networks_are_never_blocked(value: str, stopped_by: str | None) -> None:
    assert NeverBlock()(network_of(value)) == stopped_by


def test_the_operators_own_networks_are_never_blocked() -> None:
    never = NeverBlock([("trusted proxy", "198.51.100.0/24")])
    assert never(network_of("198.51.100.7")) == "trusted proxy 198.51.100.0/24"
    assert never(network_of("198.51.0.0/16")) == "trusted proxy 198.51.100.0/24"
    assert never(network_of("198.51.101.7")) is None


def test_private_networks_can_be_blocked_when_asked_but_loopback_never() -> None:
    never = NeverBlock(even_private=True)
    assert never(network_of("10.0.0.1")) is None
    assert never(network_of("127.0.0.1")) == "loopback 127.0.0.0/8"


@pytest.mark.parametrize(
    ("value", "is_wide"),
    [("203.0.0.0/16", False), ("203.0.0.0/15", True), ("2001:db8::/32", False), ("2001:db8::/31", True)],
)
def test_wide_networks_need_force(value: str, is_wide: bool) -> None:
    assert is_too_wide(network_of(value)) is is_wide


def test_around_names_every_network_that_holds_a_value() -> None:
    names = around(network_of("203.0.113.9"))
    assert names[0] == "203.0.113.9"
    assert names[-1] == "0.0.0.0/0"
    assert len(names) == 33
    assert "203.0.113.0/24" in names
    assert len(around(network_of("2001:db8:1:2::/64"))) == 65


def test_holds_compares_within_one_family() -> None:
    assert holds(network_of("203.0.113.0/24"), network_of("203.0.113.9"))
    assert not holds(network_of("203.0.113.9"), network_of("203.0.113.0/24"))
    assert not holds(network_of("::/0"), network_of("203.0.113.9"))
