"""Which machine sends a request of the watcher's side, and what its token may do.

Source: crowdsec, pkg/apiserver/middlewares/v1/jwt.go.
"""

from dataclasses import dataclass

from fastapi import Request

from actions.audit import Actor
from app.auth import Caller, Role, is_allowed
from app.bouncers.access import RefusedError
from app.world import AppWorld

NO_TOKEN, BAD_TOKEN = "cookie token is empty", "invalid token"
LONGEST_TOKEN = 256
LOGINS = (Role.INGEST, Role.RESPONDER)
"""Roles of a token that is good for a password: a sensor's, or a person's who works with `cscli`."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that has logged in, and the token that was its password."""

    id: str
    caller: Caller
    token: str

    def may(self, role: Role) -> bool:
        """Whether its token may do what this role may."""
        return is_allowed(self.caller.role, role)

    @property
    def actor(self) -> Actor:
        """How the audit trail names it."""
        return Actor(f"{self.caller.actor} on {self.id}", self.caller.role.value)


def token_of(request: Request) -> str:
    """The session's token that a request carries, or nothing."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip()[:LONGEST_TOKEN] if scheme.lower() == "bearer" else ""


async def machine_of(request: Request) -> Machine | None:
    """The machine of a request; None where it shows no token, or one that is not good. Raises: StorageError."""
    world: AppWorld = request.app.state.world
    token = token_of(request)
    session = await world.sessions.find(token) if token else None
    if session is None:
        return None
    caller = world.tokens.holder(session.token_id, world.now())
    return None if caller is None else Machine(session.machine_id, caller, token)


async def machine_asking(request: Request, role: Role | None = None) -> Machine:
    """The machine of a request, which may do what this role may.

    Raises: RefusedError 401 as upstream answers it, 403 where its token has another role; StorageError.
    """
    machine = await machine_of(request)
    if machine is None:
        raise RefusedError(401, BAD_TOKEN if token_of(request) else NO_TOKEN, with_code=True)
    if role is not None and not machine.may(role):
        held = machine.caller.role.value
        raise RefusedError(403, f"this machine's token has the role {held}; {role.value} is needed")
    return machine
