"""Break-ins: taken accounts, leaked keys in use, journeys nobody makes; and client_error_rate, shared addresses."""

import json
from pathlib import Path

import pytest
from key_samples import SAMPLES
from redis.asyncio import Redis

from detectors.defaults import DEFAULTS
from detectors.engine import Engine, Site
from detectors.event import Batch, Event
from detectors.geo import Geo
from detectors.rule import Rule
from detectors.timestamps import to_rfc3339
from detectors.windows import Windows

T0 = 1_764_000_000_000
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
HOME, OFFICE, STRANGER = "198.51.100.7", "192.0.2.20", "203.0.113.66"
FAILED = {"category": "authentication", "outcome": "failure"}
ENTERED = {"category": "authentication", "outcome": "success"}


def at(ms: int, **fields) -> Event:
    return Event(**{"timestamp": to_rfc3339(T0 + ms), "user": "alice", **fields})


async def found(
    redis: Redis,
    events: list[Event],
    *rules: str | Rule,
    geo: Geo | None = None,
    mark: str | None = None,
    **site,
) -> list[tuple[str, str]]:
    chosen = [DEFAULTS[rule] if isinstance(rule, str) else rule for rule in rules]
    engine = Engine(chosen, Windows(redis), fingerprint_key=b"k" * 32, geo=geo, site=Site(**site))
    records = [
        (event.message or json.dumps({f: getattr(event, f) for f in event.__struct_fields__})).encode()
        for event in events
    ]
    done = await engine.process(Batch(events, records, T0 + 30 * DAY, "test", mark))
    return [(crossed.group.rule.name, crossed.group.subject) for crossed in done.crossed]


def guesses(count: int, start: int = 0, **fields) -> list[Event]:
    return [at(start + i * SECOND, client_ip=STRANGER, **FAILED, **fields) for i in range(count)]


@pytest.mark.parametrize(("failures", "taken"), [(5, True), (4, False)])
async def test_a_success_after_five_failures_is_a_takeover_and_after_four_is_not(
    redis: Redis, failures, taken
):
    entered = at(MINUTE, client_ip=STRANGER, **ENTERED)
    found_by = await found(redis, [*guesses(failures), entered], "account_takeover")
    assert found_by == ([("account_takeover", STRANGER)] if taken else [])


@pytest.mark.parametrize(
    ("before", "failures", "taken"),
    [(DAY, 9, False), (DAY, 10, True), (31 * DAY, 5, True), (31 * DAY, 4, False)],
)
async def test_from_an_address_the_user_got_in_from_twice_as_many_failures_are_needed(
    redis: Redis, before, failures, taken
):
    known = at(-before, client_ip=STRANGER, **ENTERED)
    entered = at(MINUTE, client_ip=STRANGER, **ENTERED)
    found_by = await found(redis, [known, *guesses(failures), entered], "account_takeover")
    assert found_by == ([("account_takeover", STRANGER)] if taken else [])


async def test_an_address_known_for_one_user_is_new_for_another(redis: Redis):
    known = at(-DAY, client_ip=STRANGER, **{**ENTERED, "user": "bob"})
    events = [known, *guesses(5), at(MINUTE, client_ip=STRANGER, **ENTERED)]
    assert await found(redis, events, "account_takeover") == [("account_takeover", STRANGER)]


async def test_guessing_from_everywhere_and_then_a_success_from_a_new_network_is_a_takeover(redis: Redis):
    known = at(-DAY, client_ip=HOME, **ENTERED)
    botnet = [at(i * SECOND, client_ip=f"203.0.{i}.9", **FAILED) for i in range(8)]
    assert await found(redis, [known, *botnet], "account_takeover") == []
    stranger = at(MINUTE, client_ip=STRANGER, **ENTERED)
    assert await found(redis, [stranger], "account_takeover") == [("account_takeover", "alice")]


async def test_the_owner_who_logs_in_from_home_while_a_botnet_guesses_is_left_alone(redis: Redis):
    known = at(-DAY, client_ip=HOME, **ENTERED)
    botnet = [at(i * SECOND, client_ip=f"203.0.{i}.9", **FAILED) for i in range(50)]
    owner = at(MINUTE, client_ip="198.51.100.99", **ENTERED)  # the same network
    assert await found(redis, [known, *botnet, owner], "account_takeover") == []


