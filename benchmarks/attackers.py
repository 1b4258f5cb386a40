"""One attacker for each rule, as they come: jittered, from changing addresses, with ordinary requests in between.

Each begins at a random time of the day and goes on whether or not it has been noticed. What it does stands in its
docstring, whose first line is the table's.
"""

import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter

from benchmarks.people import CHANGCHUN, DAY_MS, HOUR_MS, LONDON, browser, somewhere
from benchmarks.population import Population, Step, between, login, request
from detectors.addresses import subject_of

NAMES = ("anna", "ben", "carla", "dimitri", "emma", "farid", "greta", "hugo", "ines", "jonas", "kim", "liam")
WORDS = (
    "backup",
    "old",
    "test",
    "staging",
    "api2",
    "export",
    "internal",
    "beta",
    "archive",
    "dump",
    "upload",
    "data",
)
PROBES = (
    "/.env", "/.git/config", "/search?q=1%27%20or%201=1--", "/download?file=../../../../etc/passwd",
    "/phpmyadmin/index.php", "/wp-login.php", "/search?q=%3Cscript%3Ealert(1)%3C/script%3E", "/actuator/env",
    "/backup.sql", "/id_rsa", "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", "/server-status",
)  # fmt: skip


@dataclass(frozen=True)
class Attack:
    """What one attacker does, and by what names findings may speak of it or of its victim."""

    rule: str
    words: str
    hostile: list[Step]
    ordinary: list[Step]
    subjects: frozenset[str]


class Attacker:
    """One at work: collects its steps."""

    def __init__(self, world: Population, chance: random.Random, number: int) -> None:
        self.world, self.chance = world, chance
        self.at = chance.randrange(HOUR_MS, 20 * HOUR_MS)
        self.address = f"203.0.113.{number + 1}"
        self.agent = browser(chance)
        self.hostile: list[Step] = []
        self.ordinary: list[Step] = []
        self.subjects: set[str] = set()

    def wait(self, mean_s: float) -> None:
        """Lets a jittered time pass."""
        self.at += between(self.chance, mean_s)

    def look_like_others(self, share: float) -> None:
        """An ordinary request now and then, from where the attacker is."""
        if self.chance.random() < share:
            path = self.chance.choice(("/", "/help/faq", f"/posts/{self.chance.randrange(9000)}"))
            self.ordinary.append(request(self.at, self.address, self.agent, path))
            self.wait(3)

    def do(self, step: Step) -> None:
        """A hostile request."""
        self.hostile.append(step)

    def try_login(self, user: str, succeeds: bool = False) -> None:
        self.do(login(self.at, self.address, self.agent, user, succeeds=succeeds))

    def get(self, path: str, status: int, **more: object) -> None:
        self.do(request(self.at, self.address, self.agent, path, status, **more))

    def victim(self) -> str:
        """A user with a history."""
        home = [person for person in self.world.people if person.kind == "home"]
        return self.chance.choice(home).name

    def bots(self, count: int) -> list[str]:
        """Addresses all over the world: no two of one network."""
        return [f"198.{51 + i // 250}.{i % 250}.{self.chance.randint(1, 254)}" for i in range(count)]


def auth_failures(me: Attacker) -> None:
    """guesses one user's password every 3 s from one address"""
    user = me.victim()
    for _ in range(80):
        me.look_like_others(0.1)
        me.try_login(user)
        me.wait(3)


def credential_stuffing(me: Attacker) -> None:
    """a leaked list, one try a user every 8 s; a new address every 40 tries, a new agent each; 2 % get in"""
    for number in range(240):
        if number % 40 == 0:
            me.address = f"198.51.100.{number // 40 + 1}"
        me.agent = browser(me.chance)
        me.look_like_others(0.1)
        user = f"{me.chance.choice(NAMES)}{me.chance.randrange(1900, 2100)}"
        me.try_login(user, succeeds=me.chance.random() < 0.02)
        me.wait(8)


