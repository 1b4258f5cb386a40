"""Everything a request or a task may need, in one object: `app.state.world`."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import httpx
import structlog
from redis.asyncio import Redis

from actions.blocks.lists import ListInfo
from actions.blocks.networks import NeverBlock
from actions.blocks.reverse_dns import ReverseDns
from actions.channels.wire import make_client
from actions.delivery.message import Channel
from actions.delivery.routing import Routes
from actions.incidents.public_status import PublicIncidents
from actions.investigations.work import Investigator
from actions.quiet.area import SERVICE_RULES
from actions.responder import Responder
from actions.world import World
from app.auth import TokenTable
from app.blocklists.refresher import Refresher
from app.blocklists.stale import StaleLists
from app.bouncers.desk import BouncerDesk
from app.bouncers.reports import Reports
from app.bouncers.sessions import Sessions
from app.channels import build_channels, check_channels, incident_url_of
from app.embedded_redis import socket_path
from app.event_history import JournalHistory
from app.journal.journal import Journal, journal_folder, open_journal
from app.lookup.feed import Feed
from app.lookup.follower import Follower
from app.lookup.list_files import ListFiles
from app.lookup.list_keeper import ListKeeper
from app.lookup.lists import Lists
from app.lookup.proxies import Proxies
from app.metrics import Metrics
from app.policies.policy import Policy
from app.policies.store import PolicyStore
from app.redis import connect
from app.settings import Settings, fingerprint_key
from app.site import site_of
from app.slot import take_slot
from app.sources.reingest import Reingest
from app.sources.rejected import RejectedRecords
from app.sources.sources import Sources
from app.sources.store import SourceStore
from app.sources.watch import SourceWatch
from app.status_feed import StatusFeed
from app.tokens import TokenStore
from detectors.addresses import Networks
from detectors.engine import Engine
from detectors.errors import StorageError
from detectors.finding import SubjectKind
from detectors.geo import Geo
from detectors.windows import Windows

PATTERN_CACHE = "cache"
"""The folder within the data folder that keeps the compiled patterns; it may be deleted at any time."""

log = structlog.get_logger(__name__)


@dataclass
class AppWorld:
    """One process's world. `engine` is exchanged when the policy changes; the rest stays."""

    settings: Settings
    version: str
    policy: PolicyStore
    redis: Redis
    engine: Engine
    actions: World
    responder: Responder
    investigator: Investigator
    history: JournalHistory | None
    feed: Feed
    follower: Follower
    list_keeper: ListKeeper
    refresher: Refresher
    bouncers: BouncerDesk
    sessions: Sessions
    """Of the CrowdSec agents that have logged in."""
    reports: Reports
    """What they report."""
    proxies: Proxies
    lists: Lists
    tokens: TokenTable
    token_store: TokenStore
    metrics: Metrics
    journal: Journal | None
    status: StatusFeed
    sources: Sources
    source_watch: SourceWatch
    reingest: Reingest
    http: httpx.AsyncClient
    """What the channels send with."""
    channels: dict[str, Channel]
    """By name; those of the policy in force, and `log`."""
    now: Callable[[], int]
    is_first: bool
    """Whether this is the one process of its data folder that writes what all of them read."""
    slot: int
    """The open file that keeps this process's name its own."""

    def list_age_s(self) -> float | None:
        """Seconds since this process last heard of the blocklist from Redis; None where it never did."""
        heard_at = self.follower.heard_at
        return None if heard_at is None else max(0.0, (self.now() - heard_at) / 1000)

    async def refresh_gauges(self) -> None:
        """Bring the gauges up to now, before they are read. What Redis cannot tell now stays as it was."""
        self.metrics.blocks_active.set(len(self.feed.table))
        age_s = self.list_age_s()
        if age_s is not None:
            self.metrics.list_age.set(age_s)
        try:
            self.metrics.bouncers.set(await self.bouncers.store.recent())
            self.metrics.messages_waiting.set(await self.actions.outbox.waiting())
            health = await self.actions.channel_health.all(self.actions.sender.channels)
            self.metrics.show_channels(health, await self.actions.dead_letters.counts(), self.now())
        except StorageError as error:
            log.warning("outbox_not_counted", error=str(error))

    def take_policy(self, policy: Policy) -> None:
        """Put a policy in force in this process: called by the policy store whenever it changed."""
        self.engine = make_engine(
            policy, self.settings, self.engine.windows, self.metrics, self.actions.geo, self.journal
        )
        if self.history is not None:
            self.history.take_engine(self.engine, site_of(policy))
        self.feed.fallback = policy.enforcement.fallback
        blocklist = self.actions.blocklist
        blocklist.never_block = never_block(policy, self.settings)
        blocklist.brake_limit = policy.brake_blocks
        blocklist.brake_window_ms = policy.brake_window_ms
        self.actions.reviews.grace_ms = policy.review_grace_ms
        self.actions.incidents.plan = policy.plan
        verify_bots(policy, self.actions)
        plan_maintenance(policy, self.actions)
        self.channels = build_channels(policy.channels, self.http, incident_url_of(self.settings), self.now)
        self.actions.take_routes(routes_of(policy, self.channels), policy.delivery, self.channels)

    async def close(self) -> None:
        """Let go of what is open."""
        self.actions.geo.close()
        await self.http.aclose()
        await self.redis.aclose()
        os.close(self.slot)


