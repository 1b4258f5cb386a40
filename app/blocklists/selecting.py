"""Which entries of an external list are put in force: addresses and networks that may be blocked at all."""

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from actions.blocks.networks import Network, network_of
from app.block_files.reading import Form, read_file
from app.ingest.body import BodyTooLarge, decompress
from app.lookup.addresses import WIDTH, parse_network, spelled
from detectors.errors import DecodeError

WIDEST = {4: 8, 6: 16}
"""Wider networks of a list are left out: no list means a country's worth of addresses."""


class Selected(NamedTuple):
    """A list's content: a value a line in canonical spelling, how many, their digest; what was left out and why."""

    values: bytes
    entries: int
    digest: str
    skipped: dict[str, int]


def select(
    body: bytes, form: Form | None, now: int, never_block: Callable[[Network], str | None], largest: int
) -> Selected:
    """What of a file is put in force. Blocks; meant for a thread. Raises: ValueError where it is no list."""
    try:
        contents = read_file(decompress(body, "", largest), form, now)
    except (BodyTooLarge, DecodeError) as error:
        raise ValueError(str(error)) from error
    skipped: Counter[str] = Counter(unreadable=len(contents.wrong))
    found: set[tuple[int, int, int]] = set()
    for entry in contents.entries:
        try:
            version, number, shift = parse_network(entry.value)
        except ValueError:
            skipped["unreadable"] += 1
            continue
        if entry.scope is not None:
            skipped["unreadable"] += 1
        elif WIDTH[version] - shift < WIDEST[version]:
            skipped["too_wide"] += 1
        elif never_block(network_of.__wrapped__(entry.value)) is not None:
            skipped["never_block"] += 1
        else:
            found.add((version, number >> shift << shift, shift))
    values = "".join([f"{spelled(*key)}\n" for key in sorted(found)]).encode()
    digest = hashlib.blake2b(values, digest_size=12).hexdigest()
    return Selected(values, len(found), digest, {why: number for why, number in skipped.items() if number})
