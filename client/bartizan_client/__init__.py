"""Refuses what Bartizan blocked. Imports nothing of Bartizan's server."""

from bartizan_client.follower import BlocklistFollower, Status
from bartizan_client.middleware import BartizanMiddleware
from bartizan_client.table import Allowed, Block, BlockTable

__all__ = ["Allowed", "BartizanMiddleware", "Block", "BlockTable", "BlocklistFollower", "Status"]
