"""`GET /v1/lookup/{ip}`: whether one address is blocked now, as bytes."""

import time

import msgspec
from starlette.types import Scope as AsgiScope

from app.lookup.answers import Answer, check_token, from_error, from_response, not_ready
from app.lookup.decision import encoded
from app.lookup.judge import NOTHING_MORE, Asked, QueryError, judge, read_query
from app.lookup.table import canonical_address
from app.lookup.wire import is_enforced
from app.problems import ProblemError, problem
from app.world import AppWorld

_JSON = (b"content-type", b"application/json")


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a lookup answers for one address."""

    ip: str
    blocked: bool
    decision: msgspec.Raw | None
    allowlisted: bool


_encode = msgspec.json.Encoder().encode


def verdict_on(world: AppWorld, text: str, now: int, asked: Asked = NOTHING_MORE) -> Verdict:
    """The answer for one address in any spelling. Raises: ValueError where the text is no address."""
    decision, is_allowed = judge(world, text, now, asked)
    if decision is None:
        return Verdict(canonical_address(text), False, None, is_allowed)
    is_refused = is_enforced(decision, world.feed.fallback, asked.able)
    return Verdict(canonical_address(text), is_refused, encoded(decision), is_allowed)


def result_of(verdict: Verdict) -> str:
    """The label under which an answer is counted."""
    if verdict.blocked:
        return "deny"
    return "allowlisted" if verdict.allowlisted else "allow"


def answer_lookup(world: AppWorld, scope: AsgiScope, text: str) -> Answer:
    """The whole answer to a request for one address; never raises for what a caller can do wrong."""
    started = time.perf_counter()
    try:
        check_token(world, scope)
    except ProblemError as error:
        return from_error(error)
    if not world.feed.is_ready:
        return from_response(not_ready())
    query = scope["query_string"]
    try:
        asked = read_query(query) if query else NOTHING_MORE
        verdict = verdict_on(world, text, world.now(), asked)
    except ValueError as error:
        field = error.field if isinstance(error, QueryError) else "ip"
        return from_response(problem(422, str(error), errors=[{"field": field, "error": str(error)}]))
    body = _encode(verdict)
    world.metrics.lookup_results[result_of(verdict)].inc()
    world.metrics.lookup_duration.observe(time.perf_counter() - started)
    return Answer(200, [_JSON, (b"content-length", b"%d" % len(body))], body)
