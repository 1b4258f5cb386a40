"""What a stand-in says to one request, and what it remembers of it."""

from dataclasses import dataclass, field
from typing import Any

import msgspec


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that came in."""

    at: int
    """Epoch ms."""
    channel: str
    status: int
    """How it was answered."""
    summary: str
    """One line of it."""
    violations: tuple[str, ...] = ()
    """Rules of the real service that it breaks."""
    notes: tuple[str, ...] = ()
    """What the real service would take without a word, and somebody may want to know."""
    body: Any = None

    @property
    def ok(self) -> bool:
        """Whether it was taken, and breaks no rule."""
        return self.status < 300 and not self.violations


@dataclass
class Verdict:
    """What is found while the rules of one service are gone through."""

    summary: str = ""
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    status: int = 200
    answer: Any = "ok"
    """A text, or what becomes a JSON body."""
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None

    def text(self, name: str, value: Any, longest: int, *, needed: bool = True) -> str:
        """Checks a text's presence and length in UTF-16 units; answers it, or nothing."""
        if value is None and not needed:
            return ""
        if not isinstance(value, str) or not value.strip():
            self.violations.append(f"{name}: must be a text, and not empty")
            return ""
        units = len(value.encode("utf-16-le", "surrogatepass")) // 2
        if units > longest:
            self.violations.append(f"{name}: {units:,} characters, at most {longest:,}")
        return value

    def items(self, name: str, value: Any, most: int) -> list[dict[str, Any]]:
        """Checks a list of objects; answers those of them that are."""
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.violations.append(f"{name}: must be a list of objects")
            return []
        if len(value) > most:
            self.violations.append(f"{name}: {len(value)}, at most {most}")
        return value

    def known(self, name: str, value: dict[str, Any], keys: frozenset[str]) -> None:
        """Checks that an object has no key that the service does not know."""
        self.violations += [f"{name}{key}: unknown" for key in sorted(value.keys() - keys)]

    def link(self, name: str, value: Any) -> None:
        """Checks an address that people will click."""
        text = self.text(name, value, 2_048)
        if text and not text.startswith(("https://", "http://")):
            self.violations.append(f"{name}: is no http address")


def decoded(body: bytes, verdict: Verdict) -> dict[str, Any]:
    """The JSON object of a body; an empty one, and a violation, where it is none."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        verdict.violations.append(f"body: no JSON: {error}")
        return {}
    if not isinstance(found, dict):
        verdict.violations.append("body: no JSON object")
        return {}
    verdict.body = found
    return found
