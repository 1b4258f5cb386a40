"""How an entry of patterns/keys/*.toml becomes a pattern: what surrounds a credential in a log is written here, once.

Each file is a family of credentials, one [[pattern]] each:

    id           the kind shown to people, and part of the subject
    description  what it is, in the provider's words
    token        the credential itself, where its shape alone tells what it is: `ghp_` and 36 characters
    glued        the token is found behind a letter too (`userghp_...`); unsaid, where its prefix has at least
                 4 characters with a `_` or `-` among them, which is not how an English word ends
    near, value  the credential has no shape of its own (32 hex digits): it is taken for one only right behind a name
                 that begins with the provider and ends in one of `words` (key, token, secret ...), as in
                 `datadog_api_key=`, `"datadog": {"apiKey": "` or `/datadog_key/`
    name, value  the same with the whole name written out
    regex        the whole pattern, where neither form fits; the groups named `secret...` are what is masked
    literals     one of these stands in every match (any case). No slash, quote or backslash, which JSON writers escape.
    prefilter    a regex for the same purpose where no literal is rare enough; `(?-i)` where case matters
    min_entropy  bits per character the secret must have at least (Shannon)
    skip         a match that contains one of these is an example or something else
    examples_count  true: what looks like an example (`12345678`) is a secret too, since people choose it
    severity     how bad it is in a log
    source       the provider's page, or the standard, whose public description of the format it is

Every regex is RE2 and every prefilter Hyperscan: no lookaround, no backreference, linear on hostile input. Files are
read in the order of their names and the first pattern to take a secret names it, so web.toml holds what is generic.
"""

import re
from typing import Any

LEFT = r"(?:\b|_|/bot|\\[nrt])"
"""Where a token may begin; bots put theirs right behind `/bot` (Telegram Bot API), JSON writers a newline as `\\n`."""
LEFT_OF_NAME = r"(?:\b|_|\\[nrt])"
RIGHT = r"(?:[^0-9A-Za-z_-]|$)"
RIGHT_OF_VALUE = r"(?:[^0-9A-Za-z_+=-]|$)"
GAP = r"""[\w .:"'{-]{0,24}?"""
"""Between the provider and the word: `datadog` GAP `key`."""
BETWEEN = r"""["'\]})\s]{0,4}(?:[:=,>/(]{1,2}|\s)\s{0,3}\[?(?:b?["'({<]){0,2}"""
"""Between a name and its value: `=`, `: "`, `', b'`, `] = [`, `/`."""
WORDS = "key|token|secret|password|passwd|pass|pwd|pat|auth|credential"
NO_SECRET_NEAR = (
    "cache", "commit", "digest", "checksum", "fingerprint", "sha256", "sha1", "md5", "etag", "public",
    "monkey", "donkey", "turkey", "hockey", "jockey", "whiskey", "bypass", "compass", " key=",
)  # fmt: skip
"""Names of hashes and ids: `github_cache_key=` is followed by 40 hex digits that open nothing. Words
that end like a secret's name; and a field of its own named just `key`, which need not be that of the provider."""
_PREFIX = re.compile(r"(?:[0-9A-Za-z_-]|\\\.)*")
SHORTEST_PREFIX = 4
LIKE_WORDS = (
    "access_",
    "api-",
    "cal_",
    "key-",
    "kit_",
    "pat-",
    "pul-",
    "secret",
    "sess-",
    "ser",
    "skey_",
    "standard_",
)
"""Prefixes of tokens that end ordinary words: `process-` and a commit is no `sess-` key."""
IN_ORDINARY_LOGS = (
    "amazon", "azure", "cloudflare", "docker", "elastic", "expo", "facebook", "github", "goog", "kube", "line[",
    "loggly", "nexus", "oss[", "runner", "square", "twitter", "yandex", "zoom",
)  # fmt: skip
"""Providers whose names stand in the user agents, referers and program names of any site's logs."""


def pattern_fields(entry: dict[str, Any]) -> dict[str, Any]:
    """The fields of a Pattern for one entry. Raises: KeyError where a form is incomplete."""
    fields = dict(entry)
    token, near, name = (fields.pop(form, "") for form in ("token", "near", "name"))
    words, value = fields.pop("words", WORDS), fields.pop("value", "")
    if token:
        left = "" if fields.pop("glued", _is_distinctive(token)) else LEFT
        fields["regex"] = f"{left}(?P<secret>{token}){RIGHT}"
        return fields
    if not near and not name:
        return fields
    if not value:
        raise KeyError("value")
    naming = name or f"(?:{near}){GAP}(?:{words})(?:[_.-]?key)?"
    fields["regex"] = rf"(?i){LEFT_OF_NAME}(?:{naming}){BETWEEN}(?P<secret>(?-i:{value})){RIGHT_OF_VALUE}"
    fields.setdefault("prefilter", name or _prefilter_near(near, words))
    fields["skip"] = [*fields.get("skip", ()), *NO_SECRET_NEAR]
    return fields


def _is_distinctive(token: str) -> bool:
    """Whether a token's prefix tells it even where it is glued to what stands before it."""
    fixed = _PREFIX.match(token)
    prefix = fixed.group() if fixed else ""
    if token[len(prefix) : len(prefix) + 1] in tuple("?*{"):
        prefix = prefix[:-1]
    has_mark = "_" in prefix or "-" in prefix
    return len(prefix) >= SHORTEST_PREFIX and has_mark and not prefix.lower().startswith(LIKE_WORDS)


def _prefilter_near(near: str, words: str) -> str:
    """The provider; with the word behind it where the provider stands in ordinary logs by itself.

    Looking for both costs an automaton for each place where the provider stands, so an attacker who writes them all
    could make the scan slow: only those few do it.
    """
    if not any(common in near for common in IN_ORDINARY_LOGS):
        return f"(?:{near})"
    return rf"(?:{near})[\w .:\"'{{%\\\\-]*(?:{words})"
