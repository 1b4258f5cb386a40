"""Whatever stands in a file, it loads or is refused: no other error, and what loads can be matched."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sigma_writing import load

from detectors.condition_matching import matcher_of
from detectors.condition_needs import needs_of
from detectors.condition_words import describe
from detectors.event import Event

WORDS = st.sampled_from(
    (
        *(
            "cs-uri",
            "c-ip|cidr",
            "sc-status|gte",
            "|all",
            "x|re|i",
            "cs-uri-query|base64offset|contains",
            "outcome",
        ),
        *(
            "condition",
            "selection",
            "1 of them",
            "not selection",
            "(",
            "a*",
            "*",
            "?",
            "",
            "-",
            "https://a.b/*",
        ),
        *("type", "rules", "group-by", "timespan", "event_count", "temporal", "5m", "c-ip", "gte", "field"),
        *("aliases", "c-uri|contains", "c-uri-extension"),
    )
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=6)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.integers(), inner, max_size=4),
    max_leaves=12,
)
DETECTIONS = st.fixed_dictionaries(
    {"selection": ANYTHING, "condition": st.just("selection") | WORDS | ANYTHING},
    optional={"filter": ANYTHING},
)
SOURCES = st.fixed_dictionaries(
    {"category": st.just("proxy") | ANYTHING}, optional={"product": ANYTHING, "service": ANYTHING}
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "title": st.just("Any") | ANYTHING,
        "logsource": st.just({"category": "webserver"}) | SOURCES | ANYTHING,
    },
    optional={
        "detection": DETECTIONS | ANYTHING,
        "correlation": st.fixed_dictionaries(
            {
                "type": WORDS | ANYTHING,
                "rules": st.just("known") | ANYTHING,
                "timespan": st.just("5m") | ANYTHING,
            },
            optional={"group-by": WORDS | ANYTHING, "condition": ANYTHING, "aliases": ANYTHING},
        )
        | ANYTHING,
        "id": ANYTHING,
        "name": ANYTHING,
        "author": ANYTHING,
        "level": ANYTHING,
        "tags": ANYTHING,
        "generate": ANYTHING,
        "taxonomy": ANYTHING,
        "action": ANYTHING,
    },
)
KNOWN = {
    "title": "Known",
    "name": "known",
    "logsource": {"category": "webserver"},
    "detection": {"s": {"cs-method": "GET"}, "condition": "s"},
}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(DOCUMENTS | ANYTHING, min_size=1, max_size=3))
def test_any_document_loads_or_is_refused(documents):
    with tempfile.TemporaryDirectory() as folder:
        found = load(Path(folder), KNOWN, *documents)
    for rule in found.rules:
        matcher_of(rule.where)(Event(path="/a?b", user="x", status=200), b"/a?b")
        needs_of(rule.where)
        assert describe(rule.where)
        assert rule.name.isascii() and len(rule.name) < 90
    for refused in found.refused:
        assert 0 < len(refused.reason) < 300 and refused.reason.isprintable(), refused


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_load_or_are_refused(raw):
    from sigma_writing import PLAIN

    from app.sigma.library import load_sigma

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "any.yml").write_bytes(raw)
        load_sigma(Path(folder), PLAIN)
