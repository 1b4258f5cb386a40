"""Ordinary log lines without a credential in them, made to look as if: what key exposure must leave alone.

Four formats (NDJSON, combined, logfmt, syslog) around pieces that resemble keys: hashes under their names, ids of every
make, templates, examples, words that end in `key` or `token`. All made up, the same for the same seed.
"""

import base64
import json
import random
import uuid
from collections.abc import Callable, Iterator

_HEX = "0123456789abcdef"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_WORDS = (
    "order", "user", "image", "upload", "photo", "report", "invoice", "search", "profile", "list", "item",
    "cart", "session", "token", "key", "secret", "password", "auth", "login", "monkey", "keyboard", "author",
    "turkey", "donkey", "hockey", "tokenizer", "secretary", "passenger", "passage", "compass", "bypass",
    "keynote", "github", "datadog", "stripe", "slack", "twilio", "aws", "azure", "google", "openai", "heroku",
    "sentry", "npm", "pypi", "docker", "kubernetes", "terraform",
)  # fmt: skip
_PLAIN = (
    "order", "user", "image", "upload", "photo", "report", "invoice", "search", "profile", "list", "item",
    "cart", "monkey", "keyboard", "author", "turkey", "donkey", "hockey", "tokenizer", "secretary", "passenger",
    "passage", "compass", "bypass", "keynote", "github", "datadog", "stripe", "slack", "twilio", "azure",
    "heroku", "sentry",
)  # fmt: skip
_PROVIDERS = (
    "github", "gitlab", "datadog", "stripe", "slack", "twilio", "aws", "azure", "google", "openai", "heroku",
    "sentry", "npm", "pypi", "docker", "cloudflare", "okta", "auth0", "mailgun", "sendgrid", "discord",
    "telegram", "linear", "notion", "vercel", "netlify", "facebook", "twitter", "square", "shopify", "mapbox",
    "algolia",
)  # fmt: skip
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "kube-probe/1.29",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", "python-requests/2.32.3",
    "Go-http-client/2.0",
    "aws-sdk-go-v2/1.30.3 os/linux lang/go#1.22.5 md/GOOS#linux md/GOARCH#amd64 api/s3#1.58.2", "curl/8.5.0",
    "Datadog Agent/7.55.2", "GitHub-Hookshot/a1b2c3d", "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    "okhttp/4.12.0", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Twitterbot/1.0",
    "facebookexternalhit/1.1", "-",
)  # fmt: skip
_EXAMPLE_KEYS = (
    "AKIAIOSFODNN7" + "EXAMPLE", "sk_test_4eC39HqLyjWD" + "arjtT1zdp7dc", "your-api-key-here", "YOUR_API_KEY",
    "<token>", "${TOKEN}", "{{api_key}}", "{{ secrets.TOKEN }}", "%API_KEY%", "$API_TOKEN", "#{token}",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "[REDACTED]", "****************", "<redacted>",
    "REPLACE_ME_WITH_YOUR_KEY", "changeme", "null", "undefined", "none", "(hidden)", "$(cat key)",
)  # fmt: skip

Piece = Callable[[random.Random], str]


def _of(letters: str, size: int) -> Piece:
    return lambda r: "".join(r.choices(letters, k=size))


def _uuid(r: random.Random) -> str:
    return str(uuid.UUID(int=r.getrandbits(128), version=4))


def _base64(r: random.Random) -> str:
    return base64.b64encode(r.randbytes(r.randrange(20, 300))).decode()


def _time_ms(r: random.Random) -> str:
    return str(r.randrange(1_700_000_000_000, 1_800_000_000_000))


def _slug(r: random.Random) -> str:
    return "-".join(r.choices(_PLAIN, k=r.randrange(2, 5)))


