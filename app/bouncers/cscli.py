"""What `cscli` asks for on behalf of a person: which blocks there are, and lifting them.

To it a block is an alert with a decision; it is shown in that form. Source: crowdsec, pkg/models/alert.go,
cmd/crowdsec-cli (decisions.go, alerts.go).
"""

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from actions.blocks.block import Block, BlockFilter, BlockStatus
from app.auth import Role
from app.bouncers.access import CrowdSecRoute, RefusedError
from app.bouncers.bouncer import Bouncer
from app.bouncers.durations import parse_go_duration, remaining
from app.bouncers.filters import FilterError, Wanted, read_query
from app.bouncers.machine import Machine, machine_asking
from app.bouncers.offers import id_of, origin_of, scenario_of
from app.bouncers.orders import lift
from app.bouncers.wire import GONE, JSON
from app.lookup.table import parse_network
from app.world import AppWorld
from detectors.timestamps import to_rfc3339

DEFAULT_LIMIT = 100
MOST = 1000
PAGE = 200

router = APIRouter(prefix="/v1", route_class=CrowdSecRoute, include_in_schema=False)
_encode = msgspec.json.Encoder().encode


@router.delete("/decisions")
async def delete_decisions(request: Request) -> Response:
    """Lifts the blocks that a query fits, and says how many, as text."""
    world: AppWorld = request.app.state.world
    machine = await machine_asking(request, Role.RESPONDER)
    try:
        wanted = read_query(request.query_params)
    except FilterError as error:
        raise RefusedError(500, str(error)) from error
    offers = await world.bouncers.decisions(_plain(machine), wanted)
    scenario = request.query_params.get("scenario")
    found = {o.decision.id: o.decision for o in offers if scenario in (None, "", scenario_of(o.decision))}
    number = await lift(found.values(), machine, world)
    return Response(_encode({"nbDeleted": str(number)}), media_type=JSON)


@router.delete("/decisions/{decision_id}")
async def delete_decision(request: Request, decision_id: str) -> Response:
    """Lifts one block by the number that the lists show."""
    world: AppWorld = request.app.state.world
    machine = await machine_asking(request, Role.RESPONDER)
    offers = await world.bouncers.decisions(_plain(machine), Wanted())
    found = {o.decision.id: o.decision for o in offers if str(id_of(o.decision)) == decision_id}
    if not found:
        raise RefusedError(404, f"decision with id '{decision_id[:32]}' doesn't exist")
    number = await lift(found.values(), machine, world)
    return Response(_encode({"nbDeleted": str(number)}), media_type=JSON)


@router.api_route("/alerts", methods=["GET", "HEAD"])
async def list_alerts(request: Request) -> Response:
    """Blocks as alerts, newest first; `null` where there are none."""
    world: AppWorld = request.app.state.world
    await machine_asking(request, Role.VIEWER)
    if request.method == "HEAD":
        return Response(media_type=JSON)
    blocks = await _blocks(world, request)
    items = [_alert(block, world.now()) for block in blocks]
    return Response(_encode(items) if items else b"null", media_type=JSON)


@router.api_route("/alerts/{alert_id}", methods=["GET", "HEAD"])
async def show_alert(request: Request, alert_id: str) -> Response:
    """One of them."""
    world: AppWorld = request.app.state.world
    await machine_asking(request, Role.VIEWER)
    async for block in _every(world, BlockFilter()):
        if str(_id(block)) == alert_id:
            return Response(_encode(_alert(block, world.now())), media_type=JSON)
    raise RefusedError(404, f"alert with id '{alert_id[:32]}' doesn't exist")


@router.delete("/alerts")
@router.delete("/alerts/{alert_id}")
async def delete_alerts(request: Request, alert_id: str = "") -> Response:
    """Nothing is forgotten here: what happened is a record."""
    await machine_asking(request, Role.RESPONDER)
    raise RefusedError(403, "Bartizan keeps its record; lift a block with `cscli decisions delete`")


def _plain(machine: Machine) -> Bouncer:
    """Somebody who is shown everything as it is."""
    return Bouncer(machine.caller.token_id, machine.caller.name, "", "cscli", "")


async def _blocks(world: AppWorld, request: Request) -> list[Block]:
    query = request.query_params
    network = None
    address = query.get("ip") or query.get("range") or query.get("value")
    if address and query.get("scope", "ip").lower() in ("ip", "range"):
        try:
            parse_network(address)
        except ValueError as error:
            raise RefusedError(500, f"unable to convert '{address[:64]}' to int: invalid address") from error
        network = address
    is_active = query.get("has_active_decision") == "true"
    wanted = BlockFilter(
        status=BlockStatus.ACTIVE if is_active else None,
        contains=network,
        since=_since(world, query.get("since")),
    )
    text = query.get("limit", "")
    limit = int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else DEFAULT_LIMIT
    found: list[Block] = []
    async for block in _every(world, wanted):
        if block.status is BlockStatus.PROPOSED or not _fits(block, request):
            continue
        found.append(block)
        if len(found) >= (limit or MOST):
            break
    return found[:MOST]


def _since(world: AppWorld, text: str | None) -> int | None:
    try:
        return None if not text else max(1, world.now() - parse_go_duration(text))
    except ValueError as error:
        raise RefusedError(500, str(error)) from error


def _fits(block: Block, request: Request) -> bool:
    query, decision = request.query_params, block.decision()
    wanted = {
        "scenario": scenario_of(decision),
        "origin": origin_of(decision),
        "decision_type": decision.type.value,
        "scope": decision.scope.value,
    }
    if query.get("value") and query["value"] != block.value and "scope" in query:
        return False
    return all(query.get(name, "").lower() in ("", has.lower()) for name, has in wanted.items())


async def _every(world: AppWorld, wanted: BlockFilter) -> Any:
    cursor, looked_at = None, 0
    while looked_at < 25:
        blocks, cursor = await world.actions.blocklist.page(wanted, cursor=cursor, limit=PAGE)
        for block in blocks:
            yield block
        looked_at += 1
        if cursor is None:
            return


def _id(block: Block) -> int:
    return id_of(block.decision())


def _alert(block: Block, now: int) -> dict[str, Any]:
    """A block in upstream's words; every member that its clients read."""
    decision = block.decision()
    scenario, at = scenario_of(decision), to_rfc3339(block.created_at)
    is_active = block.status is BlockStatus.ACTIVE
    source = {
        "scope": decision.scope.value,
        "value": block.value,
        "ip": "",
        "range": "",
        "cn": "",
        "as_name": "",
    }
    if decision.scope.value in ("Ip", "Range"):
        source[decision.scope.value.lower()] = block.value
    return {
        "id": _id(block),
        "uuid": block.id,
        "created_at": at,
        "start_at": at,
        "stop_at": at,
        "machine_id": block.actor,
        "scenario": scenario,
        "scenario_hash": "",
        "scenario_version": "",
        "message": block.reason,
        "events_count": 0,
        "events": [],
        "meta": [],
        "capacity": 0,
        "leakspeed": "0",
        "simulated": False,
        "remediation": True,
        "labels": None,
        "source": source,
        "decisions": [
            {
                "id": _id(block),
                "duration": remaining(block.until, now) if is_active else GONE,
                "origin": origin_of(decision),
                "scenario": scenario,
                "scope": decision.scope.value,
                "simulated": False,
                "type": decision.type.value,
                "value": block.value,
            }
        ],
    }
