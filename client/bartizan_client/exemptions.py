"""Paths that are never judged, such as a health check."""

from __future__ import annotations

import re
from collections.abc import Iterable

_AMBIGUOUS = re.compile(r"//|/\.{1,2}(?:/|$)|[\\%;\x00-\x1f\x7f]")
"""What two programs may read as two paths: `/health/../admin`, `//`, backslashes, `%2e` left over, `;params`."""


class Exemptions:
    """`/health` is that path and everything below it; `/static/` only what is below; with `*` it is a glob."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises: ValueError naming the pattern that is none."""
        if isinstance(patterns, str):
            raise ValueError("exempt: a list of paths is needed, not one text")
        exact, prefixes, globs, heads = set(), [], [], []
        for pattern in patterns:
            if not pattern.startswith("/") or _AMBIGUOUS.search(pattern):
                raise ValueError(f"exempt: {pattern!r} is no plain path that begins with /")
            if pattern in ("/", "/*", "/**"):
                raise ValueError(f"exempt: {pattern!r} would exempt everything; observe=True is for that")
            if "*" in pattern:
                globs.append(_regex(pattern))
                heads.append(pattern.partition("*")[0])
            elif pattern.endswith("/"):
                prefixes.append(pattern)
            else:
                exact.add(pattern)
                prefixes.append(pattern + "/")
        self._exact, self._prefixes = frozenset(exact), tuple(prefixes)
        self.beginnings = (*exact, *prefixes, *heads)
        """A path that begins with none of these is not exempt."""
        self._glob = re.compile("|".join(globs)) if globs else None

    def __bool__(self) -> bool:
        return bool(self._prefixes or self._glob)

    def covers(self, path: str) -> bool:
        """Whether this decoded path is exempt. One that can be read in two ways never is."""
        is_listed = (
            path in self._exact
            or path.startswith(self._prefixes)
            or (self._glob is not None and self._glob.fullmatch(path) is not None)
        )
        return is_listed and not _AMBIGUOUS.search(path)


def _regex(glob: str) -> str:
    """`*` stands for anything within one segment, `**` for anything."""
    parts = re.split(r"(\*+)", glob)
    return "".join(
        re.escape(part) if not part.startswith("*") else "[^/]*" if part == "*" else ".*" for part in parts
    )
