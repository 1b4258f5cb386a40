"""The example of the documentation, run as the documentation says, against a Bartizan that speaks the contract."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fake_bartizan import TOKEN, Serving

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


@pytest.fixture
async def api(bartizan: Serving, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The example in a server process of its own, asked as through a proxy on the same machine."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", "0", "--no-proxy-headers"),
        cwd=EXAMPLES,
        env=os.environ
        | {
            "BLOCKLIST_URL": bartizan.url,
            "BLOCKLIST_TOKEN": TOKEN,
            "XDG_STATE_HOME": str(tmp_path),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert process.stderr is not None
    said = ""
    async with asyncio.timeout(30):
        while not (running := re.search(r"running on (http://\S+)", said)):
            line = (await process.stderr.readline()).decode()
            assert line, said
            said += line
    async with httpx.AsyncClient(base_url=running[1], timeout=10) as client:
        yield client
    process.terminate()
    said += (await process.stderr.read()).decode()
    await process.wait()
    assert "Application shutdown complete" in said
    assert "Traceback" not in said
    assert "WARNING" not in said


async def test_the_example_refuses_from_the_block_until_the_unblock(
    bartizan: Serving, api: httpx.AsyncClient, tmp_path: Path
) -> None:
    fake = bartizan.fake
    attacker = {"x-forwarded-for": "192.0.2.66, 203.0.113.9"}
    assert (await api.get("/", headers=attacker)).json() == {"message": "hello"}

    await fake.polled(await fake.block("203.0.113.9"))
    refused = await api.get("/", headers=attacker)
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["reference"] == "id-203.0.113.9"
    assert (await api.post("/", headers=attacker, content=b"x" * 100_000)).status_code == 403
    other = await api.get("/count", headers={"x-forwarded-for": "203.0.113.9, 192.0.2.66"})
    assert other.text == "0\n1\n2\n"
    assert other.headers["transfer-encoding"] == "chunked"

    await fake.polled(await fake.unblock("203.0.113.9"))
    assert (await api.get("/", headers=attacker)).status_code == 200
    (snapshot,) = (tmp_path / "bartizan").iterdir()
    assert snapshot.stat().st_mode & 0o777 == 0o600
