"""Tokens: made, listed and revoked by an admin. Secrets are shown once, when they are made."""

from typing import Annotated

from fastapi import Query
from pydantic import StringConstraints
from redis.asyncio.client import Pipeline

from actions.audit import Actor
from actions.errors import UnknownError
from app.admin.access import Admin, World, admin_router, naming
from app.admin.models import Input, Moment, Output, Page, TimeText, problems
from app.auth import Role
from app.tokens import LONGEST_NAME, Audit, Token
from app.world import AppWorld
from detectors.timestamps import parse_time

router = admin_router("/tokens")


class TokenModel(Output):
    """A token without its secret."""

    id: str
    role: Role
    name: str
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None


class NewTokenModel(TokenModel):
    """A token that was made just now, with the secret that is shown only here."""

    token: str


class TokenInput(Input):
    """A token to make."""

    role: Role
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME)]
    expires_at: TimeText | None = None


def _audit(world: AppWorld, actor: Actor, reason: str = "") -> Audit:
    def stage(pipe: Pipeline, verb: str, token_id: str, before: object, after: object) -> None:
        world.actions.audit.stage(
            pipe, actor, f"token.{verb}", f"token:{token_id}", before=before, after=after, reason=reason
        )

    return stage


def _model(token: Token) -> TokenModel:
    return TokenModel.model_validate(token)


@router.get("", responses=problems())
async def list_tokens(world: World, _: Admin) -> Page[TokenModel]:
    """All stored tokens, revoked and expired ones too; those set by the environment are not stored."""
    return Page(items=[_model(token) for token in await world.token_store.all()])


@router.post("", status_code=201, responses=problems())
async def create_token(world: World, actor: Admin, body: TokenInput) -> NewTokenModel:
    """Make a token. Its secret is in this answer and nowhere else; it is valid everywhere within seconds."""
    expires_at = None if body.expires_at is None else parse_time(body.expires_at)
    with naming("name"):
        token, secret = await world.token_store.create(body.role, body.name, expires_at, _audit(world, actor))
    return NewTokenModel(**_model(token).model_dump(), token=secret)


@router.delete("/{token_id}", responses=problems(404))
async def revoke_token(
    world: World,
    actor: Admin,
    token_id: str,
    reason: Annotated[str, Query(max_length=500)] = "",
) -> TokenModel:
    """End a token; it opens nothing any more within seconds."""
    ended = await world.token_store.revoke(token_id, _audit(world, actor, reason))
    if ended is None:
        raise UnknownError(f"token {token_id!r} is not known, or has ended")
    return _model(ended)
