"""The policy's key `dead_man`: whom this service tells that it works, and how often."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.durations import parse_duration
from app.policies.nodes import Value
from detectors.errors import ConfigError

DEFAULT_EVERY_MS = 60_000
DEFAULT_LAG_MS = 60_000
SHORTEST_MS = 10_000
LONGEST_MS = 86_400_000
LONGEST_URL = 2048


@dataclass(frozen=True, slots=True)
class SecretUrl:
    """An address that is a secret: stated, or where to find it. Never shown."""

    stated: str = ""
    env: str = ""
    file: str = ""

    def __repr__(self) -> str:
        return "SecretUrl(...)"

    @property
    def whence(self) -> str:
        """Where it stands, without saying it."""
        return f"url_env {self.env}" if self.env else f"url_file {self.file}" if self.file else "its url"

    def read(self) -> str:
        """The address as it is now. Raises: ConfigError that names where it was looked for, not what was found."""
        if self.stated:
            return self.stated
        where = f"the variable {self.env}" if self.env else f"the file {self.file}"
        try:
            found = os.environ.get(self.env, "") if self.env else Path(self.file).read_text("utf-8")
        except (OSError, ValueError) as error:
            raise ConfigError(f"dead_man: {where} cannot be read: {type(error).__name__}") from None
        found = found.strip()
        if not is_address(found):
            raise ConfigError(f"dead_man: {where} holds no http address")
        return found


@dataclass(frozen=True, slots=True)
class DeadManSettings:
    """Whom to tell that all is well, and where that is not so."""

    url: SecretUrl
    fail_url: SecretUrl | None = None
    """Asked instead where something is not well; None: then nobody is asked."""
    every_ms: int = DEFAULT_EVERY_MS
    lag_ms: int = DEFAULT_LAG_MS
    """A finding that has waited for longer means that something is not well."""


def unreadable(settings: DeadManSettings | None) -> list[str]:
    """Addresses that cannot be read here: a warning where a policy is checked. They are read at each signal."""
    found = []
    for url in (settings.url, settings.fail_url) if settings else ():
        try:
            if url is not None:
                url.read()
        except ConfigError as error:
            found.append(str(error))
    return found


def is_address(text: str) -> bool:
    """Whether it can be asked at all."""
    return (
        text.startswith(("http://", "https://"))
        and len(text) <= LONGEST_URL
        and text.isascii()
        and text.isprintable()
        and " " not in text
    )


def read_dead_man(value: Value) -> DeadManSettings:
    """`{url_env: DEAD_MAN_URL, every: 1m}`. Raises: ConfigError on the line of the key that is wrong."""
    names = [f"{which}{how}" for which in ("url", "fail_url") for how in ("", "_env", "_file")]
    members = value.members({*names, "every", "lag"})
    url = _url(members, "url")
    if url is None:
        value.fail("needs url, url_env or url_file: the address to ask while all is well")
    return DeadManSettings(
        url=url,
        fail_url=_url(members, "fail_url"),
        every_ms=_length(members, "every", DEFAULT_EVERY_MS),
        lag_ms=_length(members, "lag", DEFAULT_LAG_MS),
    )


def _url(members: Mapping[str, Value], key: str) -> SecretUrl | None:
    stated = [name for name in (key, f"{key}_env", f"{key}_file") if name in members]
    if not stated:
        return None
    if len(stated) > 1:
        members[stated[1]].fail(f"cannot stand beside {stated[0]}")
    text = members[stated[0]].text()
    if stated[0] == key:
        if not is_address(text):
            members[key].fail("is not an http address")
        return SecretUrl(stated=text)
    return SecretUrl(env=text) if stated[0].endswith("_env") else SecretUrl(file=text)


def _length(members: Mapping[str, Value], key: str, default: int) -> int:
    if key not in members:
        return default
    found = members[key].parse(parse_duration)
    if not SHORTEST_MS <= found <= LONGEST_MS:
        members[key].fail("must be 10s to 1d")
    return found
