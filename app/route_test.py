"""What `bartizan route test` answers: the policy's routes, asked about a message that nobody wrote."""

from collections.abc import Sequence
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import TypeVar

from actions.delivery.message import Message, MessageKind
from actions.delivery.routing import LOG, Routes
from app.policies.policy import Policy
from app.policies.store import PolicyStore
from app.settings import load_settings
from detectors.defaults import DEFAULTS as RULES
from detectors.errors import ConfigError
from detectors.finding import PRIORITY_OF, Severity

E = TypeVar("E", bound=Enum)
DEFAULTS = {"severity": Severity.HIGH.value, "rule": "auth_failures", "kind": MessageKind.OPENED.value}


def targets_of(labels: Sequence[str], policy_file: Path | None) -> list[dict[str, str]]:
    """`channel`, `type` and `when` of each channel told. Raises: ConfigError for a label that is none."""
    said = dict(DEFAULTS)
    for label in labels:
        key, equals, value = label.partition("=")
        if not equals or key not in DEFAULTS:
            raise ConfigError(f"{label!r}: write {', '.join(f'{key}=...' for key in DEFAULTS)}")
        said[key] = value
    severity = _member("severity", said["severity"], Severity)
    message = Message(
        kind=_member("kind", said["kind"], MessageKind),
        incident_id="",
        rule=said["rule"],
        subject="",
        severity=severity,
        priority=PRIORITY_OF[severity],
        title="",
        text="",
        at=0,
    )
    policy = _policy(policy_file)
    known = {*RULES, *(rule.name for rule in policy.rules)}
    if message.rule not in known:
        near = get_close_matches(message.rule, sorted(known), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
        raise ConfigError(f"rule={message.rule}: unknown rule; {hint}")
    types = {LOG: LOG, **{channel.name: channel.type.value for channel in policy.channels}}
    routes = Routes(routes=policy.routes, types=types)
    return [
        {"channel": t.channel, "type": routes.types[t.channel], "when": t.when.value}
        for t in routes.targets(message)
    ]


def _policy(path: Path | None) -> Policy:
    settings = load_settings()
    required = True if path is not None else settings.policy_is_named
    return PolicyStore(path or settings.policy, is_required=required).current


def _member(key: str, value: str, kind: type[E]) -> E:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(str(member.value) for member in kind)
        raise ConfigError(f"{key}={value}: choose from {names}") from None
