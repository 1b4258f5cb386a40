"""What turns one table into another, as changes for those who follow."""

from collections.abc import Iterator

from actions.blocks.subjects import scope_of
from app.lookup.addresses import spelled
from app.lookup.packed import Key
from app.lookup.table import Table
from app.lookup.wire import Change, Disallowed, Removed


def removed(old_id: str, key: Key) -> Removed:
    """That a decision is over."""
    value = spelled(*key)
    return Removed(old_id, value, scope_of(value))


def differences(old: Table, new: Table, now: int) -> Iterator[Change | None]:
    """What turns the old table into the new one; None now and then, where other work may have its turn."""
    for differing in old.differing(new):
        if differing is None:
            yield None
            continue
        key, old_id = differing
        found = new.exactly(key, now)
        if found is not None:
            yield found
        elif old_id is not None:
            yield removed(old_id, key)
    before, after = old.named(), new.named()
    yield from [Removed(d.id, d.value, d.scope) for key, d in before.items() if key not in after]
    yield from [decision for key, decision in after.items() if before.get(key) != decision]
    allowed_before = {entry.value: entry for entry in old.allowlist(now)}
    allowed_after = {entry.value: entry for entry in new.allowlist(now)}
    yield from [Disallowed(value) for value in allowed_before if value not in allowed_after]
    yield from [entry for value, entry in allowed_after.items() if allowed_before.get(value) != entry]
