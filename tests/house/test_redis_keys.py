"""docs/redis.md lists every key; what a full run leaves behind is held against it."""

import ast
import re
from pathlib import Path

from redis.asyncio import Redis

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "redis.md").read_text("utf-8")


def rows_in_docstrings() -> set[str]:
    found = set()
    for room in ("detectors", "actions", "app"):
        for path in (ROOT / room).rglob("*.py"):
            text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
            rows = [line.rstrip() for line in text.splitlines() if line.startswith("| `bartizan:")]
            found |= {f"{row} `{path.relative_to(ROOT)}` |" for row in rows}
    return found


def documented() -> list[tuple[re.Pattern[str], str, bool]]:
    """(pattern of the key, its Redis type, whether it must expire) of each row of the page."""
    rows = []
    for line in PAGE.splitlines():
        if line.startswith("| `bartizan:"):
            key, kind, ttl = (cell.strip() for cell in line.split("|")[1:4])
            pattern = re.escape(key.strip("`"))
            pattern = re.sub(r"(?<![a-z])[A-Z]{2,}(?![a-z])", ".+", pattern)
            type_ = {"sorted set": "zset"}.get(
                re.split(r"[,:]| of ", kind)[0].strip(), kind.split(",")[0].split()[0]
            )
            rows.append((re.compile(pattern), type_.rstrip(":"), not ttl.startswith(("none", "its end"))))
    return rows


def test_the_page_and_the_docstrings_have_the_same_rows():
    on_page = {line.rstrip() for line in PAGE.splitlines() if line.startswith("| `bartizan:")}
    assert on_page == rows_in_docstrings()


async def check_keys(redis: Redis) -> int:
    """Holds every key of a Redis against the page; says how many rows were met."""
    rows, met = documented(), set()
    for name in sorted(await redis.keys("*")):
        key = name.decode()
        fitting = [row for row in rows if row[0].fullmatch(key)]
        assert fitting, f"{key} is not in docs/redis.md"
        kinds = {kind for _, kind, _ in fitting}
        assert (await redis.type(name)).decode() in kinds, (key, kinds)
        if all(must_expire for _, _, must_expire in fitting):
            assert await redis.pttl(name) > 0, f"{key} has no TTL"
        met |= {row[0].pattern for row in fitting}
    return len(met)
