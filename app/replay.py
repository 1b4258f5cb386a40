"""`bartizan replay`: what the policy would have found in log files, offline, on event time.

The same decoding, detectors and Lua as the service, over a Redis server of its own that is gone afterwards, so no
live state is touched. Files are read in order of their first event, a chunk at a time, in constant memory.
"""

import asyncio
import gzip
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import msgspec
from redis.asyncio import Redis
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.embedded_redis import EmbeddedRedis
from app.ingest.decode import decode_as
from app.policies.policy import Policy, default_text, load_policy
from app.redis import connect
from app.replay_changes import compare, difference_table, rule_table
from app.replay_summary import summary_table
from app.settings import load_settings
from app.site import site_of
from app.world import PATTERN_CACHE
from detectors.addresses import Networks
from detectors.engine import Engine
from detectors.errors import ConfigError
from detectors.event import Batch
from detectors.geo import Geo
from detectors.redact import Secret
from detectors.timestamps import parse_time, to_rfc3339, wall_clock_ms
from detectors.windows import Crossed, Windows

CHUNK_BYTES = 2 * 1024 * 1024
LATE_DELIVERY_MS = 5_000
"""A file is read far faster than it was written, so windows need not outlive their events for long."""
STDIN = "-"
NOBODYS_KEY = b"the fingerprints of a replay are seen by nobody else"


class Replayed(msgspec.Struct):
    """One finding as `--json` prints it. Times are RFC 3339 UTC with milliseconds."""

    rule: str
    subject: str
    first_at: str
    at: str
    count: int
    threshold: int
    window_s: float
    severity: str
    action: str


class Totals(msgspec.Struct):
    """What a replay read and found."""

    lines: int = 0
    rejected: int = 0
    counted: int = 0
    crossed: list[Crossed] = msgspec.field(default_factory=list)


def as_printed(found: Crossed) -> Replayed:
    """A finding in the words of `--json`; several actions are joined by a comma."""
    rule = found.group.rule
    window_s = rule.window_ms / 1000
    return Replayed(
        rule.name,
        found.group.subject,
        to_rfc3339(found.first_at),
        to_rfc3339(found.at),
        found.count,
        rule.threshold,
        int(window_s) if window_s.is_integer() else window_s,
        rule.severity.value,
        ",".join(action.value for action in rule.actions),
    )


async def replay(
    paths: Sequence[str],
    policy: Policy,
    *,
    redis: Redis,
    format_name: str = "auto",
    trusted_proxies: Sequence[str] = (),
    now: Callable[[], int] = wall_clock_ms,
    on_read: Callable[[int], object] = lambda _bytes: None,
) -> Totals:
    """Reads the files and returns the findings in order of time.

    Raises: ConfigError for a file that cannot be read, DecodeError for an unknown format.
    """
    engine = offline_engine(policy, redis, trusted_proxies=trusted_proxies)
    totals = Totals()
    for path in in_order_of_time(paths, format_name, now()):
        for chunk, size in _chunks(path):
            decoded = decode_as(chunk, format_name, now())
            processed = await engine.process(Batch(decoded.events, decoded.records, now(), path))
            totals.lines += len(decoded.events) + len(decoded.rejected)
            totals.rejected += len(decoded.rejected)
            totals.counted += processed.counted
            totals.crossed += map(slim, crossings(processed.crossed))
            on_read(size)
    totals.crossed.sort(key=in_order)
    return totals


def offline_engine(
    policy: Policy,
    redis: Redis,
    *,
    trusted_proxies: Sequence[str] = (),
    fingerprint_key: bytes = NOBODYS_KEY,
    masks: Mapping[str, Secret] | None = None,
    geo: Geo | None = None,
) -> Engine:
    """The detectors of a policy, as the service has them, over windows of their own. `masks`: see SecretFinder."""
    return Engine(
        policy.rules,
        Windows(redis, emit=False, late_delivery_ms=LATE_DELIVERY_MS),
        fingerprint_key=fingerprint_key,
        site=site_of(policy),
        trusted_proxies=Networks(trusted_proxies),
        trusted_clients=policy.trusted_clients,
        geo=geo,
        masks=masks,
        own_keys=policy.own_keys,
        cache=_pattern_cache(),
    )


def crossings(found: Iterable[Crossed]) -> Iterator[Crossed]:
    """The findings alone: that a subject has recovered is none, and no threshold would change it."""
    return (one for one in found if not one.recovered)


def slim(found: Crossed) -> Crossed:
    """The finding alone, without the batch's evidence that hangs on its group."""
    group = msgspec.structs.replace(found.group, times=[], values=[], evidence=[])
    return msgspec.structs.replace(found, group=group)


def in_order(found: Crossed) -> tuple[int, str, str]:
    """How findings are sorted: by time, then by rule and subject."""
    return found.at, found.group.rule.name, found.group.subject


def _pattern_cache() -> Path:
    """The service's compiled patterns where there is a service, else this user's own: a replay makes no data folder."""
    data_dir = load_settings().data_dir
    if data_dir.is_dir():
        return data_dir / PATTERN_CACHE
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bartizan"


