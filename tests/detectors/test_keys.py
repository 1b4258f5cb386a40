"""Every credential format: found in every context of a log, not mistaken for its neighbours, silent on what is none."""

import tomllib
from collections import Counter
from fnmatch import fnmatch

import pytest
import re2
from key_contexts import contexts, encoded
from key_samples import RECIPES, SAMPLES, cook, hollow

from detectors.errors import ConfigError
from detectors.key_table import key_table
from detectors.own_keys import own_prefix_pattern
from detectors.redact import SecretFinder, compiled
from detectors.scanner import Scanner, _read, load_patterns
from tests.needed import ROOT, missing

PATTERNS = load_patterns("keys")
SCANNER = Scanner(PATTERNS)
FINDER = SecretFinder(SCANNER, b"k" * 32)
BAR = 0.98
"""The share that must be found; the format of a secret may turn up a look-alike of a placeholder by chance."""
NOT_MADE_UP = {"seed_phrase", "password_number"}
PASSWORDS = {k for k, recipe in RECIPES.items() if "hunter2{" in recipe or "correct" in recipe}


def kinds_in(record: str, finder: SecretFinder = FINDER, scanner: Scanner = SCANNER) -> dict[str, str]:
    """What the whole way finds: the scan of the raw record first, which must not miss it. Text: kind."""
    if not scanner.scan([record.encode()]):
        return {}
    return {s.text: s.kind for s in finder.find(record)}


def test_there_are_at_least_250_formats_and_each_has_a_sample():
    assert len(PATTERNS) >= 250
    assert {p.id for p in PATTERNS} == set(RECIPES)
    assert not [kind for kind, n in Counter(p.id for p in PATTERNS).items() if n > 1]


@pytest.mark.parametrize("seed", range(3))
def test_each_kind_is_found_in_each_context(seed):
    missed: list[tuple[str, str]] = []
    tried: Counter[str] = Counter()
    for kind, recipe in RECIPES.items():
        sample = cook(kind, recipe, seed)
        for context, record in contexts(sample):
            tried[context] += 1
            found = kinds_in(record)
            if not any(sample.secret in text or encoded(sample.secret) in text for text in found):
                missed.append((context, kind))
    by_context = Counter(context for context, _ in missed)
    assert {c: n for c, n in by_context.items() if n > (1 - BAR) * tried[c]} == {}, missed
    by_kind = Counter(kind for _, kind in missed)
    assert [kind for kind, n in by_kind.items() if n > 2] == []


def test_a_shape_is_named_rightly_wherever_it_stands():
    wrong = {
        (kind, context): found
        for kind, sample in SAMPLES.items()
        if sample.bare
        for context, record in contexts(sample)
        if context != "userinfo" and kind not in (found := kinds_in(record)).values()
    }
    assert wrong == {}


def test_a_character_less_is_something_else():
    fixed = {kind: sample for kind, sample in SAMPLES.items() if sample.fixed}
    assert [
        kind
        for kind, sample in fixed.items()
        if kind in kinds_in(sample.before + sample.secret[:-1] + sample.after).values()
    ] == []


def test_a_few_characters_more_are_something_else():
    fixed = {kind: sample for kind, sample in SAMPLES.items() if sample.fixed and sample.bare}
    assert [kind for kind, sample in fixed.items() if kind in kinds_in(sample.secret + "a7Qz").values()] == []


@pytest.mark.parametrize("filling", "xX*0")
def test_a_placeholder_of_the_same_shape_is_no_key(filling):
    kinds = sorted(set(RECIPES) - NOT_MADE_UP - PASSWORDS)
    found = {kind: kinds_in(hollow(RECIPES[kind], filling)) for kind in kinds}
    assert {kind: wrong for kind, wrong in found.items() if wrong} == {}


HEX32, HEX40, HEX64 = (
    "9e107d9d372bb6826bd81d3542a419d6",
    "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
    "9f86d081884c7d65" * 4,
)
UUID = "6f1c1f2e-8a4b-4c3d-9e2f-0a1b2c3d4e5f"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


PROVIDERS = ("github", "datadog", "twilio", "heroku", "aws", "slack", "sentry", "openai")


@pytest.mark.parametrize(
    "text",
    [
        "{p} request {u} done",
        "request_id={u} service={p}",
        "x-request-id: {u}",
        "{p}.trace_id={h32} span_id=00f067aa0ba902b7",
        "md5={h32}",
        "{p} md5 {h32}",
        "sha1: {h40}",
        '"sha256": "{h64}"',
        "{p}-app@sha256:{h64}",
        'etag: W/"{h32}"',
        "commit {h40}",
        "{p} commit: {h40}",
        "checksum={h64}",
        '"{p}_cache_key": "{h40}"',
        "{p} key fingerprint: {h32}",
        '"integrity": "sha512-{png}"',
        "SHA256:{png}",
        "/{p}/assets/app.{h32}.js?v={h32}",
        "/{p}/objects/{u}/{h40}",
        "/{p}/token/{u}",
        "data:image/png;base64,{png}",
        "00-{h32}-00f067aa0ba902b7-01",
        "Root=1-5759e988-bd862e3fe1be46a994272793",
        "{p}_token={{{{x}}}}",
        "{p}_api_key=${{X}}",
        "{p}_secret=%s",
        "{p}_token=<token>",
        "{p}_key=$(cat key)",
        "{p}-token: [TOKEN]",
        "{p}_api_key=your-api-key-here-please",
        "{p}_token=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "{p}_secret=********************",
        "password=changeme",
        "?api_key=REDACTED",
        "?token=YOUR_ACCESS_TOKEN",
        "Authorization: Bearer <token>",
        "Authorization: Bearer ${{TOKEN}}",
        "https://user:****@api.example.org/",
        "https://user:<password>@api.example.org/",
        "https://{{{{user}}}}:{{{{password}}}}@h.example.org/",
        "token expired for {p} api key",
        "{p} api key is missing",
        "Failed password for root from 203.0.113.9 port 22 ssh2",
        "sudo: PWD=/home/deploy ; USER=root ; COMMAND=/bin/ls",
        "/viewtopic.php?f=16&t=9&sid={h32}",
        "/search?q=api+key+{p}+token",
        "/login?next=%2F&password=",
        "?page_token=abcdefghij",
        "public key {h40} of {p}",
        "{p}_public_key={h32}",
    ],
)
def test_hashes_ids_templates_and_placeholders_are_no_keys(text):
    for provider in PROVIDERS:
        record = text.format(p=provider, u=UUID, h32=HEX32, h40=HEX40, h64=HEX64, png=PNG)
        assert kinds_in(record) == {}, record


