"""Which address a request comes from: security bugs gather here, so every oddity has its line."""

import pytest

from bartizan_client.addresses import LONGEST_ADDRESS, MOST_KNOWN, TrustedProxies

PROXIES = ["10.0.0.0/8", "192.0.2.7", "2001:db8:ffff::/48"]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", [b"198.51.100.1"], "203.0.113.9"),
        ("10.0.0.2", [], "10.0.0.2"),
        ("10.0.0.2", [b"203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.2", [b"203.0.113.9"], "203.0.113.9"),
        ("192.0.2.7", [b"203.0.113.9"], "203.0.113.9"),
        ("192.0.2.8", [b"203.0.113.9"], "192.0.2.8"),
        ("2001:db8:ffff::1", [b"203.0.113.9"], "203.0.113.9"),
        ("10.0.0.2", [b"198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.2", [b"198.51.100.1, 203.0.113.9, 10.0.0.3,10.1.2.3"], "203.0.113.9"),
        ("10.0.0.2", [b"198.51.100.1", b"203.0.113.9", b"10.0.0.3"], "203.0.113.9"),
        ("10.0.0.2", [b"10.0.0.9, 10.0.0.3"], "10.0.0.9"),
        ("10.0.0.2", [b"203.0.113.9:55555"], "203.0.113.9"),
        ("10.0.0.2", [b"[2001:db8::5]"], "2001:db8::5"),
        ("10.0.0.2", [b"[2001:db8::5]:443"], "2001:db8::5"),
        ("10.0.0.2", [b'"[2001:db8::5]:443"'], "2001:db8::5"),
        ("10.0.0.2", [b"2001:db8::5"], "2001:db8::5"),
        ("10.0.0.2", [b"fe80::1%eth0"], "fe80::1%eth0"),
        ("10.0.0.2", [b"203.0.113.9, ::ffff:10.0.0.3"], "203.0.113.9"),
        ("10.0.0.2", [b"::ffff:203.0.113.9"], "::ffff:203.0.113.9"),
        ("10.0.0.2", [b"\t203.0.113.9 "], "203.0.113.9"),
        ("10.0.0.2", [b"203.0.113.9, unknown"], None),
        ("10.0.0.2", [b"203.0.113.9, "], None),
        ("10.0.0.2", [b""], None),
        ("10.0.0.2", [b"203.0.113.9,\xff\xfe"], None),
        ("10.0.0.2", [b"203.0.113.9, 010.0.0.3"], None),
        ("10.0.0.2", [b"203.0.113.9, 10.0.0.3\0"], None),
        ("10.0.0.2", [b"[::1"], "::1"),
        ("10.0.0.2", [b"1," * 100_000 + b"203.0.113.9"], "203.0.113.9"),
        ("10.0.0.2", [b"203.0.113.9," + b"10.0.0.3," * 40 + b"10.0.0.3"], "10.0.0.3"),
        ("testclient", [b"203.0.113.9"], None),
        (None, [b"203.0.113.9"], None),
        ("", [b"203.0.113.9"], None),
    ],
)
def test_the_chain_is_read_from_the_right(
    peer: str | None, forwarded_for: list[bytes], expected: str | None
) -> None:
    assert TrustedProxies(PROXIES).client_address(peer, forwarded_for) == expected


def test_nobody_is_believed_where_no_proxy_is_trusted() -> None:
    proxies = TrustedProxies()
    assert not proxies
    assert proxies.client_address("10.0.0.2", [b"203.0.113.9"]) == "10.0.0.2"


def test_a_unix_socket_is_believed_only_when_it_is_named() -> None:
    proxies = TrustedProxies(["unix", "10.0.0.0/8"])
    assert proxies.client_address(None, [b"198.51.100.1, 203.0.113.9, 10.0.0.3"]) == "203.0.113.9"
    assert proxies.client_address(None, []) is None
    assert TrustedProxies(["unix"]).client_address("10.0.0.2", [b"203.0.113.9"]) == "10.0.0.2"


@pytest.mark.parametrize("wrong", [["10.0.0.0/33"], ["proxy.internal"], [""], "10.0.0.0/8"])
def test_a_wrong_proxy_stops_the_start_and_is_named(wrong: list[str]) -> None:
    with pytest.raises(ValueError, match="trusted_proxies"):
        TrustedProxies(wrong)


def test_what_is_remembered_of_addresses_has_a_bound() -> None:
    proxies = TrustedProxies(PROXIES)
    for number in range(2 * MOST_KNOWN):
        address = f"203.{number >> 8}.{number & 255}.1"
        for _ in range(2):
            assert proxies.client_address("10.0.0.2", [address.encode()]) == address
    for number in range(100):
        zoned = f"fe80::1%{'x' * 10_000}{number}"
        assert proxies.client_address("10.0.0.2", [zoned.encode()]) == zoned
    assert len(proxies._known) <= MOST_KNOWN
    assert max(map(len, proxies._known)) <= LONGEST_ADDRESS
