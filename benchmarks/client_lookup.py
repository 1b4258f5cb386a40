"""What one lookup in the client's table costs, next to a bare dictionary lookup. `--json` for machines.

The table holds 100,000 entries: single IPv4 addresses, IPv6 /64s, and ranges of several lengths. Each figure
is the mean over 50,000 different addresses, so that the processor's caches help as little as they do in
service, and the best of fifteen rounds, because other programs on the machine only ever add.
"""

import json
import random
import socket
import sys
import time
from collections.abc import Callable

from bartizan_client import Allowed, BlockTable
from bartizan_client.table import FOREVER, Block

ENTRIES = 100_000
RANGES = {28: 500, 26: 500, 24: 2_000, 22: 1_000, 20: 500, 16: 50}
"""IPv4 ranges by prefix length."""
NETWORKS_V6 = 15_000
LOOKUPS = 50_000
ROUNDS = 15
BAR_NS = 1_000


def v4(chance: random.Random) -> str:
    return socket.inet_ntop(socket.AF_INET, chance.randbytes(4))


def v6(chance: random.Random) -> str:
    return socket.inet_ntop(socket.AF_INET6, b"\x20\x01\x0d\xb8" + chance.randbytes(12))


def fresh(addresses: list[str]) -> list[str]:
    """New strings with the same text, as a server makes them for each request."""
    return [bytes(address, "ascii").decode() for address in addresses]


def ns_per_lookup(cases: dict[str, tuple[Callable[[str], bool], list[str]]]) -> dict[str, float]:
    """Nanoseconds, the loop and the call included. The cases take turns, so that a busy moment hits all."""
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(ROUNDS):
        for name, (look_up, addresses) in cases.items():
            began = time.perf_counter_ns()
            for address in addresses:
                look_up(address)
            best[name] = min(best[name], (time.perf_counter_ns() - began) / len(addresses))
    return best


def measure() -> dict[str, float]:
    chance = random.Random(1764)
    ranges = [f"{v4(chance)}/{prefix}" for prefix, count in RANGES.items() for _ in range(count)]
    networks_v6 = list({v6(chance) for _ in range(NETWORKS_V6)})
    singles: set[str] = set()
    while len(singles) + len(ranges) + len(networks_v6) < ENTRIES:
        singles.add(v4(chance))
    values = [*singles, *ranges, *(f"{address}/64" for address in networks_v6)]
    until_s = time.time() + 3_600
    blocks = [Block(f"{n:016x}", value, "", None, until_s + n) for n, value in enumerate(values)]
    began = time.perf_counter()
    table = BlockTable(blocks)
    built_s = time.perf_counter() - began
    protected = BlockTable(blocks, [Allowed("198.51.100.0/24", FOREVER)])
    bare = dict.fromkeys(fresh(list(singles)), True)

    hits = fresh(chance.choices(sorted(singles), k=LOOKUPS))
    misses = [address for address in (v4(chance) for _ in range(LOOKUPS)) if not table.is_blocked(address)]
    hits_v6 = fresh(chance.choices(networks_v6, k=LOOKUPS))
    misses_v6 = [v6(chance) for _ in range(LOOKUPS)]
    hits_range = [value.partition("/")[0] for value in chance.choices(ranges, k=LOOKUPS)]
    assert all(map(table.is_blocked, [*hits, *hits_v6, *hits_range]))
    assert not any(map(table.is_blocked, [*misses, *misses_v6]))
    figures = {"entries": float(len(table)), "build_s": built_s}
    return figures | ns_per_lookup(
        {
            "hit_ns": (table.is_blocked, hits),
            "miss_ns": (table.is_blocked, misses),
            "v6_64_hit_ns": (table.is_blocked, hits_v6),
            "v6_miss_ns": (table.is_blocked, misses_v6),
            "v4_range_hit_ns": (table.is_blocked, hits_range),
            "hit_with_allowlist_ns": (protected.is_blocked, hits),
            "same_address_hit_ns": (table.is_blocked, hits[:1] * LOOKUPS),
            "same_address_miss_ns": (table.is_blocked, misses[:1] * LOOKUPS),
            "bare_dict_hit_ns": (bare.__contains__, hits),
            "bare_dict_miss_ns": (bare.__contains__, misses),
        }
    )


def main() -> None:
    figures = measure()
    if "--json" in sys.argv[1:]:
        print(json.dumps({name: round(figure, 3) for name, figure in figures.items()}))
        return
    print(
        f"{figures['entries']:,.0f} entries, ranges of {len(RANGES)} lengths; built in {figures['build_s']:.2f} s"
    )
    for name, figure in figures.items():
        if name.endswith("_ns"):
            over = "   over the bar" if not name.startswith("bare") and figure >= BAR_NS else ""
            print(f"{name.removesuffix('_ns').replace('_', ' '):22} {figure:7.0f} ns{over}")


if __name__ == "__main__":
    main()
