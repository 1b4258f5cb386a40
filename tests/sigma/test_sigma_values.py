"""Values with wildcards and escapes: what the loader makes of them, against the specification read slowly."""

import base64

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sigma_oracle import item, like, meets

from app.sigma.detections import read_detection
from app.sigma.items import Budget, base64_offsets, read_item
from app.sigma.patterns import Wild, as_comparison, as_regex, parse_value
from detectors.condition_matching import compile_regex, matcher_of
from detectors.conditions import Op
from detectors.event import Event

LETTERS = "aAb*?\\.%[(\n "
VALUES = st.text(alphabet=LETTERS, min_size=1, max_size=8)
TEXTS = st.text(alphabet=LETTERS.replace("?", "é"), min_size=1, max_size=8)

ESCAPES = {
    "back\\slash": ("back\\slash",),
    "back\\\\slash": ("back\\slash",),
    "\\*": ("*",),
    "\\?": ("?",),
    "\\\\*": ("\\", Wild.ANY),
    "\\\\\\*": ("\\*",),
    "\\\\\\": ("\\\\",),
    "\\\\\\\\": ("\\\\",),
    "a**b": ("a", Wild.ANY, "b"),
    "a?*b": ("a", Wild.ONE, Wild.ANY, "b"),
    "": (),
}
"""Source: Sigma Rules Specification 2.1, "Escape Character"."""


@pytest.mark.parametrize(("value", "tokens"), ESCAPES.items())
def test_a_backslash_takes_the_meaning_from_wildcards_and_from_itself(value, tokens):
    assert parse_value(value) == tokens


@pytest.mark.parametrize(
    ("value", "comparison"),
    [
        ("abc", (Op.EQUALS, "abc")),
        ("*abc*", (Op.CONTAINS, "abc")),
        ("abc*", (Op.STARTS, "abc")),
        ("*abc", (Op.ENDS, "abc")),
        ("a*c", None),
        ("ab?", None),
    ],
)
def test_a_value_becomes_the_cheapest_comparison_that_means_the_same(value, comparison):
    assert as_comparison(parse_value(value)) == comparison


@settings(max_examples=500)
@given(VALUES, TEXTS)
@example("*", "\n")
@example("a\\*b", "a*B")
@example("a?b", "a\nb")
def test_a_value_matches_what_the_specification_says(value, text):
    found = compile_regex(as_regex(parse_value(value))).search(text.encode())
    assert (found is not None) == like(value, text)


@settings(max_examples=500)
@given(VALUES, TEXTS, st.sampled_from(["", "|contains", "|startswith", "|endswith"]))
def test_a_condition_matches_what_the_specification_says_with_any_modifier(value, text, modifier):
    if value == "-" or text.strip() == "-":
        return
    matcher = matcher_of(read_item(f"user{modifier}", value, Budget()))
    assert matcher(Event(user=text), b"") == item(f"user{modifier}", value, {"user": text}, "")


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["user|contains", "user", "cs-method", "user|endswith|all", "cs-host|startswith"]),
        st.lists(VALUES, min_size=1, max_size=3),
        min_size=1,
        max_size=3,
    ),
    st.dictionaries(
        st.sampled_from(["user", "cs-method"]), st.lists(VALUES, min_size=1, max_size=2), min_size=1
    ),
    st.sampled_from(
        [
            "selection_a and not filter",
            "1 of selection_* or filter",
            "not selection_a and filter",
            "not (selection_a or filter)",
            "all of them",
            "selection_a or filter and not selection_a",
        ]
    ),
    st.fixed_dictionaries({}, optional={"user": TEXTS, "method": TEXTS, "host": TEXTS}),
)
def test_whole_detections_match_what_the_specification_says(first, second, condition, fields):
    detection = {"selection_a": first, "filter": second, "condition": condition}
    ours = matcher_of(read_detection(detection))(Event(**fields), b"")
    sigma = {
        {"user": "user", "method": "cs-method", "host": "cs-host"}[name]: text
        for name, text in fields.items()
    }
    assert ours == meets(detection, sigma)


@given(st.binary(max_size=9), st.binary(min_size=2, max_size=9), st.binary(max_size=9))
def test_an_encoded_value_is_found_at_whatever_offset_it_stands(before, value, behind):
    encoded = base64.b64encode(before + value + behind).decode()
    assert any(part in encoded for part in base64_offsets(value))


def test_a_cased_value_and_a_plain_regular_expression_mind_case():
    for key in ("user|cased", "user|re", "user|contains|cased"):
        matcher = matcher_of(read_item(key, "Admin", Budget()))
        assert matcher(Event(user="Admin"), b"")
        assert not matcher(Event(user="admin"), b"")
    for key in ("user", "user|re|i", "user|contains"):
        assert matcher_of(read_item(key, "Admin", Budget()))(Event(user="aDMIN"), b"")
