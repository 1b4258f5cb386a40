"""Keys of the operator's own product, told by their prefix."""

import re

from detectors.errors import ConfigError
from detectors.finding import Severity
from detectors.key_forms import pattern_fields
from detectors.scanner import Pattern

SHORTEST, LONGEST = 16, 200
"""Characters behind the prefix. Fewer than 16 can be guessed (NIST SP 800-63B asks for 64 bits), so nobody issues
them; more than 200 are a signed token, which patterns/keys/web.toml finds."""
_REST = f"[0-9a-z_-]{{{SHORTEST}}}"
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9._-]{1,31}")


def own_prefix_pattern(prefix: str, description: str = "", severity: Severity = Severity.CRITICAL) -> Pattern:
    """The pattern of keys that are `prefix` and 16 to 200 letters, digits, `_` or `-`.

    Raises: ConfigError where a prefix could begin ordinary words: 2 to 32 characters that end in `_`, `-` or `.`, or
    at least 5 without.
    """
    if not _PREFIX.fullmatch(prefix) or (len(prefix) < 5 and prefix[-1] not in "_-."):
        raise ConfigError(
            f"own key prefix {prefix!r}: a letter and then letters, digits, `_`, `-` or `.`, 2 to 32 characters that "
            "end in `_`, `-` or `.`, or at least 5"
        )
    literal = prefix.replace(".", r"\.")
    fields = pattern_fields({"token": f"{literal}[0-9A-Za-z_-]{{{SHORTEST},{LONGEST}}}"})
    return Pattern(
        id="own_key_" + re.sub(r"[^a-z0-9]+", "_", prefix.lower()).strip("_"),
        description=description or f"Key of your own that begins with {prefix}",
        regex=fields["regex"],
        prefilter=f"{literal}{_REST}",
        min_entropy=2.5,
        severity=severity,
        source="the policy",
    )


def prefix_of(pattern: Pattern) -> str:
    """The prefix of a pattern that own_prefix_pattern made."""
    return pattern.prefilter.removesuffix(_REST).replace(r"\.", ".")
