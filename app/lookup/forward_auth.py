"""`/v1/forward-auth`: a proxy asks whether it may let a request through.

For nginx auth_request, Traefik ForwardAuth, Caddy forward_auth and Envoy ext_authz over HTTP. docs/enforcement.md has
the configuration of each. Some of the headers are the client's own, so only two things are believed: our token, and
the end of the chain that trusted proxies wrote.
"""

from functools import lru_cache

from starlette.types import Scope as AsgiScope

from actions.blocks.decision import Decision
from app.lookup.answers import Answer, check_token, from_error, from_response, not_ready
from app.lookup.judge import Asked, QueryError, judge, read_query
from app.lookup.wire import is_enforced
from app.problems import ProblemError, problem
from app.world import AppWorld

PATH = "/v1/forward-auth"
REFUSED = "Requests from this address are refused."
"""The same words as those of bartizan_client: Traefik, Caddy and Envoy hand the body on to the client."""
_EMPTY = (b"content-length", b"0")
_NO_STORE = (b"cache-control", b"no-store")


@lru_cache(maxsize=64)
def _asked(query: bytes) -> Asked:
    return read_query(query)


def _allow(status: int, decision: bytes) -> Answer:
    headers = [(b"x-bartizan-decision", decision), _NO_STORE]
    return Answer(status, [*headers, _EMPTY] if status == 200 else headers)


_ALLOWED = {
    status: {word: _allow(status, word.encode()) for word in ("allow", "unknown", "captcha", "throttle")}
    for status in (200, 204)
}


def answer_forward_auth(world: AppWorld, scope: AsgiScope) -> Answer:
    """204 or 403; never raises for what a caller can do wrong.

    Below the path (`/v1/forward-auth/...`, as Envoy asks, which appends the client's own path and query) it is 200
    instead of 204, and the query is not looked at: the client wrote it.
    """
    try:
        check_token(world, scope)
    except ProblemError as error:
        return from_error(error)
    if not world.feed.is_ready:
        return from_response(not_ready())
    status, query = (204, scope["query_string"]) if len(scope["path"]) == len(PATH) else (200, b"")
    try:
        asked = _asked(query)
    except QueryError as error:
        return from_response(problem(422, str(error), errors=[{"field": error.field, "error": str(error)}]))
    address, doubt = world.proxies.client_of(scope)
    counters = world.metrics.forward_auths
    if address is not None:
        decision, is_allowed = judge(world, address, world.now(), asked)
        if decision is not None and is_enforced(decision, world.feed.fallback, asked.able):
            counters["deny"].inc()
            return _refuse(decision)
        if not doubt:
            counters["allowlisted" if is_allowed else "allow"].inc()
            return _ALLOWED[status]["allow" if decision is None else decision.type.value]
    world.proxies.note_unknown(doubt)
    return _refuse(None) if world.proxies.is_closed else _ALLOWED[status]["unknown"]


def _refuse(decision: Decision | None) -> Answer:
    """403 as the client may see it: no reason, no rule, no end; a reference that a person can look up."""
    answer = from_response(
        problem(403, REFUSED) if decision is None else problem(403, REFUSED, reference=decision.id)
    )
    kind = "unknown" if decision is None else decision.type.value
    facts = [(b"x-bartizan-decision", kind.encode()), _NO_STORE]
    if decision is not None:
        facts.append((b"x-bartizan-reference", decision.id.encode()))
    return Answer(403, [*facts, *answer.headers], answer.body)
