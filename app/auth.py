"""Who is calling, and may they? A token is checked in memory, so this works while Redis is away."""

import base64
import binascii
import enum
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from app.problems import ProblemError
from app.settings import Settings

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="bartizan"'}
LONGEST_HEADER = 1024
"""Ours are 60 characters; hashing more than this is only work for an attacker to give away."""
IN_URL = "bartizan.in_url"
"""The key of an ASGI scope under which a token stands that came in the URL (ingest/path_key.py)."""
URL_FOR_LOOKUP = ("/v1/forward-auth", "/v1/blocklist")
"""Where a token of the role lookup may stand in the URL: proxies and firewalls that can be given a URL and no header.
There the headers are the proxy's client's own and are not looked at."""
TOKEN_HEADERS = ("x-api-key", "dd-api-key", "x-amz-firehose-access-key")
"""Headers that hold nothing but a token. Source: Datadog's and Amazon Data Firehose's HTTP log intakes."""
WEAK_LENGTH = 20
"""Tokens set from outside that are shorter are warned about: they can be guessed."""


class Role(enum.StrEnum):
    """What a token may do. Viewer, responder and admin are a ladder; admin may do everything."""

    INGEST = "ingest"
    LOOKUP = "lookup"
    VIEWER = "viewer"
    RESPONDER = "responder"
    ADMIN = "admin"


_GRANTS: dict[Role, frozenset[Role]] = {
    Role.INGEST: frozenset({Role.INGEST}),
    Role.LOOKUP: frozenset({Role.LOOKUP}),
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.RESPONDER: frozenset({Role.VIEWER, Role.RESPONDER}),
    Role.ADMIN: frozenset(Role),
}


def is_allowed(held: Role, needed: Role) -> bool:
    """Whether a token of one role may do what another role may."""
    return needed in _GRANTS[held]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. `token_id` and `name` are safe to log and to show; they are no secret."""

    token_id: str
    role: Role
    name: str

    @property
    def actor(self) -> str:
        """How the audit trail and timelines name this caller."""
        return f"{self.name} ({self.token_id})"


def hash_token(secret: str) -> str:
    """SHA-256 in hex. Unsalted and fast on purpose: a made token is 256 random bits, not a password."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def token_id_of(digest: str) -> str:
    """The public id of a token, from its hash, so that the same secret has the same id everywhere."""
    return f"tok_{hashlib.sha256(b'id:' + digest.encode()).hexdigest()[:12]}"


def outside_tokens(settings: Settings) -> dict[Role, str]:
    """The tokens that BARTIZAN_<ROLE>_TOKEN set."""
    found = {role: getattr(settings, f"{role.value}_token") for role in Role}
    return {role: value.get_secret_value() for role, value in found.items() if value is not None}


class TokenTable:
    """All valid tokens, in memory. The refresher replaces the stored ones; those from outside stay."""

    def __init__(self, settings: Settings) -> None:
        self._outside = {
            digest: Caller(token_id_of(digest), role, f"{role.value} token from the environment")
            for role, secret in outside_tokens(settings).items()
            for digest in (hash_token(secret),)
        }
        self._stored: dict[str, tuple[Caller, int | None]] = {}

    def replace(self, stored: Mapping[str, tuple[Caller, int | None]]) -> None:
        """Take a new set of stored tokens: hash -> (caller, expires_at in epoch ms or None)."""
        self._stored = dict(stored)

    def names(self) -> dict[str, str]:
        """The names of all tokens that nobody has revoked, by id; of expired ones too."""
        stored = [caller for caller, _ in self._stored.values()]
        return {caller.token_id: caller.name for caller in (*stored, *self._outside.values())}

    def holder(self, token_id: str, now_ms: int) -> Caller | None:
        """Whose token has this id, while it is valid; None where it is not."""
        outside = (caller for caller in self._outside.values() if caller.token_id == token_id)
        stored = (
            caller
            for caller, expires_at in self._stored.values()
            if caller.token_id == token_id and (expires_at is None or now_ms < expires_at)
        )
        return next(outside, None) or next(stored, None)

    def find(self, secret: str, now_ms: int) -> Caller | None:
        """Whose token this is, or None. The comparison is of hashes, so its timing tells nothing."""
        digest = hash_token(secret)
        caller = self._outside.get(digest)
        if caller is not None:
            return caller
        caller, expires_at = self._stored.get(digest, (None, None))
        return None if expires_at is not None and expires_at <= now_ms else caller


