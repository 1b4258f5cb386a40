"""Who the users of the simulated site are: their addresses, their browsers, what kind of life they lead."""

import random
from typing import NamedTuple

from detectors.addresses import subject_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_795_564_800_000
"""2026-11-25T00:00:00Z, a Wednesday."""
OFFICE_SHARE, MOBILE_SHARE, PLACED_SHARE = 0.30, 0.10, 0.01
IPV6_SHARE = 0.25
"""Of those with an address of their own, how many have an IPv6 one."""
OFFICE_SIZES = (5, 60)
CARRIERS = ("100.64", "100.80", "2001:db8:ca")
"""Two that put about 30 people behind one IPv4 address, and one that gives every phone a /64."""
BROWSERS = ("Chrome/130.0", "Chrome/129.0", "Firefox/132.0", "Safari/605.1.15", "Edg/130.0")
SYSTEMS = ("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "Macintosh; Intel Mac OS X 10_15_7")
PHONES = (
    "iPhone; CPU iPhone OS 17_5 like Mac OS X",
    "Linux; Android 14; Pixel 8",
    "Linux; Android 13; SM-A546B",
)
LONDON, BOXFORD, LINKOEPING = "81.2.69.{160-191}", "2.125.160.{216-223}", "89.160.20.{112-127}"
MILTON, BHUTAN, CHANGCHUN = "216.160.83.{56-63}", "67.43.156.{1-254}", "175.16.199.{1-254}"
SAN_DIEGO = "2001:480:10:{1-200}::{1-99}"
PLACES = (LONDON, BOXFORD, LINKOEPING, MILTON, BHUTAN, CHANGCHUN, SAN_DIEGO)
"""Networks that the test database of cities knows."""


class Person(NamedTuple):
    """One user."""

    name: str
    kind: str
    """In words, for the table."""
    stays: tuple[tuple[int, str], ...]
    """Since when (ms of the day) at which address, the first since the day before; empty: not on the net."""
    agents: tuple[str, ...]
    active: float
    """Sessions a day, on average."""
    hours: tuple[float, float]
    """When, mean and deviation."""

    def address(self, at: int) -> str:
        """Where this person is at a time of the day."""
        return next(address for since, address in reversed(self.stays) if since <= at)


def browser(chance: random.Random, systems: tuple[str, ...] = SYSTEMS) -> str:
    """A user agent as a browser sends it; many people have the same."""
    return f"Mozilla/5.0 ({chance.choice(systems)}) AppleWebKit/537.36 {chance.choice(BROWSERS)}"


def somewhere(chance: random.Random, network: str) -> str:
    """An address of a network written with ranges: `81.2.69.{160-191}`."""
    while "{" in network:
        before, _, rest = network.partition("{")
        inside, _, after = rest.partition("}")
        low, high = map(int, inside.split("-"))
        number = chance.randint(low, high)
        network = f"{before}{number:x}{after}" if ":" in network else f"{before}{number}{after}"
    return network


def people(chance: random.Random, count: int) -> list[Person]:
    """So many users, offices first, each with a number for a name."""
    made: list[Person] = []
    office = 0
    while len(made) < count * OFFICE_SHARE:
        address = f"198.18.{office // 250}.{office % 250 + 1}"
        size = OFFICE_SIZES[1] if office == 0 else chance.randint(*OFFICE_SIZES)
        machines = [browser(chance) for _ in range(1 + size // 6)]
        for _ in range(size):
            agents = tuple(chance.choices(machines, k=2))
            made.append(Person(f"user{len(made)}", "office", ((-DAY_MS, address),), agents, 1.3, (11.5, 2.5)))
        office += 1
    for number in range(int(count * MOBILE_SHARE)):
        made.append(_mobile(chance, f"user{len(made)}", CARRIERS[number % 3], count))
    for number in range(int(count * PLACED_SHARE)):
        made.append(_placed(chance, f"user{len(made)}", number))
    while len(made) < count:
        made.append(_at_home(chance, len(made)))
    return made


def _mobile(chance: random.Random, name: str, carrier: str, count: int) -> Person:
    def address() -> str:
        if ":" in carrier:
            return f"{carrier}:{chance.randrange(65_536):x}::{chance.randrange(1, 65_536):x}"
        return f"{carrier}.{chance.randrange(4)}.{chance.randrange(max(1, count // 2400)) + 1}"

    times = sorted(chance.randrange(6 * HOUR_MS, 23 * HOUR_MS) for _ in range(chance.randint(2, 4)))
    stays = tuple((since, address()) for since in (-DAY_MS, *times))
    return Person(name, "mobile", stays, (browser(chance, PHONES),), 1.5, (15, 4))


def _placed(chance: random.Random, name: str, number: int) -> Person:
    home = chance.choice(PLACES)
    stays = [(-DAY_MS, somewhere(chance, home))]
    kind = "home, in a known city"
    if number < 4:  # London in the morning, Linköping (1,250 km) in the afternoon; in between on a plane.
        kind = "traveller"
        stays = [
            (-DAY_MS, somewhere(chance, LONDON)),
            (10 * HOUR_MS, ""),
            (14 * HOUR_MS, somewhere(chance, LINKOEPING)),
        ]
    elif number < 8:  # London and Boxford: 80 km, a train every day.
        kind = "traveller"
        stays = [(-DAY_MS, somewhere(chance, BOXFORD)), (9 * HOUR_MS, somewhere(chance, LONDON))]
        stays.append((18 * HOUR_MS, stays[0][1]))
    elif number == 8:  # Switches a VPN on and off: Linköping, London, Linköping, Milton.
        kind = "VPN user"
        exits = (LINKOEPING, LONDON, LINKOEPING, MILTON)
        stays = [((9 + i) * HOUR_MS if i else -DAY_MS, somewhere(chance, e)) for i, e in enumerate(exits)]
    active = 1.1 if number > 8 else 8
    return Person(name, kind, tuple(stays), (browser(chance),), active, (13 if number > 8 else 12, 3.5))


def _at_home(chance: random.Random, number: int) -> Person:
    household = number // 2 if chance.random() < 0.3 else number + 20_000
    if chance.random() < IPV6_SHARE:
        address = f"2001:db8:{household:x}:1::{chance.randrange(1, 65_536):x}"
    else:
        address = f"198.18.{50 + household // 250 % 200}.{household % 250 + 1}"
    agents = (browser(chance), browser(chance, PHONES))
    return Person(f"user{number}", "home", ((-DAY_MS, address),), agents, 1.0, (17, 4))


def subjects_of(person: Person) -> list[str]:
    """By what names a finding may speak of this person."""
    return [person.name, *{subject_of(address) for _, address in person.stays if address}]
