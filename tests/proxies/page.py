"""The configurations of docs/enforcement.md, so that what the page says is what is tried."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "enforcement.md"
SCRIPT = ROOT / "docs" / "examples" / "bartizan-list.sh"


def blocks_below(heading: str) -> list[str]:
    """The fenced blocks below a heading of the page, in order."""
    text = PAGE.read_text("utf-8")
    section = re.search(rf"^### {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert section is not None, f"docs/enforcement.md has no heading {heading!r}"
    return re.findall(r"^```\w*\n(.*?)^```$", section[1], re.M | re.S)


def configuration(heading: str, replacements: dict[str, str]) -> str:
    """The first block, with addresses of the test put in. Each replacement must hit."""
    text = blocks_below(heading)[0]
    for old, new in replacements.items():
        assert old in text, f"{heading}: {old!r} is not in its configuration"
        text = text.replace(old, new)
    return text
