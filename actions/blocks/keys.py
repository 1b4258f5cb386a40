"""The keys of blocks, allowlist and changes feed; they change together, so they are named together.

| key | type | TTL | bound |
|---|---|---|---|
| `bartizan:{act}:block:ID` | string, JSON | 90 days after its end | none while in force |
| `bartizan:{act}:blocks:active` | hash, value to decision | none | the blocks in force |
| `bartizan:{act}:blocks:proposed` | hash, value to id | none | the proposals that wait, until their end |
| `bartizan:{act}:blocks:until` | sorted set, id by end | none | the blocks in force or proposed that have an end |
| `bartizan:{act}:blocks:index` | sorted set, `TIME:ID` by text | none | the blocks whose item is kept |
| `bartizan:{act}:blocks:ended` | sorted set, `TIME:ID` by end of keeping | none | the blocks that are over |
| `bartizan:{act}:blocks:history:VALUE` | list of ids, newest first | 180 days after the newest | 50 |
| `bartizan:{act}:blocks:strikes:VALUE` | string, count | 30 days after the newest | |
| `bartizan:{act}:blocks:brake:RULE` | sorted set, values by time | the brake's window | the brake's limit |
| `bartizan:{act}:blocks:braked:RULE` | string, JSON: what set it off, when | the brake's window | |
| `bartizan:{act}:blocks:spare:RULE:VALUE` | string, end in ms | the grace time | |
| `bartizan:{act}:blocks:false_positives` | hash, rule to count | none | one field per rule |
| `bartizan:{act}:allowlist` | hash, value to JSON | none | people's entries, removed at their end |
| `bartizan:{act}:allowlist:version` | string, count | none | one |
| `bartizan:{act}:changes` | stream | none | about 100,000 entries |
"""

from actions.storage import DAY_MS, act_key, short

KEPT_MS = 90 * DAY_MS
"""How long a block is kept after its end."""
STRIKES_TTL_MS = 30 * DAY_MS
HISTORY_TTL_MS = 180 * DAY_MS
HISTORY_LENGTH = 50
CHANGES_MAXLEN = 100_000


def block_key(block_id: str) -> str:
    """One block's item."""
    return act_key("block", short(block_id))


def blocks_key(*parts: str) -> str:
    """One of the keys about all blocks, a value or a rule."""
    return act_key("blocks", *(short(part) for part in parts))


def allowlist_key() -> str:
    """The allowlist."""
    return act_key("allowlist")


def allowlist_version_key() -> str:
    """Counts the changes of the allowlist, so that a block is never made against an old one."""
    return act_key("allowlist", "version")


def changes_key() -> str:
    """The feed that every in-memory table follows."""
    return act_key("changes")


def index_member(created_at: int, block_id: str) -> str:
    """A block's place in the index: sorts by time, then id."""
    return f"{created_at:013d}:{block_id}"
