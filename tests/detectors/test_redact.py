"""No credential survives redaction, however it is written; and what is no credential stays readable."""

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import SECRETS

from detectors.redact import SecretFinder, entropy
from detectors.scanner import Scanner, load_patterns

FINDER = SecretFinder(Scanner(load_patterns("keys")), b"k" * 32)

CONTEXTS = {
    "as it is": lambda text: text,
    "percent-encoded": lambda text: "/x?next=" + quote(text, safe=""),
    "twice percent-encoded": lambda text: "/x?next=" + quote(quote(text, safe=""), safe=""),
    "in JSON": lambda text: json.dumps({"message": text}),
    "in JSON in JSON": lambda text: json.dumps({"log": json.dumps({"message": text})}),
    "in brackets": lambda text: f"[{text}]",
    "between others": lambda text: f"a=1, {text}, b=2",
}


@pytest.mark.parametrize("context", CONTEXTS)
def test_no_credential_survives_in_any_context(context):
    survived = []
    for kind, (secret, text) in SECRETS.items():
        redacted = FINDER.redact(CONTEXTS[context](text.replace("{}", secret)))
        if secret in redacted or quote(secret, safe="") in redacted or "[REDACTED:" not in redacted:
            survived.append(kind)
    assert survived == []


@given(
    kinds=st.lists(st.sampled_from(sorted(SECRETS)), min_size=1, max_size=3),
    noise=st.lists(
        st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20), min_size=4, max_size=4
    ),
)
def test_several_credentials_among_noise_are_all_masked(kinds, noise):
    parts = [
        f" {n} {SECRETS[k][1].replace('{}', SECRETS[k][0])} " for n, k in zip(noise, kinds, strict=False)
    ]
    redacted = FINDER.redact("".join(parts))
    assert not [k for k in kinds if SECRETS[k][0] in redacted]


def test_the_user_and_the_rest_of_the_line_stay_readable():
    redacted = FINDER.redact("GET /login?user=alice&password=correct-horse&next=/ 401")
    assert redacted.startswith("GET /login?user=alice&password=[REDACTED:query_secret:")
    assert redacted.endswith("]&next=/ 401")


@pytest.mark.parametrize("text", [None, "", "GET /index.html 200", "a" * 100_000])
def test_what_holds_no_credential_is_left_as_it_is(text):
    assert FINDER.redact(text) == text


def test_a_fingerprint_is_the_same_for_the_same_secret_and_depends_on_the_key():
    other = SecretFinder(Scanner(load_patterns("keys")), b"o" * 32)
    assert FINDER.fingerprint("s3cret") == FINDER.fingerprint("s3cret")
    assert FINDER.fingerprint("s3cret") != other.fingerprint("s3cret")
    assert len(FINDER.fingerprint("s3cret")) == 29


def test_entropy_is_shannons():
    assert entropy("aaaa") == 0
    assert entropy("abcd") == 2


def test_what_is_masked_stays_as_it_is():
    for kind, (secret, text) in SECRETS.items():
        once = FINDER.redact(text.replace("{}", secret))
        assert not re.search(r"\[REDACTED[^\]]*\[", once), kind
        assert FINDER.redact(once) == once, kind
