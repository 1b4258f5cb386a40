"""The table against a slow oracle made of ipaddress, and against cases written by hand."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.blocks.decision import Decision
from actions.blocks.networks import canonical
from app.lookup.table import Allowed, Table, canonical_address, parse_network

NOW = 1_764_000_000_000
LATER = NOW + 60_000


def block(value: str, until: int | None = LATER, decision_id: str = "") -> Decision:
    return Decision(decision_id or value, value, until)


def table_of(*values: str, allowed: tuple[str, ...] = ()) -> Table:
    table = Table()
    for value in values:
        table.add(block(value))
    for value in allowed:
        table.allow(Allowed(value, None))
    return table


def blocked_by(table: Table, address: str, now: int = NOW) -> str | None:
    decision, _ = table.lookup(address, now)
    return None if decision is None else decision.value


@pytest.mark.parametrize(
    ("value", "address", "hit"),
    [
        ("203.0.113.9", "203.0.113.9", True),
        ("203.0.113.9", "203.0.113.10", False),
        ("203.0.113.9", "::ffff:203.0.113.9", True),
        ("203.0.113.9", "::FFFF:cb00:7109", True),
        ("::ffff:203.0.113.9", "203.0.113.9", True),
        ("::ffff:203.0.113.0/120", "203.0.113.200", True),
        ("::ffff:203.0.113.0/120", "203.0.114.1", False),
        ("203.0.113.0/24", "203.0.113.255", True),
        ("203.0.113.77/24", "203.0.113.1", True),
        ("0.0.0.0/0", "198.51.100.1", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("::/0", "198.51.100.1", False),
        ("::/0", "2001:db8::1", True),
        ("2001:db8:1:2::/64", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::/64", "2001:db8:1:3::9", False),
        ("2001:DB8::1", "2001:db8:0:0::1", True),
        ("fe80::1", "fe80::1%eth0", True),
        ("::1", "0.0.0.1", False),
    ],
)
def test_an_address_is_blocked_if_and_only_if_the_value_covers_it(
    value: str, address: str, hit: bool
) -> None:
    assert blocked_by(table_of(value), address) == (canonical(value) if hit else None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com",
        "203.0.113",
        "203.0.113.256",
        "203.0.113.09",
        "0x7f.0.0.1",
        "3405803785",
        "203.0.113.9:443",
        "203.0.113.9/32",
        "[2001:db8::1]",
        "2001:db8::g",
        ":",
        "1\0.2.3.4",
        "\ud800::1",
        "٣.0.0.1",
        "::" + "f" * 500,
        "9" * 100_000,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an IP address"):
        Table().lookup(text, NOW)


@pytest.mark.parametrize(
    "text", ["203.0.113.0/33", "203.0.113.0/-1", "::/129", "::/", "::/1a", "::/٣", "1.2.3.4/ 8"]
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address or CIDR"):
        Table().add(block(text))


def test_the_most_specific_decision_wins() -> None:
    table = table_of("203.0.113.0/24", "203.0.113.9", "203.0.0.0/16")
    assert blocked_by(table, "203.0.113.9") == "203.0.113.9"
    assert blocked_by(table, "203.0.113.8") == "203.0.113.0/24"
    assert blocked_by(table, "203.0.7.8") == "203.0.0.0/16"


def test_a_wider_decision_answers_when_the_specific_one_is_over() -> None:
    table = table_of("203.0.113.0/24")
    table.add(block("203.0.113.9", until=NOW))
    assert blocked_by(table, "203.0.113.9", NOW - 1) == "203.0.113.9"
    assert blocked_by(table, "203.0.113.9", NOW) == "203.0.113.0/24"


def test_a_block_ends_on_time_and_a_permanent_one_never() -> None:
    table = table_of("203.0.113.9")
    table.add(block("203.0.113.10", until=None))
    assert blocked_by(table, "203.0.113.9", LATER - 1) == "203.0.113.9"
    assert blocked_by(table, "203.0.113.9", LATER) is None
    assert blocked_by(table, "203.0.113.10", LATER * 10) == "203.0.113.10"
    assert [d.value for d in table.blocks(LATER)] == ["203.0.113.10"]


def test_an_allowed_address_inside_a_blocked_range_is_let_through_and_its_neighbour_is_not() -> None:
    table = table_of("203.0.113.0/24", allowed=("203.0.113.9",))
    assert table.lookup("203.0.113.9", NOW) == (None, True)
    assert table.lookup("::ffff:203.0.113.9", NOW) == (None, True)
    assert blocked_by(table, "203.0.113.8") == "203.0.113.0/24"


def test_an_allowed_range_beats_an_exact_block() -> None:
    table = table_of("203.0.113.9", "2001:db8::1", allowed=("203.0.113.0/24", "2001:db8::/32"))
    assert table.lookup("203.0.113.9", NOW) == (None, True)
    assert table.lookup("2001:db8::1", NOW) == (None, True)
    assert table.is_allowed("203.0.113.0/25", NOW)
    assert not table.is_allowed("203.0.112.0/23", NOW)


def test_an_allowlist_entry_ends_on_time() -> None:
    table = table_of("203.0.113.9")
    table.allow(Allowed("203.0.113.9", NOW))
    assert table.lookup("203.0.113.9", NOW - 1) == (None, True)
    assert blocked_by(table, "203.0.113.9", NOW) == "203.0.113.9"
    assert table.allowlist(NOW - 1) and not table.allowlist(NOW)


def test_removing_an_older_block_leaves_the_newer_one_of_the_same_value() -> None:
    table = Table()
    table.add(block("203.0.113.9", decision_id="old"))
    table.add(block("203.0.113.9", decision_id="new"))
    table.remove("old", "203.0.113.9")
    assert blocked_by(table, "203.0.113.9") == "203.0.113.9"
    table.remove("new", "203.0.113.9")
    assert blocked_by(table, "203.0.113.9") is None
    assert len(table) == 0


def test_a_removed_allowlist_entry_allows_no_more() -> None:
    table = table_of("203.0.113.9", allowed=("203.0.113.0/24",))
    table.disallow("203.0.113.0/24")
    table.disallow("198.51.100.0/24")
    assert blocked_by(table, "203.0.113.9") == "203.0.113.9"


def test_one_table_takes_over_from_another_whole() -> None:
    table, other = table_of("203.0.113.9"), table_of("203.0.113.10")
    table.take_over(other)
    assert blocked_by(table, "203.0.113.9") is None
    assert blocked_by(table, "203.0.113.10") == "203.0.113.10"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_an_address_has_one_spelling(text: str, canonical: str) -> None:
    assert canonical_address(text) == canonical


# Few distinct bits, so that networks nest and addresses hit them.
numbers4 = st.integers(0, 2**6 - 1).map(lambda n: 0xCB007100 | n | (n & 1) << 20)
numbers6 = st.integers(0, 2**6 - 1).map(lambda n: (0x20010DB8 << 96) | n | (n & 3) << 64 | (n & 1) << 90)
addresses = st.one_of(
    numbers4.map(lambda n: str(ip_address(n))),
    numbers4.map(lambda n: f"::ffff:{ip_address(n)}"),
    numbers6.map(lambda n: str(ip_address(n))),
)
networks = st.one_of(
    addresses,
    st.tuples(numbers4, st.integers(0, 32)).map(lambda p: f"{ip_address(p[0])}/{p[1]}"),
    st.tuples(numbers4, st.integers(0, 128)).map(lambda p: f"::ffff:{ip_address(p[0])}/{p[1]}"),
    st.tuples(numbers6, st.integers(0, 128)).map(lambda p: f"{ip_address(p[0])}/{p[1]}"),
)
untils = st.one_of(st.none(), st.integers(NOW - 3, NOW + 3))
steps = st.tuples(st.sampled_from(["add", "add", "allow", "remove", "disallow"]), networks, untils)


def plain(value: str) -> object:
    """What the oracle takes a value for: the mapped forms are IPv4."""
    network = ip_network(value, strict=False)
    if network.version == 6 and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        return ip_network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def covers(network: object, address: str) -> bool:
    parsed = ip_address(address)
    if parsed.version == 6 and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return parsed in network  # type: ignore[operator]


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=20), st.lists(addresses, min_size=1, max_size=8))
def test_the_table_agrees_with_a_naive_oracle(
    changes: list[tuple[str, str, int | None]], asked: list[str]
) -> None:
    table, blocks, allowed = Table(), {}, {}
    for number, (what, value, until) in enumerate(changes):
        network = plain(value)
        if what == "add":
            table.add(block(value, until, str(number)))
            blocks[network] = (str(number), until)
        elif what == "remove":
            table.remove(blocks.pop(network, ("none", 0))[0], value)
        elif what == "allow":
            table.allow(Allowed(value, until))
            allowed[network] = until
        else:
            table.disallow(value)
            allowed.pop(network, None)
    for address in asked:
        is_allowed = any(covers(n, address) for n, until in allowed.items() if until is None or until > NOW)
        hits = [
            (n.prefixlen, decision_id)
            for n, (decision_id, until) in blocks.items()
            if covers(n, address) and (until is None or until > NOW)
        ]
        decision, allowlisted = table.lookup(address, NOW)
        assert allowlisted == is_allowed
        expected = None if is_allowed or not hits else max(hits)[1]
        assert (decision.id if decision else None) == expected
    assert len(table) == len(blocks)


@given(networks)
def test_a_network_is_read_as_ipaddress_reads_it(value: str) -> None:
    version, number, shift = parse_network(value)
    network = plain(value)
    assert (version, number >> shift, shift) == (
        network.version,
        int(network.network_address) >> shift,
        network.max_prefixlen - network.prefixlen,
    )