async def test_without_a_history_of_the_user_a_new_network_says_nothing(redis: Redis):
    botnet = [at(i * SECOND, client_ip=f"203.0.{i}.9", **FAILED) for i in range(50)]
    assert await found(redis, [*botnet, at(MINUTE, client_ip=HOME, **ENTERED)], "account_takeover") == []


async def test_a_takeover_needs_a_user(redis: Redis):
    events = [*guesses(9, user=None), at(MINUTE, client_ip=STRANGER, **ENTERED, user=None)]
    assert await found(redis, events, "account_takeover") == []


async def test_security_breach_leaves_takeovers_to_their_own_rule_where_it_is_named(redis: Redis):
    events = [*guesses(10), at(MINUTE, client_ip=STRANGER, **ENTERED)]
    assert await found(redis, events, "security_breach", mark="a") == [("security_breach", STRANGER)]
    await redis.flushall()
    both = await found(redis, events, "security_breach", "account_takeover", mark="a")
    assert both == [("account_takeover", STRANGER)]


KEY = SAMPLES["github_token"].secret


def used(address: str, ms: int = 0, status: int = 200, **fields) -> Event:
    return at(ms, client_ip=address, method="GET", path=f"/v1/items?api_key={KEY}", status=status, **fields)


@pytest.mark.parametrize("rule", ["leaked_key_in_use", "security_breach"])
async def test_a_key_that_a_second_address_uses_is_a_breach(redis: Redis, rule):
    assert await found(redis, [used(HOME, i) for i in range(20)], rule) == []
    [(name, subject)] = await found(redis, [used(STRANGER, HOUR)], rule)
    assert name == rule
    assert KEY not in subject


async def test_a_key_that_is_refused_elsewhere_is_not_in_use(redis: Redis):
    refused = [used(HOME), *(used(STRANGER, i, status) for i, status in enumerate((401, 403, 404, 429)))]
    assert await found(redis, refused, "leaked_key_in_use") == []


async def test_a_key_without_an_address_says_nothing(redis: Redis):
    assert await found(redis, [used(None), used(HOME)], "leaked_key_in_use") == []


@pytest.mark.parametrize(
    "query",
    [
        "token=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI4ODEyMzQ1NiIsIm4iOiJRIn0.Qm9vZ2llLXdvb2dpZS1Qd3E5Q0I1bA",
        "session_token=9fQ2x7LmZp4Vb8Kd3Rt6Yw1N",
        "X-Amz-Credential=AKIAQ3EGRZ5T7WXY2BCD%2F20261125%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature="
        "8f14e45fceea167a5a36dedd4bea2543f6d1c9e0b7a8d9c6e5f4a3b2c1d0e9f8",
        "sid=9fQ2x7LmZp4Vb8Kd3Rt6Yw1N7uHjG5sA",
    ],
)
async def test_what_is_made_to_be_passed_on_may_be_used_from_anywhere(redis: Redis, query):
    events = [at(i, client_ip=ip, path=f"/f?{query}", status=200) for i, ip in enumerate((HOME, STRANGER))]
    in_use = [
        (rule, subject)
        for rule, subject in await found(redis, events, "leaked_key_in_use")
        if not subject.startswith("aws_access_key")
    ]
    assert in_use == []


@pytest.fixture
def geo(corpora: Path):
    opened = Geo(corpora / "GeoIP2-City-Test.mmdb", corpora / "GeoLite2-ASN-Test.mmdb")
    yield opened
    opened.close()


LONDON, LINKOPING, SAN_DIEGO, BOXFORD = "81.2.69.142", "89.160.20.112", "2001:480:10::1", "2.125.160.216"


