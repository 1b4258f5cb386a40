"""Who may do what, route by route; and that every route is in the table."""

import re
from collections.abc import AsyncIterator

import pytest
from admin_desk import Desk

VIEWER = {
    ("GET", "/blocks"),
    ("GET", "/blocks/{block_id}"),
    ("GET", "/blocks/export"),
    ("GET", "/blocklists"),
    ("GET", "/allowlist"),
    ("GET", "/incidents"),
    ("GET", "/incidents/{incident_id}"),
    ("GET", "/incidents/{incident_id}/timeline"),
    ("GET", "/incidents/{incident_id}/report"),
    ("GET", "/incidents/stats"),
    ("GET", "/incidents/{incident_id}/members"),
    ("GET", "/incidents/{incident_id}/dossier"),
    ("GET", "/investigations/{investigation_id}"),
    ("GET", "/investigations/{investigation_id}/dossier"),
    ("GET", "/notifications"),
    ("GET", "/notifications/channels"),
    ("GET", "/notifications/dead"),
    ("GET", "/channels"),
    ("GET", "/digests/{rhythm}"),
    ("GET", "/observed"),
    ("GET", "/policy"),
    ("POST", "/policy/check"),
    ("POST", "/explain"),
    ("GET", "/stats"),
    ("GET", "/audit"),
    ("GET", "/silences"),
    ("GET", "/silences/{silence_id}"),
    ("GET", "/maintenance"),
    ("GET", "/sources"),
    ("GET", "/bouncers"),
    ("GET", "/rejected"),
}
RESPONDER = {
    ("POST", "/blocks"),
    ("POST", "/blocks/bulk"),
    ("POST", "/blocks/import"),
    ("GET", "/blocks/imports/{import_id}"),
    ("POST", "/blocklists/{name}/refresh"),
    ("DELETE", "/blocks/imports/{import_id}"),
    ("PATCH", "/blocks/{block_id}"),
    ("DELETE", "/blocks/{block_id}"),
    ("POST", "/blocks/{block_id}/approve"),
    ("POST", "/blocks/{block_id}/reject"),
    ("POST", "/blocks/{block_id}/undo"),
    ("POST", "/incidents"),
    ("POST", "/incidents/{incident_id}/timeline"),
    ("POST", "/incidents/{incident_id}/acknowledge"),
    ("POST", "/incidents/{incident_id}/resolve"),
    ("POST", "/incidents/{incident_id}/dismiss"),
    ("POST", "/incidents/{incident_id}/reopen"),
    ("POST", "/incidents/{incident_id}/escalate"),
    ("POST", "/incidents/{incident_id}/mitigate"),
    ("POST", "/incidents/{incident_id}/merge"),
    ("POST", "/incidents/{incident_id}/close"),
    ("PATCH", "/incidents/{incident_id}"),
    ("PUT", "/incidents/{incident_id}/checklist/{item}"),
    ("POST", "/incidents/{incident_id}/follow-ups"),
    ("PUT", "/incidents/{incident_id}/follow-ups/{follow_up}"),
    ("POST", "/incidents/{incident_id}/publish"),
    ("DELETE", "/incidents/{incident_id}/publish"),
    ("POST", "/silences"),
    ("PATCH", "/silences/{silence_id}"),
    ("DELETE", "/silences/{silence_id}"),
    ("POST", "/maintenance"),
    ("DELETE", "/maintenance/{window_id}"),
    ("POST", "/incidents/{incident_id}/investigate"),
    ("POST", "/investigations"),
    ("POST", "/notifications/dead/retry"),
    ("POST", "/notifications/dead/{dead_id}/retry"),
    ("DELETE", "/notifications/dead/{dead_id}"),
    ("POST", "/rejected/reingest"),
}
ADMIN = {
    ("POST", "/allowlist"),
    ("DELETE", "/allowlist"),
    ("POST", "/digests/{rhythm}/send"),
    ("PUT", "/policy"),
    ("POST", "/channels/{name}/test"),
    ("GET", "/tokens"),
    ("POST", "/tokens"),
    ("DELETE", "/tokens/{token_id}"),
}
LADDER = [(VIEWER, ["viewer", "responder", "admin"]), (RESPONDER, ["responder", "admin"]), (ADMIN, ["admin"])]
CASES = [(method, path, roles) for routes, roles in LADDER for method, path in sorted(routes)]


@pytest.mark.parametrize(("method", "path", "roles"), CASES)
async def test_a_route_is_open_to_its_roles_and_to_no_other(
    desk: Desk, method: str, path: str, roles: list[str]
) -> None:
    await desk.world.follower.step()
    path = re.sub(r"\{\w+\}", "none", path)
    for role, client in desk.clients.items():
        answer = await client.request(method, path)
        if role == "nobody":
            assert answer.status_code == 401, role
        elif role in roles:
            assert answer.status_code in (200, 404, 422), (role, answer.text)
        else:
            assert answer.status_code == 403, role
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"


def test_every_route_is_in_the_table(desk: Desk) -> None:
    schema = desk.app.openapi()["paths"]
    found = {
        (method.upper(), path.removeprefix("/v1/admin")) for path, item in schema.items() for method in item
    }
    assert found == VIEWER | RESPONDER | ADMIN


async def test_who_has_no_token_is_refused_before_the_body_is_read(desk: Desk) -> None:
    async def endless() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    answer = await desk.nobody.post(
        "/blocks", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 401


async def test_a_body_past_a_megabyte_is_refused(desk: Desk) -> None:
    answer = await desk.responder.post("/blocks", json={"value": "203.0.113.9", "reason": "x" * 2_000_000})
    assert answer.status_code == 413
