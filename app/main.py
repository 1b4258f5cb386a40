"""The service put together: one FastAPI app over one world, and the tasks that run beside the requests."""

import asyncio
import gc
import multiprocessing
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import structlog
from fastapi import FastAPI

from app.blocklists.refresher import LOOK_S as BLOCKLISTS_LOOK_S
from app.dead_man import Checks, DeadMan
from app.digests import LOOK_S as DIGESTS_LOOK_S
from app.digests import digest_look
from app.embedded_redis import EmbeddedRedis, embedded
from app.health_check import HealthChecker, wait_for_stop
from app.ingest.path_key import PathKey
from app.journal.journal import Journal
from app.lookup.snapshot import SAVE_EVERY_S, WAITED_FOR, SnapshotFile, SnapshotKeeper
from app.problems import install_problem_handlers
from app.settings import Settings
from app.tokens import TokenRefresher, ensure_tokens
from app.world import AppWorld, build_world
from detectors.errors import StorageError
from detectors.timestamps import wall_clock_ms

TITLE = "Bartizan"
DESCRIPTION = "Events in, decisions out. Errors are RFC 9457 problem bodies; times are UTC RFC 3339."
POLICY_LOOK_S = 1.0
TOKENS_LOOK_S = 2.0
NOTICES_LOOK_S = 5.0
PARENT_LOOK_S = 1.0
SWITCH_S = 0.001
"""How long a thread that decodes a large body keeps the event loop waiting; it waits several times for one lookup."""
STOP_TIMEOUT_S = 5.0
"""The longest blocking read is one second; what is not acknowledged by then is taken again at the next start."""

log = structlog.get_logger(__name__)


