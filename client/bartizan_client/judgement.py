"""What becomes of a request: the one core of every middleware.

A middleware says how its protocol tells a request's address, path and headers (Reader), and does what the
verdict says. Nothing here waits, and nothing that an application's own function raises gets out.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import Any, Optional

from bartizan_client.addresses import LONGEST_ADDRESS, TrustedProxies
from bartizan_client.answers import UNKNOWN_S, answer_of, default_answer, problem
from bartizan_client.decision import Block, DecisionType, Scope
from bartizan_client.exemptions import Exemptions
from bartizan_client.settings import Hook, Settings
from bartizan_client.table import TYPES, BlockTable
from bartizan_client.verdict import Client, Kind, Reader, Request, Verdict

logger = logging.getLogger("bartizan_client")

MOST_PASSED = 8_192
"""Sources that are remembered as not covered; forgotten all at once, whoever sends too many."""
LOG_EVERY_S = 1.0
HOOK_TIMEOUT_S = 10.0
"""For an asynchronous on_captcha or on_throttle; what would follow without it follows then."""
LONGEST_USER = 256
"""Characters. Source: Bartizan's own bound for a subject of the scope User."""


Subjects = dict[Scope, Optional[str]]
_ALLOWED, _EXEMPT, _LET_THROUGH = Verdict(Kind.ALLOWED), Verdict(Kind.EXEMPT), Verdict(Kind.LET_THROUGH)
_FELL = object()
"""Instead of a hook's answer: it failed."""


