"""The table of docs/shippers.md says what the tests hold the senders to."""

import pytest

from tests.senders import byte_exact
from tests.senders.roster import SENDERS
from tests.senders.sending import ROOT, Sender
from tests.senders.table import PAGE, rows_of


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.slug)
def test_the_table_has_every_real_sender_with_what_it_keeps(sender: Sender):
    row = rows_of(PAGE.read_text("utf-8"))[sender.name]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == f"`{sender.protocol}`"
    assert cells[2].startswith("the real program, ")
    assert cells[3:] == ["blocked", sender.on_503.value, sender.on_kill.value]


@pytest.mark.parametrize("sender", byte_exact.SENDERS, ids=lambda s: f"{s.name} {s.protocol}")
def test_the_requests_of_a_sender_that_is_not_run_are_in_a_test(sender: byte_exact.ByteExact):
    assert sender.named in (ROOT / "tests" / sender.test).read_text("utf-8").lower()
    assert f"| {sender.name} | `{sender.protocol}` |" in PAGE.read_text("utf-8")