def password_spraying(me: Attacker) -> None:
    """one password on 200 users, a try every 2 to 4 minutes from one address"""
    users = me.chance.sample([person.name for person in me.world.people], 200)
    for user in users:
        me.look_like_others(0.1)
        me.try_login(user)
        me.at += me.chance.randrange(120_000, 240_000)


def distributed_brute_force(me: Attacker) -> None:
    """200 addresses in turn on one user, a try every 90 s"""
    user, bots = me.victim(), me.bots(200)
    me.subjects.add(user)
    for address in bots:
        me.address, me.agent = address, browser(me.chance)
        me.look_like_others(0.1)
        me.try_login(user)
        me.wait(90)


def slow_brute_force(me: Attacker) -> None:
    """three users from one address, a try every 20 to 40 minutes, from the small hours on"""
    me.at = me.chance.randrange(3 * HOUR_MS)
    users = [me.victim() for _ in range(3)]
    while me.at < DAY_MS:
        me.look_like_others(0.2)
        me.try_login(me.chance.choice(users))
        me.at += me.chance.randrange(1_200_000, 2_400_000)


def token_cracking(me: Attacker) -> None:
    """random API keys, one every 12 s from one address"""
    for _ in range(100):
        me.look_like_others(0.1)
        me.get("/api/v1/orders", 401, api_key_id=f"key-{me.chance.getrandbits(48):012x}")
        me.wait(12)


def account_takeover(me: Attacker) -> None:
    """60 bots guess one user's password, a try every 40 s; the last guess was right and is used from a new network"""
    user, bots = me.victim(), me.bots(60)
    me.subjects.add(user)
    for address in bots:
        me.address, me.agent = address, browser(me.chance)
        me.try_login(user)
        me.wait(40)
    me.address = "203.0.113.200"
    me.look_like_others(1)
    me.try_login(user, succeeds=True)


def leaked_key_in_use(me: Attacker) -> None:
    """the owner's key stands in the URL of a poll each 10 minutes; a thief uses it an hour later from elsewhere"""
    secret = "sk_live_" + "".join(me.chance.choices(string.ascii_letters + string.digits, k=32))
    owner, begun = "198.18.242.9", me.at
    me.subjects.add(owner)
    for number in range(9):
        path = f"/api/v1/balance?api_key={secret}"
        me.ordinary.append(request(begun + number * 600_000, owner, "python-requests/2.32", path))
    me.at = begun + HOUR_MS
    for _ in range(20):
        me.look_like_others(0.2)
        me.get(f"/api/v1/customers?api_key={secret}", 200)
        me.wait(60)


def key_shared(me: Attacker) -> None:
    """a sold key in 30 networks, whose buyers begin within two hours and ask every 10 minutes"""
    me.subjects.add("key-sold")
    begun, agent = me.at, me.agent
    for address in me.bots(30):
        me.address, me.at, me.agent = address, begun + me.chance.randrange(2 * HOUR_MS), agent
        for _ in range(8):
            me.get(f"/api/v1/orders/{me.chance.randrange(9000)}", 200, api_key_id="key-sold")
            me.wait(600)


def impossible_travel(me: Attacker) -> None:
    """a stolen password: the owner logs in in London, the thief 40 minutes later in Changchun"""
    user = me.victim()
    me.subjects.add(user)
    owner = somewhere(me.chance, LONDON)
    me.ordinary.append(login(me.at, owner, browser(me.chance), user, succeeds=True))
    me.at += 40 * 60_000
    me.address = somewhere(me.chance, CHANGCHUN)
    me.try_login(user, succeeds=True)
    for _ in range(20):
        me.look_like_others(1)


def object_enumeration(me: Attacker) -> None:
    """a logged-in user counts the ids of invoices up by 1 to 4, one every 1 to 8 s; 40 % are refused"""
    number = me.chance.randrange(10_000, 90_000)
    for _ in range(400):
        me.look_like_others(0.1)
        number += me.chance.randint(1, 4)
        status = me.chance.choices((200, 403, 404), (60, 25, 15))[0]
        me.get(f"/api/v1/invoices/{number}", status)
        me.at += me.chance.randrange(1000, 8000)


