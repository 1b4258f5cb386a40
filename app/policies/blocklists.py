"""`blocklists:` of the policy: external lists of addresses, by URL or file."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from app.block_files.reading import Form
from app.durations import parse_duration
from app.policies.nodes import Value
from detectors.finding import DecisionType

KEYS = frozenset({"url", "file", "every", "type", "format", "cap", "expires"})
MOST_LISTS = 50
DEFAULT_CAP, LARGEST_CAP = 100_000, 1_000_000
DEFAULT_EVERY_MS, SHORTEST_URL_MS, SHORTEST_FILE_MS = 3_600_000, 60_000, 10_000
"""Those who publish lists ask for an hour and more; a minute is for one's own."""
DEFAULT_EXPIRES_MS = 3 * 86_400_000
"""A weekend without its publisher, and a list is still in force."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")


@dataclass(frozen=True, slots=True)
class ListSource:
    """Where an external list comes from, and what is made of it."""

    name: str
    url: str | None
    file: Path | None
    every_ms: int = DEFAULT_EVERY_MS
    type: DecisionType = DecisionType.BAN
    form: Form | None = None
    """None: by its looks."""
    cap: int = DEFAULT_CAP
    """A list with more entries is a mistake, and refused as a whole."""
    expires_ms: int = DEFAULT_EXPIRES_MS
    """For how long the last good copy stays in force while nothing newer can be had."""

    @property
    def place(self) -> str:
        """Where it comes from, as people may see it: without user, password, query."""
        if self.url is None:
            return str(self.file)
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def read_blocklists(
    value: Value, home: Path, *, within: Collection[Path] | None = None
) -> tuple[ListSource, ...]:
    """`NAME: {url: ..., every: 1h}`; a relative file stands below `home`, the folder of the policy file.

    `within`: the folders that may be read, where not everything may. Raises: ConfigError on the line that is wrong.
    """
    sources = []
    for name, (key, entry) in value.entries().items():
        if not _NAME.fullmatch(name):
            key.fail("a list's name has a to z, 0 to 9, - and _, at most 41 characters")
        sources.append(_source(name, entry, home, within))
    if len(sources) > MOST_LISTS:
        value.fail(f"more than {MOST_LISTS} lists")
    return tuple(sources)


def _source(name: str, value: Value, home: Path, within: Collection[Path] | None) -> ListSource:
    members = value.members(KEYS)
    if ("url" in members) == ("file" in members):
        value.fail("needs a url or a file, and not both")
    file = home / members["file"].text() if "file" in members else None
    if file is not None and not _may_read(file, within):
        members["file"].fail("lies outside the policy's own folder")
    every_ms = members["every"].parse(parse_duration) if "every" in members else DEFAULT_EVERY_MS
    shortest = SHORTEST_URL_MS if file is None else SHORTEST_FILE_MS
    if every_ms < shortest:
        members["every"].fail(f"is shorter than {shortest // 1000}s")
    return ListSource(
        name=name,
        url=members["url"].parse(_url) if "url" in members else None,
        file=file,
        every_ms=every_ms,
        type=members["type"].choice(DecisionType) if "type" in members else DecisionType.BAN,
        form=_form(members["format"]) if "format" in members else None,
        cap=members["cap"].integer(1, LARGEST_CAP) if "cap" in members else DEFAULT_CAP,
        expires_ms=members["expires"].parse(parse_duration) if "expires" in members else DEFAULT_EXPIRES_MS,
    )


def _may_read(file: Path, within: Collection[Path] | None) -> bool:
    return within is None or any(file.resolve().is_relative_to(place.resolve()) for place in within)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is no http or https address")
    return text


def _form(value: Value) -> Form | None:
    return None if value.text() == "auto" else value.choice(Form)
