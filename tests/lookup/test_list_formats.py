"""The files for firewalls and proxies: what stands in them, and that nothing else ever does."""

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.blocks.decision import Decision
from actions.blocks.subjects import Scope
from app.lookup.feed import Feed
from app.lookup.list_formats import WRITERS, Names, write
from app.lookup.list_values import Selection, merge, networks_of, without
from app.lookup.lists import Lists, Wanted, banned_types
from app.lookup.table import Allowed, Table
from app.policies.enforcement import Fallback
from detectors.finding import DecisionType

NOW = 1_764_000_000_000
HOSTILE = '203.0.113.1 1;\n} ; include /etc/passwd; "\n\0#{'
BAN, CAPTCHA, THROTTLE = DecisionType.BAN, DecisionType.CAPTCHA, DecisionType.THROTTLE
ALL = frozenset(DecisionType)
USUAL = Names()


def block(value: str, kind: DecisionType = BAN, until: int | None = None, **more: object) -> Decision:
    return Decision(
        id=HOSTILE, value=value, until=until, type=kind, reason=HOSTILE, rule=HOSTILE, origin=HOSTILE, **more
    )


def written(
    form: str,
    *entries: Decision | Allowed,
    types: frozenset[DecisionType] = frozenset({BAN}),
    versions: tuple[int, ...] = (4, 6),
    names: Names = USUAL,
) -> list[str]:
    allowed = [entry for entry in entries if isinstance(entry, Allowed)]
    selection = Selection(allowed, types, versions)
    for entry in entries:
        if isinstance(entry, Decision):
            selection.add(entry)
    return write(form, selection.rows(), versions, names).decode().splitlines()


ENTRIES = (
    block("203.0.113.9"),
    block("203.0.113.0/28"),
    block("2001:db8:1:2::/64"),
    block("198.51.100.0/30"),
    block("203.0.113.77", CAPTCHA),
    block("FR", scope=Scope.COUNTRY),
    Allowed("198.51.100.1", None),
)


@pytest.mark.parametrize("form", ["txt", "pf"])
def test_a_plain_list_has_a_value_a_line_in_order(form: str) -> None:
    assert written(form, *ENTRIES) == [
        "198.51.100.0",
        "198.51.100.2/31",
        "203.0.113.0/28",
        "203.0.113.9",
        "2001:db8:1:2::/64",
    ]


def test_haproxy_gets_the_type_and_nginx_a_one() -> None:
    entries = (block("203.0.113.9"), block("203.0.113.77", CAPTCHA))
    assert written("haproxy", *entries, types=ALL) == ["203.0.113.9 ban", "203.0.113.77 captcha"]
    assert written("nginx", *entries, types=ALL) == ["203.0.113.9 1;", "203.0.113.77 1;"]
    assert written("nginx", *entries, types=frozenset({CAPTCHA})) == ["203.0.113.77 1;"]


def test_nftables_gets_intervals_that_do_not_overlap() -> None:
    assert written("nftables", *ENTRIES, block("203.0.113.16/28"), block("203.0.113.32"), versions=(4,)) == [
        "table inet bartizan {",
        "  set bartizan4 { type ipv4_addr; flags interval; }",
        "}",
        "flush set inet bartizan bartizan4",
        "add element inet bartizan bartizan4 { 198.51.100.0, 198.51.100.2/31, 203.0.113.0-203.0.113.32 }",
    ]
    assert written("nftables", versions=(6,), names=Names("bad", "edge"))[1:] == [
        "  set bad6 { type ipv6_addr; flags interval; }",
        "}",
        "flush set inet edge bad6",
    ]


def test_ipset_fills_another_set_and_exchanges_them() -> None:
    lines = written("ipset", block("203.0.113.9"), block("0.0.0.0/0"), versions=(4,))
    assert lines == [
        "create bartizan4 hash:net family inet maxelem 1048576 -exist",
        "create bartizan4-new hash:net family inet maxelem 1048576 -exist",
        "flush bartizan4-new",
        "add bartizan4-new 0.0.0.0/1",
        "add bartizan4-new 128.0.0.0/1",
        "add bartizan4-new 203.0.113.9",
        "swap bartizan4-new bartizan4",
        "destroy bartizan4-new",
    ]


