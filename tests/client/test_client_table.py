"""The client's table: what is blocked, in every spelling, and an oracle that is slow and obviously right."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan_client import Allowed, Block, BlockTable, Scope
from bartizan_client.table import FOREVER

NOW_S = 1_764_000_000.0


def block(value: str, id: str = "b1", until_s: float = FOREVER) -> Block:
    return Block(id, value, "10 failed logins", "auth_failures", until_s)


def table(*values: str, allow: tuple[str, ...] = ()) -> BlockTable:
    blocks = [block(value, f"b{i}") for i, value in enumerate(values)]
    return BlockTable(blocks, [Allowed(value, FOREVER) for value in allow], lambda: NOW_S)


@pytest.mark.parametrize(
    ("values", "address", "expected"),
    [
        (["203.0.113.9"], "203.0.113.9", True),
        (["203.0.113.9/32"], "203.0.113.9", True),
        (["203.0.113.9"], "203.0.113.10", False),
        (["203.0.113.9"], "::ffff:203.0.113.9", True),
        (["203.0.113.9"], "::FFFF:CB00:7109", True),
        (["::ffff:203.0.113.9"], "203.0.113.9", True),
        (["::ffff:203.0.113.0/120"], "203.0.113.77", True),
        (["203.0.113.0/24"], "203.0.113.255", True),
        (["203.0.113.0/24"], "203.0.114.0", False),
        (["203.0.113.77/24"], "203.0.113.1", True),
        (["203.0.0.0/8"], "203.255.255.255", True),
        (["203.0.0.0/8"], "204.0.0.0", False),
        (["0.0.0.0/0"], "198.51.100.1", True),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["::/0"], "2001:db8::1", True),
        (["::/0"], "198.51.100.1", False),
        (["2001:db8::1"], "2001:db8::1", True),
        (["2001:db8::1"], "2001:DB8:0:0::1", True),
        (["2001:db8::1"], "2001:0db8:0000:0000:0000:0000:0000:0001", True),
        (["2001:DB8:0::1"], "2001:db8::1", True),
        (["2001:db8::1"], "2001:db8::1%eth0", True),
        (["2001:db8::1"], "2001:db8::2", False),
        (["2001:db8:1:2::/64"], "2001:db8:1:2:ffff::1", True),
        (["2001:db8:1:2::/64"], "2001:db8:1:3::", False),
        (["::/64"], "::1", True),
        (["::/64"], "::ffff:203.0.113.9", False),
        (["::/64"], "203.0.113.9", False),
        (["2001:db8::/32"], "2001:db8:ffff::1", True),
        (["2001:db8::/44"], "2001:db8:f:1::1", True),
        (["2001:db8::/44"], "2001:db8:10::1", False),
        (["::1.2.3.4"], "::102:304", True),
        (["203.0.113.9"], "203.0.113.009", False),
        (["203.0.113.9"], " 203.0.113.9", False),
        (["203.0.113.9"], "3405803785", False),
        (["0.0.0.0/0", "::/0"], "unknown", False),
        (["0.0.0.0/0", "::/0"], "", False),
        (["0.0.0.0/0", "::/0"], "1.2.3.4\0", False),
        (["0.0.0.0/0", "::/0"], "::\ud800", False),
        (["0.0.0.0/0", "::/0"], ":" * 100_000, False),
    ],
)
def test_an_address_is_blocked_in_every_spelling(values: list[str], address: str, expected: bool) -> None:
    assert table(*values).is_blocked(address) is expected
    assert (table(*values).find(address) is not None) is expected


@pytest.mark.parametrize(
    ("allow", "address", "expected"),
    [
        (("203.0.113.0/28",), "203.0.113.9", False),
        (("203.0.113.0/28",), "203.0.113.99", True),
        (("203.0.113.9",), "::ffff:203.0.113.9", False),
        (("203.0.0.0/8",), "203.0.113.9", False),
        (("2001:db8::/32",), "203.0.113.9", True),
    ],
)
def test_the_allowlist_beats_every_block(allow: tuple[str, ...], address: str, expected: bool) -> None:
    assert table("203.0.113.0/24", "203.0.113.9", allow=allow).is_blocked(address) is expected


def test_a_block_ends_on_time_without_any_message() -> None:
    now_s = NOW_S
    blocks = [block("203.0.113.9", until_s=NOW_S + 10), block("2001:db8::/64", until_s=NOW_S + 20)]
    guarded = BlockTable(blocks, now=lambda: now_s)
    now_s = NOW_S + 9.999
    assert guarded.is_blocked("203.0.113.9")
    now_s = NOW_S + 10
    assert not guarded.is_blocked("203.0.113.9")
    assert guarded.is_blocked("2001:db8::1")
    now_s = NOW_S + 20
    assert not guarded.is_blocked("2001:db8::1")


def test_a_sweep_forgets_what_is_over_and_nothing_else() -> None:
    now_s = NOW_S
    blocks = [
        block("203.0.113.9", until_s=NOW_S + 1),
        block("203.0.113.0/24", until_s=NOW_S + 1),
        block("2001:db8:1:2::/64", until_s=NOW_S + 1),
        block("2001:db8::1", until_s=NOW_S + 1),
        block("198.51.100.0/24"),
    ]
    allowlist = [Allowed("198.51.100.1", NOW_S + 1), Allowed("198.51.100.2", NOW_S + 2)]
    guarded = BlockTable(blocks, allowlist, lambda: now_s)
    now_s = NOW_S + 1
    guarded.sweep()
    assert [b.value for b in guarded.blocks()] == ["198.51.100.0/24"]
    assert [a.value for a in guarded.allowlist()] == ["198.51.100.2"]
    assert [guarded.is_blocked(f"198.51.100.{n}") for n in (1, 2)] == [True, False]


def test_a_range_still_blocks_when_the_block_of_its_address_is_over() -> None:
    blocks = [block("203.0.113.9", until_s=NOW_S), block("203.0.113.0/24", "wide")]
    found = BlockTable(blocks, now=lambda: NOW_S).find("203.0.113.9")
    assert found is not None
    assert found.id == "wide"


def test_an_allowance_that_is_over_protects_nobody() -> None:
    allowlist = [Allowed("203.0.113.0/24", NOW_S)]
    assert BlockTable([block("203.0.113.9")], allowlist, lambda: NOW_S).is_blocked("203.0.113.9")


def test_the_most_specific_block_is_the_reason() -> None:
    guarded = table("203.0.0.0/16", "203.0.113.0/24", "198.51.100.1")
    found = guarded.find("203.0.113.9")
    assert found is not None
    assert found.value == "203.0.113.0/24"


def test_a_later_block_takes_the_place_of_the_earlier() -> None:
    guarded = table("203.0.113.9")
    guarded.add(block("203.0.113.9", "newer"))
    assert [b.id for b in guarded.blocks()] == ["newer"]
    guarded.remove("203.0.113.9/32")
    assert not guarded.is_blocked("203.0.113.9")
    assert len(guarded) == 0
    guarded.remove("203.0.113.9")


def test_lifting_the_range_leaves_the_address_and_the_other_way_round() -> None:
    guarded = table("203.0.113.9", "203.0.113.0/24", "2001:db8::1", "2001:db8::/64")
    guarded.remove("203.0.113.0/24")
    guarded.remove("2001:db8::1")
    assert guarded.is_blocked("203.0.113.9")
    assert not guarded.is_blocked("203.0.113.10")
    assert guarded.is_blocked("2001:db8::1")
    guarded.remove("2001:db8::/64")
    assert not guarded.is_blocked("2001:db8::1")


def test_withdrawing_an_allowance_brings_the_block_back() -> None:
    guarded = table("203.0.113.9", allow=("203.0.113.0/24",))
    guarded.disallow("203.0.113.0/24")
    guarded.disallow("198.51.100.0/24")
    assert guarded.is_blocked("203.0.113.9")


@pytest.mark.parametrize(
    "value", ["", "nobody", "203.0.113.9/33", "2001:db8::/129", "1.2.3.4/-1", "1.2.3.4/ 8"]
)
def test_what_is_no_network_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="is no "):
        BlockTable().add(block(value))


# An address from a small world, so that networks and addresses meet.
V4 = st.integers(0, 1023).map(lambda n: str(ipaddress.IPv4Address(0xCB007000 + n * 37)))
V6 = st.integers(0, 1023).map(lambda n: str(ipaddress.IPv6Address((0x20010DB8 << 96) + (n << 61) + n % 5)))
MAPPED = V4.map(lambda text: f"::ffff:{text}")
ADDRESS = st.one_of(V4, V6, MAPPED, V6.map(lambda text: ipaddress.ip_address(text).exploded.upper()))


@st.composite
def networks(draw: st.DrawFn) -> str:
    address = draw(st.one_of(V4, V6))
    longest = 128 if ":" in address else 32
    prefix = draw(st.one_of(st.just(longest), st.integers(0, longest), st.integers(longest // 2, longest)))
    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    return str(network.network_address) if prefix == longest else str(network)


UNTIL = st.sampled_from([FOREVER, NOW_S - 1, NOW_S, NOW_S + 1])
STEP = st.tuples(st.sampled_from(["add", "add", "add", "remove", "allow", "disallow"]), networks(), UNTIL)


class Oracle:
    """The same as BlockTable, by looking at every entry."""

    def __init__(self) -> None:
        self.blocks: dict[Any, float] = {}
        self.allowed: dict[Any, float] = {}

    def step(self, verb: str, value: str, until_s: float) -> None:
        entries = self.blocks if verb in ("add", "remove") else self.allowed
        network = ipaddress.ip_network(value)
        entries.pop(network, None)
        if verb in ("add", "allow"):
            entries[network] = until_s

    def is_blocked(self, text: str) -> bool:
        address: Any = ipaddress.ip_address(text)
        address = getattr(address, "ipv4_mapped", None) or address
        return self._holds(self.blocks, address) and not self._holds(self.allowed, address)

    @staticmethod
    def _holds(entries: dict[Any, float], address: Any) -> bool:
        return any(address in network and until_s > NOW_S for network, until_s in entries.items())


@given(steps=st.lists(STEP, max_size=30), addresses=st.lists(ADDRESS, min_size=1, max_size=20))
def test_the_table_agrees_with_an_oracle(steps: list[tuple[str, str, float]], addresses: list[str]) -> None:
    guarded, oracle = BlockTable(now=lambda: NOW_S), Oracle()
    for verb, value, until_s in steps:
        oracle.step(verb, value, until_s)
        if verb == "add":
            guarded.add(block(value, value, until_s))
        elif verb == "remove":
            guarded.remove(value)
        elif verb == "allow":
            guarded.allow(Allowed(value, until_s))
        else:
            guarded.disallow(value)
    around = [str(ipaddress.ip_network(value)[0]) for _, value, _ in steps]
    around += [str(ipaddress.ip_network(value)[-1]) for _, value, _ in steps]
    for address in addresses + around:
        assert guarded.is_blocked(address) is oracle.is_blocked(address), address
        assert (guarded.find(address) is not None) is oracle.is_blocked(address)


def test_a_table_built_at_once_equals_one_built_step_by_step() -> None:
    guarded = table("203.0.113.9", "2001:db8::/64", allow=("198.51.100.0/24",))
    again = BlockTable(guarded.blocks(), guarded.allowlist(), lambda: NOW_S)
    assert again.blocks() == guarded.blocks()
    assert again.allowlist() == guarded.allowlist()
    assert len(again) == 2


@pytest.mark.parametrize(
    "id",
    ["lists:drop:203.0.113.0/24", "5f0c9a1e77d2b340", "0" * 16, "lists:drop:x", "5F0C9A1E77D2B340", "b1"],
)
def test_every_id_comes_back_as_it_was(id: str) -> None:
    """Also those that take no memory: of Bartizan's own blocks, and of a list's entries."""
    made = Block(id, "203.0.113.0/24", "listed", None, FOREVER, Scope.RANGE, origin="lists:drop")
    guarded = BlockTable([made, made._replace(id="other", value="198.51.100.0/24")])
    assert guarded.find("203.0.113.9") == made
    guarded.add(made._replace(id="again"))
    guarded.add(made)
    assert guarded.find("203.0.113.9") == made
