"""Credentials where a list of formats forgets them: pairs, plain fields, cookies, signed URLs, glued to words."""

import json

import pytest
from key_samples import RECIPES, SAMPLES, cook
from test_keys import FINDER, PATTERNS, SCANNER, kinds_in

RANDOM = "q7Rk2Zx9Lm4Tb8Vn3Wc6Yd1Hs5Jf0Gp"
GLUED = [p.id for p in PATTERNS if p.regex.startswith("(?P<secret>") and SAMPLES[p.id].bare]


@pytest.mark.parametrize(
    "text",
    [
        '{"token":"%s"}',
        '{"secret": "%s"}',
        '{"auth":"%s"}',
        "{'token': '%s'}",
        '{"key":"%s"}',
        '{"name":"Authorization","value":"Bearer %s"}',
        '{"name": "x-api-key", "value": "%s"}',
        '{"key":"Authorization","value":"Token %s","type":"text"}',
        '{"value":"%s","name":"X-Api-Key"}',
        '[["accept","*/*"],["x-api-key","%s"]]',
        '[["Authorization","Bearer %s"]]',
        "[(b'authorization', b'Bearer %s')]",
        "Cookie: lang=en; session=%s; theme=dark",
        "Cookie: a=1; b=2; my_login_ticket=%s",
        "Set-Cookie: auth_token=%s; HttpOnly",
        '"cookie":"lang=en; shop_sess=%s"',
        "https://alice:%s@db.example.org/x",
        "https://h.example.org/f?Expires=1795428000&Signature=%s",
        "Authorization: Bearer %s",
        "authorization=Basic %s",
        "proxy-authorization: Basic %s",
    ],
)
@pytest.mark.parametrize("nesting", range(3))
def test_a_credential_is_found_in_each_place_however_deep(text, nesting):
    record = text % RANDOM
    for _ in range(nesting):
        record = json.dumps({"message": record})
    assert RANDOM in kinds_in(record)
    assert RANDOM not in FINDER.redact(record)


@pytest.mark.parametrize(
    ("record", "secret"),
    [
        ('{"password": "correct horse battery staple"}', "correct horse battery staple"),
        ("{'passphrase': 'my dog has nine fleas'}", "my dog has nine fleas"),
        ('{"password": 83261947}', "83261947"),
        ('{"password":12345678}', "12345678"),
        ('{"pin": 4821}', "4821"),
        ('{"pin":"4821"}', "4821"),
        ('{"otp":"483920"}', "483920"),
        ('{"password":"it\'s my pass"}', "it's my pass"),
        ('{"password":"pass\'word1"}', "pass'word1"),
        ('{"password":"a\\"bcdefgh"}', 'a\\"bcdefgh'),
    ],
)
def test_a_password_is_found_whatever_it_is_made_of(record, secret):
    for text in (record, json.dumps({"message": record})):
        assert SCANNER.scan([text.encode()])
        assert secret not in FINDER.redact(text) and secret.replace("\\", "") not in FINDER.redact(text)


@pytest.mark.parametrize(
    "record",
    [
        '{"errors": {"password": "must be at least 8 characters"}}',
        '{"password": "is too short"}',
        '{"password": ["Invalid password."]}',
        '{"password": "Please enter your password"}',
        '{"token": "expired"}',
        '{"token": "{{api_token}}"}',
        '{"secret": "${SECRET_FROM_VAULT}"}',
        '{"key": "uploads/2026/11/23/photo-of-the-harbour-at-dawn.jpg"}',
        '{"key": "6f1c1f2e-8a4b-4c3d-9e2f-0a1b2c3d4e5f"}',
        '{"key": "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"}',
        '{"pin": true}',
        '{"pinned": 48213}',
        '{"name": "authorization", "value": "<redacted>"}',
        "Cookie: lang=en; theme=dark; consent=accepted-all-2026",
        "commit of the process-2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
        "my-monkey-4821482148214821482148214821",
    ],
)
def test_what_only_resembles_them_is_left_alone(record):
    assert kinds_in(record) == {}


@pytest.mark.parametrize("kind", GLUED)
def test_a_token_with_a_telling_prefix_is_found_behind_a_letter(kind):
    sample = cook(kind, RECIPES[kind])
    for before in ("user", "x", "KEY", "v1"):
        found = kinds_in(f"a {before}{sample.secret} b")
        assert any(sample.secret in text for text in found), before


def test_most_tokens_with_a_prefix_are_found_behind_a_letter():
    assert len(GLUED) >= 100
    assert {"github_token", "aws_access_key", "slack_token", "stripe_secret_key", "gitlab_token"} <= {*GLUED}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("wordpress_app_password", "{}"), ("jwt", "{}"), ("private_key", "{}"), ("basic_credentials", "{}"),
        ("bearer_token", "{}"), ("session_cookie", "{}"), ("url_password", "{}"), ("aws_presigned_url", "{}"),
        ("azure_sas", "{}"), ("google_signed_url", "{}"),
    ],
)  # fmt: skip
def test_what_the_issue_names_has_a_format_of_its_own(kind, text):
    assert kind in RECIPES and SAMPLES[kind].secret in kinds_in(text.format(SAMPLES[kind].text))