@pytest.mark.parametrize(
    ("places", "hours", "impossible"),
    [
        ((LONDON, SAN_DIEGO), 1, True),
        ((LONDON, SAN_DIEGO), 12, False),
        ((LONDON, BOXFORD), 0, False),
        ((LINKOPING, SAN_DIEGO), 2, True),
        ((LONDON, "192.0.2.9"), 0, False),
    ],
)
async def test_two_logins_too_far_apart_are_told_of(redis: Redis, geo: Geo, places, hours, impossible):
    first, second = places
    events = [at(0, client_ip=first, **ENTERED), at(hours * HOUR + 1, client_ip=second, **ENTERED)]
    expected = [("impossible_travel", "alice")] if impossible else []
    assert await found(redis, events, "impossible_travel", geo=geo) == expected


async def test_travel_is_silent_without_a_database_a_user_or_a_success(redis: Redis, geo: Geo):
    far = [at(0, client_ip=LONDON, **ENTERED), at(HOUR, client_ip=SAN_DIEGO, **ENTERED)]
    assert await found(redis, far, "impossible_travel") == []
    for without in ({"user": None}, FAILED):
        events = [
            at(i * HOUR, client_ip=ip, **{**ENTERED, **without}) for i, ip in enumerate((LONDON, SAN_DIEGO))
        ]
        assert await found(redis, events, "impossible_travel", geo=geo) == []


async def test_a_key_used_in_three_countries_is_shared(redis: Redis, geo: Geo):
    used_in = [
        at(i * MINUTE, api_key_id="key-1", client_ip=ip, status=200)
        for i, ip in enumerate((LONDON, LINKOPING, SAN_DIEGO))
    ]
    assert await found(redis, used_in[:2] * 5, "key_shared", geo=geo) == []
    assert await found(redis, used_in[2:], "key_shared", geo=geo) == [("key_shared", "key-1")]


def asked(count: int, status: int, start: int = 0, ip: str = STRANGER, path: str = "/x") -> list[Event]:
    return [at(start + i * 100, client_ip=ip, path=f"{path}{i}", status=status) for i in range(count)]


@pytest.mark.parametrize(
    ("bad", "good", "fires"), [(30, 5, True), (30, 10, False), (19, 0, False), (20, 0, True)]
)
async def test_an_address_that_meets_hardly_anything_but_errors_is_found(redis: Redis, bad, good, fires):
    events = [*asked(bad, 404), *asked(good, 200), *asked(500, 200, ip=HOME)]
    later = asked(5, 404, start=10 * SECOND)
    expected = [("client_error_rate", STRANGER)] if fires else []
    found_by = await found(redis, events, "client_error_rate") + await found(
        redis, later, "client_error_rate"
    )
    assert found_by == expected


async def test_good_answers_in_batches_of_their_own_count_as_well(redis: Redis):
    engine = Engine([DEFAULTS["client_error_rate"]], Windows(redis), fingerprint_key=b"k" * 32)
    crossed = []
    for start in range(0, 20 * SECOND, 500):
        for status in (404, 200):
            events = asked(2, status, start)
            done = await engine.process(Batch(events, [b"{}"] * 2, T0 + start, "test"))
            crossed += done.crossed
    assert crossed == []


async def test_a_made_up_forwarded_for_makes_nobody_of_an_address(redis: Redis):
    events = [
        at(i * 100, client_ip=STRANGER, path=f"/{i}", status=404, forwarded_for=f"192.0.2.{i}")
        for i in range(30)
    ]
    events.append(at(10 * SECOND, client_ip=STRANGER, path="/", status=404))
    assert await found(redis, events, "client_error_rate") == [("client_error_rate", STRANGER)]


async def test_a_repeat_is_known_although_the_process_remembers_more_than_before(redis: Redis):
    windows = Windows(redis, shards=16)
    engine = Engine([DEFAULTS["client_error_rate"]], windows, fingerprint_key=b"k" * 32)
    good, bad = asked(50, 200), asked(5, 404)
    for events, mark in ((good, "good"), (bad, "bad")):
        assert not (await engine.process(Batch(events, [b"{}"] * len(events), T0, "test", mark))).duplicate
    assert (await engine.process(Batch(good, [b"{}"] * len(good), T0, "test", "good"))).duplicate
    assert (await engine.process(Batch(bad, [b"{}"] * len(bad), T0, "test", "bad"))).duplicate