def in_order_of_time(paths: Sequence[str], format_name: str, received_ms: int) -> list[str]:
    """The files by the time of their first event, as rotated logs should be read."""
    if len(paths) == 1:
        return list(paths)

    def first_at(path: str) -> int:
        for chunk, _ in _chunks(path):
            for event in decode_as(
                chunk[:65_536].rpartition(b"\n")[0] or chunk, format_name, received_ms
            ).events:
                at = parse_time(event.timestamp)
                if at is not None:
                    return at
        return received_ms

    return sorted(paths, key=lambda path: received_ms if path == STDIN else first_at(path))


def _chunks(path: str) -> Iterator[tuple[bytes, int]]:
    """Whole lines of a file, about CHUNK_BYTES at a time, with how far the file itself has been read."""
    with _opened(path) as (file, raw):
        position, rest = 0, b""
        while block := file.read(CHUNK_BYTES):
            lines, newline, rest = (rest + block).rpartition(b"\n")
            if not newline:
                continue
            before, position = position, raw.tell() if raw else 0
            yield lines + newline, position - before
        if rest:
            yield rest, 0


@contextmanager
def _opened(path: str) -> Iterator[tuple[IO[bytes], IO[bytes] | None]]:
    """The file's text, and the file itself where its position can be told. Rotated logs may be gzipped."""
    if path == STDIN:
        yield sys.stdin.buffer, None
        return
    try:
        with Path(path).open("rb") as raw:
            is_gzip = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if is_gzip:
                with gzip.open(raw) as file:
                    yield file, raw  # type: ignore[misc]  # GzipFile reads bytes
            else:
                yield raw, raw
    except (OSError, EOFError) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


async def _run(
    paths: Sequence[str], policy: Policy, format_name: str, on_read: Callable[[int], Any]
) -> Totals:
    async with offline_redis() as (redis,):
        return await replay(paths, policy, redis=redis, format_name=format_name, on_read=on_read)


@asynccontextmanager
async def offline_redis(databases: int = 1) -> AsyncIterator[list[Redis]]:
    """Clients of that many databases of a Redis server that is gone afterwards. Raises: ConfigError."""
    folder = Path(tempfile.mkdtemp(prefix="bartizan-replay-"))
    server = EmbeddedRedis(folder)
    try:
        server.start()
        clients = [connect(f"{server.url}?db={number}", timeout_s=60) for number in range(databases)]
        try:
            await clients[0].config_set("appendonly", "no")
            yield clients
        finally:
            for client in clients:
                await client.aclose()
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def run(
    files: Sequence[str], *, format_name: str, policy: Path | None, against: Path | None, as_json: bool
) -> None:
    """The command. Raises: ConfigError, DecodeError, which the command line prints in one line."""
    chosen = policy_of(policy)
    other = policy_of(against) if against else None
    if other and STDIN in files:
        raise ConfigError("--against reads the files twice, and standard input can be read only once")
    errors = Console(stderr=True, highlight=False)
    totals = _replayed(files, chosen, format_name, errors)
    if other is None:
        print_all(
            [as_printed(found) for found in totals.crossed], as_json, summary_table(totals.crossed, chosen)
        )
    else:
        again = _replayed(files, other, format_name, errors)
        found = compare((chosen, totals.crossed), (other, again.crossed))
        print_all(found.rows, as_json, difference_table(found, chosen, other), rule_table(found))
    errors.print(
        f"{totals.lines} lines, {totals.counted} events counted, {len(totals.crossed)} findings"
        + (f", {totals.rejected} lines not of the format" if totals.rejected else "")
    )


def _replayed(files: Sequence[str], policy: Policy, format_name: str, errors: Console) -> Totals:
    total = sum(Path(f).stat().st_size for f in files if f != STDIN and Path(f).exists())
    with progress_of(total, errors) as on_read:
        return asyncio.run(_run(files, policy, format_name, on_read))


def print_all(rows: Sequence[msgspec.Struct], as_json: bool, *tables: Table) -> None:
    """The rows as JSON, one a line, or the tables."""
    if not as_json:
        for table in tables:
            Console().print(table)
        return
    encode = msgspec.json.Encoder().encode
    for row in rows:
        sys.stdout.buffer.write(encode(row) + b"\n")
    sys.stdout.buffer.flush()


def policy_of(path: Path | None) -> Policy:
    """The policy of a file, or the default. Raises: ConfigError."""
    home = path.parent if path else Path()
    return load_policy(_policy_text(path), str(path or "default"), home)


def _policy_text(policy: Path | None) -> str:
    if policy is None:
        return default_text()
    try:
        return policy.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{policy}: {error.strerror}") from error


@contextmanager
def progress_of(total: int, console: Console) -> Iterator[Callable[[int], Any]]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not console.is_terminal:
        with nullcontext():
            yield lambda _size: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("reading", total=total or None)
        yield lambda size: progress.advance(task, size)