sha1, sha256, md5, span = _of(_HEX, 40), _of(_HEX, 64), _of(_HEX, 32), _of(_HEX, 16)
ulid: Piece = lambda r: "01" + _of(_CROCKFORD, 24)(r)  # noqa: E731 - a table of pieces
short, alnum24 = _of(_ALNUM, 14), _of(_ALNUM, 24)
_HOLES: dict[str, Piece] = {
    "uuid": _uuid, "sha1": sha1, "sha256": sha256, "md5": md5, "span": span, "ulid": ulid, "short": short,
    "a24": alnum24, "a22": _of(_ALNUM, 22), "b64": _base64, "ms": _time_ms, "slug": _slug, "hex8": _of(_HEX, 8),
    "d": _of("0123456789", 6), "d10": _of("123456789", 10), "d16": _of("123456789", 16),
    "d12": _of("123456789", 12), "w": lambda r: r.choice(_WORDS), "p": lambda r: r.choice(_PROVIDERS),
    "ex": lambda r: r.choice(_EXAMPLE_KEYS), "pod": _of("bcdfghjklmnpqrstvwxz2456789", 5),
    "rs": _of("bcdfghjklmnpqrstvwxz2456789", 10), "up": _of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 16),
    "b58": _of(_ALNUM, 44), "b64url": _of(_ALNUM + "-_", 27), "etag": lambda r: f'W/"{md5(r)}"',
}  # fmt: skip

