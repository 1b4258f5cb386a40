"""One ordinary day of a site with 20,000 users, all of them harmless. The same seed gives the same day.

`Population` yields events in order of time. The day before is in it as one login of each user who came, since what
the rules know of an address (is it shared?) and of an account (where is it at home?) they learn from logins.
"""

import random
from collections.abc import Callable, Iterator
from itertools import chain

import msgspec

from benchmarks.people import DAY_MS, HOUR_MS, OFFICE_SIZES, START_MS, Person, people, subjects_of
from detectors.addresses import subject_of
from detectors.event import Event
from detectors.timestamps import to_rfc3339

Step = tuple[int, Event]
"""When, in ms of the day, and what."""

MISTYPES = ((0.001, 8), (0.011, 3), (0.091, 1))
"""Up to which draw how many failures come before a login: 1 in 1,000 fails eight times and gives up."""
LOGS_IN, TOKEN_EXPIRED = 0.6, 0.15
"""Of the sessions, how many begin with a login, and how many with a token that has expired over night."""
NOT_FOUND, FORBIDDEN, SERVER_ERROR = 0.02, 0.005, 0.002
"""Of the requests. Source: 2.1 % of ../shared/corpora/elastic-apache-10k.log are 404."""
PAGES = (
    "/",
    "/dashboard",
    "/search?q=quarterly+report",
    "/reports",
    "/settings",
    "/messages?page=2",
    "/help/faq",
)
MISSING = (
    "/img/banner-{}.png",
    "/news/2019/{}",
    "/favicon.ico",
    "/static/app.{}.js.map",
    "/team/{}",
    "/docs/v1/{}",
)
EXPIRY_MS = 8 * HOUR_MS + HOUR_MS // 2
"""When the passwords of the largest office have expired; everybody there fails within 20 minutes."""
LONGEST_SESSION_MS = HOUR_MS // 2
_FIELDS = Event.__struct_fields__
_encode = msgspec.json.Encoder().encode


def request(at: int, address: str, agent: str, path: str, status: int = 200, **more: object) -> Step:
    """One request; `more` names further fields of the event."""
    made = Event(
        timestamp=to_rfc3339(START_MS + at),
        client_ip=address,
        method="GET",
        path=path,
        status=status,
        user_agent=agent,
        host="api.example.org",
        bytes=200 + 7 * (at % 2_000) if status < 400 else 153,
    )
    for field, value in more.items():
        setattr(made, field, value)
    return at, made


def login(at: int, address: str, agent: str, user: str, *, succeeds: bool) -> Step:
    """One attempt to log in, with its outcome, as an application logs it that knows."""
    status, outcome = (200, "success") if succeeds else (401, "failure")
    return request(at, address, agent, "/login", status, method="POST", user=user, outcome=outcome)


def record_of(event: Event) -> bytes:
    """The event as the log shows it, one line of JSON."""
    values = {f: v for f in _FIELDS if (v := getattr(event, f)) is not None and f != "repeat"}
    return _encode(values)


def between(chance: random.Random, mean_s: float) -> int:
    """A jittered gap in ms: exponential, so that no two are alike, and never under a tenth of a second."""
    return 100 + int(chance.expovariate(1 / mean_s) * 1000)