def read_credentials(headers: Mapping[str, str]) -> list[str]:
    """Every secret a request offers, best first.

    Takes `Authorization: Bearer T`, `Basic any:T` and `T:`, `Splunk T`, `ApiKey T`, `ApiKey base64(id:T)`,
    and `X-Api-Key: T`, `DD-API-KEY: T`, `X-Amz-Firehose-Access-Key: T`: shippers can send nothing else. Anything
    malformed offers nothing.
    """
    found: list[str] = []
    header = headers.get("authorization", "")
    if header and len(header) <= LONGEST_HEADER:
        scheme, _, value = header.partition(" ")
        value = value.strip()
        match scheme.lower():
            case "bearer" | "splunk":
                found.append(value)
            case "basic":
                user, colon, password = _decode_pair(value)
                found.extend([password] if password else [user] if colon else [])
            case "apikey":
                found.append(value)
                found.append(_decode_pair(value)[2])
    for name in TOKEN_HEADERS:
        key = headers.get(name, "")
        if len(key) <= LONGEST_HEADER:
            found.append(key.strip())
    return [secret for secret in found if secret]


def _decode_pair(value: str) -> tuple[str, str, str]:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", "", ""


def offered_by(connection: HTTPConnection) -> list[str]:
    """Every secret that a request offers in its headers or its URL."""
    in_url = connection.scope.get(IN_URL)
    if in_url and _is_for_lookup(connection):
        return [in_url]
    return [*read_credentials(connection.headers), *([in_url] if in_url else [])]


def _is_for_lookup(connection: HTTPConnection) -> bool:
    path: str = connection.scope["path"]
    return any(path == known or path.startswith(f"{known}/") for known in URL_FOR_LOOKUP)


def _role_in_url(connection: HTTPConnection) -> Role:
    return Role.LOOKUP if _is_for_lookup(connection) else Role.INGEST


def authenticate(connection: HTTPConnection, needed: Iterable[Role]) -> Caller:
    """The caller of this request, who may do at least one of what is needed.

    A token in the URL is taken only if it may do nothing but ingest, or nothing but look up and that where a proxy
    or a firewall asks: URLs end up in the logs of proxies.
    Raises: ProblemError 401 without a valid token, 403 with one of the wrong role.
    """
    world = connection.app.state.world
    now_ms, in_url = world.now(), connection.scope.get(IN_URL)
    offered = offered_by(connection)
    for secret in offered:
        caller: Caller | None = world.tokens.find(secret, now_ms)
        if caller is None:
            continue
        if secret == in_url and caller.role is not (in_a_url := _role_in_url(connection)):
            raise ProblemError(403, f"Only a token of the role {in_a_url.value} may stand in this URL.")
        if any(is_allowed(caller.role, role) for role in needed):
            return caller
        roles = " or ".join(role.value for role in needed)
        raise ProblemError(403, f"This token has the role {caller.role.value}; {roles} is needed.")
    detail = "The token is not valid." if offered else "A token is needed: Authorization: Bearer TOKEN."
    raise ProblemError(401, detail, headers=CHALLENGE)


class Require:
    """A FastAPI dependency: `caller: Annotated[Caller, Depends(Require(Role.VIEWER))]`."""

    def __init__(self, *needed: Role) -> None:
        self.needed = needed

    async def __call__(self, connection: HTTPConnection) -> Caller:
        """The caller. Raises: ProblemError 401 or 403."""
        return authenticate(connection, self.needed)


def require(*needed: Role) -> Require:
    """A dependency that answers with the Caller, if its token may do at least one of these roles."""
    return Require(*needed)
