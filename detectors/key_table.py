"""docs/keys.md, written from the pattern files: `python -m detectors.key_table > docs/keys.md`."""

import sys

from detectors.key_forms import BETWEEN, LEFT
from detectors.scanner import Pattern, load_patterns

_HEAD = """\
# Credentials that are found

{count} formats. Written by `python -m detectors.key_table` from `detectors/patterns/keys/`, where each has its
pattern, its least entropy and what it is not; do not edit. The rule is `api_key_exposure`, the id is the first part of
its subject (`github_token:v1:...`) and of the mask (`[REDACTED:github_token:...]`).

**shape**: it is told by its shape, wherever it stands. **name**: it has no shape of its own and is found behind a
name only (`datadog_api_key=`, `"datadog": {{"apiKey": "`, `X-Datadog-Key: `). **frame**: it is found within something
larger: a URL, a header, a connection string. Values that only stand for a secret (`xxxx`, `****`, `${{X}}`,
`your-key-here`, examples of documentation) are left alone in all of them.

Found just as well: percent-encoded once or twice, JSON-escaped, in JSON in JSON, in a query string, a path segment,
brackets, quotes, a header dump and URL userinfo.

| id | what it is | told by | severity | source |
|---|---|---|---|---|
"""


def key_table() -> str:
    """The whole page."""
    patterns = load_patterns("keys")
    rows = (
        f"| `{p.id}` | {p.description} | {_told_by(p)} | {p.severity} | {p.source} |\n"
        for p in sorted(patterns, key=lambda p: p.id)
    )
    return _HEAD.format(count=len(patterns)) + "".join(rows)


def _told_by(pattern: Pattern) -> str:
    if BETWEEN in pattern.regex:
        return "name"
    return "shape" if pattern.regex.startswith((LEFT, "(?:^|[^")) else "frame"


if __name__ == "__main__":
    sys.stdout.write(key_table())
