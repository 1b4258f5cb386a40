"""The shipper protocols that are served: their names, and their routes. One file each in this folder."""

from fastapi import APIRouter

ROUTERS: tuple[APIRouter, ...] = ()
"""Of each protocol, in any order: no two claim one path."""
NAMES: tuple[str, ...] = ()
"""What labels the metrics and sources of each protocol (`Shipper.name`)."""
