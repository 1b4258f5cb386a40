"""Whom a proxy speaks of when it asks about a client, and what is answered where nobody can say."""

import time
from collections.abc import Callable

import structlog
from starlette.types import Scope

from app.metrics import Metrics
from app.settings import Settings
from detectors.addresses import Networks, client_address, parse_address

LOG_EVERY_S = 10.0

log = structlog.get_logger(__name__)


class Proxies:
    """Whom a proxy speaks of, and what is answered where nobody can say."""

    def __init__(
        self, settings: Settings, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.is_closed = settings.forward_auth_fail == "closed"
        self._trusted = Networks(settings.trusted_proxies)
        self._header = settings.forward_auth_header.lower().encode()
        self._metrics = metrics
        self._clock = clock
        self._unsaid, self._logged_s = 0, float("-inf")

    def client_of(self, scope: Scope) -> tuple[str | None, str]:
        """The canonical address that a request speaks of, or why nobody can say.

        The header counts only where the other end of the connection is a trusted proxy, and is read right to left;
        otherwise that other end is all that is known.
        """
        wanted = self._header
        values = [value for name, value in scope["headers"] if name == wanted]
        client = scope.get("client")
        peer = parse_address(client[0]) if client else None
        if peer is None:
            return None, "the other end has no address"
        if self._trusted.covering(peer) is None:
            return peer, f"{peer} is no trusted proxy (BARTIZAN_TRUSTED_PROXIES)" if values else ""
        if not values:
            return None, "the trusted proxy sent no address"
        chain = (values[0] if len(values) == 1 else b",".join(values)).decode("latin-1")
        found = client_address(peer, chain, self._trusted) if "," in chain else parse_address(chain)
        return found, "" if found else "the entry of the chain that counts is no address"

    def note_unknown(self, why: str) -> None:
        """Count a request that could not be judged; log them at most every ten seconds, with their number."""
        self._metrics.forward_auths["unknown"].inc()
        self._unsaid += 1
        now_s = self._clock()
        if now_s - self._logged_s >= LOG_EVERY_S:
            what = "refused" if self.is_closed else "let_through"
            log.warning("forward_auth_unknown_client", why=why, requests=self._unsaid, **{"becomes": what})
            self._unsaid, self._logged_s = 0, now_s
