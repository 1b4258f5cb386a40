"""The policy in force: read at the start, taken up again when its file changes, replaced by an admin."""

import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path

import structlog

from app.policies.policy import Policy, default_text, load_policy
from app.policies.sigma import folder_named
from app.sigma.folder import folder_stamp
from detectors.errors import ConfigError

BUILT_IN = "built-in policy"

log = structlog.get_logger(__name__)


class PolicyStore:
    """One policy file. `current` is always a whole, checked policy; `error` says why a newer one is not."""

    def __init__(self, path: Path, *, is_required: bool = False) -> None:
        """Raises: ConfigError where the file is wrong, or missing although it was asked for by name."""
        self.path = path
        self.error: str | None = None
        self.checks: list[Callable[[Policy], None]] = []
        """What a new policy must pass besides, such as its secrets being here; each raises ConfigError."""
        self.on_change: list[Callable[[Policy], None]] = []
        self._stamp = self._read_stamp()
        self._sigma: tuple[Path, tuple[int, int, int]] | None = None
        """The folder of Sigma rules that the file names, and what it was like when it was read."""
        if self._stamp is None and not is_required:
            self.current = load_policy(default_text(), BUILT_IN)
        else:
            self.current = self._load()

    def reload_if_changed(self) -> bool:
        """Take up the file and the Sigma rules if they changed; whether a new policy is in force.

        A wrong one changes nothing.
        """
        stamp = self._read_stamp()
        if stamp == self._stamp and (self._sigma is None or folder_stamp(self._sigma[0]) == self._sigma[1]):
            return False
        self._stamp = stamp
        try:
            policy = self._load()
            self._check(policy)
        except ConfigError as error:
            self.error = str(error)
            log.error("policy_refused", error=self.error, in_force=self.current.digest)
            return False
        return self._take(policy)

    def replace(self, text: str) -> Policy:
        """Check a new policy, write it to the file and put it in force.

        Raises: ConfigError where it is wrong or the file cannot be written; the old one then stays.
        """
        sigma = self._sigma_of(text)
        policy = load_policy(text, self.path.name, self.path.parent)
        self._check(policy)
        try:
            self._write(text)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}") from error
        self._stamp, self._sigma = self._read_stamp(), sigma
        self._take(policy)
        return policy

    def _check(self, policy: Policy) -> None:
        for check in self.checks:
            check(policy)

    def _take(self, policy: Policy) -> bool:
        self.error = None
        if policy == self.current:
            return False
        before, self.current = self.current.digest, policy
        for tell in self.on_change:
            tell(policy)
        log.info(
            "policy_taken_up", before=before, now=policy.digest, rules=[rule.name for rule in policy.rules]
        )
        return True

    def _load(self) -> Policy:
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
            raise ConfigError(f"policy file {self.path}: {reason}") from error
        self._sigma = self._sigma_of(text)
        return load_policy(text, self.path.name, self.path.parent)

    def _sigma_of(self, text: str) -> tuple[Path, tuple[int, int, int]] | None:
        """Looked at before its files are read, so that a change in between is seen the next time."""
        folder = folder_named(text, self.path.name, self.path.parent)
        return None if folder is None else (folder, folder_stamp(folder))

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _write(self, text: str) -> None:
        """Whole or not at all; in place where the file is a mount of its own and cannot be exchanged."""
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            draft.write_text(text, encoding="utf-8")
            if self.path.exists():
                draft.chmod(self.path.stat().st_mode & 0o7777)
            draft.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            self.path.write_text(text, encoding="utf-8")
