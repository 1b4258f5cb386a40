"""Kubernetes' container log lines: a time, the stream, whether the line is whole, and what the program wrote.

Source: the CRI log format of kubernetes/design-proposals-archive, node/kubelet-cri-logging.md
(`2016-10-06T00:17:09.669794202Z stdout P log content 1`); containerd and CRI-O write it. Tags are separated by colons,
and the first one says whether the line is whole.
"""

import re
from typing import Any, NamedTuple

PARTIAL = "P"
"""The tag of a part that is not the last one."""
TAG = "logtag"
"""Under which name the CRI parsers of Fluent Bit and Fluentd keep the tag."""
_LINE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,18}+(?:Z|[+-][0-9]{2}:[0-9]{2})) (stdout|stderr) "
    r"([FP])(?::[^ ]{0,100}+)?+ (.*)",
    re.DOTALL,
)


class ContainerLine(NamedTuple):
    """One line, taken apart."""

    timestamp: str
    stream: str
    """stdout or stderr"""
    tag: str
    """F where the line ends here, P where it does not."""
    text: str
    """What the program wrote. Of a line over 16 KiB it is a part; container_parts.py joins those of one body."""

    @property
    def is_partial(self) -> bool:
        """Whether the line goes on elsewhere."""
        return self.tag == PARTIAL


def split_container_line(line: str) -> ContainerLine | None:
    """The parts of such a line; None where it is none."""
    found = _LINE.match(line)
    return None if found is None else ContainerLine(*found.groups())


def is_partial_record(record: dict[str, Any]) -> bool:
    """Whether a shipper says of a record that it is a part of a line: its tag, Docker's fluentd driver, or Vector."""
    return (
        record.get(TAG) == PARTIAL
        or record.get("_partial") is True
        or record.get("partial_message") in ("true", True)
    )
