"""A folder of Sigma rules as rules of ours, with what could not be loaded and why."""

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from app.sigma.correlations import BaseRule, Correlation, read_correlation, referred
from app.sigma.detections import read_detection
from app.sigma.folder import Document, read_documents
from app.sigma.headings import Heading, read_heading, title_of
from app.sigma.logic import all_of
from app.sigma.refusal import Refusal, Refused, shown
from app.sigma.sources import events_of
from detectors.finding import Action, Severity, SubjectKind
from detectors.rule import Rule

DEFAULT_SEVERITY = Severity.MEDIUM
"""Of a rule without a level."""
_ORDER = list(Severity)


@dataclass(frozen=True, slots=True)
class Sigma:
    """What a folder brought."""

    folder: Path
    rules: tuple[Rule, ...]
    refused: tuple[Refusal, ...]
    parts_only: int = 0
    """Rules that serve correlations and do not fire by themselves."""
    digest: str = ""
    """Which rules these are: the first 12 hex digits of a SHA-256."""


def load_sigma(folder: Path, plain: Rule, taken: Collection[str] = ()) -> Sigma:
    """The rules of a folder. `plain` says what follows, and how often a rule without a correlation must be met.
    `taken`: names that other rules have.

    Raises: ConfigError where there is no such folder, or too much in it.
    """
    shelf = _Shelf(taken)
    for document in read_documents(folder, shelf.refused):
        shelf.take(document)
    shelf.correlate()
    rules = shelf.finished(plain)
    kept = {rule.name for rule in rules}
    parts_only = len([entry for entry in shelf.bases if entry.base.name not in kept])
    refused = tuple(sorted(shelf.refused, key=lambda refusal: refusal.file))
    digest = hashlib.sha256(msgspec.json.encode(rules)).hexdigest()[:12]
    return Sigma(folder, rules, refused, parts_only, digest)


@dataclass(frozen=True, slots=True)
class _Entry:
    heading: Heading
    base: BaseRule


