"""The admin API, put together: one file a subject."""

from fastapi import APIRouter

from app.admin import (
    allowlist,
    audit,
    block_files,
    blocklists,
    blocks,
    bouncers,
    channels,
    digests,
    explain,
    incident_moves,
    incident_work,
    incidents,
    investigations,
    maintenance,
    notifications,
    observed,
    policy,
    rejected,
    report,
    silences,
    sources,
    stats,
    tokens,
)

router = APIRouter(prefix="/v1/admin", tags=["admin"])
PARTS = (
    block_files,
    blocks,
    blocklists,
    allowlist,
    report,
    incidents,
    incident_moves,
    incident_work,
    investigations,
    silences,
    maintenance,
    notifications,
    channels,
    digests,
    observed,
    sources,
    rejected,
    bouncers,
    policy,
    explain,
    stats,
    audit,
    tokens,
)
for part in PARTS:
    router.include_router(part.router)
