"""Checksums of evidence: what was copied when the incident opened is what stands in its report."""

import hashlib
from collections.abc import Iterable

import msgspec

from detectors.finding import Evidence


def evidence_json(evidence: Evidence) -> bytes:
    """One piece of evidence as JSON: keys in order, no spaces, UTF-8."""
    return msgspec.json.encode(evidence, order="sorted")


def checksum_of(evidence: Evidence) -> str:
    """SHA-256 of its JSON, in hexadecimal."""
    return hashlib.sha256(evidence_json(evidence)).hexdigest()


def checksum_of_all(evidence: Iterable[Evidence]) -> str:
    """SHA-256 of the checksums of all, one a line, each with its line end."""
    lines = "".join(f"{checksum_of(one)}\n" for one in evidence)
    return hashlib.sha256(lines.encode()).hexdigest()
