"""`/v1/forward-auth` as proxies ask it, through the whole app: whose address, which answer, whose token."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from actions.blocks.decision import Decision
from actions.blocks.subjects import Scope
from app.lookup.table import Allowed, Table
from app.main import create_app
from app.policies.enforcement import Fallback
from app.settings import Settings
from detectors.finding import DecisionType

NOW = 1_764_000_000_000
TOKEN = "lookup-token-for-tests-0123456789"
INGEST, ADMIN = "ingest-" + TOKEN, "admin-" + TOKEN
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
Ask = Callable[..., Any]


def decision(
    value: str, kind: DecisionType = DecisionType.BAN, scope: Scope = Scope.IP, decision_id: str = "b1"
) -> Decision:
    return Decision(id=decision_id, value=value, until=None, type=kind, scope=scope, created_at=NOW)


def table_of(*entries: Decision | Allowed) -> Table:
    table = Table()
    for entry in entries:
        if isinstance(entry, Decision):
            table.add(entry)
        else:
            table.allow(entry)
    return table


class Asking:
    """The app, and questions to it as if from a machine."""

    def __init__(self, tmp_path: Path, **settings: Any) -> None:
        given = {"trusted_proxies": "127.0.0.1,10.0.0.0/8", "lookup_token": TOKEN, "ingest_token": INGEST}
        self.app = create_app(
            Settings(
                data_dir=tmp_path, redis_url="redis://127.0.0.1:1", admin_token=ADMIN, **{**given, **settings}
            ),
            now=lambda: NOW,
        )
        self.world = self.app.state.world

    def load(self, *entries: Decision | Allowed) -> None:
        self.world.feed.load("5-0", table_of(*entries))

    async def ask(
        self,
        path: str = "/v1/forward-auth",
        forwarded: str | list[str] | None = None,
        *,
        peer: str = "127.0.0.1",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(peer, 1234))
        given = list((AUTHORIZED if headers is None else headers).items())
        chains = [] if forwarded is None else [forwarded] if isinstance(forwarded, str) else forwarded
        given += [("X-Forwarded-For", chain) for chain in chains]
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            return await client.request(method, path, headers=given, content=body)

    def counted(self, result: str) -> float:
        return float(self.world.metrics.forward_auths[result]._value.get())


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    made = Asking(tmp_path)
    made.load(
        decision("203.0.113.9"),
        decision("198.51.100.0/24", decision_id="b2"),
        decision("203.0.113.20", DecisionType.CAPTCHA),
        decision("203.0.113.30", DecisionType.THROTTLE),
        decision("2001:db8:1:2::/64"),
        Allowed("198.51.100.7", None),
    )
    yield made


@pytest.mark.parametrize(
    ("peer", "forwarded", "status", "decided"),
    [
        ("127.0.0.1", "203.0.113.9", 403, "ban"),
        ("127.0.0.1", "203.0.113.10", 204, "allow"),
        ("127.0.0.1", "198.51.100.7", 204, "allow"),
        ("127.0.0.1", "198.51.100.8", 403, "ban"),
        ("127.0.0.1", "::ffff:203.0.113.9", 403, "ban"),
        ("127.0.0.1", "203.0.113.9:4711", 403, "ban"),
        ("127.0.0.1", '"[2001:db8:1:2::7]:443"', 403, "ban"),
        # right to left: what stands left of the first stranger is that stranger's own invention
        ("127.0.0.1", "203.0.113.10, 203.0.113.9", 403, "ban"),
        ("127.0.0.1", "203.0.113.9, 203.0.113.10", 204, "allow"),
        ("127.0.0.1", "203.0.113.9, 10.1.2.3", 403, "ban"),
        ("127.0.0.1", "203.0.113.10, 203.0.113.9, 10.1.2.3, 127.0.0.1", 403, "ban"),
        ("127.0.0.1", ["203.0.113.10", "203.0.113.9"], 403, "ban"),
        ("127.0.0.1", ["203.0.113.9", "203.0.113.10"], 204, "allow"),
        # all of them are ours
        ("127.0.0.1", "10.1.2.3", 204, "allow"),
        # nobody can say
        ("127.0.0.1", None, 204, "unknown"),
        ("127.0.0.1", "", 204, "unknown"),
        ("127.0.0.1", "unknown", 204, "unknown"),
        ("127.0.0.1", "203.0.113.9, unknown", 204, "unknown"),
        ("127.0.0.1", "0203.0.113.9", 204, "unknown"),
        # the other end is no proxy of ours: only its own address is known
        ("203.0.113.10", "203.0.113.9", 204, "unknown"),
        ("203.0.113.9", "203.0.113.10", 403, "ban"),
        ("203.0.113.9", None, 403, "ban"),
        ("203.0.113.10", None, 204, "allow"),
    ],
)
async def test_the_address_is_the_first_from_the_right_that_is_no_trusted_proxy(
    asking: Asking, peer: str, forwarded: str | list[str] | None, status: int, decided: str
) -> None:
    answer = await asking.ask(forwarded=forwarded, peer=peer)
    assert (answer.status_code, answer.headers["x-bartizan-decision"]) == (status, decided)
    assert answer.headers["cache-control"] == "no-store"
    counted = {"ban": "deny", "allow": "allowlisted" if forwarded == "198.51.100.7" else "allow"}
    assert asking.counted(counted.get(decided, decided)) == 1


async def test_a_refusal_says_who_it_was_and_nothing_that_a_client_should_not_see(asking: Asking) -> None:
    answer = await asking.ask(forwarded="203.0.113.9")
    assert answer.headers["x-bartizan-reference"] == "b1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "Requests from this address are refused.",
        "reference": "b1",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
async def test_every_method_is_asked_about_with_a_body_or_without(asking: Asking, method: str) -> None:
    assert (await asking.ask(forwarded="203.0.113.9", method=method, body=b"x" * 9)).status_code == 403
    answer = await asking.ask(forwarded="203.0.113.1", method=method, body=b"x" * 9)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/forward-auth/",
        "/v1/forward-auth/orders",
        "/v1/forward-auth//",
        "/v1/forward-auth/x?types=throttle",
    ],
)
async def test_below_the_path_a_yes_is_200_and_the_query_is_the_clients(asking: Asking, path: str) -> None:
    answer = await asking.ask(path, "203.0.113.1")
    assert (answer.status_code, answer.headers["content-length"]) == (200, "0")
    assert (await asking.ask(path, "203.0.113.9")).status_code == 403
    assert (await asking.ask(path, "203.0.113.30")).status_code == 200
    assert (await asking.ask(f"/k/{TOKEN}{path}", "203.0.113.9", headers={})).status_code == 403


async def test_what_only_begins_like_the_path_is_no_route(asking: Asking) -> None:
    assert (await asking.ask("/v1/forward-authority")).status_code == 404


@pytest.mark.parametrize(
    ("query", "captcha", "throttle"),
    [
        ("", 403, 204),
        ("?types=ban", 403, 204),
        ("?types=ban,throttle", 403, 403),
        ("?types=captcha", 403, 204),
    ],
)
async def test_the_types_that_a_proxy_acts_on_refuse_and_the_others_fall_back(
    asking: Asking, query: str, captcha: int, throttle: int
) -> None:
    for address, kind, status in (
        ("203.0.113.20", "captcha", captcha),
        ("203.0.113.30", "throttle", throttle),
    ):
        answer = await asking.ask(f"/v1/forward-auth{query}", address)
        assert (answer.status_code, answer.headers["x-bartizan-decision"]) == (status, kind)
    assert (await asking.ask(f"/v1/forward-auth{query}", "203.0.113.9")).status_code == 403


async def test_the_policy_says_what_falls_back_to_what(asking: Asking) -> None:
    asking.world.feed.fallback = {
        DecisionType.CAPTCHA: Fallback.IGNORE,
        DecisionType.THROTTLE: Fallback.BAN,
    }
    assert (await asking.ask(forwarded="203.0.113.20")).status_code == 204
    assert (await asking.ask(forwarded="203.0.113.30")).status_code == 403
    assert (await asking.ask("/v1/forward-auth?types=captcha", "203.0.113.20")).status_code == 403


async def test_a_type_that_is_none_is_named(asking: Asking) -> None:
    answer = await asking.ask("/v1/forward-auth?types=ban,slap", "203.0.113.9")
    assert answer.status_code == 422
    assert "types" in answer.json()["detail"] and "slap" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("prefix", "headers", "status"),
    [
        ("", AUTHORIZED, 204),
        ("", {"X-Api-Key": TOKEN}, 204),
        ("", {"Authorization": f"Bearer {ADMIN}"}, 204),
        ("", {}, 401),
        ("", {"Authorization": "Bearer wrong"}, 401),
        ("", {"Authorization": f"Bearer {INGEST}"}, 403),
        (f"/k/{TOKEN}", {}, 204),
        # the client's own headers, handed on by the proxy
        (f"/k/{TOKEN}", {"Authorization": "Bearer the-clients-own"}, 204),
        (f"/k/{TOKEN}", {"Authorization": f"Bearer {INGEST}", "X-Api-Key": "abc"}, 204),
        ("", {"Authorization": f"bearer  {TOKEN} "}, 204),
        ("", {"Authorization": "Bearer " + "x" * 60_000}, 401),
        ("/k/wrong", AUTHORIZED, 401),
        (f"/k/{ADMIN}", {}, 403),
        (f"/k/{INGEST}", {}, 403),
    ],
)
async def test_the_token_is_a_header_or_the_path_and_then_no_header_counts(
    asking: Asking, prefix: str, headers: dict[str, str], status: int
) -> None:
    answer = await asking.ask(f"{prefix}/v1/forward-auth", "203.0.113.1", headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize("path", ["/v1/lookup/203.0.113.9", "/v1/blocklist/changes", "/v1/blocklist"])
async def test_a_lookup_token_in_the_url_is_for_proxies_and_firewalls_only(asking: Asking, path: str) -> None:
    answer = await asking.ask(f"/k/{TOKEN}{path}", headers={})
    assert answer.status_code == (403 if "lookup" in path else 200)


@pytest.mark.parametrize("path", ["/v1/forward-auth", "/v1/forward-auth/a/", "/v1/blocklist", "/nowhere"])
async def test_whoever_logs_a_request_afterwards_sees_no_token_in_its_path(asking: Asking, path: str) -> None:
    scope = {
        **{
            "type": "http",
            "method": "GET",
            "path": f"/k/{TOKEN}{path}",
            "raw_path": b"",
            "query_string": b"",
        },
        **{
            "headers": [],
            "client": ("127.0.0.1", 1),
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
        },
        "server": ("t", 80),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await asking.app(scope, receive, send)
    assert sent[0]["type"] == "http.response.start"
    assert scope["path"] == path
    assert TOKEN.encode() not in bytes(scope["raw_path"])


async def test_until_the_list_is_loaded_nobody_knows(tmp_path: Path) -> None:
    answer = await Asking(tmp_path).ask(forwarded="203.0.113.9")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_closed_refuses_whom_nobody_can_name(tmp_path: Path) -> None:
    asking = Asking(tmp_path, forward_auth_fail="closed")
    asking.load()
    for forwarded in (None, "unknown"):
        answer = await asking.ask(forwarded=forwarded)
        assert (answer.status_code, answer.headers["x-bartizan-decision"]) == (403, "unknown")
    assert (await asking.ask(forwarded="203.0.113.1")).status_code == 204
    assert asking.counted("unknown") == 2


async def test_another_header_may_say_who_it_is_and_then_no_other_does(tmp_path: Path) -> None:
    asking = Asking(tmp_path, forward_auth_header="X-Real-IP")
    asking.load(decision("203.0.113.9"))
    headers = {**AUTHORIZED, "X-Real-IP": "203.0.113.9"}
    assert (await asking.ask(forwarded="203.0.113.1", headers=headers)).status_code == 403
    assert (await asking.ask(forwarded="203.0.113.9")).headers["x-bartizan-decision"] == "unknown"


async def test_countries_and_networks_are_looked_up_while_there_is_a_decision_about_one(
    tmp_path: Path, corpora: Path
) -> None:
    asking = Asking(
        tmp_path,
        geoip_city_db=corpora / "GeoIP2-City-Test.mmdb",
        geoip_asn_db=corpora / "GeoLite2-ASN-Test.mmdb",
    )
    asking.load(decision("203.0.113.9"))
    assert (await asking.ask(forwarded="81.2.69.160")).status_code == 204
    asking.load(decision("GB", scope=Scope.COUNTRY, decision_id="c1"))
    answer = await asking.ask(forwarded="81.2.69.160")
    assert (answer.status_code, answer.headers["x-bartizan-reference"]) == (403, "c1")
    assert (await asking.ask(forwarded="203.0.113.9")).status_code == 204
    asking.load(decision("GB", scope=Scope.COUNTRY), Allowed("81.2.69.0/24", None))
    assert (await asking.ask(forwarded="81.2.69.160")).status_code == 204
    lookup = await asking.ask("/v1/lookup/81.2.69.160")
    assert lookup.json()["allowlisted"] is True


async def test_a_lookup_takes_what_its_caller_knows(asking: Asking) -> None:
    asking.load(
        decision("alice", scope=Scope.USER, decision_id="u1"),
        decision("FR", DecisionType.CAPTCHA, Scope.COUNTRY, "c1"),
        decision("64500", DecisionType.THROTTLE, Scope.AS, "a1"),
        decision("203.0.113.20", DecisionType.CAPTCHA, decision_id="b1"),
    )

    async def found(query: str, address: str = "203.0.113.1") -> tuple[str | None, bool]:
        body = (await asking.ask(f"/v1/lookup/{address}?{query}")).json()
        return (body["decision"] or {}).get("id"), body["blocked"]

    assert await found("user=alice") == ("u1", True)
    assert await found("user=Alice") == (None, False)
    assert await found("country=fr") == ("c1", True)
    assert await found("asn=AS64500") == ("a1", False)
    assert await found("asn=64500&types=throttle") == ("a1", True)
    assert await found("asn=64500&country=FR&user=alice") == ("u1", True)
    assert await found("asn=64500&country=FR") == ("c1", True)
    assert await found("country=FR", "203.0.113.20") == ("b1", True)
    for query, field in (
        ("country=France", "country"),
        ("asn=x", "asn"),
        ("user=%00", "user"),
        ("types=", None),
    ):
        answer = await asking.ask(f"/v1/lookup/203.0.113.1?{query}")
        assert answer.status_code == (200 if field is None else 422)
        assert field is None or answer.json()["errors"][0]["field"] == field


async def test_list_files_have_an_etag_and_take_only_safe_names(asking: Asking) -> None:
    for form in ("txt", "pf", "haproxy", "nginx", "ipset", "nftables", "json"):
        path = f"/v1/blocklist?format={form}"
        answer = await asking.ask(path)
        assert answer.status_code == 200 and b"203.0.113.9" in answer.content
        again = await asking.ask(path, headers={**AUTHORIZED, "If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        head = await asking.ask(path, method="HEAD")
        assert (head.status_code, head.headers["etag"]) == (200, answer.headers["etag"])
        assert (await asking.ask(f"/k/{TOKEN}{path}", headers={})).content == answer.content
    etags = {
        (await asking.ask(f"/v1/blocklist?format=txt{more}")).headers["etag"]
        for more in ("", "&types=throttle", "&family=6", "&types=captcha,throttle")
    }
    assert len(etags) == 4
    for query in (
        *("format=exe", "format=ipset&name=a-b", "format=nftables&table=x%0Ay", "format=nftables&name=4"),
        *("format=pf&types=slap", "format=pf&family=5", "types=ban", "format=json&family=4"),
        f"format=ipset&name={'a' * 25}",
    ):
        assert (await asking.ask(f"/v1/blocklist?{query}")).status_code == 422, query
