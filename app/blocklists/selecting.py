"""Which entries of an external list are put in force: addresses and networks that may be blocked at all."""

import hashlib
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

from actions.blocks.networks import Network
from app.block_files.reading import Form, read_file
from app.ingest.body import BodyTooLarge, decompress
from app.lookup.addresses import WIDTH, parse_network, spelled
from app.lookup.packed import Key
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
    found: set[Key] = set()
    for entry in contents.entries:
        try:
            version, number, shift = parse_network(entry.value)
        except ValueError:
            skipped["unreadable"] += 1
            continue
        key = (version, number >> shift << shift, shift)
        if entry.scope is not None:
            skipped["unreadable"] += 1
        elif WIDTH[version] - shift < WIDEST[version]:
            skipped["too_wide"] += 1
        elif never_block(_network(key)) is not None:
            skipped["never_block"] += 1
        else:
            found.add(key)
    values = "".join([f"{spelled(*key)}\n" for key in sorted(found)]).encode()
    digest = hashlib.blake2b(values, digest_size=12).hexdigest()
    return Selected(values, len(found), digest, {why: number for why, number in skipped.items() if number})


def _network(key: Key) -> Network:
    version, number, shift = key
    prefix = WIDTH[version] - shift
    return IPv4Network((number, prefix)) if version == 4 else IPv6Network((number, prefix))
