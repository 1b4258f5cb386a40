"""`own_keys` of the policy: the prefixes of the operator's own keys."""

from app.policies.nodes import Value
from detectors.errors import ConfigError
from detectors.finding import Severity
from detectors.own_keys import own_prefix_pattern
from detectors.scanner import Pattern

MOST_PREFIXES = 100


def read_own_keys(value: Value) -> tuple[Pattern, ...]:
    """The patterns of all prefixes: plain texts, or mappings that say more of them.

    Raises: ConfigError on the line of the prefix that is wrong, or that stands there twice.
    """
    found: dict[str, Pattern] = {}
    for entry in value.each():
        pattern = _read_prefix(entry)
        if pattern.id in found:
            entry.fail("is there already: prefixes that differ in letter case or punctuation only are one")
        if len(found) >= MOST_PREFIXES:
            entry.fail(f"is one more than {MOST_PREFIXES} prefixes")
        found[pattern.id] = pattern
    return tuple(found.values())


def _read_prefix(entry: Value) -> Pattern:
    prefix, description, severity = entry, "", Severity.CRITICAL
    if entry.is_mapping:
        members = entry.members({"prefix", "description", "severity"})
        if "prefix" not in members:
            entry.fail("needs a prefix")
        prefix = members["prefix"]
        description = members["description"].text() if "description" in members else ""
        severity = members["severity"].choice(Severity) if "severity" in members else severity
    try:
        return own_prefix_pattern(prefix.text(), description, severity)
    except ConfigError as error:
        prefix.fail(str(error))
