"""The core of every middleware, without a protocol and without a network: what becomes of a request."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from bartizan_client import Answer, Block, DecisionType, Scope, Settings, too_many_requests
from bartizan_client.decision import FOREVER, Allowed
from bartizan_client.judgement import MOST_PASSED, Judge
from bartizan_client.table import BlockTable
from bartizan_client.verdict import Kind, Verdict
from bartizan_client.wsgi import WsgiReader

BAN, CAPTCHA, THROTTLE = DecisionType


def block(value: str, type: DecisionType = BAN, scope: Scope | None = None) -> Block:
    return Block(f"id-{value}", value, "reason", "rule", FOREVER, scope, type)


class Asked:
    """A judge about these blocks, and what came of it."""

    def __init__(self, *blocks: Block, allow: tuple[str, ...] = (), has_list: bool = True, **options: Any):
        self.table = BlockTable(blocks, [Allowed(value, FOREVER) for value in allow])
        self.counts: Counter[str] = Counter()
        self.spawned: list[Coroutine[Any, Any, Any]] = []
        client: Any = SimpleNamespace(
            counts=self.counts,
            follower=SimpleNamespace(table=self.table, has_list=has_list),
            spawn=self.spawned.append,
        )
        settings = Settings(url="http://bartizan.invalid", token="t", **options)
        self.judge = Judge(settings, client, WsgiReader())

    def about(self, address: str = "203.0.113.9", path: str = "/", **headers: str) -> Verdict:
        environ = {"REMOTE_ADDR": address, "PATH_INFO": path, "REQUEST_METHOD": "GET", **headers}
        return self.judge.judge(environ)

    def status(self, *args: Any, **more: Any) -> int | None:
        answer = self.about(*args, **more).answer
        return None if answer is None else answer.status


def test_a_ban_is_refused_and_others_pass() -> None:
    asked = Asked(block("203.0.113.9"))
    assert asked.status() == 403
    assert asked.status("203.0.113.10") is None
    assert asked.counts == {"refused": 1, "refused_ban": 1, "allowed": 1}


@pytest.mark.parametrize(
    ("type", "bans", "expected"),
    [(CAPTCHA, True, 403), (CAPTCHA, False, None), (THROTTLE, True, 403), (THROTTLE, False, None)],
)
def test_a_type_that_nobody_handles_does_what_the_fallback_says(
    type: DecisionType, bans: bool, expected: int | None
) -> None:
    asked = Asked(block("203.0.113.9", type))
    asked.table.fallback[type] = bans
    assert asked.status() == expected
    assert asked.table.is_blocked("203.0.113.9") is bans
    assert asked.judge.cannot_act() == ({} if bans else {type.value: 1})


def test_the_strongest_decision_wins_and_of_equals_the_most_specific() -> None:
    blocks = [block("203.0.113.9", THROTTLE), block("203.0.113.0/24", CAPTCHA), block("203.0.0.0/16")]
    asked = Asked(*blocks, response={"throttle": too_many_requests})
    asked.table.remove("203.0.0.0/16")
    found = asked.about().block
    assert found is not None
    assert found.value == "203.0.113.0/24"
    asked.table.add(block("203.0.0.0/16"))
    asked.table.add(block("203.0.112.0/20"))
    found = asked.about().block
    assert found is not None
    assert (found.value, found.type) == ("203.0.112.0/20", BAN)


def test_a_decision_that_is_ignored_hides_no_weaker_one() -> None:
    blocks = [block("203.0.113.9", CAPTCHA), block("203.0.113.0/24", THROTTLE)]
    asked = Asked(*blocks, response={"throttle": too_many_requests})
    asked.table.fallback[CAPTCHA] = False
    assert asked.status() == 429


def test_a_decision_of_another_type_takes_the_place_of_the_first() -> None:
    asked = Asked(block("203.0.113.9", CAPTCHA))
    asked.table.add(block("203.0.113.9", BAN))
    assert len(asked.table) == 1
    assert asked.table.find("203.0.113.9") == block("203.0.113.9", BAN, Scope.IP)
    asked.table.remove("203.0.113.9")
    assert asked.status() is None


def test_a_throttle_answers_429_where_the_application_says_so() -> None:
    asked = Asked(block("203.0.113.9", THROTTLE), response={"throttle": too_many_requests})
    verdict = asked.about()
    assert verdict.answer is not None
    assert verdict.answer.status == 429
    assert dict(verdict.answer.headers)["retry-after"] == "10"
    assert asked.counts == {"refused": 1, "refused_throttle": 1}


@pytest.mark.parametrize(
    ("said", "expected", "counted"),
    [
        (None, None, "passed_captcha"),
        (False, None, "passed_captcha"),
        (True, 403, "refused_captcha"),
        ((302, {"Location": "/captcha"}, ""), 302, "refused_captcha"),
        (Answer(418, [], b"x"), 418, "refused_captcha"),
        ("nonsense", 403, "refused_captcha"),
    ],
)
def test_on_captcha_decides(said: Any, expected: int | None, counted: str) -> None:
    told = []

    def on_captcha(address: str, block: Block, request: Any) -> Any:
        told.append((address, block.type, request.path))
        return said

    asked = Asked(block("203.0.113.9", CAPTCHA), on_captcha=on_captcha)
    assert asked.status(path="/x") == expected
    assert told == [("203.0.113.9", CAPTCHA, "/x")]
    assert asked.counts[counted] == 1


def broken(*_: Any) -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize(("bans", "expected"), [(True, 403), (False, None)])
def test_a_hook_that_fails_leaves_the_fallback(
    bans: bool, expected: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    asked = Asked(block("203.0.113.9", CAPTCHA), on_captcha=broken)
    asked.table.fallback[CAPTCHA] = bans
    assert asked.status() == expected
    assert asked.counts["hook_errors"] == 1
    assert "on_captcha failed" in caplog.text


async def test_an_asynchronous_hook_is_waited_for() -> None:
    async def on_captcha(address: str, block: Block, request: Any) -> bool:
        await asyncio.sleep(0)
        return True

    asked = Asked(block("203.0.113.9", CAPTCHA), on_captcha=on_captcha)
    verdict = asked.about()
    assert verdict.pending is not None
    answer = (await asked.judge.settle(verdict)).answer
    assert answer is not None
    assert answer.status == 403


def test_where_nobody_can_wait_an_asynchronous_hook_stops_the_start_or_fails() -> None:
    async def on_captcha(address: str, block: Block, request: Any) -> bool:
        return False

    with pytest.raises(ValueError, match="on_captcha"):
        Settings("http://x.invalid", "t", on_captcha=on_captcha).check_is_sync()
    asked = Asked(block("203.0.113.9", CAPTCHA), on_captcha=lambda *_: on_captcha(*_))
    verdict = asked.judge.settle_now(asked.about())
    assert verdict.answer is not None
    assert asked.counts["hook_errors"] == 1


def test_on_blocked_is_told_and_its_errors_are_its_own(caplog: pytest.LogCaptureFixture) -> None:
    told = []
    asked = Asked(block("203.0.113.9"), on_blocked=lambda *what: told.append(what))
    asked.about(path="/x")
    asked.about("203.0.113.10")
    ((address, found, request),) = told
    assert (address, found.id, request.method, request.path) == ("203.0.113.9", "id-203.0.113.9", "GET", "/x")
    asked = Asked(block("203.0.113.9"), on_blocked=broken)
    assert asked.status() == 403
    assert asked.counts["hook_errors"] == 1


def test_an_asynchronous_on_blocked_runs_in_the_background() -> None:
    async def on_blocked(address: str, block: Block, request: Any) -> None: ...

    asked = Asked(block("203.0.113.9"), on_blocked=on_blocked)
    assert asked.status() == 403
    (coroutine,) = asked.spawned
    coroutine.close()


def test_an_own_answer_replaces_the_usual_one_and_a_broken_one_does_not() -> None:
    own = (451, {"X-Why": "law", "Content-Length": "9"}, "no")
    answer = Asked(block("203.0.113.9"), response=lambda *_: own).about().answer
    assert answer == Answer(451, [("x-why", "law"), ("content-length", "2")], b"no")
    for wrong in (broken, lambda *_: (99, {}, ""), lambda *_: (403, {"a": "b\r\nc: d"}, ""), lambda *_: 7):
        assert Asked(block("203.0.113.9"), response=wrong).status() == 403


def test_observe_counts_and_tells_and_refuses_nobody() -> None:
    told = []
    asked = Asked(block("203.0.113.9"), observe=True, on_blocked=lambda *what: told.append(what))
    verdict = asked.about()
    assert (verdict.kind, verdict.answer) == (Kind.OBSERVED, None)
    assert asked.counts == {"observed": 1}
    assert len(told) == 1
    assert Asked(observe=True, fail="closed", has_list=False).status() is None


def test_an_exempt_path_is_not_judged() -> None:
    asked = Asked(block("203.0.113.9"), exempt=["/health"], fail="closed")
    assert asked.status(path="/health") is None
    assert asked.status(path="/health/../admin") == 403
    assert asked.status("nobody", path="/health") is None
    assert asked.counts["exempt"] == 2


@pytest.mark.parametrize(("fail", "expected"), [("open", None), ("closed", 503)])
def test_who_cannot_be_judged_is_let_through_or_turned_away(fail: str, expected: int | None) -> None:
    assert Asked(fail=fail, has_list=False).status() == expected
    assert Asked(fail=fail).status("nobody") == expected


def test_who_passed_is_refused_from_the_moment_anything_about_him_is_decided() -> None:
    """The judge remembers whom nothing covers; every kind of decision must make it look again."""
    asked = Asked(user=lambda environ: "alice", response={"throttle": too_many_requests})
    for added, expected in [
        (block("203.0.113.9"), 403),
        (block("203.0.113.0/24"), 403),
        (block("203.0.113.9", THROTTLE), 429),
        (block("alice", BAN, Scope.USER), 403),
    ]:
        assert [asked.status() for _ in range(3)] == [None] * 3
        asked.table.add(added)
        assert [asked.status() for _ in range(3)] == [expected] * 3
        asked.table.remove(added.value, added.scope)
    asked.judge._follower.table = BlockTable([block("203.0.113.9")])
    assert asked.status() == 403


def test_who_was_allowlisted_is_refused_when_that_ends() -> None:
    asked = Asked(block("203.0.113.9"), allow=("203.0.113.0/24",))
    assert [asked.status() for _ in range(3)] == [None] * 3
    asked.table.disallow("203.0.113.0/24")
    assert asked.status() == 403


def test_a_block_that_comes_while_somebody_is_judged_is_not_forgotten() -> None:
    """Another thread adds it after the lookup and before its answer is remembered."""
    asked = Asked()
    find = asked.table.find

    def find_and_be_overtaken(address: str, handled: Any = ()) -> Block | None:
        found = find(address, handled)
        asked.table.add(block("203.0.113.9"))
        return found

    asked.table.find = find_and_be_overtaken  # type: ignore[method-assign]
    assert asked.status() is None
    assert asked.status() == 403


def test_two_sources_behind_one_proxy_are_two() -> None:
    asked = Asked(block("203.0.113.9"), trusted_proxies=["10.0.0.0/8"])
    for forwarded, expected in [("192.0.2.1", None), ("203.0.113.9", 403), ("192.0.2.1", None)] * 2:
        assert asked.status("10.0.0.2", HTTP_X_FORWARDED_FOR=forwarded) == expected
        assert asked.status("198.51.100.1", HTTP_X_FORWARDED_FOR=forwarded) is None


def test_what_is_remembered_has_a_bound() -> None:
    asked = Asked()
    for number in range(3 * MOST_PASSED):
        assert asked.status(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}") is None
    assert len(asked.judge._passed) <= MOST_PASSED
    behind = Asked(trusted_proxies=["10.0.0.0/8"])
    assert behind.status("10.0.0.2", HTTP_X_FORWARDED_FOR="192.0.2.1, " * 1_000 + "203.0.113.9") is None
    assert behind.judge._passed == {}
    assert asked.counts == {"allowed": 3 * MOST_PASSED}


SUBJECTS = [
    block("FR", BAN, Scope.COUNTRY),
    block("64500", BAN, Scope.AS),
    block("alice", BAN, Scope.USER),
]
READ: dict[str, Any] = {
    "trusted_proxies": ["10.0.0.0/8"],
    "country_header": "CF-IPCountry",
    "asn": lambda environ: environ.get("asn"),
    "user": lambda environ: environ.get("user"),
}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"HTTP_CF_IPCOUNTRY": "FR"}, 403),
        ({"HTTP_CF_IPCOUNTRY": " fr "}, 403),
        ({"HTTP_CF_IPCOUNTRY": "DE"}, None),
        ({"HTTP_CF_IPCOUNTRY": "FRA"}, None),
        ({"asn": 64500}, 403),
        ({"asn": "AS64500"}, 403),
        ({"asn": 64501}, None),
        ({"user": "alice"}, 403),
        ({"user": "Alice"}, None),
        ({}, None),
    ],
)
def test_countries_systems_and_users_are_judged_where_the_application_tells_them(
    facts: dict[str, Any], expected: int | None
) -> None:
    asked = Asked(*SUBJECTS, **READ)
    facts = {"HTTP_X_FORWARDED_FOR": "192.0.2.1", **facts}
    assert asked.status("10.0.0.2", **facts) == expected
    assert asked.judge.cannot_act() == {}


def test_a_country_is_believed_from_a_trusted_proxy_only() -> None:
    assert Asked(*SUBJECTS, **READ).status("192.0.2.1", HTTP_CF_IPCOUNTRY="FR") is None
    with pytest.raises(ValueError, match="country_header"):
        Asked(country_header="CF-IPCountry")


def test_the_allowlist_beats_decisions_about_subjects_too() -> None:
    facts = {"HTTP_X_FORWARDED_FOR": "192.0.2.1", "user": "alice"}
    assert Asked(*SUBJECTS, allow=("192.0.2.0/24",), **READ).status("10.0.0.2", **facts) is None


def test_decisions_that_nobody_can_act_on_are_counted() -> None:
    asked = Asked(*SUBJECTS, block("203.0.113.9", THROTTLE), user=broken)
    assert asked.status("192.0.2.1") is None
    assert asked.judge.cannot_act() == {"Country": 1, "AS": 1, "throttle": 1}
    assert asked.counts["hook_errors"] == 1


def test_nothing_of_the_application_runs_for_an_address_that_is_banned() -> None:
    asked = Asked(block("203.0.113.9"), *SUBJECTS, user=broken, asn=broken)
    assert asked.status() == 403
    assert asked.counts["hook_errors"] == 0


def test_a_weak_decision_about_the_address_gives_way_to_a_strong_one_about_the_user() -> None:
    blocks = [block("192.0.2.1", THROTTLE), block("alice", BAN, Scope.USER)]
    asked = Asked(*blocks, response={"throttle": too_many_requests}, user=lambda environ: "alice")
    assert asked.status("192.0.2.1") == 403
    asked.table.remove("alice", Scope.USER)
    assert asked.status("192.0.2.1") == 429


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"on_captcha": 7}, "on_captcha"),
        ({"user": "alice"}, "user"),
        ({"response": {"ban": 7}}, "response"),
        ({"response": {"jail": broken}}, "response"),
        ({"queue_size": 0}, "queue_size"),
        ({"flush_s": -1}, "flush_s"),
        ({"report_token": ""}, "report_token"),
        ({"exempt": "/health"}, "exempt"),
        ({"trusted_proxies": "10.0.0.0/8"}, "trusted_proxies"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Settings("http://x.invalid", "t", **wrong)


def test_no_token_is_shown_by_the_settings() -> None:
    assert "secret" not in repr(Settings("http://x.invalid", "secret-a", report_token="secret-b"))
