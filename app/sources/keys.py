"""The Redis keys of the sources, and the scripts that change them.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:sources` | sorted set, source by last receipt | none | 1,000, those longest ago go |
| `bartizan:{act}:source:SOURCE` | hash | 30 days after its last request | one per source |
| `bartizan:{act}:source:SOURCE:DAY` | hash, sums | 30 days after its last request of that day | 40 fields |
| `bartizan:{act}:sources:heard` | hash: since when somebody listens | none | one |
| `bartizan:{act}:rejected` | hash, id to JSON | 24 hours after the newest | 16 MiB, 1,000 per source, 24 hours |
| `bartizan:{act}:rejected:order` | sorted set, `TIME:ID` by text | 24 hours after the newest | one per record |
| `bartizan:{act}:rejected:names` | sorted set, id by text | 24 hours after the newest | one per record |
| `bartizan:{act}:rejected:bytes` | string, sum | 24 hours after the newest | one |
"""

from importlib.resources import files

from redis.commands.core import AsyncScript

from actions.storage import DAY_MS, Client, act_key, short
from detectors.timestamps import to_rfc3339


def sources_key(*parts: str) -> str:
    """All sources, or what is kept of the look at them."""
    return act_key("sources", *parts)


def source_key(source: str) -> str:
    """One source."""
    return act_key("source", short(source))


def day_of(ms: int) -> str:
    """The day, in UTC, of a time in epoch ms: `2026-11-23`."""
    return to_rfc3339(ms)[:10]


def days_before(ms: int, number: int) -> list[str]:
    """So many days up to that of a time in epoch ms, the newest first."""
    return [day_of(ms - day * DAY_MS) for day in range(number)]


def day_key(source: str, day: str) -> str:
    """The sums of one source and day."""
    return act_key("source", short(source), day)


def rejected_key(*parts: str) -> str:
    """The rejected records, or an index of them."""
    return act_key("rejected", *parts)


def load_script(redis: Client, name: str) -> AsyncScript:
    """The Lua script `lua/NAME.lua`, ready to call."""
    text = files("app.sources").joinpath("lua", f"{name}.lua").read_text("utf-8")
    script: AsyncScript = redis.register_script(text)
    return script