class Judge:
    """Judges the requests of one middleware."""

    def __init__(self, settings: Settings, client: Client, reader: Reader) -> None:
        self._client, self._read, self._settings = client, reader, settings
        self._follower = client.follower
        self.counts = client.counts
        self._proxies = TrustedProxies(settings.trusted_proxies)
        self._is_proxied = bool(self._proxies)
        self._passed: dict[Any, int] = {}
        """The table's generation at which nothing covered a source; most requests come from the same few."""
        self._exempt = Exemptions(settings.exempt)
        self._is_exempting = bool(self._exempt)
        self._path = reader.path
        self._hooks, self._responses = settings.type_hooks, settings.responses
        self._handled = frozenset({*self._hooks, *self._responses} - {DecisionType.BAN})
        self._unjudged, self._logged_s, self._complained_s = 0, 0.0, 0.0

    def judge(self, native: Any) -> Verdict:
        """What becomes of this request."""
        if self._is_exempting:
            path = self._path(native)
            if path.startswith(self._exempt.beginnings) and self._exempt.covers(path):
                self.counts["exempt"] += 1
                return _EXEMPT
        table = self._follower.table
        generation = table.generation
        if self._is_proxied:
            peer, forwarded = self._read.peer_and_forwarded(native)
            is_plain = len(forwarded) == 1 and len(forwarded[0]) <= LONGEST_ADDRESS
            source: Any = (peer, forwarded[0]) if is_plain else None
        else:
            peer = source = self._read.peer(native)
            forwarded = ()
        if self._passed.get(source) == generation:
            self.counts["allowed"] += 1
            return _ALLOWED
        address = self._proxies.client_address(peer, forwarded)
        if address is None or not self._follower.has_list:
            return self._note_unjudged("no address" if address is None else "no list")
        block, asked = table.find(address, self._handled), None
        if table.has_subjects and (block is None or block.type is not DecisionType.BAN):
            asked = self._subjects(native)
            block = self._strongest(table, address, block, asked)
        if block is not None:
            return self._act(native, address, block, asked)
        self.counts["allowed"] += 1
        is_spared = bool(table.allowed) and table.is_covered(address)
        if not (table.has_subjects or table.has_weaker or is_spared):
            self._remember(source, generation)
        return _ALLOWED

    def _remember(self, source: Any, generation: int) -> None:
        """That nothing is decided about this source, until anything is decided about anybody."""
        if len(self._passed) >= MOST_PASSED:
            self._passed.clear()
        if source is not None:
            self._passed[source] = generation

    async def settle(self, verdict: Verdict) -> Verdict:
        """The verdict, once its asynchronous hook has spoken."""
        if verdict.pending is None:
            return verdict
        try:
            said = await asyncio.wait_for(verdict.pending, HOOK_TIMEOUT_S)
        except Exception:  # noqa: BLE001 - whatever the application's hook raises is its own
            said = self._fell("on_captcha or on_throttle")
        verdict.pending = None
        return self._decided(verdict, said)

    def settle_now(self, verdict: Verdict) -> Verdict:
        """The same where nobody can wait: a hook that turned out to be asynchronous has failed."""
        if verdict.pending is None:
            return verdict
        if inspect.iscoroutine(verdict.pending):
            verdict.pending.close()
        verdict.pending = None
        try:
            raise TypeError("a coroutine where a plain function was needed")
        except TypeError:
            return self._decided(verdict, self._fell("on_captcha or on_throttle"))

    def cannot_act(self) -> dict[str, int]:
        """How many decisions mean nothing here, by scope or type: nobody says a request's country, or the
        type is ignored."""
        table = self._follower.table
        counts, settings = table.counts(), self._settings
        able = {
            Scope.COUNTRY.value: settings.country_header is not None,
            Scope.AS.value: settings.asn is not None,
            Scope.USER.value: settings.user is not None,
        }
        able.update({type.value: self._acts(table, type) for type in TYPES})
        return {name: counts[name] for name, is_able in able.items() if counts[name] and not is_able}

    # -- finding the decision

    def _strongest(
        self, table: BlockTable, address: str, block: Block | None, asked: Subjects
    ) -> Block | None:
        """The strongest decision about the request's address, user, autonomous system or country."""
        if table.is_allowed(address):
            return block
        candidates = [] if block is None else [block]
        for scope, value in asked.items():
            found = table.find_subject(scope, value) if value else None
            if found is not None and self._acts(table, found.type):
                candidates.append(found)
        return min(candidates, key=lambda candidate: TYPES.index(candidate.type), default=None)

    def _subjects(self, native: Any) -> Subjects:
        """Who a request comes from besides its address; the most specific first."""
        user = self._ask("user", self._settings.user, native)
        asn = self._ask("asn", self._settings.asn, native)
        return {
            Scope.USER: None if user is None else str(user)[:LONGEST_USER],
            Scope.AS: None if asn is None else str(asn).upper().removeprefix("AS"),
            Scope.COUNTRY: self._country(native),
        }

    def _country(self, native: Any) -> str | None:
        """From the header of a trusted proxy."""
        name = self._settings.country_header
        if name is None:
            return None
        peer = self._read.peer(native)
        try:
            is_trusted = self._proxies.trusts(peer) if peer else self._proxies.trusts_unix
        except ValueError:
            return None
        country = self._read.header(native, name.lower()) if is_trusted else None
        return country.strip().upper()[:2] if country and len(country.strip()) == 2 else None

    def _ask(self, name: str, function: Hook | None, native: Any) -> Any:
        if function is None:
            return None
        try:
            return function(native)
        except Exception:  # noqa: BLE001 - whatever the application's function raises is its own
            self._fell(name)
            return None

    def _acts(self, table: BlockTable, type: DecisionType) -> bool:
        return type is DecisionType.BAN or type in self._handled or bool(table.fallback.get(type))

    # -- doing something about it

    def _act(self, native: Any, address: str, block: Block, asked: Subjects | None) -> Verdict:
        """`asked`: None where nobody had to be, so that nothing of the application runs for who is banned."""
        known = asked or {Scope.COUNTRY: self._country(native)}
        request = Request(
            self._read.method(native),
            self._read.path(native),
            known.get(Scope.COUNTRY),
            known.get(Scope.AS),
            known.get(Scope.USER),
            native,
        )
        if self._settings.observe:
            self.counts["observed"] += 1
            self._tell(address, block, request)
            return Verdict(Kind.OBSERVED, None, address, block, request)
        verdict = Verdict(Kind.REFUSED, None, address, block, request)
        hook = self._hooks.get(block.type)
        if hook is None:
            return self._refuse(verdict, block.type if block.type in self._handled else DecisionType.BAN)
        try:
            said = hook(address, block, request)
        except Exception:  # noqa: BLE001 - whatever the application's hook raises is its own
            said = self._fell(f"on_{block.type.value}")
        if inspect.isawaitable(said):
            verdict.pending = said
            return verdict
        return self._decided(verdict, said)

    def _decided(self, verdict: Verdict, said: Any) -> Verdict:
        """What an on_captcha or on_throttle comes to: None lets on, True is the usual answer."""
        block = verdict.block
        assert block is not None  # noqa: S101 - there is one where a hook was asked
        if said is _FELL:
            if self._follower.table.fallback.get(block.type):
                return self._refuse(verdict, DecisionType.BAN)
            said = None
        if said is None or said is False:
            self.counts[f"passed_{block.type.value}"] += 1
            verdict.kind = Kind.PASSED
            return verdict
        return self._refuse(verdict, block.type, None if said is True else said)

    def _refuse(self, verdict: Verdict, type: DecisionType, given: Any = None) -> Verdict:
        block, request = verdict.block, verdict.request
        assert block is not None  # noqa: S101 - nobody is refused without
        own = self._responses.get(type)
        try:
            if given is None and own is not None:
                given = own(verdict.address, block, request)
            verdict.answer = default_answer(type, block) if given is None else answer_of(given)
        except Exception:  # noqa: BLE001 - whatever the application's function raises is its own
            self._fell("response")
            verdict.answer = default_answer(type, block)
        self.counts["refused"] += 1
        self.counts[f"refused_{block.type.value}"] += 1
        self._tell(verdict.address, block, request)
        return verdict

    def _tell(self, address: str, block: Block, request: Request | None) -> None:
        hook = self._settings.on_blocked
        if hook is None:
            return
        try:
            said = hook(address, block, request)
        except Exception:  # noqa: BLE001 - whatever the application's hook raises is its own
            self._fell("on_blocked")
            return
        if inspect.iscoroutine(said):
            self._client.spawn(said)

    def _note_unjudged(self, why: str) -> Verdict:
        """Count each request that cannot be judged; log them at most once a second, with their number."""
        closed = self._settings.fail == "closed" and not self._settings.observe
        self.counts["turned_away" if closed else "let_through"] += 1
        self._unjudged += 1
        now_s = self._settings.now()
        if abs(now_s - self._logged_s) >= LOG_EVERY_S:
            what = "turned away" if closed else "let through"
            logger.warning("requests %s unjudged: %d (%s)", what, self._unjudged, why)
            self._unjudged, self._logged_s = 0, now_s
        if closed:
            return Verdict(Kind.TURNED_AWAY, problem(503, retry_after_s=UNKNOWN_S))
        return _LET_THROUGH

    def _fell(self, name: str) -> object:
        """Count what an application's function raised; log it at most once a second."""
        self.counts["hook_errors"] += 1
        now_s = self._settings.now()
        if abs(now_s - self._complained_s) >= LOG_EVERY_S:
            self._complained_s = now_s
            logger.exception("%s failed; hook errors so far: %d", name, self.counts["hook_errors"])
        return _FELL
