"""Kubernetes' container log lines: a time, the stream, whether the line is whole, and what the program wrote.

Source: the CRI log format of kubernetes/design-proposals-archive, node/kubelet-cri-logging.md
(`2016-10-06T00:17:09.669794202Z stdout P log content 1`); containerd and CRI-O write it.
"""

import re
from typing import NamedTuple

_LINE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,18}+(?:Z|[+-][0-9]{2}:[0-9]{2})) (?:stdout|stderr) [FP] (.*)",
    re.DOTALL,
)


class ContainerLine(NamedTuple):
    """One line, taken apart."""

    timestamp: str
    text: str
    """What the program wrote. Of a line over 16 KiB it is a part: nobody joins the parts here."""


def split_container_line(line: str) -> ContainerLine | None:
    """The parts of such a line; None where it is none."""
    found = _LINE.match(line)
    return None if found is None else ContainerLine(found[1], found[2])
