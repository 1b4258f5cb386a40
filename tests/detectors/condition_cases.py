"""Random events, records that say the same in every disguise, and conditions that are close to them."""

import json
import re
from ipaddress import ip_address, ip_network
from typing import Any as Anything

from hypothesis import strategies as st

from app.ingest.decode import decode_events
from detectors.addresses import parse_address
from detectors.condition_fields import DECODED, FIELDS, NUMBERS, reader_of
from detectors.conditions import All, Any, Condition, Not, Op
from detectors.conditions import Test as Comparison
from detectors.decoding import decode_target, normal_path
from detectors.event import Event

T0 = 1_764_000_000_000

PATHS = (
    "/api/export/customers", "/Admin/Login.php/x", "/API/EXPORT?user=bob&page=2", "/%65xport/all", "/%2565xport/list",
    "/caf\u00e9/export-all", "/\uff45\uff58port/x", "/%ef%bd%85xport/y", "/&#101;xport/data", "/&lt;script&gt;/alert",
    "/x//export/./secret-files", "\\export\\windows", "/expo%c1%b2t/one", "/expo%e0%81%b2t/two", "/expo%u0072t/three",
    "/\\x65xport/four", "/\\u0065xport/five", "/no\u212a\u212aia/phones", "/\u0130stanbul/list", "/a%20b+c%2Cdd/eeee",
    "/export%3Fq", "-", "", "/", "/login;jsessionid=1", "/%E5%86%85%E5%AE%B9/\u5185\u5bb9-export",
)  # fmt: skip
TEXTS = (
    "Mozilla/5.0 (compatible; EvilBot/1.0)", 'alice "the boss"', "sqlmap/1.7#stable", "back\\slash/slash", "a, b, cccc",
    "\u212aelvin degrees", "stra\u00dfe-export", "STRASSE", "tab\there", "<b>bold</b>",
    "-", "", "GET", "POST", "DELETE", "user@example.org", "1000.0", "12345678", "203.0.113.9",
    "\U0001f600smile-export", "it's export", "x=1;y=2",
)  # fmt: skip
ADDRESSES = (
    "203.0.113.9",
    "198.51.100.7:443",
    "[2001:DB8::1]:8080",
    "::ffff:203.0.113.9",
    "unknown",
    "-",
    "2001:db8:0::2",
)
NETWORKS = ("203.0.113.0/24", "2001:db8::/32", "0.0.0.0/0", "198.51.100.7/32")
NUMBERS_AS_TEXT = (12345678, 1e3, 10000000.5, 0)


@st.composite
def events(draw: Anything) -> dict[str, Anything]:
    """The fields of an event, as a sender writes them."""
    texts = st.sampled_from(TEXTS)
    fields: dict[str, Anything] = {
        "path": draw(st.sampled_from(PATHS)),
        "client_ip": draw(st.sampled_from(ADDRESSES)),
        "status": draw(st.sampled_from((200, 204, 301, 401, 403, 404, 500, 503))),
        "bytes": draw(st.sampled_from((0, 1, 153, 10_000))),
        "duration_ms": draw(st.sampled_from((0.5, 12.0, 1500.0))),
        "user": draw(texts | st.sampled_from(NUMBERS_AS_TEXT)),
        "query": draw(st.sampled_from(("q=export", "id=1%27or%271", ""))),
        "outcome": draw(st.sampled_from(("success", "failed", "unknown"))),
        "category": "authentication",
        "forwarded_for": draw(st.sampled_from(("203.0.113.9, 10.0.0.1", ["203.0.113.9", "10.0.0.1"]))),
        **{
            name: draw(texts)
            for name in ("method", "user_agent", "host", "message", "referer", "api_key_id", "request_id")
        },
    }
    kept = draw(st.sets(st.sampled_from(sorted(fields)), min_size=1))
    return {name: value for name, value in fields.items() if name in kept}


@st.composite
def records(draw: Anything, fields: dict[str, Anything]) -> bytes:
    """The same fields as JSON, with escapes that nobody needs, and sometimes in the message of another record."""
    escaped = draw(st.sampled_from(("", "", "/", "ex", "aeiou", "/p.")))
    form = draw(st.sampled_from(("\\u%04x", "\\u%04X", "\\x%02x", "\\%c")))
    if form == "\\%c":
        escaped = "/" if escaped else ""
    ascii_only = draw(st.booleans())

    def text(value: str) -> str:
        return "".join(
            form % ord(c) if c in escaped else json.dumps(c, ensure_ascii=ascii_only)[1:-1] for c in value
        )

    def written(value: Anything) -> str:
        if isinstance(value, list):
            return f"[{','.join(map(written, value))}]"
        return f'"{text(value)}"' if isinstance(value, str) else "1e3" if value == 1e3 else json.dumps(value)

    whole = "{" + ", ".join(f'"{name}": {written(value)}' for name, value in fields.items()) + "}"
    return json.dumps({"log": whole}).encode() if draw(st.integers(0, 4)) == 0 else whole.encode()


@st.composite
def seen(draw: Anything) -> tuple[Event, bytes]:
    """An event with its record, as the service decodes it."""
    record = draw(records(draw(events())))
    decoded = decode_events(record, T0)
    if len(decoded.events) != 1:
        return Event(), b"{}"
    return decoded.events[0], decoded.records[0]


