"""The admin API, put together: one file a subject."""

from fastapi import APIRouter

from app.admin import (
    allowlist,
    audit,
    blocks,
    digests,
    incident_moves,
    incident_work,
    incidents,
    notifications,
    observed,
    policy,
    stats,
    tokens,
)

router = APIRouter(prefix="/v1/admin", tags=["admin"])
for part in (
    *(blocks, allowlist, incidents, incident_moves, incident_work),
    *(notifications, digests, observed, policy, stats, audit, tokens),
):
    router.include_router(part.router)
