"""`make bench`: every figure of the README, in one run. `python -m benchmarks NAME ...` runs some of them."""

import importlib
import json
import sys

NAMES = (
    "ingest",
    "shippers",
    "backpressure",
    "whole_path",
    "journal",
    "investigate",
    "replay",
    "lookup",
    "blocklist_size",
    "start",
    "client_lookup",
    "client_memory",
    "client_middleware",
    "flood",
    "behaviour",
    "delivery",
)


def main(arguments: list[str]) -> None:
    figures: dict[str, float] = {}
    as_json = "--json" in arguments
    for name in [a for a in arguments if a.isidentifier()] or NAMES:
        for label, figure in importlib.import_module(f"benchmarks.{name}").measure().items():
            figures[label] = figure
            if not as_json:
                print(f"{label:<72} {figure:>14,.{1 if figure < 1000 else 0}f}", flush=True)
    if as_json:
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