QUERIES = (
    "v={md5}", "rev={sha1}", "id={uuid}", "page_token={d}", "cursor={b64url}", "sort_key=created_at",
    "sort_key={w}", "key={w}", "key=uploads/2026/{slug}/{uuid}.jpg", "cache_key={sha1}", "cache_key={md5}",
    "token_count={d16}", "max_tokens=4096", "ts={ms}", "keyboard={slug}", "monkey={slug}", "author={slug}",
    "keyword={slug}", "q={p}+api+key", "q=reset+password+{p}", "sid={d}", "etag={md5}", "checksum={sha256}",
    "request_id={uuid}", "trace={md5}", "utm_source={p}&utm_campaign={slug}", "gclid={b64url}", "api_key={ex}",
    "token={ex}", "password={ex}", "secret={ex}", "order_by=token", "fields=id,token,secret,key",
    "state={slug}", "customer=cus_{short}", "payment_intent=pi_{a24}", "price=price_{a24}", "session_count={d}",
    "signature=false", "code={d}", "auth=required", "passenger={d}", "bypass=1", "hash={sha256}",
    "commit={sha1}", "next=%2Fdocs%2F{slug}%3Fv%3D{md5}", "redirect=https%3A%2F%2Fexample.org%2F{uuid}",
    "fbclid=IwAR{b64url}", "key[]=a&key[]=b", "partition_key={uuid}", "_ga={d10}.{d10}",
)  # fmt: skip
PATHS = (
    "/api/v1/{w}/{d}", "/api/v1/users/{uuid}", "/assets/app.{md5}.js", "/assets/{slug}-{hex8}.min.css",
    "/static/js/main.{hex8}.chunk.js", "/blobs/sha256:{sha256}", "/{p}/commit/{sha1}",
    "/repos/{p}/{w}/git/refs/{sha1}", "/docs/api-keys", "/docs/{slug}", "/token/{uuid}", "/password/reset",
    "/keys/{d}", "/secrets/{slug}/versions/{d}", "/v2/{w}/manifests/sha256:{sha256}", "/img/{sha1}.png",
    "/objects/{sha1}", "/{p}/webhook", "/.well-known/jwks.json", "/oauth/token", "/{ulid}",
    "/orders/{ulid}/items", "/s/{short}", "/customers/cus_{short}/sources", "/npm/{w}/-/{w}-1.2.3.tgz",
    "/_next/static/{b64url}/_buildManifest.js", "/auth/callback", "/tokens",
)  # fmt: skip
FIELDS = (
    ("trace_id", "{md5}"), ("span_id", "{span}"), ("traceparent", "00-{md5}-{span}-01"),
    ("request_id", "{uuid}"), ("etag", "{md5}"), ("x_request_id", "{md5}"), ("commit", "{sha1}"),
    ("git_sha", "{sha1}"), ("sha256", "{sha256}"), ("md5", "{md5}"), ("sha1", "{sha1}"),
    ("image", "registry.example.org/{w}@sha256:{sha256}"), ("digest", "sha256:{sha256}"),
    ("pod", "{slug}-{rs}-{pod}"), ("ulid", "{ulid}"), ("amzn_trace", "Root=1-{hex8}-{a24}"),
    ("x_amz_request_id", "{up}"), ("x_amz_id_2", "{b64}"), ("arn", "arn:aws:iam::{d12}:role/{slug}"),
    ("arn", "arn:aws:secretsmanager:eu-west-1:{d12}:secret:{slug}-AbCdEf"), ("kms_key_id", "{uuid}"),
    ("key_id", "{d}"), ("instance", "i-0{hex8}{hex8}"), ("customer", "cus_{short}"),
    ("payment_intent", "pi_{a24}"), ("charge", "ch_{a24}"), ("price", "price_{a24}"), ("event", "evt_{a24}"),
    ("cache_key", "{p}:{slug}:{md5}"), ("cache_key", "{sha1}"), ("idempotency_key", "{uuid}"),
    ("sort_key", "{ms}#{uuid}"), ("partition_key", "{w}#{d}"), ("public_key", "{sha256}"),
    ("fingerprint", "SHA256:{b58}"), ("integrity", "sha512-{b64}"),
    ("avatar", "data:image/png;base64,iVBORw0KGgo{b64}"), ("token_count", "{d}"), ("prompt_tokens", "{d}"),
    ("tokenizer", "cl100k_base"), ("author", "{slug}"), ("keyboard", "{slug}"), ("key", "{w}"),
    ("key", "{slug}/{uuid}.json"), ("key", "{uuid}"), ("key", "{sha1}"), ("primary_key", "{d}"),
    ("foreign_key", "{w}_id"), ("hotkey", "ctrl+k"), ("api_key", "{ex}"), ("token", "{ex}"),
    ("password", "{ex}"), ("secret", "{ex}"), ("secret_name", "{slug}"), ("secret_arn", "arn:aws:x:{d12}"),
    ("token_type", "Bearer"), ("password_changed_at", "{ms}"), ("password_reset", "true"),
    ("token_expires_in", "3600"), ("auth_method", "password"), ("auth", "oidc"), ("authorization", "denied"),
    ("{p}_request_id", "{uuid}"), ("{p}_trace_id", "{md5}"), ("{p}_commit", "{sha1}"),
    ("{p}.resource", "{slug}"), ("checksum", "crc32c={hex8}"), ("session_duration_ms", "{d}"),
    ("build", "{w}-{sha1}"), ("revision", "{sha1}"), ("deployment", "dpl_{a24}"),
    ("message_id", "<{uuid}@mail.example.org>"), ("kafka_key", "{uuid}"), ("tx", "0x{sha256}"),
    ("consumer", "{slug}-{uuid}"), ("errors", "password must be at least 8 characters"),
    ("cookie", "lang=en; theme=dark; consent={ms}"), ("cookies", "_ga=GA1.2.{d10}.{d10}"),
    ("if_none_match", "{etag}"), ("password", "is too short"), ("container_id", "{sha256}"),
    ("device", "{slug}"), ("user_id", "auth0|{a24}"),
)  # fmt: skip
MESSAGES = (
    "{p} request {uuid} done in {d} ms", "token expired for user {d}", "api key is missing",
    "invalid password for user {w}", "pulled {p}/{w}:v1",
    "Failed password for invalid user {w} from 198.51.100.7 port {d} ssh2",
    "Accepted publickey for deploy: ED25519 SHA256:{b58}", "key {w} not found",
    "HEAD is now at {sha1} Merge branch {slug}", "secret {slug} created", "secrets \"{slug}\" is forbidden",
    "rotating token for {p}", "cache miss key={sha1}", "checkout {p} at {sha1}",
    "Successfully assigned default/{slug}-{rs}-{pod} to node-{d}", "image sha256:{sha256} pulled",
    "md5 {md5} matches", "GET https://api.example.org/{p}/{uuid}?v={md5}", "set {p}_api_key to {ex}",
    "export {p}_TOKEN={ex}", "Authorization: Bearer {ex}", "see https://docs.example.org/{p}/api-keys#token",
    "lock acquired key={slug}:{uuid} owner={slug}-{rs}-{pod}", "s3 put key=backups/{slug}/{ms}.tar.gz",
    "{p} key fingerprint {md5}", "{p} token refreshed, next in 3600 s", "redis GET session_count:{d}",
    "password reset mail sent to user {d}", "tokens used: {d}", "https://user@example.org/{slug}",
    "COMMAND=/usr/bin/{w} PWD=/home/{w}", "pod {slug}-{rs}-{pod} oom", "kid {uuid}",
    "upload id {a22}.{a22} part 3", "chunk {b64}", "signature mismatch for {w}", "csrf check failed for /{w}",
    "sha256={sha256}", "nonce {d16} used",
)  # fmt: skip