class _Shelf:
    """Gathers the documents: rules first, since a correlation may stand before what it refers to."""

    def __init__(self, taken: Collection[str]) -> None:
        self.refused: list[Refusal] = []
        self.bases: list[_Entry] = []
        self._correlated: list[tuple[Heading, str, Correlation]] = []
        self._waiting: list[tuple[Document, Heading, str, Any]] = []
        self._by_key: dict[str, _Entry] = {}
        self._known: dict[str, str] = {}
        """Why an id or name is not that of a rule a correlation can have."""
        self._names = set(taken)
        self._silent: set[str] = set()
        """Names of rules that only serve correlations."""

    def take(self, document: Document) -> None:
        """One document; what is wrong with it is noted, and the next one may come."""
        self._noted(document, lambda: self._take(document))

    def _noted(self, document: Document, work: Callable[[], None]) -> None:
        try:
            work()
        except Refused as reason:
            title = title_of(document.content, document.number)
            self.refused.append(Refusal(document.file, title, str(reason)))
            if isinstance(document.content, dict):
                for key in ("id", "name"):
                    if isinstance(text := document.content.get(key), str):
                        self._known.setdefault(text, "which was refused")

    def _take(self, document: Document) -> None:
        content = document.content
        if not isinstance(content, dict):
            raise Refused("is not a mapping")
        if "correlation" not in content and "detection" not in content:
            reason = (
                "Sigma filters are not taken"
                if "filter" in content
                else "is no Sigma rule: it has no detection"
            )
            raise Refused(reason)
        if "action" in content:
            raise Refused(f"action {shown(content['action'])} is an old form of Sigma; write each rule out")
        heading = read_heading(content)
        if heading.id and (
            heading.id in self._by_key or self._known.get(heading.id) == "which is a correlation"
        ):
            raise Refused(f"its id {heading.id} stands in another document too")
        if "correlation" in content:
            self._waiting.append((document, heading, self._named(heading), content))
            for key in filter(None, (heading.id, heading.name)):
                self._known[key] = "which is a correlation"
            return
        source = events_of(content.get("logsource"))
        where = all_of([read_detection(content.get("detection")), source])
        keys = tuple(filter(None, (heading.id, heading.name)))
        entry = _Entry(heading, BaseRule(self._named(heading), where, keys))
        self.bases.append(entry)
        for key in keys:
            self._by_key.setdefault(key, entry)

    def correlate(self) -> None:
        """The correlations, once all rules are known."""
        for document, heading, name, content in self._waiting:
            section = content["correlation"]
            generate = content.get(
                "generate", section.get("generate") if isinstance(section, dict) else False
            )
            if generate is not True:
                # Also where the correlation is refused: its parts (one failed login) mean nothing alone.
                self._silent.update(
                    self._by_key[key].base.name for key in referred(section) if key in self._by_key
                )
            self._noted(document, lambda h=heading, n=name, s=section: self._correlate(h, n, s))  # type: ignore[misc]

    def _correlate(self, heading: Heading, name: str, section: Any) -> None:
        found = read_correlation(section, self._find)
        if heading.severity is None:
            known = [self._by_key[rule.keys[0]].heading.severity for rule in found.rules]
            worst = min((s for s in known if s is not None), key=_ORDER.index, default=DEFAULT_SEVERITY)
            heading = _with_severity(heading, worst)
        self._correlated.append((heading, name, found))

    def _find(self, key: str) -> BaseRule:
        if key not in self._by_key:
            why = self._known.get(key, "which is not in the folder")
            raise Refused(f"it refers to {shown(key)}, {why}")
        return self._by_key[key].base

    def _named(self, heading: Heading) -> str:
        """A name that no other rule has; of two with one title the second is told by its id."""
        slug = name = heading.slug
        if name in self._names and heading.id:
            name = f"{slug}_{''.join(c for c in heading.id.lower() if c.isascii() and c.isalnum())[:8]}"
        number = 2
        while name in self._names:
            name, number = f"{slug}_{number}", number + 1
        self._names.add(name)
        return name

    def finished(self, plain: Rule) -> tuple[Rule, ...]:
        """All rules that fire by themselves."""
        rules = [
            _rule(plain, entry.heading, entry.base.name, where=entry.base.where)
            for entry in self.bases
            if entry.base.name not in self._silent
        ]
        rules += [
            _rule(
                plain,
                heading,
                name,
                where=found.where,
                kind=found.kind,
                threshold=found.threshold,
                window_ms=found.window_ms,
                group_by=found.group_by,
                distinct=found.distinct,
                distinct_field=found.distinct_field,
                parts=found.parts,
            )
            for heading, name, found in self._correlated
        ]
        return tuple(rules)


def _with_severity(heading: Heading, severity: Severity) -> Heading:
    return Heading(heading.title, heading.id, heading.name, heading.author, severity, heading.references)


def _rule(plain: Rule, heading: Heading, name: str, **stated: Any) -> Rule:
    severity = heading.severity or DEFAULT_SEVERITY
    group_by = stated.get("group_by", plain.group_by)
    return msgspec.structs.replace(
        plain,
        name=name,
        severity=severity,
        title=heading.attributed,
        references=heading.references,
        is_own=True,
        actions=_actions(plain.actions, severity, group_by),
        **stated,
    )


def _actions(
    actions: Iterable[Action], severity: Severity, group_by: tuple[SubjectKind, ...]
) -> tuple[Action, ...]:
    """A low level only asks for a look. Only an address can be blocked; people are told of anything else."""
    if severity is Severity.LOW:
        return (Action.INVESTIGATE,)
    if group_by[0] is SubjectKind.IP:
        return tuple(actions)
    return tuple(a for a in actions if a is not Action.BLOCK_IP) or (Action.ALERT_ADMIN,)
