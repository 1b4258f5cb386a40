"""The tables of docs/shippers.md: which sender was seen to do what. `python -m tests.senders.table` writes them anew.

Versions and results are those that the last run of the tests has left in .senders/results/; a sender of which there is
no result keeps its row.
"""

import json
from pathlib import Path

from tests.senders import byte_exact
from tests.senders.results import result_of
from tests.senders.roster import SENDERS
from tests.senders.sending import ROOT, Sender

PAGE = ROOT / "docs" / "shippers.md"
BEGIN = "<!-- The senders that are tested; written by tests/senders/table.py -->"
END = "<!-- End of the senders that are tested -->"
REAL_PROGRAMS = """
| real program | version | protocol | an attack | what is answered with 503 | what it has while the service is dead |
|---|---|---|---|---|---|
"""
BYTE_EXACT = """

| requests byte for byte | protocols | what its source or manual says that it does on a 503 |
|---|---|---|
"""


def row_of(sender: Sender, known: dict[str, str]) -> str:
    """Its row of the table; `known` has the rows of the page by name."""
    results = [result_of(sender, what) for what in ("attack", "503", "killed")]
    if not all(path.exists() for path in results):
        return known.get(sender.name, "")
    seen = [json.loads(path.read_text("utf-8")) for path in results]
    cells = [sender.name, seen[0]["version"], sender.protocol, *(each["result"] for each in seen)]
    return "| " + " | ".join(cells) + " |"


def rows_of(page: str) -> dict[str, str]:
    """The rows of the page by their sender's name."""
    table = page.partition(BEGIN)[2].partition(END)[0]
    return {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| ")}


def write(page: Path = PAGE) -> None:
    """The tables between the two marks."""
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{page.name} has no place for the tables: {BEGIN} and {END}")
    known = rows_of(text)
    real = "\n".join(filter(None, (row_of(sender, known) for sender in SENDERS)))
    others = "\n".join(
        f"| {s.name} | {', '.join(protocol for protocol, _ in s.spoken)} | {s.on_503} |"
        for s in byte_exact.SENDERS
    )
    tables = REAL_PROGRAMS + real + BYTE_EXACT + others
    page.write_text(before + begin + "\n" + tables + "\n\n" + end + after, "utf-8")


if __name__ == "__main__":
    write()