async def test_an_office_whose_people_get_in_is_shared_and_fails_more_often(redis: Redis):
    people = [at(-2 * HOUR, client_ip=OFFICE, **ENTERED, user=f"user{i}") for i in range(6)]
    failures = [at(i * 100, client_ip=OFFICE, **FAILED) for i in range(60)]
    assert await found(redis, people, "auth_failures", shared_from=5) == []
    assert await found(redis, failures[:59], "auth_failures", shared_from=5) == []
    assert await found(redis, failures[59:], "auth_failures", shared_from=5) == [("auth_failures", OFFICE)]


async def test_an_attacker_who_takes_accounts_over_does_not_become_an_office(redis: Redis):
    taken = [at(-MINUTE * i, client_ip=STRANGER, **ENTERED, user=f"user{i}") for i in range(20)]
    failures = [at(i * 100, client_ip=STRANGER, **FAILED) for i in range(10)]
    assert await found(redis, [*taken, *failures], "auth_failures", shared_from=5) == [
        ("auth_failures", STRANGER)
    ]


async def test_without_the_policys_word_no_address_is_shared(redis: Redis):
    people = [at(-2 * HOUR, client_ip=OFFICE, **ENTERED, user=f"user{i}") for i in range(6)]
    failures = [at(i * 100, client_ip=OFFICE, **FAILED) for i in range(10)]
    assert await found(redis, [*people, *failures], "auth_failures") == [("auth_failures", OFFICE)]


async def test_a_device_with_an_old_password_is_no_guesser_where_its_user_gets_in(redis: Redis):
    entered = at(-HOUR, client_ip=HOME, **ENTERED)
    device = [at(i * 20 * MINUTE, client_ip=HOME, **FAILED) for i in range(60)]
    assert await found(redis, [entered, *device], "slow_brute_force", shared_from=5) == []
    stranger = [at(i * 20 * MINUTE, client_ip=HOME, **{**FAILED, "user": "root"}) for i in range(60)]
    rules = {rule for rule, _ in await found(redis, stranger, "slow_brute_force", shared_from=5)}
    assert rules == {"slow_brute_force"}


async def test_a_device_of_nobody_who_got_in_is_a_guesser(redis: Redis):
    device = [at(i * 20 * MINUTE, client_ip=HOME, **FAILED) for i in range(30)]
    assert await found(redis, device, "slow_brute_force", shared_from=5) == [("slow_brute_force", HOME)]


def old_password(count: int, every_ms: int, user: str = "alice") -> list[Event]:
    """A device, or somebody who guesses, that fails again and again from the user's home."""
    return [at(i * every_ms, client_ip=HOME, **{**FAILED, "user": user}) for i in range(count)]


@pytest.mark.parametrize(
    ("entered", "user", "shared_from", "blocked"),
    [
        (-DAY, "alice", 5, False),
        (-8 * DAY, "alice", 5, True),
        (HOUR * 20, "alice", 5, True),
        (-DAY, "bob", 5, True),
        (-DAY, "alice", 0, True),
    ],
)
async def test_a_device_with_an_old_password_of_a_user_who_got_in_from_there_is_no_slow_brute_force(
    redis: Redis, entered, user, shared_from, blocked
):
    site = {"shared_from": shared_from}
    await found(redis, [at(entered, client_ip=HOME, **ENTERED)], "slow_brute_force", **site)
    crossed = await found(redis, old_password(60, 15 * MINUTE, user), "slow_brute_force", **site)
    assert bool(crossed) is blocked


async def test_who_guesses_a_housemates_password_is_still_found_by_the_other_rules(redis: Redis):
    rules = ("slow_brute_force", "auth_failures", "account_takeover")
    await found(redis, [at(-DAY, client_ip=HOME, **ENTERED)], *rules, shared_from=5)
    guessed = [*old_password(15, SECOND), at(MINUTE, client_ip=HOME, **ENTERED)]
    names = {name for name, _ in await found(redis, guessed, *rules, shared_from=5)}
    assert names == {"auth_failures", "account_takeover"}
