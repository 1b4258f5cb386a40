"""What the allowlist leaves of a range, against the standard library; durations as Go writes and reads them."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bouncers.cuts import Cuts, overlaps
from app.bouncers.durations import FOR_GOOD_MS, parse_go_duration, remaining, written
from app.lookup.addresses import parse_network, spelled

SMALL = st.tuples(st.integers(0, 255), st.integers(0, 8)).map(lambda t: (4, 0xCB007100 | t[0], t[1]))
"""Networks within 203.0.113.0/24."""


def addresses(networks) -> set[int]:
    return {n for _, number, s in networks for n in range(number >> s << s, (number >> s << s) + (1 << s))}


@given(SMALL, st.lists(SMALL, max_size=6))
def test_what_is_left_is_exactly_what_is_not_allowed(network, allowed):
    pieces = Cuts(allowed).pieces(network)
    assert addresses(pieces) == addresses([network]) - addresses(allowed)
    assert sum(1 << shift for _, _, shift in pieces) == len(addresses(pieces)), "no address twice"
    assert Cuts(allowed).is_covered(network) == any(
        s >= network[2] and n >> s == network[1] >> s for _, n, s in allowed
    )


@given(SMALL, SMALL)
def test_two_networks_overlap_as_the_standard_library_says(one, other):
    first, second = (ipaddress.ip_network(spelled(*network)) for network in (one, other))
    assert overlaps(one, other) == first.overlaps(second)


def test_an_address_in_a_64_leaves_64_networks():
    pieces = Cuts([parse_network("2001:db8::5")]).pieces(parse_network("2001:db8::/64"))
    assert len(pieces) == 64
    assert Cuts([parse_network("203.0.113.9")]).pieces(parse_network("2001:db8::/64")) == [
        parse_network("2001:db8::/64")
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (14400, "4h0m0s"),
        (3598, "59m58s"),
        (12, "12s"),
        (-1, "-1s"),
        (0, "0s"),
        (90_061, "25h1m1s"),
        (60, "1m0s"),
    ],
)
def test_whole_seconds_in_gos_form(seconds: int, text: str):
    assert written(seconds) == text
    assert parse_go_duration(text) == seconds * 1000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("3h59m57.1s", 14_397_100),
        ("-20.547246ms", -21),
        ("0", 0),
        ("1.5h", 5_400_000),
        ("7d", 604_800_000),
        ("+5s", 5000),
        ("100us", 0),
    ],
)
def test_gos_other_forms_are_read(text: str, ms: int):
    assert parse_go_duration(text) == ms


@pytest.mark.parametrize("text", ["", "5", "1w", "h", "4 h", "s5", "1h-5m", "99999h99999999h", "9" * 80])
def test_what_is_no_duration_is_refused(text: str):
    with pytest.raises(ValueError, match=r"duration|longer"):
        parse_go_duration(text)


def test_what_remains_is_rounded_up_and_never_nothing():
    assert remaining(1_000_001, 1_000_000) == "1s"
    assert remaining(1_000_000, 1_000_000) == "1s"
    assert remaining(1_002_500, 1_000_000) == "3s"
    assert remaining(None, 1_000_000) == written(FOR_GOOD_MS // 1000) == "8760h0m0s"