def _fill(text: str, r: random.Random) -> str:
    parts = text.split("{")
    filled = [parts[0]]
    for part in parts[1:]:
        hole, _, rest = part.partition("}")
        filled.append(_HOLES[hole](r) + rest)
    return "".join(filled)


def _target(r: random.Random) -> str:
    queries = "&".join(_fill(q, r) for q in r.sample(QUERIES, r.randrange(3)))
    return _fill(r.choice(PATHS), r) + (f"?{queries}" if queries else "").replace(" ", "%20")


def _fields(r: random.Random) -> dict[str, str]:
    return {_fill(name, r): _fill(value, r) for name, value in r.sample(FIELDS, 4)}


def _address(r: random.Random) -> str:
    return f"198.{r.choice((18, 19))}.{r.randrange(256)}.{r.randrange(256)}"


def _ndjson(r: random.Random) -> str:
    record: dict[str, object] = {
        "timestamp": f"2026-11-23T10:{r.randrange(60):02}:03Z",
        "client_ip": _address(r),
        "path": _target(r),
    }
    record |= {
        "status": r.choice((200, 404)),
        "user_agent": r.choice(_AGENTS),
        "message": _fill(r.choice(MESSAGES), r),
        **_fields(r),
    }
    if r.random() < 0.2:
        record["log"] = json.dumps(_fields(r))
    return json.dumps(record, separators=r.choice(((",", ":"), (", ", ": "))))


def _combined(r: random.Random) -> str:
    referer = f"https://www.example.org{_target(r)}" if r.random() < 0.4 else "-"
    head = f'{_address(r)} - - [23/Nov/2026:10:{r.randrange(60):02}:03 +0000] "GET {_target(r)} HTTP/1.1"'
    return f'{head} 200 {r.randrange(99999)} "{referer}" "{r.choice(_AGENTS)}"'


def _logfmt(r: random.Random) -> str:
    fields = " ".join(f'{n}="{v}"' if " " in v or '"' in v else f"{n}={v}" for n, v in _fields(r).items())
    return f'ts=2026-11-23T10:00:03Z level=info msg="{_fill(r.choice(MESSAGES), r)}" {fields}'.replace(
        'W/"', "W/"
    ).replace('""', '"')


def _syslog(r: random.Random) -> str:
    program = f"{r.choice(_WORDS)}[{r.randrange(9999)}]"
    return f"<134>Nov 23 10:{r.randrange(60):02}:03 host-{r.randrange(9)} {program}: {_fill(r.choice(MESSAGES), r)}"


def benign_lines(count: int, seed: int) -> Iterator[str]:
    """Two lines in five NDJSON, one combined, one logfmt, one syslog."""
    r = random.Random(seed)
    for _ in range(count):
        yield r.choice((_ndjson, _ndjson, _combined, _logfmt, _syslog))(r)
