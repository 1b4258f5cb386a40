"""Answers bouncers: what they are offered now, and what has changed for each since it asked last."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from actions.blocks.blocklist import Blocklist
from actions.blocks.decision import Decision
from actions.blocks.feed import Feed as StoredFeed
from actions.blocks.keys import KEPT_MS, blocks_key
from actions.storage import Client, storage_errors, text_of
from app.bouncers.bouncer import Bouncer
from app.bouncers.cuts import Cuts
from app.bouncers.filters import Wanted
from app.bouncers.offers import Offer, Offering, strongest_first
from app.bouncers.store import BouncerStore, Place
from app.bouncers.stream import Delta, everything, unhurried
from app.health_check import wait_for_stop
from app.lookup.addresses import parse_network
from app.lookup.columns import FOR_GOOD
from app.lookup.feed import Feed, parse_cursor
from app.lookup.follower import to_change
from app.lookup.history import Event, Position
from app.lookup.table import Allowed
from app.lookup.wire import Disallowed, Removed
from app.policies.enforcement import Fallback
from detectors.errors import StorageError
from detectors.finding import DecisionType

OVERLAP_MS = 2000
"""What was gone so shortly before the last pull is told once more. Source: upstream's stream."""
CATCH_UP_S = 2.0
"""How long a bouncer's cursor may be a faster neighbour's; then it is one that Redis lost."""
MOST_MISSED = 10_000
"""Changes read from Redis for one that was away; one that missed more is told everything."""
MOST_REMEMBERED = 2000
FLUSH_S = 2.0
KEEPING_S = 1.0
"""How long the next answer waits until the place after the one before is kept."""
SEEN_EVERY_MS = 60_000
"""How often it is written down that a bouncer asks: one that looks every client up does so all the time."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pull:
    """One answer of the stream, and where its bouncer is once it has got it."""

    new: list[Offer]
    deleted: list[Offer]
    place: Place
    at: int


class BouncerDesk:
    """One per process; any of them can answer any bouncer."""

    def __init__(
        self,
        feed: Feed,
        stored: StoredFeed,
        blocklist: Blocklist,
        redis: Client,
        now: Callable[[], int],
    ) -> None:
        self._feed = feed
        self._stored = stored
        self._blocklist = blocklist
        self._redis = redis
        self._now = now
        self.store = BouncerStore(redis, now)
        self._places: dict[str, Place] = {}
        self._sending: dict[str, asyncio.Event] = {}
        self._seen_at: dict[str, int] = {}
        self._waiting: dict[str, tuple[Bouncer, str]] = {}
        self._cuts = Cuts([])
        self._cut_at = ""
        self._cuts_until = 0

    async def decisions(self, bouncer: Bouncer, wanted: Wanted) -> list[Offer]:
        """The decisions in force that are asked for, the strongest first."""
        now, table = self._now(), self._feed.table
        offering = self._offering(bouncer, wanted, now, stream=False)
        if wanted.network is not None and wanted.contains:
            found: Iterable[Decision] = table.covering(wanted.network, now)
        elif wanted.network is not None:
            found = table.inside(wanted.network, now)
        elif wanted.value is not None:
            found = table.of_value(wanted.value, now)
        else:
            return _page((await everything(table, offering, now, dedup=False))[::-1], wanted)
        offers: list[Offer] = []
        async for decision in unhurried(found):
            offers.extend(offering.offers(decision))
        return _page(strongest_first(offers), wanted)

    async def pull(self, bouncer: Bouncer, wanted: Wanted, *, startup: bool) -> Pull:
        """What a bouncer that follows the list is told next. It has been told when `sent` is called."""
        await self._until_sent(bouncer)
        place = None if startup else await self._place_of(bouncer)
        if place is not None and self._feed.is_ahead(place.cursor):
            await self._feed.wait_until(place.cursor, CATCH_UP_S)
        now, table = self._now(), self._feed.table
        after = Place(self._feed.cursor, now, _fallback_text(self._feed.fallback))
        offering = self._offering(bouncer, wanted, now)
        events = None if place is None else await self._events_since(place)
        if place is None or events is None:
            new = await everything(table, offering, now, dedup=wanted.dedup)
            deleted = [] if place is None else await self._ended_since(place.pulled_at, offering, now)
            return Pull(new, deleted, after, now)
        position = parse_cursor(place.cursor)
        before = self._offering_before(
            bouncer, wanted, place, [e for e in events if e.position > position], now
        )
        delta = Delta(table, offering, before, now, place.pulled_at)
        if place.fallback != after.fallback:
            await delta.take_fallback()
        for event in events:
            await delta.take(event, is_news=event.position > position)
        return Pull(*await delta.settle(), after, now)

    def begin(self, bouncer: Bouncer) -> None:
        """A bouncer's answer is about to be sent."""
        if len(self._sending) >= MOST_REMEMBERED:
            self._sending.clear()
        self._sending[bouncer.id] = asyncio.Event()

    async def sent(self, bouncer: Bouncer, place: Place) -> None:
        """A bouncer has got its answer. While Redis is away this process remembers where it is."""
        self._remember(bouncer.id, place)
        try:
            await self.store.pulled(bouncer, place)
        except StorageError as error:
            log.warning("bouncer_place_not_kept", bouncer=bouncer.id, error=str(error))
        finally:
            sending = self._sending.pop(bouncer.id, None)
            if sending is not None:
                sending.set()

    async def _until_sent(self, bouncer: Bouncer) -> None:
        """Waits until its place is kept, where it asks again at once; not for long: an answer may be cut short."""
        sending = self._sending.get(bouncer.id)
        if sending is None:
            return
        try:
            async with asyncio.timeout(KEEPING_S):
                await sending.wait()
        except TimeoutError:
            self._sending.pop(bouncer.id, None)

    def note_seen(self, bouncer: Bouncer, mode: str) -> None:
        """Has it written down that a bouncer asks, once a minute, beside its request."""
        now = self._now()
        if now - self._seen_at.get(bouncer.id, 0) < SEEN_EVERY_MS:
            return
        if len(self._seen_at) >= MOST_REMEMBERED:
            self._seen_at.clear()
        self._seen_at[bouncer.id] = now
        self._waiting[bouncer.id] = (bouncer, mode)

    async def run(self, stop: asyncio.Event) -> None:
        """Writes down who asked, every few seconds; while Redis is away it waits."""
        while not await wait_for_stop(stop, FLUSH_S):
            try:
                await self.flush()
            except StorageError as error:
                log.warning("bouncers_not_noted", error=str(error))

    async def flush(self) -> None:
        """Writes down who has asked since the last time. Raises: StorageError."""
        while self._waiting:
            bouncer_id, (bouncer, mode) = next(iter(self._waiting.items()))
            await self.store.seen(bouncer, mode)
            self._waiting.pop(bouncer_id, None)

    def _offering(self, bouncer: Bouncer, wanted: Wanted, now: int, *, stream: bool = True) -> Offering:
        return Offering(bouncer, wanted, self._feed.fallback, self._cuts_now(now), stream=stream)

    def _cuts_now(self, now: int) -> Cuts:
        """Those of the present allowlist, kept until it changes or an entry ends."""
        if self._cut_at != self._feed.cursor or now >= self._cuts_until:
            entries = self._feed.table.allowlist(now)
            self._cuts = Cuts([parse_network(entry.value) for entry in entries])
            self._cuts_until = min((e.until for e in entries if e.until is not None), default=FOR_GOOD)
            self._cut_at = self._feed.cursor
        return self._cuts

    def _offering_before(
        self, bouncer: Bouncer, wanted: Wanted, place: Place, news: list[Event], now: int
    ) -> Offering:
        """How things looked to it when it pulled last: without what was allowed since, with what was disallowed."""
        allowed = {entry.value for entry in self._feed.table.allowlist(now)}
        for event in reversed(news):
            if event.allowed is not None:
                allowed.discard(event.allowed)
            if event.disallowed is not None:
                allowed.add(event.disallowed)
        cuts = Cuts([parse_network(value) for value in allowed])
        return Offering(bouncer, wanted, _fallback_of(place.fallback), cuts, stream=True)

    async def _place_of(self, bouncer: Bouncer) -> Place | None:
        try:
            return await self.store.place(bouncer.id)
        except StorageError as error:
            log.warning("bouncer_place_not_read", bouncer=bouncer.id, error=str(error))
            return self._places.get(bouncer.id)

    def _remember(self, bouncer_id: str, place: Place) -> None:
        if len(self._places) >= MOST_REMEMBERED:
            self._places.pop(next(iter(self._places)))
        self._places.pop(bouncer_id, None)
        self._places[bouncer_id] = place

    async def _events_since(self, place: Place) -> list[Event] | None:
        """What happened since shortly before a place; None where that is not known."""
        position = parse_cursor(place.cursor)
        if self._feed.is_ahead(place.cursor):
            return None
        early = (max(0, position[0] - OVERLAP_MS), 0)
        history = self._feed.history
        found = history.since(min(position, max(early, history.floor)))
        return found if found is not None else await self._stored_since(early)

    async def _stored_since(self, position: Position) -> list[Event] | None:
        """The same from Redis, as for a bouncer that was away while this process started."""
        try:
            answer = await self._stored.changes("{}-{}".format(*position), limit=MOST_MISSED)
        except StorageError:
            return None
        if answer.reset or len(answer.entries) >= MOST_MISSED:
            return None
        events = []
        for entry in answer.entries:
            at, change = parse_cursor(entry.cursor), to_change(entry)
            if at > parse_cursor(self._feed.cursor):
                break
            match change:
                case Decision():
                    events.append(Event(at, added=change))
                case Removed() if entry.decision is not None:
                    events.append(Event(at, gone=entry.decision))
                case Allowed():
                    events.append(Event(at, allowed=change.value))
                case Disallowed():
                    events.append(Event(at, disallowed=change.value))
                case _:
                    return (
                        None  # such as another version of a list: what was on the old one is not known here
                    )
        return events

    async def _ended_since(self, at: int, offering: Offering, now: int) -> list[Offer]:
        """What ended since a time, of what Redis still knows; for a bouncer whose place is not known any more."""
        try:
            with storage_errors("reading the ended blocks"):
                members = await self._redis.zrangebyscore(
                    blocks_key("ended"), at - OVERLAP_MS + KEPT_MS, "+inf", start=0, num=MOST_MISSED
                )
            ended = await self._blocklist.blocks_of([text_of(m).partition(":")[2] for m in members])
        except StorageError:
            return []
        delta = Delta(self._feed.table, offering, offering, now, at)
        for block in ended:
            delta.lose(block.decision())
        return (await delta.settle())[1]


def _page(offers: list[Offer], wanted: Wanted) -> list[Offer]:
    if wanted.id_gt is not None:
        least = wanted.id_gt
        offers = sorted((offer for offer in offers if offer.id > least), key=lambda offer: offer.id)
    end = None if wanted.limit is None else wanted.offset + wanted.limit
    return offers[wanted.offset : end]


def _fallback_text(fallback: Mapping[DecisionType, Fallback]) -> str:
    return ",".join(f"{kind.value}={what.value}" for kind, what in sorted(fallback.items()))


def _fallback_of(text: str) -> dict[DecisionType, Fallback]:
    pairs = [pair.partition("=")[::2] for pair in text.split(",") if "=" in pair]
    return {DecisionType(kind): Fallback(what) for kind, what in pairs}