def build_world(settings: Settings, now: Callable[[], int]) -> AppWorld:
    """The world of these settings. Nothing is sent anywhere yet.

    Raises: ConfigError for a wrong policy, a secret of a channel that is missing, or a database or key that cannot
    be read.
    """
    store = PolicyStore(settings.policy, is_required=settings.policy_is_named)
    policy, found_version = store.current, package_version()
    check_channels(policy.channels, settings.data_dir)
    http = make_client()
    channels = build_channels(policy.channels, http, incident_url_of(settings), now)
    redis = connect(settings.redis_url or f"unix://{socket_path(settings.data_dir)}")
    metrics = Metrics(found_version)
    slot, consumer = take_slot(settings.data_dir)
    journal = open_journal(settings, int(consumer.rpartition("-")[2]), now, metrics)
    history = None
    if journal is not None:
        history = JournalHistory(journal_folder(settings), Networks(settings.trusted_proxies))
    actions = World.make(
        redis,
        now,
        history=history,
        never_block=never_block(policy, settings),
        counters=metrics,
        geo=Geo(settings.geoip_city_db, settings.geoip_asn_db),
        dns=ReverseDns(settings.dns_servers),
        consumer=consumer,
        channels=tuple(channels.values()),
        brake_limit=policy.brake_blocks,
        brake_window_ms=policy.brake_window_ms,
        grace_ms=policy.review_grace_ms,
        plan=policy.plan,
    )
    verify_bots(policy, actions)
    plan_maintenance(policy, actions)
    actions.take_routes(routes_of(policy, channels), policy.delivery, channels)
    feed = Feed(now)
    feed.fallback = policy.enforcement.fallback
    follower = Follower(
        actions.feed,
        feed,
        now,
        lists=actions.lists,
        on_storage_error=lambda: metrics.count("storage_errors", where="follower"),
    )
    list_keeper = ListKeeper(feed, ListFiles(settings.data_dir), now, lambda: follower.heard_at)

    def show_lists(infos: Mapping[str, ListInfo]) -> None:
        metrics.show_lists(infos)
        list_keeper.note(infos)

    windows = Windows(redis, shards=settings.shards, on_reset=windows_reset(metrics))
    engine = make_engine(policy, settings, windows, metrics, actions.geo, journal)
    if history is not None:
        history.take_engine(engine, site_of(policy))
    source_store, rejected = SourceStore(redis, now), RejectedRecords(redis, now)
    tokens = TokenTable(settings)
    world = AppWorld(
        settings=settings,
        version=found_version,
        policy=store,
        redis=redis,
        engine=engine,
        actions=actions,
        responder=Responder(actions, shards=settings.shards, consumer=consumer),
        investigator=Investigator(actions, consumer),
        history=history,
        feed=feed,
        follower=follower,
        list_keeper=list_keeper,
        refresher=Refresher(
            actions.lists,
            sources=lambda: store.current.blocklists,
            never_block=lambda: never_block(store.current, settings),
            now=now,
            process=consumer,
            stale=StaleLists(windows, lambda: store.current, now),
            show=show_lists,
        ),
        bouncers=BouncerDesk(feed, actions.feed, actions.blocklist, redis, now),
        sessions=Sessions(redis, now),
        reports=Reports(redis, windows, lambda: store.current, lambda: world.engine.secrets, now),
        proxies=Proxies(settings, metrics),
        lists=Lists(feed, now),
        tokens=tokens,
        token_store=TokenStore(redis, now),
        metrics=metrics,
        journal=journal,
        status=StatusFeed(
            PublicIncidents(redis, fingerprint_key(settings)),
            now,
            lambda: store.current.status_page,
            actions.maintenance.upcoming,
        ),
        sources=Sources(source_store, rejected, lambda: world.engine.secrets, metrics),
        source_watch=SourceWatch(
            *(source_store, rejected, windows, lambda: store.current, tokens.names),
            *(now, metrics),
        ),
        reingest=Reingest(source_store, rejected, lambda batch: world.engine.process(batch), now, metrics),
        http=http,
        channels=channels,
        now=now,
        is_first=consumer.endswith("-0"),
        slot=slot,
    )
    store.checks.append(lambda policy: check_channels(policy.channels, settings.data_dir))
    store.on_change.append(world.take_policy)
    return world


