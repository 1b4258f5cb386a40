"""The table of docs/shippers.md: which sender was seen to do what. `python -m tests.senders.table` writes it anew.

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
HEAD = """
| sender | protocol | verified with | an attack | what is answered with 503 | what it has while the service is dead |
|---|---|---|---|---|---|
"""


def row_of(sender: Sender, known: dict[str, str]) -> str:
    """Its row of the table; `known` has the rows of the page by name."""
    results = [result_of(sender, what) for what in ("attack", "503", "killed")]
    if not all(path.exists() for path in results):
        return known.get(sender.name, "")
    seen = [json.loads(path.read_text("utf-8")) for path in results]
    cells = [sender.name, f"`{sender.protocol}`", f"the real program, {seen[0]['version']}"]
    return "| " + " | ".join([*cells, *(each["result"] for each in seen)]) + " |"


def rows_of(page: str) -> dict[str, str]:
    """The rows of the page by their sender's name."""
    table = page.partition(BEGIN)[2].partition(END)[0]
    return {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| ")}


def write(page: Path = PAGE) -> None:
    """The table between its two marks."""
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{page.name} has no place for the table: {BEGIN} and {END}")
    rows = [row_of(sender, rows_of(text)) for sender in SENDERS]
    rows += [
        f"| {s.name} | `{s.protocol}` | requests byte for byte | counted | {s.on_503} | as with 503 |"
        for s in byte_exact.SENDERS
    ]
    page.write_text(
        before + begin + "\n" + HEAD + "\n".join(filter(None, rows)) + "\n\n" + END + after, "utf-8"
    )


if __name__ == "__main__":
    write()
