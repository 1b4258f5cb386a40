"""The tables of docs/shippers.md say what the tests hold the senders to."""

import pytest

from tests.senders import byte_exact
from tests.senders.roster import SENDERS
from tests.senders.sending import ROOT, Sender
from tests.senders.table import PAGE, rows_of, write


def cells_of(name: str) -> list[str]:
    row = rows_of(PAGE.read_text("utf-8"))[name]
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.slug)
def test_the_page_says_of_every_real_sender_what_it_keeps(sender: Sender):
    assert cells_of(sender.name)[2:] == [
        sender.protocol,
        "blocked",
        sender.on_503.value,
        sender.on_kill.value,
    ]


@pytest.mark.parametrize("sender", byte_exact.SENDERS, ids=lambda sender: sender.named)
def test_the_requests_of_a_sender_that_is_not_run_stand_in_a_test(sender: byte_exact.ByteExact):
    assert cells_of(sender.name)[1:] == [", ".join(p for p, _ in sender.spoken), sender.on_503]
    for _, file in sender.spoken:
        text = (ROOT / "tests" / file).read_text("utf-8").lower()
        assert sender.named in text.replace("-", " ").replace("_", " "), file


def test_writing_the_tables_without_results_keeps_the_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.senders.results.FOLDER", tmp_path / "none")
    page = tmp_path / "shippers.md"
    page.write_text(PAGE.read_text("utf-8"), "utf-8")
    write(page)
    assert page.read_text("utf-8") == PAGE.read_text("utf-8")