def not_found_churn(me: Attacker) -> None:
    """goes through a list of harmless names, one every 1.5 s, with a browser's agent and a referer; 10 % exist"""
    for _ in range(200):
        me.look_like_others(0.1)
        path = (
            f"/{me.chance.choice(WORDS)}{me.chance.choice(('', '-', '_'))}{me.chance.randrange(2015, 2027)}"
        )
        me.get(path, 200 if me.chance.random() < 0.1 else 404, referer="https://www.example.org/")
        me.wait(1.4)


def user_agent_churn(me: Attacker) -> None:
    """scrapes with a made-up agent for each of 2 requests a second; 70 % are refused"""
    for _ in range(200):
        me.look_like_others(0.05)
        me.agent = f"Mozilla/5.0 (Windows NT 10.0) Chrome/{me.chance.randint(90, 131)}.0.{me.chance.randrange(9000)}.0"
        me.get(f"/posts/{me.chance.randrange(9000)}", 403 if me.chance.random() < 0.7 else 200)
        me.wait(0.4)


def client_error_rate(me: Attacker) -> None:
    """tries values of one parameter, two requests every 3 s; 92 % are refused"""
    for _ in range(200):
        me.look_like_others(0.04)
        path = f"/api/v1/coupons/check?code={me.chance.getrandbits(40):010X}"
        me.get(path, 422 if me.chance.random() < 0.92 else 200)
        me.wait(1.4)


def suspicious_activity(me: Attacker) -> None:
    """a scanner with a browser's agent: a probe every 10 s, hidden among three times as many ordinary pages"""
    for _ in range(40):
        for _ in range(3):
            me.look_like_others(1)
        path = me.chance.choice(PROBES)
        me.get(path, 200 if path.startswith("/search") else 404)
        me.wait(1)


def rate_limit_violations(me: Attacker) -> None:
    """scrapes at 3 requests a second although 60 % are answered 429"""
    for _ in range(600):
        me.get(f"/posts/{me.chance.randrange(9000)}", 429 if me.chance.random() < 0.6 else 200)
        me.wait(0.25)


def api_key_exposure(me: Attacker) -> None:
    """no attacker: a client begins to put its key into the URL"""
    secret = "github_pat_" + "_".join(
        "".join(me.chance.choices(string.ascii_letters + string.digits, k=k)) for k in (22, 59)
    )
    for _ in range(10):
        me.look_like_others(0.5)
        me.get(f"/hooks/deploy?token={secret}", 200)
        me.wait(300)


def security_breach(me: Attacker) -> None:
    """looks around like anybody, then asks for /.env and gets it"""
    for _ in range(10):
        me.look_like_others(1)
    me.get("/.env", 200, bytes=612)
    for _ in range(5):
        me.look_like_others(1)


ATTACKERS: tuple[Callable[[Attacker], None], ...] = (
    auth_failures, credential_stuffing, password_spraying, distributed_brute_force, slow_brute_force, token_cracking,
    account_takeover, leaked_key_in_use, key_shared, impossible_travel, object_enumeration, not_found_churn,
    user_agent_churn, client_error_rate, suspicious_activity, rate_limit_violations, api_key_exposure, security_breach,
)  # fmt: skip


def attacks(world: Population, seed: int) -> Iterator[Attack]:
    """All attacks of one day."""
    for number, attack in enumerate(ATTACKERS):
        me = Attacker(world, random.Random(f"{seed} {attack.__name__}"), number)
        attack(me)
        steps = [*me.hostile, *me.ordinary]
        addresses = {subject_of(event.client_ip) for _, event in steps if event.client_ip}
        words = (attack.__doc__ or "").strip()
        hostile = sorted(me.hostile, key=itemgetter(0))
        yield Attack(attack.__name__, words, hostile, me.ordinary, frozenset(me.subjects | addresses))
