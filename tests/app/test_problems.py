"""Every error answer is a problem body, and says nothing that it should not."""

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from app.problems import ProblemError, install_problem_handlers
from detectors.errors import ConfigError, DecodeError, StorageError


class Body(BaseModel):
    duration: int


def app(error: Exception) -> FastAPI:
    made = FastAPI()
    install_problem_handlers(made)

    @made.get("/fail/{secret}")
    async def fail(secret: str) -> None:
        raise error

    @made.post("/body")
    async def body(body: Body) -> None:
        return None

    return made


async def ask(error: Exception) -> httpx.Response:
    transport = httpx.ASGITransport(app(error), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        return await client.get("/fail/hunter2")


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (StorageError("unix:///secret/path refused"), 503, "Storage does not answer; try again."),
        (ConfigError("policy.yaml line 2: x"), 422, "policy.yaml line 2: x"),
        (DecodeError("not JSON"), 422, "not JSON"),
        (ProblemError(409, "no", allowed=["reopen"]), 409, "no"),
        (RuntimeError("password=hunter2"), 500, "An unexpected error; the log has its name."),
    ],
)
async def test_each_error_has_its_status(error: Exception, status: int, detail: str) -> None:
    answer = await ask(error)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["type"], body["status"], body["detail"]) == ("about:blank", status, detail)
    assert "hunter2" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_a_problem_carries_what_was_added_to_it() -> None:
    assert (await ask(ProblemError(409, "no", allowed=["reopen"]))).json()["allowed"] == ["reopen"]


async def test_a_wrong_request_names_its_fields_and_repeats_no_value() -> None:
    transport = httpx.ASGITransport(app(RuntimeError()))
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        answer = await client.post("/body", json={"duration": "hunter2"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["body.duration"]
    assert "hunter2" not in answer.text