@st.composite
def tests_near(draw: Anything, event: Event, record: bytes) -> Comparison:
    """A comparison that may well be true of this event."""
    field = draw(st.sampled_from(sorted(FIELDS - {"timestamp", "repeat"})))
    op = draw(st.sampled_from(list(Op)))
    if op is Op.CIDR:
        return Comparison(
            draw(st.sampled_from(("ip", "client_ip"))),
            op,
            tuple(draw(st.sets(st.sampled_from(NETWORKS), min_size=1))),
        )
    if op is Op.EXISTS:
        return Comparison(field, op, (draw(st.booleans()),))
    if op in (Op.GT, Op.GTE, Op.LT, Op.LTE):
        return Comparison(
            draw(st.sampled_from(sorted(NUMBERS))), op, (draw(st.sampled_from((0, 12, 200, 403.5, 500))),)
        )
    if op is Op.REGEX:
        return Comparison(
            field, op, (draw(st.sampled_from(("exp", "^/", "(?i)EXPORT", "[0-9]{3}$", "e.p"))),)
        )
    value = reader_of(field)(event, record)
    if isinstance(value, int | float):
        value = draw(st.sampled_from((value, str(value))))
    text = value if isinstance(value, str) and value else draw(st.sampled_from(("export", "admin", "x")))
    start = draw(st.integers(0, max(0, len(text) - 1)))
    end = draw(st.integers(start + 1, len(text)))
    cut = {Op.EQUALS: text, Op.CONTAINS: text[start:end], Op.STARTS: text[:end], Op.ENDS: text[start:]}[op]
    flipped = draw(st.sampled_from((cut, cut.upper(), cut.lower(), cut.swapcase())))
    return Comparison(field, op, (flipped, *draw(st.sampled_from(((), ("export",), ("other-word", 404))))))


def conditions_near(event: Event, record: bytes) -> st.SearchStrategy[Condition]:
    """Trees of such comparisons."""
    return st.recursive(
        tests_near(event, record),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: All(tuple(parts))),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: Any(tuple(parts))),
            inner.map(Not),
        ),
        max_leaves=6,
    )


@st.composite
def cases(draw: Anything) -> tuple[Event, bytes, Condition]:
    """An event, its record, and a condition that it may well meet."""
    event, record = draw(seen())
    return event, record, draw(conditions_near(event, record))


def slowly(condition: Condition, event: Event, record: bytes) -> bool:
    """The same answer as matcher_of gives, in the most obvious way."""
    if isinstance(condition, All):
        return all(slowly(part, event, record) for part in condition.parts)
    if isinstance(condition, Any):
        return any(slowly(part, event, record) for part in condition.parts)
    if isinstance(condition, Not):
        return not slowly(condition.part, event, record)
    return any(_compares(condition, value, event, record) for value in condition.values)


def _compares(test: Comparison, wanted: Anything, event: Event, record: bytes) -> bool:
    value = _field(test.field, event, record)
    if test.op is Op.EXISTS:
        return (value is not None) == wanted
    if value is None:
        return False
    number = float(wanted) if re.fullmatch(r"-?\d+(\.\d+)?", str(wanted)) else None
    if test.op in (Op.GT, Op.GTE, Op.LT, Op.LTE) or (test.op is Op.EQUALS and test.field in NUMBERS):
        if test.field not in NUMBERS or number is None:
            return False
        return {
            Op.GT: value > number, Op.GTE: value >= number, Op.LT: value < number, Op.LTE: value <= number,
            Op.EQUALS: value == number,
        }[test.op]  # fmt: skip
    if test.op is Op.CIDR:
        address = parse_address(value)
        return address is not None and ip_address(address) in ip_network(wanted)
    if test.op is Op.REGEX:
        return re.search(wanted, str(value)[:4096]) is not None
    have, want = _small(str(value)), _small(str(wanted))
    if test.field == "ip" and test.op is Op.EQUALS:
        want = parse_address(want) or want
    return {
        Op.EQUALS: have == want,
        Op.CONTAINS: want in have,
        Op.STARTS: have.startswith(want),
        Op.ENDS: have.endswith(want),
    }[test.op]


def _small(text: str) -> str:
    """Small letters, but for the two whose small ones are those of ASCII."""
    return "".join(part if part in "\u212a\u0130" else part.lower() for part in _pieces(text))


def _pieces(text: str) -> list[str]:
    pieces = [""]
    for character in text:
        if character in "\u212a\u0130":
            pieces += [character, ""]
        else:
            pieces[-1] += character
    return pieces


def _field(name: str, event: Event, record: bytes) -> Anything:
    path, query = event.path or "", (event.query or "").removeprefix("?")
    whole = path if "?" in path or not query else f"{path}?{query}"
    values = {
        "path": path.partition("?")[0] if path != "-" else "-",
        "query": whole.partition("?")[2],
        "target": whole,
        "decoded_target": decode_target(whole) if whole not in ("", "-") else "",
        "decoded_path": normal_path(decode_target(path.partition("?")[0])) if path not in ("", "-") else "",
        "record": record.decode("utf-8", "replace"),
        "ip": parse_address(event.client_ip) if "," not in (event.client_ip or "") else None,
    }
    value = values[name] if name in values else getattr(event, name)
    if name in NUMBERS:
        return value
    return None if value in ("", None) or (value == "-" and name not in DECODED) else str(value)
