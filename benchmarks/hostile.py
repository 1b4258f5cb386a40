"""What the worst records cost: 64 KB of several hundred shapes, each through the whole way of one record.

`python -m benchmarks hostile` prints the slowest; with `--reading`, the ten slowest by name. The way is that of the
engine: scan, every detector, the credentials, the evidence, redacted; without Redis.
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import islice

from redis.asyncio import Redis

from detectors.decoding import LONGEST_TEXT
from detectors.defaults import DEFAULTS
from detectors.engine import Engine
from detectors.event import Batch, Event
from detectors.scanner import Pattern, load_patterns
from detectors.windows import Windows

FORMS = ("target", "message", "agent")
RECEIVED_MS = 1_764_000_000_000
UNITS = (
    "a", ".", "/", "%", "%25", "%41a", "a%41", "%c0%ae", "..%2f", "'", "' or ", "1 and ", "(", "/*", "#", "<",
    "<a ", "&a='", "&#x27;", "\\x41", "%u0027", "+or+", "union ", "select ", "${", "{{", "{%", "`", ";id",
    "onx=", "sleep(", "0x", "../", "eval(", "=http://x", "::", "\uff07", "authorization: basic ",
    "authorization: bearer ", '"password":"', '"password":"a b', "password=", "&password=aaaaaaaa", "?token=",
    "%25252e", "%25255c%252522", '\\"', '\\\\\\"', "\\u0026", "\\u003d", "\\\\u0026", "%26token%3D",
    "%2526token%253D", "key", "key=", "&key=", "secret", "_secret_key=", "token token ", "eyJ", "eyJhbGciOi.",
    "ghp_", "AKIA", "sk-", "xoxb-", "-----BEGIN PRIVATE KEY-----", "://a:b@", "://", "://user:", ":pass@",
    "Cookie: session=", "session=", "sid=", "Set-Cookie: a=b; ", '"name":"authorization","value":"',
    '["x-api-key","', '"token":"', "curl -u a:b ", "mysql -p", "--password ", "datadog key ", "github token=",
    "aws_secret_access_key=", "X-Amz-Signature=", "expires=1795428000&", "state=aaaa&", "&code=", "<password>",
    "{W", "\x00", "\x80", "�", "\n", "\r\n", "\\n", "\\nkey=", "0123456789abcdef", "aaaa-bbbb-", "=", "&", "?",
    '"', "'a'", "[", "]",
)  # fmt: skip


@cache
def engine() -> Engine:
    """Every rule, over windows that are never asked."""
    return Engine(DEFAULTS.values(), Windows(Redis()), fingerprint_key=b"k" * 32)


def shapes() -> Iterator[tuple[str, str]]:
    """The name of every shape and its text: several hundred, of 64 KB each."""
    patterns = load_patterns("keys") + load_patterns("attacks")
    for unit in UNITS:
        yield f"{unit!r} over and over", unit
    for pattern in patterns:
        yield f"the words of {pattern.id}", "".join(f"{word} " for word in _words(pattern))
    every = [word for pattern in patterns for word in _words(pattern)]
    yield "the words of all patterns", " ".join(every)
    yield "the words of all patterns, glued", "".join(every)
    yield "the words of all patterns as parameters", "".join(f"&{word}=a1B2c3D4e5F6g7H8" for word in every)
    yield "the words of all patterns as names", "".join(f'"{word}":"a1B2c3D4e5F6g7H8",' for word in every)
    chance = random.Random(1)
    for name, letters in (
        ("hex", "0123456789abcdef"),
        ("base64", "abcXYZ019+/"),
        ("any", "aB1_-.=:/&%\"\\'<> \n"),
    ):
        yield f"random {name}", "".join(chance.choices(letters, k=LONGEST_TEXT))
        yield (
            f"{name} under names",
            "".join(f"{word}={''.join(chance.choices(letters, k=40))} " for word in every),
        )
    yield "different passwords", "".join(f"&password={chance.getrandbits(48):012x}" for _ in range(3000))
    yield "different keys", "".join(f" ghp_{chance.getrandbits(180):036x}"[:42] for _ in range(1600))
    for unit in ("%", '"', "&password=", "\\", "/../"):
        yield f"{unit!r} escaped three times", _escaped(unit, 3)
        yield f"{unit!r} as JSON in JSON in JSON", json.dumps(json.dumps(json.dumps(unit)))[1:-1]


def _escaped(text: str, times: int) -> str:
    for _ in range(times):
        text = "".join(f"%{byte:02x}" for byte in text.encode())
    return text


def _words(pattern: Pattern) -> list[str]:
    """Texts that its prefilter looks for, or the beginnings of it."""
    if pattern.literals:
        return list(pattern.literals)
    words, word = [], ""
    for letter in f"{pattern.prefilter}|".replace("(?-i)", "").replace("(?:", "("):
        if letter.isalnum() or letter in "_-.:":
            word += letter
        elif letter != "\\":
            words += [word] if len(word) > 2 else []
            word = ""
    return words or [pattern.id]


def record_of(unit: str, form: str) -> tuple[Event, bytes]:
    """64 KB of a text as the target of a refused request, as the message of a program, or as the user agent."""
    size = len(unit.encode("utf-8", "replace")) or 1
    text = (unit * (LONGEST_TEXT // size + 1))[:LONGEST_TEXT]
    if form == "target":
        event = Event(client_ip="203.0.113.9", method="GET", path="/" + text, status=404)
    elif form == "agent":
        event = Event(client_ip="203.0.113.9", method="GET", path="/", status=401, user_agent=text)
    else:
        event = Event(client_ip="203.0.113.9", message=text, user="a", status=401)
    return event, text.encode("utf-8", "replace")[:LONGEST_TEXT]


def work(event: Event, record: bytes) -> None:
    """All that one record costs before Redis: the steps of `process`."""
    ready = engine()
    batch = Batch([event], [record], RECEIVED_MS, "benchmark")
    hits = ready.scanner.scan(batch.records)
    grouping = ready._gatherer.groups(batch, ready._select(batch, hits, 0), hits)
    with suppress(StopIteration):  # one record gives nobody else a turn
        grouping.send(None)
    ready.secrets.forget()


def cost_ms(event: Event, record: bytes, times: int = 3) -> float:
    """Milliseconds of CPU, the best of a few."""
    best = float("inf")
    for _ in range(times):
        begun = time.process_time()
        work(event, record)
        best = min(best, time.process_time() - begun)
    return 1e3 * best


def costs() -> list[tuple[float, str]]:
    """(milliseconds, shape) of every shape in every form, the slowest first."""
    found = [
        (cost_ms(*record_of(unit, form)), f"{form}: {name}") for name, unit in shapes() for form in FORMS
    ]
    return sorted(found, reverse=True)


def measure() -> dict[str, float]:
    """The figures of this file."""
    found = costs()
    if "--reading" in sys.argv:
        for milliseconds, name in islice(found, 20):
            print(f"{milliseconds:8.2f} ms  {name[:100]}")
    return {
        f"slowest of {len(found)} hostile records of 64 KB, ms (bar 5)": found[0][0],
        "the same, median": found[len(found) // 2][0],
        "the same, those over 5 ms": sum(milliseconds > 5 for milliseconds, _ in found),
    }