@pytest.mark.parametrize(
    "pieces",
    [
        ("AKIAIOSFODNN7", "EXAMPLE"),
        ("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/", "bPxRfiCYEXAMPLEKEY"),
        ("Authorization: Basic QWxhZGRpbjpvcGVu", "IHNlc2FtZQ=="),
        ("Authorization: Bearer mF_9.B5f-", "4.1JqM"),
        ("sk_test_4eC39HqLyjWD", "arjtT1zdp7dc"),
        (
            "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6",
            "IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        ),
        (
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.",
            "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
        ),
        ("https://hooks.slack.com/services/T00000000/B00000000/", "XXXXXXXXXXXXXXXXXXXXXXXX"),
    ],
)
def test_examples_of_documentation_are_no_keys(pieces):
    assert kinds_in("".join(pieces)) == {}


@pytest.mark.parametrize("corpus", ["elastic-apache-10k.log", "elastic-auth.log"])
def test_real_logs_give_no_false_alarm(corpus):
    path = ROOT.parent / "shared" / "corpora" / corpus
    if not path.exists():
        missing(str(path))
    lines = path.read_bytes().splitlines()
    hits = SCANNER.scan(lines)
    assert {
        lines[i]: found for i in hits if (found := FINDER.find(lines[i].decode("utf-8", "replace")))
    } == {}


def test_a_key_is_the_same_however_it_is_written():
    sample = SAMPLES["private_key"]
    body = sample.secret
    broken = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
    fingerprints = {
        FINDER.fingerprint(text) for text in (body, broken, broken.replace("\n", "\\n"), encoded(body))
    }
    assert len(fingerprints) == 1


def test_the_groups_of_a_pattern_are_its_secrets():
    for pattern in PATTERNS:
        names = compiled(pattern).groupindex
        assert names and all(name.startswith("secret") for name in names), pattern.id
        assert compiled(pattern).groups == len(names), pattern.id


def test_a_pattern_stays_small_enough_for_the_fast_automaton():
    """RE2 complains on standard error and falls back to a slow one where an automaton outgrows its memory."""
    assert {p.id: size for p in PATTERNS if (size := re2.compile(p.regex).programsize) > 2500} == {}


def test_every_pattern_is_looked_for_by_something_shorter_than_itself():
    assert [p.id for p in PATTERNS if not p.literals and not p.prefilter] == []


def test_every_file_of_patterns_is_packaged():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    files = [
        p.relative_to(ROOT / "detectors").as_posix() for p in (ROOT / "detectors/patterns").rglob("*.toml")
    ]
    assert files and [f for f in files if not any(fnmatch(f, glob) for glob in data["detectors"])] == []


@pytest.mark.parametrize("entry", ["near = 'acme'", "token = 'acme_[0-9]{9}'\nsurprise = 1"])
def test_a_wrong_entry_is_refused_by_file_and_name(entry, tmp_path):
    file = tmp_path / "acme.toml"
    file.write_text(
        f"[[pattern]]\nid = 'acme'\ndescription = 'x'\nseverity = 'high'\nsource = 'x'\n{entry}\n"
    )
    with pytest.raises(ConfigError, match=r"acme\.toml: acme: "):
        list(_read(file))


def test_the_page_of_formats_is_up_to_date():
    """`python -m detectors.key_table > docs/keys.md`"""
    assert (ROOT / "docs" / "keys.md").read_text("utf-8") == key_table()


class TestOwnKeys:
    pattern = own_prefix_pattern("acme_live_")
    scanner = Scanner([*PATTERNS, pattern])
    finder = SecretFinder(scanner, b"k" * 32)

    @pytest.mark.parametrize("size", [16, 40, 200])
    def test_a_key_with_the_prefix_is_found_in_each_context(self, size):
        sample = cook("own_key_acme_live", f"«acme_live_{{W{size}+}}»")
        missed = [
            context
            for context, record in contexts(sample)
            if kinds_in(record, self.finder, self.scanner).get(sample.secret) != self.pattern.id
        ]
        assert [c for c in missed if c != "userinfo"] == []

    def test_fewer_or_more_characters_are_no_key(self):
        for size in (15, 201):
            key = cook("own_key_acme_live", f"«acme_live_{{A{size}}}»").secret
            assert kinds_in(f"key {key}", self.finder, self.scanner) == {}

    @pytest.mark.parametrize("prefix", ["", "a", "the", "1ab_", "acme key", "a" * 33, "acm(_", "ключ_"])
    def test_a_prefix_that_could_begin_anything_is_refused(self, prefix):
        with pytest.raises(ConfigError, match="own key prefix"):
            own_prefix_pattern(prefix)

    @pytest.mark.parametrize("prefix", ["ba_", "sk.", "acmekey", "Acme-Live-"])
    def test_a_prefix_that_says_something_is_taken(self, prefix):
        assert own_prefix_pattern(prefix).id.startswith("own_key_")
