"""The addresses that attacked from inside a blocked IPv6 network, for those who enforce single addresses only.

A firewall's set of addresses takes no prefix: of a /64 it would hold the first address, from which nobody attacks.
"""

from actions.blocks.block import Block, BlockStatus
from actions.blocks.keys import CHANGES_MAXLEN, block_key, blocks_key, changes_key
from actions.blocks.networks import canonical, holds, network_of
from actions.storage import Client, load_script, storage_errors
from detectors.finding import Finding

MOST_SEEN = 32
"""Of one network, the newest: its owner has 2^64 to try."""


def addresses_seen(finding: Finding, value: str) -> tuple[str, ...]:
    """The addresses in a finding's evidence that lie in this IPv6 network, newest first; none of anything else."""
    network = network_of(value)
    if network.version != 6 or network.num_addresses == 1:
        return ()
    found: dict[str, None] = {}
    for evidence in reversed(finding.evidence):
        try:
            address = canonical(evidence.client_ip or "")
        except ValueError:
            continue
        if "/" not in address and holds(network, network_of(address)):
            found[address] = None
    return tuple(found)[:MOST_SEEN]


async def note_seen(redis: Client, block: Block, addresses: tuple[str, ...]) -> bool:
    """Adds addresses to those of a block in force, everywhere; says whether one was new. Raises: StorageError."""
    if block.status is not BlockStatus.ACTIVE or set(addresses) <= set(block.seen.split()):
        return False
    keys = [block_key(block.id), blocks_key("active"), changes_key()]
    with storage_errors("noting who attacks from inside a block"):
        added = await load_script(redis, "note_seen")(
            keys=keys, args=[block.id, block.key, MOST_SEEN, CHANGES_MAXLEN, *addresses]
        )
    return bool(added)
