"""`sigma:` of the policy: a folder of Sigma rules, and what follows where one of them fires."""

from collections.abc import Collection
from pathlib import Path

from app.policies.nodes import Value, read_document
from app.policies.rules import RULE_KEYS, rule_of
from app.sigma.library import Sigma, load_sigma
from detectors.errors import ConfigError
from detectors.finding import Action, Severity
from detectors.rule import Rule

SIGMA_KEYS = RULE_KEYS - {"distinct", "severity", "min_volume", "where"} | {"folder"}
PLAIN = Rule("sigma", 1, 5 * 60_000, (Action.ALERT_ADMIN,), Severity.MEDIUM, is_own=True)
"""What a Sigma rule is where the policy says nothing more: its first match in five minutes tells the administrators."""


def read_sigma(
    value: Value, home: Path, *, within: Collection[Path] | None = None, taken: Collection[str] = ()
) -> Sigma:
    """The rules of the folder. A relative one stands below `home`, the folder of the policy file.

    `within`: the folders that may be read, where not everything may. `taken`: names that other rules have.
    Raises: ConfigError on the line of the key that is wrong.
    """
    members = value.members(SIGMA_KEYS)
    if "folder" not in members:
        value.fail("needs a folder: where the rules are, such as ./sigma")
    plain = rule_of({key: member for key, member in members.items() if key != "folder"}, value, PLAIN)
    folder = home / members["folder"].text()
    if within is not None and not any(folder.resolve().is_relative_to(place.resolve()) for place in within):
        members["folder"].fail("lies outside the policy's own folder; check it with bartizan policy check")
    try:
        return load_sigma(folder, plain, taken)
    except ConfigError as error:
        members["folder"].fail(str(error))


def folder_named(text: str, source: str, home: Path) -> Path | None:
    """The folder that a policy's text names, whether or not the rest of it is right; None where it names none."""
    try:
        top = read_document(text, source).entries()
        members = top["sigma"][1].entries() if "sigma" in top else {}
        return home / members["folder"][1].text() if "folder" in members else None
    except ConfigError:
        return None
