"""Everything the actions work with, wired once: `World.make(redis, now, ...)`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from actions.audit import Audit
from actions.blocks.allowlist import Allowlist
from actions.blocks.blocklist import BRAKE_LIMIT, BRAKE_WINDOW_MS, Blocklist
from actions.blocks.feed import Feed
from actions.blocks.imports import Imports
from actions.blocks.lists import Lists
from actions.blocks.networks import Network, NeverBlock
from actions.blocks.reverse_dns import ReverseDns
from actions.blocks.reviews import GRACE_MS, Reviews
from actions.blocks.verified_bots import VerifiedBots
from actions.counters import Counters, NoCounters
from actions.delivery.channel_health import ChannelHealths
from actions.delivery.dead_letters import DeadLetters
from actions.delivery.dispatch import Dispatcher
from actions.delivery.letters import Letters
from actions.delivery.message import Channel
from actions.delivery.outbox import LogChannel, Outbox
from actions.delivery.repeats import Repeats
from actions.delivery.routing import Routes, Timing
from actions.delivery.sending import Sender
from actions.incidents.clocks import IncidentClocks
from actions.incidents.incidents import Incidents
from actions.incidents.moves import IncidentMoves
from actions.incidents.record import IncidentRecord
from actions.incidents.response_plan import ResponsePlan
from actions.incidents.timeline import Timeline
from actions.incidents.work import IncidentWork
from actions.investigations.dossiers import Dossiers
from actions.investigations.investigation import EventHistory
from actions.investigations.investigations import Investigations
from actions.investigations.neighbours import Neighbours
from actions.observed import Observed
from actions.quiet.maintenance_notices import MaintenanceNotices
from actions.quiet.maintenance_windows import Maintenance
from actions.quiet.muting import Muting
from actions.quiet.silences import Silences
from actions.storage import Client
from detectors.geo import Geo


@dataclass(frozen=True)
class World:
    """The stores and readers that actions, the admin API and the lookup share. One per process."""

    redis: Client
    now: Callable[[], int]
    counters: Counters
    audit: Audit
    allowlist: Allowlist
    blocklist: Blocklist
    reviews: Reviews
    imports: Imports
    lists: Lists
    feed: Feed
    timeline: Timeline
    outbox: Outbox
    dispatcher: Dispatcher
    sender: Sender
    repeats: Repeats
    dead_letters: DeadLetters
    channel_health: ChannelHealths
    incidents: Incidents
    moves: IncidentMoves
    clocks: IncidentClocks
    work: IncidentWork
    dossiers: Dossiers
    investigations: Investigations
    neighbours: Neighbours
    observed: Observed
    geo: Geo
    verified_bots: VerifiedBots
    silences: Silences
    maintenance: Maintenance
    muting: Muting
    notices: MaintenanceNotices
    history: EventHistory | None
    """Where events of the last hours can be read; None: nowhere."""

    @classmethod
    def make(
        cls,
        redis: Client,
        now: Callable[[], int],
        *,
        never_block: Callable[[Network], str | None] | None = None,
        counters: Counters | None = None,
        geo: Geo | None = None,
        dns: ReverseDns | None = None,
        consumer: str = "one",
        channels: Sequence[Channel] = (LogChannel(),),
        routes: Routes | None = None,
        timing: Timing | None = None,
        brake_limit: int = BRAKE_LIMIT,
        brake_window_ms: int = BRAKE_WINDOW_MS,
        grace_ms: int = GRACE_MS,
        plan: ResponsePlan | None = None,
        history: EventHistory | None = None,
    ) -> "World":
        """Wires a world.

        `never_block` None: the special networks only. It is asked at every block, so that it may read the
        current policy. `consumer`: this process's name, different from every other's. When the policy changes:
        set `incidents.plan`, `blocklist.brake_limit`, `blocklist.brake_window_ms`, `reviews.grace_ms`,
        `verified_bots.is_on`, `verified_bots.on_dns_failure`, `maintenance.planned`, `muting.host_rules` and
        `notices.settings`, and call `take_routes`. `dns` None: the system's name servers. `routes` None: the operator's
        document, for channels whose type is their name.
        """
        counters, geo = counters or NoCounters(), geo or Geo()
        audit = Audit(redis, now)
        allowlist = Allowlist(redis, now, audit)
        blocklist = Blocklist(
            redis,
            now,
            never_block or NeverBlock(),
            allowlist,
            brake_limit=brake_limit,
            brake_window_ms=brake_window_ms,
        )
        timeline = Timeline(redis, now)
        outbox, letters = Outbox(redis, now), Letters(redis)
        record = IncidentRecord(now, timeline, outbox, audit)
        incidents = Incidents(redis, now, record, counters, plan)
        silences, maintenance = Silences(redis, now, audit), Maintenance(redis, now, audit)
        dossiers, muting = Dossiers(redis), Muting(silences, maintenance)
        by_name = {channel.name: channel for channel in channels}
        routes, timing = routes or Routes(types={name: name for name in by_name}), timing or Timing()
        dispatcher = Dispatcher(
            *(redis, now, letters),
            consumer=consumer,
            channels=by_name,
            routes=routes,
            timing=timing,
            counters=counters,
        )
        dispatcher.muting = muting
        return cls(
            redis=redis,
            now=now,
            counters=counters,
            audit=audit,
            allowlist=allowlist,
            blocklist=blocklist,
            reviews=Reviews(redis, now, blocklist, allowlist, audit, timeline, grace_ms=grace_ms),
            lists=Lists(redis),
            imports=Imports(redis, now, blocklist, allowlist, audit),
            feed=Feed(redis),
            timeline=timeline,
            outbox=outbox,
            dispatcher=dispatcher,
            sender=Sender(
                *(redis, now, letters), channels=by_name, routes=routes, timing=timing, counters=counters
            ),
            repeats=Repeats(redis, now, incidents, letters, dispatcher),
            dead_letters=DeadLetters(redis, now, audit),
            channel_health=ChannelHealths(redis, now, letters),
            incidents=incidents,
            moves=IncidentMoves(redis, now, incidents, timeline, record, audit),
            work=IncidentWork(redis, now, incidents, timeline, record, audit),
            clocks=IncidentClocks(redis, now, incidents, timeline, record),
            dossiers=dossiers,
            investigations=Investigations(redis, now, dossiers, timeline, audit),
            neighbours=Neighbours(redis, geo),
            observed=Observed(redis),
            geo=geo,
            verified_bots=VerifiedBots(redis, now, dns or ReverseDns(), counters),
            silences=silences,
            maintenance=maintenance,
            muting=muting,
            notices=MaintenanceNotices(redis, now, outbox, maintenance),
            history=history,
        )

    def take_routes(
        self, routes: Routes, timing: Timing, channels: Mapping[str, Channel] | None = None
    ) -> None:
        """Puts routes in force, and channels where there are others. Letters that wait are sent as they are."""
        if channels is not None:
            self.dispatcher.channels = self.sender.channels = channels
        for part in (self.dispatcher, self.sender):
            part.routes, part.timing = routes, timing
        self.sender.wake()

    async def deliver(self) -> int:
        """Dispatches every message that waits and sends every letter that is due; says how many letters.

        For commands and tests; the service does it in tasks of its own. Raises: StorageError.
        """
        sent = 0
        while True:
            dispatched, letters = await self.dispatcher.step(), await self.sender.step()
            sent += letters
            if not dispatched and not letters:
                return sent
