"""What the environment says: every BARTIZAN_ variable, checked before anything starts."""

import os
import secrets
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from actions.blocks.reverse_dns import parse_server
from detectors.addresses import Networks
from detectors.errors import ConfigError

PREFIX = "BARTIZAN_"
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")
FINGERPRINT_KEY_BYTES = 32
"""The key length of HMAC-SHA256. Source: RFC 2104, section 3."""


class Settings(BaseSettings):
    """One field per variable; docs/settings.md has the same table for people."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, validate_default=True
    )

    redis_url: str | None = None
    data_dir: Path = Path("data")
    policy: Path = Path("policy.yaml")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    forward_auth_header: str = Field(default="x-forwarded-for", pattern=r"^[A-Za-z0-9-]{1,64}$")
    forward_auth_fail: Literal["open", "closed"] = "open"
    dns_servers: Annotated[tuple[str, ...], NoDecode] = ()
    geoip_city_db: Path | None = None
    geoip_asn_db: Path | None = None
    shards: int = Field(default=1, ge=1, le=1024)
    journal_hours: int = Field(default=24, ge=0, le=24 * 366)
    journal_mb: int = Field(default=512, ge=1, le=1_000_000)
    hec_query_token: bool = False
    hec_acks: bool = False
    fingerprint_key: SecretStr | None = None
    vercel_secret: SecretStr | None = None
    vercel_verify: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._~+/=-]{1,256}$")
    log_format: Literal["auto", "json", "text"] = "auto"
    url: str | None = None
    ingest_token: SecretStr | None = None
    lookup_token: SecretStr | None = None
    viewer_token: SecretStr | None = None
    responder_token: SecretStr | None = None
    admin_token: SecretStr | None = None

    @field_validator("redis_url")
    @classmethod
    def _known_scheme(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(REDIS_SCHEMES):
            raise ValueError(f"must start with {', '.join(REDIS_SCHEMES)}")
        return value

    @field_validator("trusted_proxies", "dns_servers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in value.replace(",", " ").split() if part)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            Networks(value)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("dns_servers")
    @classmethod
    def _servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for server in value:
            parse_server(server)
        return value

    @field_validator("fingerprint_key")
    @classmethod
    def _hex_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            length = len(bytes.fromhex(value.get_secret_value()))
        except ValueError:
            raise ValueError("must be hexadecimal digits") from None
        if length < FINGERPRINT_KEY_BYTES:
            raise ValueError(f"must be {FINGERPRINT_KEY_BYTES * 2} hexadecimal digits or more")
        return value

    @field_validator("geoip_city_db", "geoip_asn_db")
    @classmethod
    def _existing(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @property
    def policy_is_named(self) -> bool:
        """Whether the operator named the policy file, so that a missing one is an error."""
        return "policy" in self.model_fields_set

    @property
    def tokens_file(self) -> Path:
        """Where the tokens made at the first start are written, mode 0600."""
        return self.data_dir / "tokens.env"

    @property
    def own_url(self) -> str:
        """Where the command line finds the service: BARTIZAN_URL, else this machine's own address."""
        if self.url:
            return self.url.rstrip("/")
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}"


def load_settings() -> Settings:
    """The settings of this process, from its environment.

    Raises: ConfigError naming each variable that is unknown or wrong, one line each. Values are not
    repeated, because some of them are secrets.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    problems = []
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = get_close_matches(name.upper(), sorted(known), n=1)
            problems.append(f"{name}: unknown setting" + (f"; did you mean {near[0]}?" if near else ""))
    try:
        settings = Settings()
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            field = str(item["loc"][0]) if item["loc"] else ""
            problems.append(f"{PREFIX}{field.upper()}: {item['msg'].removeprefix('Value error, ')}")
    if problems:
        raise ConfigError("\n".join(problems))
    return settings


def fingerprint_key(settings: Settings) -> bytes:
    """The key under which secrets are fingerprinted: the setting, else `fingerprint.key` in the data folder.

    The file is made once, mode 0600; two processes that start together end up with the same key.
    Raises: ConfigError where the file cannot be read or written.
    """
    if settings.fingerprint_key is not None:
        return bytes.fromhex(settings.fingerprint_key.get_secret_value())
    path = settings.data_dir / "fingerprint.key"
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        write_new_private(path, secrets.token_hex(FINGERPRINT_KEY_BYTES) + "\n")
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if len(key) < FINGERPRINT_KEY_BYTES:
        raise ConfigError(f"{path}: holds {len(key)} bytes, {FINGERPRINT_KEY_BYTES} are needed")
    return key


def write_new_private(path: Path, content: str | bytes) -> bool:
    """Make a file that only its owner reads; False where it exists already, which is then left alone.

    The file appears complete or not at all. Raises: OSError.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