def make_engine(
    policy: Policy, settings: Settings, windows: Windows, metrics: Metrics, geo: Geo, journal: Journal | None
) -> Engine:
    """The detectors of a policy, counting in these windows. One that fails is counted and logged by name."""

    def on_failure(detector: str, error: Exception) -> None:
        metrics.detector_errors.labels(detector).inc()
        log.error("detector_failed", detector=detector, error=type(error).__name__)

    return Engine(
        policy.rules,
        windows,
        fingerprint_key=fingerprint_key(settings),
        site=site_of(policy),
        trusted_proxies=Networks(settings.trusted_proxies),
        geo=geo,
        trusted_clients=policy.trusted_clients,
        on_failure=on_failure,
        on_applied=None if journal is None else journal.add,
        own_keys=policy.own_keys,
        cache=settings.data_dir / PATTERN_CACHE,
    )


def verify_bots(policy: Policy, actions: World) -> None:
    """Has well-known bots verified before they are blocked, as this policy wants it."""
    actions.verified_bots.is_on = policy.verified_bots
    actions.verified_bots.on_dns_failure = policy.on_dns_failure


def plan_maintenance(policy: Policy, actions: World) -> None:
    """Puts a policy's maintenance windows in force, and says which rules have a host for their subject."""
    actions.maintenance.planned = policy.maintenance
    actions.notices.settings = policy.maintenance_notice
    actions.muting.host_rules = SERVICE_RULES | {
        rule.name for rule in policy.rules if rule.group_by[:1] == (SubjectKind.HOST,)
    }


def routes_of(policy: Policy, channels: Mapping[str, Channel]) -> Routes:
    """Who is told and when, as this policy wants it."""
    types = {name: channel.type for name, channel in channels.items()}
    return Routes(routes=policy.routes, types=types)


def windows_reset(metrics: Metrics) -> Callable[[int], object]:
    """Counts and logs windows that began anew because they could not be read."""

    def on_reset(number: int) -> None:
        metrics.detector_errors.labels("windows").inc(number)
        log.error("windows_begun_anew", windows=number)

    return on_reset


def never_block(policy: Policy, settings: Settings) -> NeverBlock:
    """What is never blocked under this policy: special networks, trusted proxies, the operator's list."""
    own = [("trusted proxy", text) for text in settings.trusted_proxies]
    own += [("never_block", text) for text in policy.never_block]
    return NeverBlock(own, even_private=policy.block_private)


def package_version() -> str:
    """The installed version of this program."""
    try:
        return version("bartizan")
    except PackageNotFoundError:
        return "unknown"