def test_a_value_stands_once_with_the_strongest_type() -> None:
    entries = (block("203.0.113.0/31", THROTTLE), block("203.0.113.0"), Allowed("203.0.113.1", None))
    assert written("haproxy", *entries, types=ALL) == ["203.0.113.0 ban"]
    assert written("haproxy", *reversed(entries), types=ALL) == ["203.0.113.0 ban"]


@pytest.mark.parametrize("form", list(WRITERS))
def test_no_text_of_a_block_ever_stands_in_a_file(form: str) -> None:
    plain = re.compile(r"[a-z0-9 .:/;_{},-]*")
    for line in written(form, *ENTRIES, types=ALL):
        assert plain.fullmatch(line), line
        assert "etc" not in line


networks = st.builds(
    lambda number, prefix: str(ipaddress.ip_network((number, prefix), strict=False)),
    st.integers(0xCB007100, 0xCB0071FF),
    st.integers(24, 32),
)


@given(st.lists(networks, max_size=8), st.lists(networks, max_size=8))
def test_a_list_holds_exactly_what_is_blocked_and_not_allowed(blocked: list[str], allowed: list[str]) -> None:
    entries = [*map(block, blocked), *(Allowed(value, None) for value in allowed)]

    def addresses(values: list[str]) -> set[ipaddress.IPv4Address]:
        return {address for value in values for address in ipaddress.IPv4Network(value)}

    wanted = addresses(blocked) - addresses(allowed)
    assert addresses(written("txt", *entries)) == wanted
    elements = re.findall(
        r"[0-9][0-9./]*(?:-[0-9.]+)?", " ".join(written("nftables", *entries, versions=(4,))[4:])
    )
    found: list[ipaddress.IPv4Address] = []
    for element in elements[1:] if elements[:1] == ["4"] else elements:
        first, _, last = element.partition("-")
        network = ipaddress.IPv4Network(first)
        end = int(ipaddress.IPv4Address(last)) if last else int(network.broadcast_address)
        found += [ipaddress.IPv4Address(n) for n in range(int(network.network_address), end + 1)]
    assert len(found) == len(set(found))
    assert set(found) == wanted


def test_intervals_are_merged_cut_and_spelled() -> None:
    assert merge([(5, 6), (1, 2), (3, 3), (9, 9), (5, 5)]) == [(1, 3), (5, 6), (9, 9)]
    assert list(without((1, 10), [(0, 1), (4, 5), (10, 12)])) == [(2, 3), (6, 9)]
    assert list(without((1, 10), [(0, 12)])) == []
    assert list(networks_of(4, 0, 2**32 - 1)) == ["0.0.0.0/0"]
    assert list(networks_of(6, 0, 2**128 - 1)) == ["::/0"]
    assert list(networks_of(4, 1, 6)) == ["0.0.0.1", "0.0.0.2/31", "0.0.0.4/31", "0.0.0.6"]


async def test_a_file_is_written_again_when_the_list_changes_and_when_a_block_ends() -> None:
    clock = [NOW]
    feed = Feed(lambda: clock[0])
    table = Table()
    table.add(block("203.0.113.9", until=NOW + 10))
    table.add(block("203.0.113.20", CAPTCHA))
    feed.load("1-0", table)
    lists = Lists(feed, lambda: clock[0])
    wanted = Wanted("txt", banned_types(feed))
    first = await lists.file(wanted)
    assert first.body == b"203.0.113.9\n203.0.113.20\n"
    assert await lists.file(wanted) is first
    feed.apply("2-0", block("198.51.100.7"))
    assert (await lists.file(wanted)).body == b"198.51.100.7\n203.0.113.9\n203.0.113.20\n"
    clock[0] = NOW + 10
    assert (await lists.file(wanted)).body == b"198.51.100.7\n203.0.113.20\n"
    feed.fallback = {CAPTCHA: Fallback.IGNORE, THROTTLE: Fallback.IGNORE}
    assert (await lists.file(Wanted("txt", banned_types(feed)))).body == b"198.51.100.7\n"
    # Another process, and a change that says nothing here: the same ETag.
    before = (await lists.file(wanted)).etag
    feed.apply("3-0", block("FR", scope=Scope.COUNTRY))
    assert (await Lists(feed, lambda: clock[0]).file(wanted)).etag == before
    assert before.startswith('"txt-')
