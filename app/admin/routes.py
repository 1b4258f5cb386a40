"""The admin API, put together: one file a subject."""

from fastapi import APIRouter

from app.admin import (
    allowlist,
    audit,
    blocks,
    incidents,
    investigations,
    notifications,
    observed,
    policy,
    stats,
    tokens,
)

router = APIRouter(prefix="/v1/admin", tags=["admin"])
PARTS = (
    blocks,
    allowlist,
    incidents,
    investigations,
    notifications,
    observed,
    policy,
    stats,
    audit,
    tokens,
)
for part in PARTS:
    router.include_router(part.router)
