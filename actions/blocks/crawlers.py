"""Well-known bots that can be told from impostors by forward-confirmed reverse DNS, and by which names.

Only bots whose operator says that this is the way, and only names that nobody but the operator can get:
`*.bc.googleusercontent.com` and `*.gae.googleusercontent.com` are Google's customers' machines, and
`google-proxy-*.google.com` fetches what any user of a translator asks for, so these verify nobody. Bots whose
operator publishes addresses instead (DuckDuckBot, GPTBot) and monitoring services, which all do (UptimeRobot,
Pingdom, StatusCake, Site24x7, Better Stack), are for `trusted_clients` of the policy.

Source: each operator's page named in the table, read in 2026.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Crawler:
    """One operator's bots."""

    name: str
    """As people read it in a timeline."""
    tokens: tuple[str, ...]
    """What its user agents contain, in lower case."""
    domains: tuple[str, ...]
    """Its machines' names lie under one of these. `name-*.example.org`: in that very domain, beginning with `name-`."""
    source: str

    def has(self, host: str) -> bool:
        """Whether a host name, in lower case and without its last dot, is one of this operator's machines."""
        return any(_lies_under(host, domain) for domain in self.domains)


CRAWLERS = (
    Crawler(
        "googlebot",
        ("googlebot", "googleother", "google-inspectiontool", "google-cloudvertexbot", "storebot-google"),
        ("googlebot.com",),
        "developers.google.com/crawling/docs/crawlers-fetchers/verify-google-requests, common crawlers",
    ),
    Crawler(
        "google special crawler",
        ("adsbot-google", "mediapartners-google", "apis-google", "google-safety"),
        ("googlebot.com", "rate-limited-proxy-*.google.com"),
        "developers.google.com/crawling/docs/crawlers-fetchers/google-special-case-crawlers",
    ),
    Crawler(
        "bingbot",
        ("bingbot", "bingpreview", "msnbot", "adidxbot"),
        ("search.msn.com",),
        "bing.com/webmasters/help, How to verify Bingbot",
    ),
    Crawler("applebot", ("applebot",), ("applebot.apple.com",), "support.apple.com/119829, About Applebot"),
    Crawler(
        "yandexbot",
        ("yandexbot", "yandeximages", "yandexmobilebot", "yandexrenderresourcesbot", "yandexwebmaster"),
        ("yandex.ru", "yandex.net", "yandex.com"),
        "yandex.com/support/webmaster/robot-workings/check-yandex-robots.html",
    ),
    Crawler(
        "baiduspider",
        ("baiduspider",),
        ("crawl.baidu.com", "crawl.baidu.jp"),
        "help.baidu.com, How to recognise Baiduspider",
    ),
    Crawler("seznambot", ("seznambot",), ("seznam.cz",), "o-seznam.cz/napoveda, SeznamBot crawler"),
    Crawler("petalbot", ("petalbot",), ("petalsearch.com",), "webmaster.petalsearch.com/site/petalbot"),
    Crawler("amazonbot", ("amazonbot",), ("amazonbot.amazon",), "developer.amazon.com/amazonbot"),
    Crawler(
        "pinterestbot",
        ("pinterestbot", "pinterest/0."),
        ("pinterest.com", "pinterestcrawler.com"),
        "developers.pinterest.com/docs/reference/control-pinterestbot-access-to-your-site",
    ),
    Crawler("mojeekbot", ("mojeekbot",), ("mojeek.com",), "mojeek.com/bot.html"),
    Crawler("qwantbot", ("qwantbot", "qwantify"), ("search.qwant.com",), "help.qwant.com/bot"),
    Crawler("slurp", ("yahoo! slurp",), ("crawl.yahoo.net",), "help.yahoo.com, Slurp"),
)


def claimed_by(user_agent: str | None) -> tuple[Crawler, ...]:
    """The bots that a user agent claims to be; nearly always none."""
    if not user_agent:
        return ()
    text = user_agent.lower()
    return tuple(crawler for crawler in CRAWLERS if any(token in text for token in crawler.tokens))


def owner_of(host: str) -> Crawler | None:
    """The operator whose machines have such names, or None."""
    return next((crawler for crawler in CRAWLERS if crawler.has(host)), None)


def _lies_under(host: str, domain: str) -> bool:
    prefix, star, rest = domain.partition("*.")
    if star:
        label, _, parent = host.partition(".")
        return parent == rest and label.startswith(prefix)
    return host.endswith(f".{domain}")
