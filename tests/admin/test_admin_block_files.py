"""Files of blocks through the admin API: what was made, what was not and why, and the way back."""

import gzip
from typing import Any

import pytest
from admin_desk import Desk

from app.block_files.reading import Form
from app.block_files.writing import write_file

FILE = b"# seen elsewhere\n203.0.113.9\n203.0.112.0/24\n127.0.0.1\nnonsense\n203.0.113.9\n"


async def take(desk: Desk, body: bytes, *, status: int = 200, **params: Any) -> dict[str, Any]:
    answer = await desk.responder.post(
        "/blocks/import", content=body, params={"reason": "a partner", **params}
    )
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def values(desk: Desk, **params: Any) -> set[str]:
    listed = await desk.viewer.get("/blocks", params={"status": "active", **params})
    return {block["value"] for block in listed.json()["items"]}


async def test_a_file_is_blocked_and_each_exception_named(desk: Desk) -> None:
    done = await take(desk, FILE, duration="7d")
    assert (done["made"], done["already"], done["repeated"]) == (2, 0, 1)
    assert (done["refused"], done["format"]) == (2, "plain")
    assert done["refused_by"] == {"never_block": 1, "invalid": 1}
    assert [(e["line"], e["value"]) for e in done["errors"]] == [(4, "127.0.0.1"), (5, "nonsense")]
    assert "loopback" in done["errors"][0]["error"]
    assert await values(desk, origin="import") == {"203.0.113.9", "203.0.112.0/24"}


async def test_an_import_is_undone_by_its_id(desk: Desk) -> None:
    done = await take(desk, gzip.compress(FILE))
    undone = await desk.responder.delete(f"/blocks/imports/{done['id']}", params={"reason": "wrong file"})
    assert undone.json() == {"lifted": 2}
    assert await values(desk) == set()
    assert (await desk.responder.delete("/blocks/imports/unknown")).status_code == 404


async def test_who_names_an_import_is_told_how_far_it_has_come(desk: Desk) -> None:
    assert (await desk.responder.get("/blocks/imports/mine")).status_code == 404
    await take(desk, FILE, id="mine")
    assert (await desk.responder.get("/blocks/imports/mine")).json() == {"id": "mine", "done": 5, "total": 5}
    assert (await desk.viewer.get("/blocks/imports/mine")).status_code == 403


async def test_a_dry_run_makes_nothing(desk: Desk) -> None:
    done = await take(desk, FILE, dry_run="true")
    assert (done["dry_run"], done["made"], done["already"], done["repeated"]) == (True, 2, 0, 1)
    assert await values(desk) == set()


@pytest.mark.parametrize("form", ["json", "csv", "crowdsec"])
async def test_what_is_exported_is_imported_again(desk: Desk, form: str) -> None:
    for value, scope in (("203.0.113.9", None), ("2001:db8::/48", None), ("FR", "Country")):
        body = {"value": value, "scope": scope, "type": "captcha", "reason": "seen, often", "duration": "2h"}
        assert (await desk.responder.post("/blocks", json=body)).status_code == 201
    await desk.world.follower.step()
    exported = await desk.viewer.get("/blocks/export", params={"format": form})
    before = {
        b["value"]: (b["scope"], b["type"], b["until"])
        for b in (await desk.viewer.get("/blocks")).json()["items"]
    }
    for block in (await desk.viewer.get("/blocks")).json()["items"]:
        await desk.responder.delete(f"/blocks/{block['id']}")
    done = await take(desk, exported.content, format=form)
    assert (done["made"], done["refused"], done["unreadable"]) == (3, 0, 0)
    after = (await desk.viewer.get("/blocks", params={"status": "active"})).json()["items"]
    assert {b["value"]: (b["scope"], b["type"], b["until"]) for b in after} == before


async def test_what_is_wrong_with_a_file_is_said(desk: Desk) -> None:
    answer = await take(desk, b"[1,", status=422)
    assert "not JSON" in answer["detail"]
    assert "no column" in (await take(desk, b"a,b\n", status=422, format="csv"))["detail"]
    assert "gzip" in (await take(desk, b"\x1f\x8b broken", status=422))["detail"]
    assert (await desk.responder.post("/blocks/import", content=FILE)).status_code == 422
    assert (await desk.viewer.post("/blocks/import?reason=x", content=FILE)).status_code == 403


async def test_nothing_is_exported_before_the_list_is_loaded(desk: Desk) -> None:
    desk.world.feed.is_ready = False
    assert (await desk.viewer.get("/blocks/export")).status_code == 503


async def test_blocks_may_come_and_go_while_a_file_is_written(desk: Desk) -> None:
    lines = b"".join(b"203.0.%d.%d\n" % (n >> 8, n & 255) for n in range(2500))
    done = await take(desk, lines)
    await desk.world.follower.step()
    parts = write_file(desk.world.feed.table.every_own(desk.world.now()), Form.PLAIN, 0)
    begun = next(parts) + next(parts)
    await desk.responder.delete(f"/blocks/imports/{done['id']}")
    for _ in range(9):
        await desk.world.follower.step()
    written = (begun + b"".join(parts)).splitlines()
    assert len(written) == 1000
    assert set(written) < set(lines.splitlines())
