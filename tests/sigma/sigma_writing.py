"""Sigma rules made for a test: written to a folder as YAML and loaded from there."""

import itertools
import json
from pathlib import Path
from typing import Any

import yaml

from app.sigma.library import Sigma, load_sigma
from detectors.condition_matching import matcher_of
from detectors.event import Event
from detectors.finding import Action, Severity
from detectors.rule import Rule

PLAIN = Rule("sigma", 1, 300_000, (Action.ALERT_ADMIN,), Severity.MEDIUM, is_own=True)
WEB = {"category": "webserver"}
_numbers = itertools.count()


def document(detection: Any, **more: Any) -> dict[str, Any]:
    return {"title": "A rule of the tests", "logsource": WEB, "detection": detection, **more}


def selection(**fields: Any) -> dict[str, Any]:
    """A detection of one selection; the keys are given as they stand in the rule."""
    return {"selection": fields, "condition": "selection"}


def load(folder: Path, *documents: Any) -> Sigma:
    """The documents as one file of a fresh folder."""
    place = folder / f"rules-{next(_numbers)}"
    place.mkdir()
    (place / "rules.yml").write_text(yaml.safe_dump_all(documents, sort_keys=False), "utf-8")
    return load_sigma(place, PLAIN)


def refusal(folder: Path, *documents: Any) -> str:
    """Why the documents are refused; fails where anything loads."""
    found = load(folder, *documents)
    assert [rule.name for rule in found.rules] == []
    return " | ".join(refused.reason for refused in found.refused)


def matches(
    folder: Path, detection: Any, fields: dict[str, Any], record: bytes | None = None, **more: Any
) -> bool:
    """Whether the one rule of this detection loads and counts an event of these fields."""
    found = load(folder, document(detection, **more))
    assert not found.refused, found.refused
    (rule,) = found.rules
    assert rule.where is not None
    return matcher_of(rule.where)(Event(**fields), json.dumps(fields).encode() if record is None else record)
