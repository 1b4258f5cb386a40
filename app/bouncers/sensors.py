"""The watcher's side of CrowdSec's local API: agents log in, beat and send alerts.

Source: crowdsec, pkg/apiserver/controllers and middlewares/v1/jwt.go.
"""

from collections.abc import Iterable

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.auth import Role
from app.bouncers.access import (
    LARGEST_LOGIN_BYTES,
    CrowdSecRoute,
    RefusedError,
    body_of,
)
from app.bouncers.alert import Alert, read_alerts
from app.bouncers.machine import LOGINS, Machine, machine_asking
from app.bouncers.orders import carry_out
from app.bouncers.sessions import LONGEST_MACHINE_ID, Session
from app.bouncers.wire import JSON
from app.ingest.decode import Decoded
from app.world import AppWorld
from detectors.timestamps import to_rfc3339

KIND = "crowdsec"
"""What an agent is called among the sources of logs (docs/sources.md)."""
ALLOWLIST_NAME = "bartizan"
NO_REGISTRATION = "machines do not register here: an administrator makes a token (bartizan tokens create)"
WRONG_LOGIN = "incorrect Username or Password"

router = APIRouter(prefix="/v1", route_class=CrowdSecRoute, include_in_schema=False)


class Login(msgspec.Struct, frozen=True):
    """The body of a login; `scenarios` is not read."""

    machine_id: str
    password: str


_login = msgspec.json.Decoder(Login)


@router.post("/watchers")
async def register(_: Request) -> Response:
    """A machine wants an account: those are made by people."""
    raise RefusedError(403, NO_REGISTRATION)


@router.post("/watchers/login")
async def log_in(request: Request) -> Response:
    """A machine shows its password, a token of ours, and gets one for an hour."""
    world: AppWorld = request.app.state.world
    try:
        login = _login.decode(await body_of(request, LARGEST_LOGIN_BYTES))
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise RefusedError(401, "input format error", with_code=True) from error
    caller = world.tokens.find(login.password, world.now())
    if caller is None:
        raise RefusedError(401, WRONG_LOGIN, with_code=True)
    name = "".join(c for c in login.machine_id[:LONGEST_MACHINE_ID] if c.isprintable()) or "unnamed"
    machine = Machine(name, caller, "")
    if not any(machine.may(role) for role in LOGINS):
        needed = " or ".join(role.value for role in LOGINS)
        raise RefusedError(
            401, f"this token has the role {caller.role.value}; {needed} is needed", with_code=True
        )
    _note(world, machine)
    return await _session(world, machine)


@router.get("/refresh_token")
async def refresh_token(request: Request) -> Response:
    """A new token for one that is still good."""
    return await _session(request.app.state.world, await machine_asking(request))


@router.delete("/watchers/self")
async def log_out(request: Request) -> Response:
    """A machine takes its leave; its token stays good for a login."""
    world: AppWorld = request.app.state.world
    machine = await machine_asking(request)
    await world.sessions.close(machine.token)
    return Response(status_code=204)


@router.get("/heartbeat")
async def heartbeat(request: Request) -> Response:
    """A machine is alive; one that stops is told of like any source that falls silent."""
    _note(request.app.state.world, await machine_asking(request))
    return Response(media_type=JSON)


@router.post("/alerts")
async def take_alerts(request: Request) -> Response:
    """What a machine found, or what a person wants of `cscli`. Answered when it is safe, with an id for each."""
    world: AppWorld = request.app.state.world
    machine = await machine_asking(request)
    if not any(machine.may(role) for role in LOGINS):
        raise RefusedError(403, f"the role {machine.caller.role.value} may not send alerts")
    alerts = read_alerts(await body_of(request))
    _note(world, machine)
    for alert in alerts:
        if alert.decisions and machine.may(Role.RESPONDER):
            await carry_out(alert, machine, world)
        else:
            await world.reports.tell(alert, machine.id)
    return Response(_encode(_ids(alerts, machine)), 201, media_type=JSON)


@router.get("/allowlists")
async def allowlists(request: Request) -> Response:
    """Our allowlist, as agents of version 1.7 read it every minute: what is on it, they do not report."""
    world: AppWorld = request.app.state.world
    await machine_asking(request)
    entries = await world.actions.allowlist.entries()
    is_whole = request.query_params.get("with_content") == "true"
    items = [
        {
            "value": entry.value,
            "description": entry.note,
            "created_at": to_rfc3339(entry.created_at),
            **({} if entry.until is None else {"expiration": to_rfc3339(entry.until)}),
        }
        for entry in entries
    ]
    changed = to_rfc3339(max((entry.created_at for entry in entries), default=0))
    found = {
        "name": ALLOWLIST_NAME,
        "allowlist_id": ALLOWLIST_NAME,
        "description": "the allowlist of this Bartizan",
        "console_managed": False,
        "created_at": to_rfc3339(0),
        "updated_at": changed,
        "items": items if is_whole else [],
    }
    return Response(_encode([found]), media_type=JSON)


@router.api_route("/allowlists/check/{value:path}", methods=["GET", "HEAD"])
async def check_allowlist(request: Request, value: str) -> Response:
    """Whether an address or network is on it: 200, or 204 where a HEAD asks and it is not."""
    world: AppWorld = request.app.state.world
    await machine_asking(request)
    try:
        is_allowed = world.feed.table.is_allowed(value, world.now())
    except ValueError as error:
        raise RefusedError(400, str(error)) from error
    if request.method == "HEAD":
        return Response(status_code=200 if is_allowed else 204)
    reason = f"{value} is on the allowlist" if is_allowed else ""
    return Response(_encode({"allowlisted": is_allowed, "reason": reason}), media_type=JSON)


def _note(world: AppWorld, machine: Machine) -> None:
    """That this sensor was heard, for `bartizan sources list`."""
    world.sources.note(machine.caller.token_id, KIND, Decoded(), world.now())


async def _session(world: AppWorld, machine: Machine) -> Response:
    token, until = await world.sessions.open(Session(machine.caller.token_id, machine.id))
    expire = to_rfc3339(until // 1000 * 1000).replace(".000Z", "Z")
    return Response(_encode({"code": 200, "expire": expire, "token": token}), media_type=JSON)


def _ids(alerts: Iterable[Alert], machine: Machine) -> list[str]:
    """One number for each, as text: the same for the same alert."""
    return [str(int(alert.digest(machine.id)[:12], 16)) for alert in alerts]


_encode = msgspec.json.Encoder().encode