class Population:
    """Everybody harmless: people and machines, and by what subjects findings may speak of them."""

    def __init__(self, count: int = 20_000, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self.people = people(self._chance, count)
        self.kinds: dict[str, str] = {}
        """What sort of user or machine a subject is, in words."""
        for person in self.people:
            for subject in subjects_of(person):
                self.kinds.setdefault(subject, person.kind)
        self._expiring = {p.name for p in self.people[: OFFICE_SIZES[1]]}
        for person in self.people[: OFFICE_SIZES[1]]:
            self.kinds.update(dict.fromkeys(subjects_of(person), "office with expired passwords"))

    def note(self, kind: str, *subjects: str) -> None:
        """Remembers whom a finding would speak of."""
        for subject in subjects:
            self.kinds[subject_of(subject) if ":" in subject else subject] = kind

    def day(self, machines: Callable[["Population", random.Random], Iterator[Step]]) -> list[Step]:
        """All events in order of time, the day before first."""
        made = [*self._day_before(), *chain.from_iterable(map(self._day_of, self.people))]
        made += machines(self, self._chance)
        made.sort(key=_when)
        return made

    def _day_before(self) -> Iterator[Step]:
        for person in self.people:
            if self._chance.random() < 0.7:
                at = self._time_of(person) - DAY_MS
                address = person.stays[0][1]
                yield login(at, address, person.agents[0], person.name, succeeds=True)

    def _time_of(self, person: Person) -> int:
        mean, deviation = person.hours
        return int(min(23.5, max(0.2, self._chance.gauss(mean, deviation))) * HOUR_MS)

    def _day_of(self, person: Person) -> Iterator[Step]:
        chance = self._chance
        if person.name in self._expiring:
            at = EXPIRY_MS + chance.randrange(20 * 60_000)
            for _ in range(chance.randint(1, 2)):
                yield login(at, person.address(at), person.agents[0], person.name, succeeds=False)
                at += between(chance, 25)
            yield login(at, person.address(at), person.agents[0], person.name, succeeds=True)
        sessions = int(person.active + chance.random())
        for at in sorted(self._time_of(person) for _ in range(sessions)):
            if person.address(at) and person.address(at + LONGEST_SESSION_MS):
                yield from self._session(person, at)

    def _session(self, person: Person, at: int) -> Iterator[Step]:
        chance = self._chance
        agent, draw = chance.choice(person.agents), chance.random()
        if draw < LOGS_IN:
            attempts = list(self._log_in(person, at, agent))
            yield from attempts
            at, last = attempts[-1]
            if last.status != 200:
                return
        elif draw < LOGS_IN + TOKEN_EXPIRED:
            address = person.address(at)
            for number in range(chance.randint(1, 4)):
                path = f"/api/v1/{('me', 'messages', 'reports', 'teams')[number]}"
                yield request(at + 20 * number, address, agent, path, 401)
            at += 300
            yield request(at, address, agent, "/api/v1/token", method="POST", user=person.name)
        for _ in range(min(60, 2 + int(chance.expovariate(1 / 9)))):
            at += between(chance, 14)
            yield self._visit(person, at, agent)

    def _log_in(self, person: Person, at: int, agent: str) -> Iterator[Step]:
        chance = self._chance
        draw = chance.random()
        failures = next((n for most, n in MISTYPES if draw < most), 0)
        for _ in range(failures):
            user = f"{person.name}x" if chance.random() < 0.1 else person.name
            yield login(at, person.address(at), agent, user, succeeds=False)
            at += between(chance, 40 if failures > 3 else 9)
        if failures < 8:
            yield login(at, person.address(at), agent, person.name, succeeds=True)

    def _visit(self, person: Person, at: int, agent: str) -> Step:
        chance = self._chance
        address, draw = person.address(at), chance.random()
        if draw < NOT_FOUND:
            path = chance.choice(MISSING).format(chance.randrange(40))
            return request(at, address, agent, path, 404, referer="https://www.example.org/")
        own = int(person.name[4:]) * 37
        path = f"/api/v1/posts/{own + chance.randrange(30)}"
        if draw < NOT_FOUND + FORBIDDEN:
            return request(at, address, agent, f"/api/v1/teams/{chance.randrange(900)}/settings", 403)
        if draw < NOT_FOUND + FORBIDDEN + SERVER_ERROR:
            return request(at, address, agent, path, 500)
        if draw < 0.5:
            path = chance.choice(PAGES)
        elif draw < 0.53:
            path = f"/api/v1/feed?cursor={chance.getrandbits(96):024x}&limit=20"
        elif draw < 0.55:
            path = f"/?utm_source=mail&gclid={chance.getrandbits(200):050x}"
        elif draw < 0.6:
            return request(at, address, agent, path, 201, method="POST")
        return request(at, address, agent, path)


def _when(step: Step) -> int:
    return step[0]
