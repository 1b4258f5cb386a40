"""Tokens: how a request offers one, what each role may do, and who is refused."""

import base64
from types import SimpleNamespace
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI

from app.auth import Caller, Role, TokenTable, hash_token, is_allowed, read_credentials, require
from app.problems import install_problem_handlers
from app.settings import Settings

TOKEN = "bz_ingest_0123456789abcdef0123456789"
NOW = 1_764_000_000_000


def basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": f"bearer   {TOKEN} "},
        {"authorization": f"Splunk {TOKEN}"},
        {"authorization": f"Basic {basic('anybody:' + TOKEN)}"},
        {"authorization": f"Basic {basic(TOKEN + ':')}"},
        {"authorization": f"Basic {basic(':' + TOKEN)}"},
        {"authorization": f"ApiKey {TOKEN}"},
        {"authorization": f"ApiKey {basic('id:' + TOKEN)}"},
        {"x-api-key": TOKEN},
        {"authorization": "Bearer something-else", "x-api-key": TOKEN},
    ],
)
def test_every_way_a_shipper_sends_a_token_is_read(headers: dict[str, str]) -> None:
    assert TOKEN in read_credentials(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": TOKEN},
        {"authorization": "Bearer"},
        {"authorization": "Basic !!!"},
        {"authorization": f"Basic {basic(TOKEN)}"},
        {"authorization": f"Digest {TOKEN}"},
        {"authorization": "Bearer " + "x" * 5000},
        {"x-api-key": "x" * 5000},
    ],
)
def test_what_is_malformed_offers_no_token(headers: dict[str, str]) -> None:
    assert TOKEN not in read_credentials(headers)
    assert read_credentials(headers) == []


def test_the_roles_are_a_ladder_and_ingest_and_lookup_stand_alone() -> None:
    allowed = {held: {needed for needed in Role if is_allowed(held, needed)} for held in Role}
    assert allowed == {
        Role.INGEST: {Role.INGEST},
        Role.LOOKUP: {Role.LOOKUP},
        Role.VIEWER: {Role.VIEWER},
        Role.RESPONDER: {Role.VIEWER, Role.RESPONDER},
        Role.ADMIN: set(Role),
    }


def test_a_token_is_valid_until_its_end_and_not_after() -> None:
    table = TokenTable(Settings())
    table.replace({hash_token(TOKEN): (Caller("tok_1", Role.INGEST, "shipper"), NOW)})
    assert table.find(TOKEN, NOW - 1) is not None
    assert table.find(TOKEN, NOW) is None


def test_tokens_of_the_environment_stay_when_the_stored_ones_change() -> None:
    table = TokenTable(Settings(ingest_token=TOKEN))
    table.replace({})
    caller = table.find(TOKEN, NOW)
    assert caller is not None
    assert caller.role is Role.INGEST
    assert TOKEN not in caller.name + caller.token_id


def app() -> FastAPI:
    made = FastAPI()
    install_problem_handlers(made)
    tokens = TokenTable(Settings(ingest_token=TOKEN, viewer_token="viewer-token-0123456789"))
    made.state.world = SimpleNamespace(tokens=tokens, now=lambda: NOW)

    @made.get("/ingest")
    async def ingest(caller: Annotated[Caller, Depends(require(Role.INGEST))]) -> dict[str, str]:
        return {"role": caller.role.value, "name": caller.name}

    return made


async def get(headers: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app()), base_url="http://t") as client:
        return await client.get("/ingest", headers=headers)


async def test_a_valid_token_of_the_role_is_let_in() -> None:
    answer = await get({"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.json() == {"role": "ingest", "name": "ingest token from the environment"}


async def test_without_a_token_the_answer_is_401_with_a_challenge() -> None:
    answer = await get({})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_wrong_token_is_401_and_is_not_repeated() -> None:
    answer = await get({"authorization": "Bearer wrong-secret"})
    assert answer.status_code == 401
    assert "wrong-secret" not in answer.text


async def test_a_token_of_another_role_is_403_and_says_which_is_needed() -> None:
    answer = await get({"authorization": "Bearer viewer-token-0123456789"})
    assert answer.status_code == 403
    assert answer.json()["detail"] == "This token has the role viewer; ingest is needed."


def test_expired_tokens_still_have_a_name_and_those_of_the_environment_too() -> None:
    table = TokenTable(Settings(admin_token=TOKEN))
    table.replace({hash_token("x"): (Caller("tok_1", Role.INGEST, "web1"), NOW - 1)})
    assert sorted(table.names().values()) == ["admin token from the environment", "web1"]