def create_app(settings: Settings, *, now: Callable[[], int] = wall_clock_ms) -> FastAPI:
    """The app of these settings, its world in `app.state.world`. Nothing is connected before it starts.

    Raises: ConfigError for a wrong policy or a database that cannot be read.
    """
    from app.admin.routes import router as admin
    from app.bouncers.cscli import router as cscli
    from app.bouncers.routes import router as bouncers
    from app.bouncers.sensors import router as sensors
    from app.health import router as health
    from app.ingest.routes import router as ingest
    from app.lookup.front import FrontedApp
    from app.lookup.routes import router as lookup
    from app.status import router as status

    world = build_world(settings, now)
    app = FrontedApp(
        title=TITLE,
        description=DESCRIPTION,
        version=world.version,
        lifespan=_lifespan,
        docs_url=None,  # its page loads scripts from somebody else's host
        redoc_url=None,
    )
    app.state.world = world
    app.add_middleware(PathKey)
    install_problem_handlers(app)
    for router in (ingest, lookup, bouncers, sensors, cscli, admin, health, status):
        app.include_router(router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Everything that lives as long as the process serves: begins in this order, ends in the reverse."""
    world: AppWorld = app.state.world
    async with AsyncExitStack() as stack:
        if world.settings.redis_url is None:
            await _start_embedded(stack, world.settings)
        stack.push_async_callback(world.close)
        refresher = TokenRefresher(world.tokens, world.token_store, world.settings)
        keeper = SnapshotKeeper(world.feed, SnapshotFile(world.settings.data_dir))
        await _first_look(world, refresher, keeper)
        if world.is_first:
            # The last one pushed runs first: the files of lists must not overtake that of our own decisions.
            stack.push_async_callback(_keep_lists(world, keeper))
            stack.push_async_callback(keeper.save)
        stack.enter_context(_at_end_signal(world.feed.close))
        if world.journal is not None:
            await _start_journal(stack, world.journal)
        await stack.enter_async_context(_tasks(_jobs(world, refresher, keeper)))
        # What lives as long as the process is not looked at again by every full collection: a third of the CPU
        # of ingest went there (python -m benchmarks ingest, with and without). To look for garbage first finds a
        # hundredth of it, and takes 0.2 s of the start.
        gc.freeze()
        gc.enable()
        sys.setswitchinterval(SWITCH_S)
        log.info("started", version=world.version, policy=world.policy.current.digest)
        yield
        world.feed.close()


async def _start_embedded(stack: AsyncExitStack, settings: Settings) -> None:
    """The embedded server for an app that was not started by `bartizan serve`, which starts it itself."""
    server = embedded(settings.data_dir)
    found: EmbeddedRedis = await asyncio.to_thread(server.__enter__)
    stack.push_async_callback(asyncio.to_thread, server.__exit__, None, None, None)
    log.info("embedded_redis_ready", socket=str(found.socket))


async def _start_journal(stack: AsyncExitStack, journal: Journal) -> None:
    """Write the journal until the last task has ended; what waits then is written, off the event loop."""
    running = journal.running()
    running.__enter__()
    stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)


async def _first_look(world: AppWorld, refresher: TokenRefresher, keeper: SnapshotKeeper) -> None:
    """Tokens and blocklist before the first request: from disk, and from Redis where it is there.

    A very large blocklist from disk is not waited for: the follower makes it right beside the first requests.
    """
    refresher.load_cache()
    await world.list_keeper.restore()
    restored = await keeper.restore()
    try:
        await ensure_tokens(world.token_store, world.settings, world.now())
        await refresher.refresh()
        if restored <= WAITED_FOR:
            await world.follower.step()
    except StorageError as error:
        world.metrics.storage_errors.labels("tokens").inc()
        log.warning("redis_away_at_start", error=str(error))


Job = Callable[[asyncio.Event], Awaitable[None]]


def _jobs(world: AppWorld, refresher: TokenRefresher, keeper: SnapshotKeeper) -> dict[str, Job]:
    """The tasks beside the requests, by name. Each ends soon after the event is set, or is cancelled."""

    async def watch_policy() -> None:
        world.policy.reload_if_changed()

    failures = 0

    async def refresh_tokens() -> None:
        nonlocal failures
        try:
            await ensure_tokens(world.token_store, world.settings, world.now())
            await refresher.refresh()
        except StorageError as error:
            world.metrics.storage_errors.labels("tokens").inc()
            failures += 1
            if failures == 1:  # once an outage; the metric counts on
                log.warning("tokens_not_refreshed", error=str(error))
        else:
            failures = 0

    async def follow(stop: asyncio.Event) -> None:
        while not stop.is_set():
            await world.follower.step()

    checker = HealthChecker(
        world.redis, lambda: world.policy.current, lambda batch: world.engine.process(batch), world.now
    )
    checks = Checks(world.redis, world.responder, world.settings.shards, world.now)
    dead_man = DeadMan(world.redis, lambda: world.policy.current.dead_man, checks, world.metrics)
    jobs: dict[str, Job] = {
        "follower": follow,
        "policy": _every(POLICY_LOOK_S, watch_policy),
        "tokens": _every(TOKENS_LOOK_S, refresh_tokens),
        "health_check": checker.run,
        "maintenance": _every(NOTICES_LOOK_S, _notices(world)),
        "dead_man": dead_man.run,
        "digests": _every(DIGESTS_LOOK_S, digest_look(world)),
        "blocklists": _every(BLOCKLISTS_LOOK_S, world.refresher.look),
        "list_files": _every(SAVE_EVERY_S, _keep_lists(world, keeper)),
        "sources": world.sources.run,
        "source_watch": world.source_watch.run,
        "bouncers": world.bouncers.run,
        "responder": world.responder.run,
        "investigator": world.investigator.run,
    }
    if world.is_first:
        jobs["snapshot"] = _every(SAVE_EVERY_S, keeper.save)
    parent = multiprocessing.parent_process()
    if parent is not None:

        async def watch_parent() -> None:
            if not parent.is_alive():
                log.warning("parent_gone")
                signal.raise_signal(signal.SIGTERM)

        jobs["parent"] = _every(PARENT_LOOK_S, watch_parent)
    return jobs


def _keep_lists(world: AppWorld, keeper: SnapshotKeeper) -> Callable[[], Awaitable[None]]:
    """End external lists that are too old, and keep the files of the others; one process of a data folder writes."""

    async def look() -> None:
        await world.list_keeper.look(keeper.saved if world.is_first else None)

    return look


def _notices(world: AppWorld) -> Callable[[], Awaitable[None]]:
    """Write the notices of maintenance that are due; while Redis is away they wait."""

    async def write() -> None:
        try:
            await world.actions.notices.write_due()
        except StorageError as error:
            world.metrics.storage_errors.labels("maintenance").inc()
            log.warning("maintenance_notices_wait", error=str(error))

    return write


def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> Job:
    async def run(stop: asyncio.Event) -> None:
        while not await wait_for_stop(stop, seconds):
            await work()

    return run


@asynccontextmanager
async def _tasks(jobs: dict[str, Job]) -> AsyncIterator[None]:
    """Run the jobs; one that fails unexpectedly ends the process, for its supervisor to start it again.

    A service that goes on without its responder would answer 200 and block nobody.
    """
    stop = asyncio.Event()
    tasks = [asyncio.create_task(_run(job, stop), name=name) for name, job in jobs.items()]
    for task in tasks:
        task.add_done_callback(_end_process_where_failed)
    try:
        yield
    finally:
        stop.set()
        _, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(job: Job, stop: asyncio.Event) -> None:
    await job(stop)


def _end_process_where_failed(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.critical("task_failed", task=task.get_name(), exc_info=error)
        signal.raise_signal(signal.SIGTERM)


@contextmanager
def _at_end_signal(act: Callable[[], None]) -> Iterator[None]:
    """Call this when the process is told to end, before uvicorn waits for its connections.

    uvicorn tells the app only after all requests have ended, and a long poll may take half a minute.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(act)
        previous = before[signal.Signals(number)]
        if callable(previous):
            previous(number, frame)

    for number, previous in before.items():
        if callable(previous) and previous is not signal.default_int_handler:
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
