"""What a Sigma document says of itself: title, id, author, level, tags."""

import re
from dataclasses import dataclass
from typing import Any

from app.sigma.refusal import Refused, shown
from detectors.finding import Severity

LEVELS: dict[str, Severity] = {
    "critical": Severity.CRITICAL,
    "high": Severity.HIGH,
    "medium": Severity.MEDIUM,
    "low": Severity.LOW,
    "informational": Severity.LOW,
}
LONGEST_TITLE = 256
LONGEST_AUTHOR = 200
LONGEST_SLUG = 60
MOST_REFERENCES = 20
_ATTACK = re.compile(r"attack\.([a-z]{1,2}[0-9]{4}(?:\.[0-9]{3})?)")
_CVE = re.compile(r"cve\.([0-9]{4})[.-]([0-9]{4,7})")


@dataclass(frozen=True, slots=True)
class Heading:
    """Who wrote which rule, and how bad it is."""

    title: str
    id: str
    name: str
    author: str
    severity: Severity | None
    references: tuple[str, ...]

    @property
    def attributed(self) -> str:
        """The title with its source, which the licence of SigmaHQ's rules (DRL 1.1) asks to be kept visible."""
        known = [
            text for text in (f"Sigma {self.id}".strip(), f"by {self.author}" * bool(self.author)) if text
        ]
        return f"{self.title} ({', '.join(known)})"

    @property
    def slug(self) -> str:
        """The rule's name of ours: letters, digits and `_`."""
        words = re.sub(r"[^a-z0-9]+", "_", (self.name or self.title).lower()).strip("_")
        return f"sigma_{words[:LONGEST_SLUG].rstrip('_') or 'rule'}"


def read_heading(content: dict[Any, Any]) -> Heading:
    """The heading of a document. Raises: Refused."""
    title = _text(content.get("title"), LONGEST_TITLE)
    if not title:
        raise Refused("it has no title")
    taxonomy = content.get("taxonomy", "sigma")
    if taxonomy not in ("sigma", "ecs", "sigmahq"):
        raise Refused(f"taxonomy {shown(taxonomy)}: Bartizan knows the names of sigma and ecs")
    return Heading(
        title=title,
        id=_text(content.get("id"), 64),
        name=_text(content.get("name"), LONGEST_TITLE),
        author=_text(content.get("author"), LONGEST_AUTHOR),
        severity=_severity(content.get("level")),
        references=_references(content.get("tags")),
    )


def title_of(content: Any, number: int) -> str:
    """How a refusal calls a document."""
    if isinstance(content, dict):
        for key in ("title", "name", "id"):
            if text := _text(content.get(key), LONGEST_TITLE):
                return text
    return f"document {number}"


def _text(value: Any, longest: int) -> str:
    """One line of text; several authors are a list in some rules."""
    if isinstance(value, list):
        value = ", ".join(str(part) for part in value[:10] if isinstance(part, str | int))
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)[:longest]).split())


def _severity(level: Any) -> Severity | None:
    if level is None:
        return None
    severity = LEVELS.get(level.lower()) if isinstance(level, str) else None
    if severity is None:
        raise Refused(f"level {shown(level)} is none of {', '.join(LEVELS)}")
    return severity


def _references(tags: Any) -> tuple[str, ...]:
    """ATT&CK and CVE ids of the tags: `attack.t1190` is T1190. Tactics have no id in them and are left out."""
    found: dict[str, None] = {}
    for tag in tags if isinstance(tags, list) else []:
        text = tag.lower() if isinstance(tag, str) else ""
        if attack := _ATTACK.fullmatch(text):
            found[attack[1].upper()] = None
        elif cve := _CVE.fullmatch(text):
            found[f"CVE-{cve[1]}-{cve[2]}"] = None
    return tuple(found)[:MOST_REFERENCES]
