"""The harmless machines of the simulated day: API clients, crawlers, monitors, apps, devices with an old password.

Several of them fail all day long and look odd to a rule; that is what they are here for.
"""

import random
from collections.abc import Iterator

from benchmarks.people import DAY_MS, HOUR_MS, PHONES, browser
from benchmarks.population import Population, Step, between, login, request

EXPIRED_KEYS = 10
OLD_PASSWORDS = 3
USERS_OF_AN_API_CLIENT = 20
"""20,000 users have 1,000 API clients beside them."""
APP_SHARE = 0.15
"""Of the people on mobile networks, who have the photo app."""
CRAWLERS = {"Googlebot/2.1": (40, 0.05), "bingbot/2.0": (50, 0.05), "AhrefsBot/7.0": (1, 0.06)}
"""Mean gap in seconds, and how many of the links are broken; the last comes for an hour."""
CLIENT_AGENTS = ("python-requests/2.32", "okhttp/4.12", "axios/1.7", "Go-http-client/2.0")


def machines(world: Population, chance: random.Random) -> Iterator[Step]:
    """All of them."""
    for number in range(len(world.people) // USERS_OF_AN_API_CLIENT):
        yield from _api_client(world, chance, number)
    for number, (name, (gap_s, broken)) in enumerate(CRAWLERS.items()):
        yield from _crawler(world, chance, f"198.18.240.{number + 1}", name, gap_s, broken)
    yield from _monitoring(world)
    for person in world.people:
        if person.kind == "mobile" and chance.random() < APP_SHARE:
            world.note("photo app", *(address for _, address in person.stays if ":" in address))
            for _ in range(chance.randint(1, 3)):
                at = chance.randrange(6 * HOUR_MS, 23 * HOUR_MS)
                yield from _photo_app(chance, at, person.address(at))
    yield from _old_passwords(world, chance)


def _api_client(world: Population, chance: random.Random, number: int) -> Iterator[Step]:
    """Polls every half hour from one or two networks; ten have a key that expired and try every few minutes."""
    key, agent = f"key-{number:04d}", chance.choice(CLIENT_AGENTS)
    networks = [f"198.18.{245 + side}.{1 + number % 250}" for side in range(chance.randint(1, 2))]
    networks = [a if number < 250 else a.replace("198.18", f"198.{20 + number // 250}") for a in networks]
    is_expired = number < EXPIRED_KEYS
    world.note("API client with an expired key" if is_expired else "API client", key, *networks)
    at = chance.randrange(HOUR_MS)
    while at < DAY_MS:
        path = f"/api/v1/orders?since={at // 1000}"
        status = 401 if is_expired else 404 if chance.random() < 0.01 else 200
        yield request(at, chance.choice(networks), agent, path, status, api_key_id=key)
        at += chance.randrange(180_000, 480_000) if is_expired else between(chance, 1800)


def _crawler(
    world: Population, chance: random.Random, address: str, name: str, gap_s: float, broken: float
) -> Iterator[Step]:
    world.note("crawler", address)
    agent = f"Mozilla/5.0 (compatible; {name}; +http://www.example.com/bot.html)"
    hourly = gap_s < 10
    at = chance.randrange(22 * HOUR_MS) if hourly else 0
    end = at + HOUR_MS if hourly else DAY_MS
    while at < end:
        is_broken = chance.random() < broken
        path = (
            f"/news/2019/article-{chance.randrange(3000)}"
            if is_broken
            else f"/posts/{chance.randrange(9000)}"
        )
        yield request(at, address, agent, path, 404 if is_broken else 200)
        at += between(chance, gap_s)


def _monitoring(world: Population) -> Iterator[Step]:
    world.note("monitoring", "198.18.241.1", "198.18.241.2")
    for number, at in enumerate(range(0, DAY_MS, 30_000)):
        yield request(at, f"198.18.241.{1 + number % 2}", "UptimeRobot/2.0", "/api/health")


def _photo_app(chance: random.Random, at: int, address: str) -> Iterator[Step]:
    """Asks before it sends a photo whether the server has it: after a day out, 70 % of its questions are 404."""
    agent = browser(chance, PHONES)
    for _ in range(min(60, 1 + int(chance.expovariate(1 / 6)))):
        photo = f"/api/v1/photos/{chance.getrandbits(128):032x}"
        is_new = chance.random() < 0.7
        yield request(at, address, agent, photo, 404 if is_new else 200, method="HEAD")
        at += between(chance, 0.2)
        if is_new:
            at += between(chance, 0.8)
            yield request(at, address, agent, photo, 201, method="PUT")


def _old_passwords(world: Population, chance: random.Random) -> Iterator[Step]:
    """A calendar or a printer at somebody's home that has not heard of the new password; its owner has."""
    at_home = [person for person in world.people if person.kind == "home"]
    for person in chance.sample(at_home, OLD_PASSWORDS):
        address = person.stays[0][1]
        world.note("device with an old password", address, person.name)
        at = chance.randrange(HOUR_MS)
        while at < DAY_MS:
            yield login(at, address, "CalDavSynchronizer/4.4", person.name, succeeds=False)
            at += 900_000 + chance.randrange(60_000)
