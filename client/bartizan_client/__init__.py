"""Refuses what Bartizan blocked, and reports events to it. Imports nothing of Bartizan's server.

For Flask and Django see `bartizan_client.flask` and `bartizan_client.django`.
"""

from bartizan_client.addresses import TrustedProxies
from bartizan_client.answers import Answer, too_many_requests
from bartizan_client.client import BlocklistClient, ClientStatus
from bartizan_client.decision import Allowed, Block, DecisionType, Scope
from bartizan_client.follower import BlocklistFollower, Status
from bartizan_client.middleware import BartizanMiddleware
from bartizan_client.reporter import key_used, login_failed, login_succeeded
from bartizan_client.settings import Settings
from bartizan_client.sync_client import SyncBlocklistClient
from bartizan_client.table import BlockTable
from bartizan_client.verdict import Request
from bartizan_client.wsgi import BartizanWsgi

__all__ = [
    "Allowed",
    "Answer",
    "BartizanMiddleware",
    "BartizanWsgi",
    "Block",
    "BlockTable",
    "BlocklistClient",
    "BlocklistFollower",
    "ClientStatus",
    "DecisionType",
    "Request",
    "Scope",
    "Settings",
    "Status",
    "SyncBlocklistClient",
    "TrustedProxies",
    "key_used",
    "login_failed",
    "login_succeeded",
    "too_many_requests",
]
